"""Exit codes: those of the table in docs/errors.md, whether raised or told of one item."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.cli.main import run
from holdfast.core import faults
from holdfast.core.errors import HoldError
from holdfast.core.outcome import Outcome, Report, Status


def code_of(*errors: HoldError | None) -> int:
    report = Report()
    report.add(Outcome("get", Status.OK, "good"))
    for error in errors:
        report.add(Outcome("get", Status.ERROR, "bad", error=error))
    return report.exit_code


AGAIN = faults.UNREACHABLE(place="tape", detail="")
PERSON = faults.TUNED(differences="x")
PLAIN = faults.NO_SUCH_PATH(path="x")
USAGE = faults.BAD_RULE(rule="x", detail="", where="")


def test_one_kind_of_failure_gives_its_own_code() -> None:
    assert code_of() == 0
    for error in (AGAIN, PERSON, PLAIN, USAGE, faults.STOPPED()):
        assert code_of(error) == code_of(error, error) == error.exit_code


def test_of_several_codes_the_gravest_is_given_and_three_only_alone() -> None:
    assert code_of(AGAIN, PERSON, PLAIN, USAGE) == 4
    assert code_of(AGAIN, USAGE, PLAIN) == code_of(PLAIN, USAGE, AGAIN) == 1
    assert code_of(AGAIN, USAGE) == 2
    assert code_of(AGAIN, faults.STOPPED()) == 130


def test_what_says_no_more_than_that_it_failed_is_an_error() -> None:
    assert code_of(None) == code_of(None, AGAIN) == 1


def test_the_table_says_what_being_stopped_gives() -> None:
    assert faults.STOPPED().exit_code == 130
    assert isinstance(faults.STOPPED(), hf.IncompleteError)
    assert "kind StoppedError, exit code 130" in faults.reference()


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text("[user]\n\tname = T\n\temail = t@example.org\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("HOLDFAST_DATASET", raising=False)
    monkeypatch.chdir(tmp_path)
    assert run(["create", "study"]) == 0
    monkeypatch.chdir(tmp_path / "study")
    (tmp_path / "study/a.dat").write_bytes(b"scan" * 20_000)
    assert run(["save"]) == 0
    return tmp_path / "study"


def test_what_is_not_there_does_not_come_by_running_again(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["get", "typo"], ["get", "typo", "a.dat"], ["config", "nosuch.x"]):
        assert run(words) == 1
        shown = capsys.readouterr().err
        assert all(f"\n  {label}" in shown for label in ("why ", "safe", "next")), shown


def test_damage_does_not_go_by_running_again(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (study / "a.dat").resolve()
    content.parent.chmod(0o755)
    content.chmod(0o644)
    content.write_bytes(b"scam" * 20_000)
    assert run(["fsck"]) == 1
    assert "H206" in capsys.readouterr().err
    assert os.path.lexists(study / "a.dat")


def test_no_two_failures_have_the_same_code() -> None:
    codes = [fault.code for fault in faults.iter_faults()]
    assert len(codes) == len(set(codes))
