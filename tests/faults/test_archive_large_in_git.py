"""Large files that are git's own, and not annexed: packed, served and restored, and never whole in
memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from scenes import HOLD, environment, must, run

from holdfast.api.archive import archive_of
from holdfast.api.archive_serving import ServedArchive
from holdfast.api.datasets import open_dataset
from holdfast.api.key_place import KeyPlace
from holdfast.archive.contents import SourceFault
from holdfast.archive.large_blobs import LARGE_BLOB, open_large_blob
from holdfast.archive.plan_records import FileRecord
from holdfast.wire.archive_rows import RowKind
from holdfast.wire.cid import parse_cid_text

SIZE = LARGE_BLOB + 700_001
LARGEST = """
import sys
from holdfast.cli.main import run
code = run(sys.argv[1:])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM:")).split()[1])
sys.exit(code)
"""
"""Linux says that of a program alone; others count what its parent had, too."""


def _create(folder: Path) -> Path:
    must(folder, HOLD, "create", "-q", "main")
    must(folder / "main", "git", "config", "annex.largefiles", "nothing")
    return folder / "main"


@pytest.fixture
def main(tmp_path: Path) -> Path:
    main, chance = _create(tmp_path), random.Random(3)
    (main / "a.bin").write_bytes(chance.randbytes(SIZE))
    (main / "sub").mkdir()
    (main / "sub/b.bin").write_bytes(chance.randbytes(SIZE + 5))
    (main / "small.txt").write_text("small\n")
    must(main, HOLD, "save", "-q", "-m", "all")
    assert not list((main / ".git/annex/objects").rglob("*.bin")), "they are not git's own"
    return main


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_they_are_packed_served_and_restored(main: Path, is_encrypted: bool) -> None:
    if is_encrypted:
        pytest.importorskip("cryptography")
    keys = ("--keys", "../keys") if is_encrypted else ()
    words = ("--encrypt", *keys) if is_encrypted else ()
    must(main, HOLD, "archive", "pack", "--write", "../pieces", "--piece-size", "4MiB", *words)
    pieces = sorted((main.parent / "pieces").glob("*.car"))
    assert len(pieces) >= 4
    place = KeyPlace(os.fsencode(main.parent / "keys")) if is_encrypted else None
    with open_dataset(os.fsencode(main)) as dataset:
        served = ServedArchive(archive_of(dataset, keys=place))
        for path in pieces:
            piece, data = served.find_piece(parse_cid_text(path.stem)), path.read_bytes()
            assert piece is not None
            assert b"".join(map(bytes, served.chunks(piece, 0, piece.size))) == data
            middle = b"".join(map(bytes, served.chunks(piece, 1_500_000, 1_500_100)))
            assert middle == data[1_500_000:1_500_100]
    where = ("--keys", "keys") if is_encrypted else ()
    must(main.parent, HOLD, "archive", "restore", "pieces", "--to", "again", *where)
    for name in ("a.bin", "sub/b.bin", "small.txt"):
        assert (main.parent / "again" / name).read_bytes() == (main / name).read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what we need to know")
def test_a_data_set_of_them_is_packed_in_little_memory(tmp_path: Path) -> None:
    main = _create(tmp_path)
    with (main / "zeros.bin").open("wb") as file:
        file.truncate(400 << 20)
    must(main, HOLD, "save", "-q", "-m", "all")
    words = ["archive", "pack", "--quiet"]
    ran = subprocess.run(
        [sys.executable, "-c", LARGEST, *words], cwd=main, env=environment(),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(ran.stdout.split()[-1]) * 1024 < 120e6


def test_one_that_git_lost_or_damaged_is_never_packed(main: Path) -> None:
    oid = run(main, "git", "rev-parse", "HEAD:a.bin").out.strip()
    record = FileRecord(
        0, b"files/a.bin", RowKind.GIT, 0o100644, SIZE, None, oid, None, 0, SIZE, 0, SIZE
    )
    with open_dataset(os.fsencode(main)) as dataset:
        folder = os.fsencode(main.parent)
        handle = open_large_blob(dataset.repository, record, folder)
        assert os.pread(handle, SIZE + 1, 0) == (main / "a.bin").read_bytes()
        os.close(handle)
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        for wrong in (record._replace(size=SIZE + 1), record._replace(source="0" * 40)):
            with pytest.raises(SourceFault, match="as it was planned"):
                open_large_blob(dataset.repository, wrong, folder)
        if before:
            assert len(os.listdir("/proc/self/fd")) == before
    assert sorted(path.name for path in main.parent.iterdir()) == ["main"]
