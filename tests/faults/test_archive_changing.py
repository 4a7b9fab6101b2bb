"""A folder that changes while it is gone through, or between that and being read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.api.archive import archive_of_folder, iter_archive_pack
from holdfast.archive.entries import one_by_one
from holdfast.archive.folder_entries import iter_folder
from holdfast.core.errors import HoldError
from holdfast.core.outcome import Outcome
from holdfast.core.progress import Silence


class _Once(Silence):
    """Does something between the plan and the first byte that is read."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def start(self, files: int, size: int) -> None:
        self._act()


def _pack(top: Path, act: Callable[[], None]) -> dict[str, Outcome]:
    archive = archive_of_folder(os.fsencode(top / "main"), os.fsencode(top / "state"))
    outcomes = iter_archive_pack(archive, piece_size=4 << 20, progress=_Once(act))
    return {one.path: one for one in outcomes}


def test_what_goes_while_a_folder_is_gone_through_is_not_in_the_plan(tmp_path: Path) -> None:
    (tmp_path / "folder/sub").mkdir(parents=True)
    (tmp_path / "folder/sub/file").touch()
    (tmp_path / "folder/stays").touch()
    (tmp_path / "link").symlink_to("folder")
    os.mkfifo(tmp_path / "a pipe")

    def remove(_: bytes) -> None:
        shutil.rmtree(tmp_path / "folder/sub")
        (tmp_path / "link").unlink()

    os.mkfifo(tmp_path / "folder/a pipe")
    found = one_by_one(iter_folder(os.fsencode(tmp_path), passed=lambda path: None))
    before = [entry.path for entry in found]
    found = one_by_one(
        iter_folder(
            os.fsencode(tmp_path), passed=lambda path: remove(path) if b"/" in path else None
        )
    )
    after = [entry.path for entry in found]
    assert after == [b"files", b"files/folder", b"files/folder/stays"]
    assert sorted({*before} - {*after}) == [
        b"files/folder/sub", b"files/folder/sub/file", b"files/link",
    ]  # fmt: skip


def test_a_folder_that_is_not_there_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(HoldError):
        list(iter_folder(os.fsencode(tmp_path / "gone")))


@pytest.mark.parametrize("count", [1, 9])
def test_an_empty_file_that_is_a_pipe_now_is_told_and_left_out(tmp_path: Path, count: int) -> None:
    (tmp_path / "main").mkdir()
    for number in range(count):
        (tmp_path / f"main/{number}").touch()

    def change() -> None:
        (tmp_path / "main/0").unlink()
        os.mkfifo(tmp_path / "main/0")

    told = _pack(tmp_path, change)
    assert not told["files/0"].good


def test_a_file_that_cannot_be_reached_is_not_told_to_be_gone(tmp_path: Path) -> None:
    """Its path is too long for the system, though it was found from its folder."""
    (tmp_path / "main").mkdir()
    here, length = os.open(tmp_path / "main", os.O_RDONLY), len(os.fsencode(tmp_path / "main"))
    while length < 4095 - 101:
        name = "d" * min(100, 4095 - 2 - length)
        os.mkdir(name, dir_fd=here)
        above, here = here, os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(above)
        length += 1 + len(name)
    os.close(os.open("f" * 120, os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)
    try:
        with pytest.raises(HoldError, match="too long"):
            _pack(tmp_path, lambda: None)
    finally:
        shutil.rmtree(tmp_path / "main")
