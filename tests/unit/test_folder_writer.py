"""Writing files below a folder: what the system refuses is told as one of our faults."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import pytest

from holdfast.archive.folder_writer import SCRATCH, FolderWriter
from holdfast.core.errors import HoldError


def test_a_file_that_cannot_be_begun_is_a_fault_and_no_other_fails(tmp_path: Path) -> None:
    with FolderWriter(os.fsencode(tmp_path)) as writer:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            with pytest.raises(HoldError):
                writer.put_file(b"a", 0o644, [b"one"])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        writer.put_file(b"b", 0o644, [b"two"])
        assert [(path, error) for path, _, error in writer.flush()] == [(b"b", None)]
    assert os.listdir(tmp_path) == ["b"]


def test_a_scratch_folder_that_goes_meanwhile_is_a_fault_of_each_file(tmp_path: Path) -> None:
    with FolderWriter(os.fsencode(tmp_path)) as writer:
        writer.put_file(b"a", 0o644, [b"one"])
        shutil.rmtree(tmp_path / os.fsdecode(SCRATCH))
        os.mkdir(tmp_path / os.fsdecode(SCRATCH))
        writer.put_file(b"b", 0o644, [b"two"])
        found = {path: error for path, _, error in writer.flush()}
    assert isinstance(found[b"a"], HoldError) and found[b"b"] is None
    assert os.listdir(tmp_path) == ["b"]


@pytest.mark.parametrize("place", ["", "/below"])
def test_a_file_in_the_way_of_a_folder_of_ours_is_told(tmp_path: Path, place: str) -> None:
    target = tmp_path / "target"
    if place:
        target.write_bytes(b"mine")
    else:
        target.mkdir()
        (target / os.fsdecode(SCRATCH)).write_bytes(b"mine")
    with pytest.raises(HoldError), FolderWriter(os.fsencode(f"{target}{place}")):
        pass
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"mine"]
