"""What the doctor concludes, and how it reads what it measures."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.api.doctor import Abilities, advise, iter_doctor
from holdfast.core.outcome import Outcome
from holdfast.dataset import abilities_of_disk as disk

GOOD = Abilities()


def by_check(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {str(outcome.facts["check"]): outcome for outcome in outcomes}


def test_a_good_disk_gets_locked_files() -> None:
    assert advise(GOOD).note.startswith("locked files")


def test_without_symbolic_links_files_are_unlocked() -> None:
    assert advise(replace(GOOD, symlinks=False)).note.startswith("unlocked files")


def test_what_cannot_be_written_is_read_from() -> None:
    assert "cannot be written" in advise(replace(GOOD, writable=False)).note


def test_without_locks_one_program_works_at_a_time() -> None:
    assert "one program at a time" in advise(replace(GOOD, locks=False)).note


def test_root_is_told_that_protection_does_not_hold() -> None:
    assert "as root" in advise(replace(GOOD, root=True)).note


def test_on_a_network_one_machine_writes() -> None:
    assert "one machine" in advise(replace(GOOD, network=True)).note


def test_the_innermost_mount_is_the_one_that_counts(tmp_path: Path) -> None:
    inner = os.fsencode(tmp_path.resolve()) + b"/in here"
    os.mkdir(inner)
    table = tmp_path / "mounts"
    shown = inner.replace(b" ", b"\\040")
    table.write_bytes(b"/dev/a / ext4 rw 0 0\nhost:/x " + shown + b" nfs4 rw,hard 0 0\n")
    found = disk.mount_of(inner, os.fsencode(table))
    assert found == disk.Mount("nfs4", os.fsdecode(inner), "rw,hard")
    assert found.is_network
    outer = disk.mount_of(b"/", os.fsencode(table))
    assert outer is not None and outer.kind == "ext4"


def test_a_lock_is_tried_by_a_second_process(tmp_path: Path) -> None:
    assert disk.locks_hold(os.fsencode(tmp_path)) is True


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    outcomes = by_check(list(iter_doctor(tmp_path)))
    assert os.listdir(tmp_path) == []
    assert {"git", "hashes", "symbolic links", "locks", "case", "sync", "mode"} <= outcomes.keys()


def test_what_hashes_pieces_is_told_and_why_nothing_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = by_check(list(iter_doctor(tmp_path)))["pieces"]
    assert "MB/s" in pieces.note
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))
    slower = by_check(list(iter_doctor(tmp_path)))["pieces"]
    assert slower.good
    assert "not compiled: no C compiler" in slower.note
    assert "C compiler" in str(slower.facts["next"])


def test_a_folder_that_cannot_be_written_is_looked_at_all_the_same() -> None:
    outcomes = by_check(list(iter_doctor("/proc")))
    assert not outcomes["writing"].good
    assert outcomes["writing"].facts["next"]
    assert "read from here" in outcomes["mode"].note


def test_every_finding_that_is_bad_says_what_next(tmp_path: Path) -> None:
    (tmp_path / ".hold-cloning-study-0011aaff").mkdir()
    bad = [outcome for outcome in iter_doctor(tmp_path) if not outcome.good]
    assert any("hold clone into study" in str(outcome.facts["next"]) for outcome in bad)
    assert all(outcome.error is not None and outcome.error.hint for outcome in bad)
