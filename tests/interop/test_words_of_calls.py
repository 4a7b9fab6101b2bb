"""Words of a call that mean nothing here, or something else than meant, are told, not passed over."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.api.datasets import open_dataset
from holdfast.transfer.hands import usable_cores

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop


def code_of(record: dict[str, object]) -> object:
    error = record["error"]
    assert isinstance(error, dict)
    return error["code"]


# paths in a data set inside this one


@pytest.fixture
def nested(tools: Tools, bench: Path) -> Path:
    """A data set with a file, and with another data set `i` in it that has a file too."""
    top = tools.create("hold", bench / "s")
    inner = tools.create("hold", top / "i")
    tools.write(inner, {"f": b"inner"})
    tools.save("hold", inner)
    tools.write(top, {"g": b"outer"})
    tools.save("hold", top)
    tools.write(inner, {"new": b"new"})
    return top


@pytest.mark.parametrize("verb", ["lock", "unlock"])
def test_a_path_in_an_inner_data_set_is_told_to_be_elsewhere(
    tools: Tools, nested: Path, verb: str
) -> None:
    (told,) = tools.hold(nested, verb, "i/new", "--json", exits=2).records()
    assert (told["path"], code_of(told)) == ("i/new", "H105")
    assert f"hold -C i {verb} new" in str(told["error"])


def test_other_paths_beside_one_in_an_inner_data_set_are_worked_on(
    tools: Tools, nested: Path
) -> None:
    tools.write(nested, {"h": b"more"})
    told = tools.hold(nested, "save", "--json", "i/new", "h").records()
    assert {r["path"]: r["status"] for r in told} == {"i/new": "ok", "i": "ok", "h": "ok"}


def test_an_inner_data_set_itself_is_no_path_of_elsewhere(tools: Tools, nested: Path) -> None:
    tools.hold(nested / "i", "save")
    assert tools.hold(nested, "save", "i", "--json").records() != []
    tools.hold(nested, "get", "i")


@pytest.mark.parametrize("path", ["i/f"])
def test_what_needs_an_inner_data_set_that_is_not_installed_says_how_to_install_it(
    tools: Tools, nested: Path, bench: Path, path: str
) -> None:
    clone = tools.clone("hold", nested, bench / "clone")
    for _ in range(2):
        (told,) = tools.hold(clone, "drop", path, "--json", exits=1).records()
        assert code_of(told) == "H126"
        assert "hold get --no-data i" in str(told["error"])
        if (clone / "i").exists():
            (clone / "i").rmdir()


# log and diff


@pytest.fixture
def versions(tools: Tools, bench: Path) -> Path:
    """Two versions; a file that only the first has."""
    folder = tools.create("hold", bench / "versions")
    tools.write(folder, {"a": b"1", "gone": b"x"})
    tools.save("hold", folder, message="one")
    (folder / "gone").unlink()
    tools.write(folder, {"b": b"2"})
    tools.save("hold", folder, message="two")
    return folder


@pytest.mark.parametrize("verb", ["log", "diff"])
def test_a_path_that_nothing_knows_is_told(tools: Tools, versions: Path, verb: str) -> None:
    (told,) = tools.hold(versions, verb, "nosuch", "--json", exits=1).records()
    assert (told["status"], code_of(told)) == ("impossible", "H104")
    done = tools.hold(versions, verb, "nosuch", exits=1).all_text
    assert "No version" not in done
    assert "Nothing differs" not in done


def test_a_version_given_as_a_path_is_told_with_the_way_to_give_it(
    tools: Tools, versions: Path
) -> None:
    first, second = tools.hold(versions, "diff", "HEAD~1", "HEAD", "--json", exits=1).records()
    assert (code_of(first), code_of(second)) == ("H104", "H104")
    assert "hold diff --from HEAD~1" in str(first["error"])
    (told,) = tools.hold(versions, "log", "HEAD~1", "--json", exits=1).records()
    assert "hold log --from HEAD~1" in str(told["error"])


def test_log_begins_with_the_version_that_is_named(tools: Tools, versions: Path) -> None:
    everything = tools.hold(versions, "log", "--json").records()
    earlier = tools.hold(versions, "log", "--from", "HEAD~1", "--json").records()
    assert earlier == [
        {**record, "names": earlier[n]["names"]} for n, record in enumerate(everything[1:])
    ]
    tools.hold(versions, "log", "--from", "nosuch", exits=1)


def test_a_path_that_only_an_earlier_version_has_is_known(tools: Tools, versions: Path) -> None:
    assert len(tools.hold(versions, "log", "gone", "--json").records()) == 2
    (told,) = tools.hold(versions, "diff", "--from", "HEAD~1", "gone", "--json").records()
    assert told["state"] == "deleted"
    words = ("--from", "HEAD~1", "--to", "HEAD", "gone", "--json")
    assert len(tools.hold(versions, "diff", *words).records()) == 1


def test_known_and_unknown_paths_together_give_both(tools: Tools, versions: Path) -> None:
    told = tools.hold(versions, "log", "nosuch", "b", "--json", exits=1).records()
    assert [r["status"] for r in told] == ["impossible", "ok"]


def test_a_path_not_saved_yet_is_known_and_no_version_has_it(tools: Tools, versions: Path) -> None:
    tools.write(versions, {"later": b"3"})
    assert "No version changed that." in tools.hold(versions, "log", "later").all_text
    assert "Nothing differs." in tools.hold(versions, "diff", "later").all_text


def test_log_of_a_data_set_without_a_version_is_empty(tools: Tools, bench: Path) -> None:
    tools.git(bench, "init", "-q", "empty")
    tools.annex(bench / "empty", "init", "-q")
    assert "No version has been saved yet." in tools.hold(bench / "empty", "log").all_text


@pytest.mark.parametrize("count", ["0", "-1"])
def test_a_count_of_versions_below_one_is_wrong_usage(
    tools: Tools, versions: Path, count: str
) -> None:
    assert "H103" in tools.hold(versions, "log", f"--count={count}", exits=2).all_text


# whereis


def test_whereis_of_all_versions_of_a_path_tells_the_keys_of_that_path(
    tools: Tools, bench: Path
) -> None:
    folder = tools.create("hold", bench / "w")
    tools.write(folder, {"d/f1.dat": b"1", "f2.dat": b"2", "asame": b"same", "d/same": b"same"})
    tools.save("hold", folder)
    (folder / "d" / "f1.dat").unlink()
    tools.write(folder, {"d/f1.dat": b"one"})
    tools.save("hold", folder)

    def sizes(*words: str) -> list[int]:
        told = tools.hold(folder, "whereis", "--json", *words).records()
        assert all(r["places"] for r in told)
        return sorted(int(str(r["key"]).split("-s")[1].split("-")[0]) for r in told)

    assert sizes("--all") == [1, 1, 3, 4]
    assert sizes("--all", "d/f1.dat") == [1, 3]
    assert sizes("--all", "d") == [1, 3, 4]
    assert sizes("--all", "f2.dat") == [1]
    assert os.listdir(folder / "d")


# how much at a time


@pytest.mark.parametrize(
    ("configured", "given", "expected"),
    [("3", None, 3), ("3", 1, 1), ("cpus", None, None), ("0", None, None), ("", 2, 2)],
)
def test_as_much_is_done_at_a_time_as_the_settings_of_git_say(
    tools: Tools, bench: Path, configured: str, given: int | None, expected: int | None
) -> None:
    top = tools.create("hold", bench / "s")
    tools.git(top, "config", "annex.jobs", configured)
    with open_dataset(top) as dataset:
        assert dataset.jobs(given) == (expected or usable_cores())
