"""The one reading of the environment."""

from __future__ import annotations

import pytest

from holdfast.core.errors import UsageError
from holdfast.settings import parse_assignment, read_settings


def test_nothing_is_coloured_or_rewritten_unless_a_person_watches() -> None:
    assert read_settings({}).color is False
    watched = read_settings({}, out_is_terminal=True, err_is_terminal=True)
    assert (watched.color, watched.progress) == (True, True)
    assert read_settings({}, out_is_terminal=False, err_is_terminal=True).color is False


@pytest.mark.parametrize(
    "environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"HOLDFAST_COLOR": "never"}]
)
def test_colour_can_be_switched_off(environ: dict[str, str]) -> None:
    assert read_settings(environ, out_is_terminal=True, err_is_terminal=True).color is False


def test_words_of_the_call_win_over_the_environment() -> None:
    found = read_settings({"HOLDFAST_JOBS": "4"}, ["annex.jobs=8", "annex.thin"])
    assert found.values == {"annex.jobs": "8", "annex.thin": "true"}


def test_the_names_of_settings_are_written_as_git_does() -> None:
    assert parse_assignment("Annex.NumCopies=2") == ("annex.numcopies", "2")
    assert parse_assignment("Remote.My.Nas.Annex-Cost=1=2") == ("remote.My.Nas.annex-cost", "1=2")


def test_a_setting_without_a_section_is_refused() -> None:
    with pytest.raises(UsageError, match=r"SECTION\.NAME"):
        read_settings({}, ["jobs=3"])
    with pytest.raises(UsageError, match="auto, always or never"):
        read_settings({"HOLDFAST_COLOR": "blue"})


def test_a_width_that_is_no_number_or_too_small_is_not_used() -> None:
    assert read_settings({"COLUMNS": "wide"}, width=120).width == 120
    assert read_settings({"COLUMNS": "1"}).width == 40
    assert read_settings({"COLUMNS": "100"}, width=120).width == 100


def test_how_many_at_a_time_is_a_number_or_one_for_each_processor() -> None:
    assert read_settings({"HOLDFAST_JOBS": "4"}).jobs == 4
    assert read_settings({"HOLDFAST_JOBS": "4"}, ["annex.jobs=8"]).jobs == 8
    assert read_settings({"HOLDFAST_JOBS": "cpus"}).jobs is None
    assert read_settings({"HOLDFAST_JOBS": ""}).jobs is None
    for odd in ("abc", "0", "-1", "1.5", "٣"):
        with pytest.raises(UsageError, match="1 or more"):
            read_settings({"HOLDFAST_JOBS": odd})
        with pytest.raises(UsageError, match="1 or more"):
            read_settings({}, [f"annex.jobs={odd}"])
