"""The bytes of pieces stay as they are: the PieceCIDs of mixed trees are known."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from hashlib import md5, sha256
from pathlib import Path

import pytest

from holdfast.archive.entries import Entry, FileRun, key_identity, object_identity, one_by_one
from holdfast.archive.folder_entries import FolderSources, iter_folder
from holdfast.archive.packing import Packer
from holdfast.archive.plan_file import Plan, write_plan
from holdfast.archive.plan_records import FileRecord, PlanHead
from holdfast.archive.planning import plan_pieces
from holdfast.archive.repeats import iter_steps
from holdfast.archive.snapshot_state import SnapshotState
from holdfast.core.progress import Silence
from holdfast.testing.kernels import every_kernel
from holdfast.wire.archive_rows import MissingRow, RowKind
from holdfast.wire.cid import cid_text
from holdfast.wire.piece import PLAIN, Kernel

HEAD = PlanHead("pinned", 3, "2026-01-01T00:00:00Z", piece_size=1 << 22)
PLAIN_PIECES = [
    "bafkzcibewxnreei57u3ff3fkxmrrlzvngzdz3dbjueo5gakyovt3mb7ihonyv6yjdm",
    "bafkzcibe4p4t2elntpu6ifrbz4k3oxlrpg2fbdm7ui4e3532pcamxkyszuw7lqxofm",
    "bafkzcibe774d2ekffa5trfskqgpt42pspwjahdgn2jgyb6yud5umm7etqpes3vj3a4",
    "bafkzcibd2mlrcp3tpvxxfxxxq2nwt6m5cjjjxhlpnwlyzc4jkr63hiosqvsoyjbd",
    "bafkzcibew22qmek2uroa7wj4crjoucmfnjgfejwdolxjynl2k2u2kkhw2heotjf6bm",
]
KEYED_PIECES = [
    "bafkzcibe37dreekc5y7vmihncmt64awsiptz7najmexofnik436t7rejhtxlhty2hm",
    "bafkzcibesd4t2eisahhbd7bk6fmtnrxjkmeijqimeroffgsnk35gyantrueg7bwpgi",
    "bafkzcibevt4d2ept4e65lqv5ccxdig5s3asgzapx2n3leyco7d35xxjuiuhbnhqxdu",
    "bafkzcibdq4rrdlm7p7qib6ktib7yqc55lmwvmpygsjavlfmbmafvfox6cknpaybf",
    "bafkzcibe3s4aceiqk4xfki6fxmnlp4i43a2cnczjvmm7cn2bi2nkpc64uqfuidv7cu",
]
ONE_PIECE = [
    "bafkzcibfwgyiubyusa3z2iiluqzotkj32wkh4t5mbho2qmvyc5op2vz7u7oyrbo2i4sq",
]
KERNELS = every_kernel()


def _make(folder: Path) -> None:
    chance = random.Random(7)
    sizes = {f"many/{number:04}.dat": chance.randrange(9000) for number in range(900)}
    sizes |= {f"tiny/deep/er/{number}": number % 300 for number in range(600)}
    sizes |= {"a": 0, "large/two": (1 << 20) + 1, "large/nine": 9_000_017, "large/one": 1 << 20}
    sizes |= {f"large/{number:03}": 70_000 + number for number in range(40)}
    sizes |= {"tiny/ünïcode": 5, "tiny/z": 80_000}
    for name, size in sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(size))
        path.chmod(0o755 if size % 7 == 0 else 0o644)
    Path(os.fsdecode(os.fsencode(folder) + b"/tiny/\xff%.dat")).write_bytes(b"no text")
    Path(os.fsdecode(os.fsencode(folder) + b"/tiny/\xff%.dat")).chmod(0o644)
    (folder / "empty/below").mkdir(parents=True)
    (folder / "tiny/link").symlink_to("../many/0001.dat")


def _plain(folder: Path) -> Iterator[Entry | FileRun]:
    return iter_folder(os.fsencode(folder))


def _keyed(folder: Path) -> Iterator[Entry]:
    """As of a data set: most of it by keys, some in git, some repeated, some missing."""
    for number, entry in enumerate(one_by_one(iter_folder(os.fsencode(folder)))):
        if entry.kind is not RowKind.PLAIN:
            yield entry
            continue
        data = _bytes_of(folder, entry.path)
        oid = sha256(b"blob" + data).hexdigest()[:40]
        if number % 11 == 0 and len(data) < 50_000:
            identity = object_identity(oid.encode(), RowKind.GIT)
            yield entry._replace(kind=RowKind.GIT, source=oid, identity=identity, mode=0o100644)
            continue
        key = b"MD5E-s%d--%b.dat" % (len(data), md5(data).hexdigest().encode())
        if number % 3 == 0:
            key = b"SHA256-s%d--%b" % (len(data), sha256(data).hexdigest().encode())
        missing = None
        if number == 500:
            missing = MissingRow(entry.path, key, None, ("https://example.org/500",), "gone")
        yield Entry(
            entry.path, RowKind.ANNEXED, 0o120000, len(data), key, oid, key_identity(key), missing
        )


def _bytes_of(folder: Path, path: bytes) -> bytes:
    return Path(os.fsdecode(os.fsencode(folder) + path[len(b"files") :])).read_bytes()


class Sources(FolderSources):
    """Those of a folder, of which some is as if git had it."""

    def __init__(self, folder: Path, state: bytes) -> None:
        super().__init__(os.fsencode(folder), state)
        self._top = folder

    def iter_blobs(self, records: Iterator[FileRecord]) -> Iterator[bytes | None]:
        for record in records:
            if record.kind is RowKind.SYMLINK:
                yield from super().iter_blobs(iter([record]))
            else:
                yield _bytes_of(self._top, record.path)


def _packed(tmp_path: Path, kernel: Kernel, head: PlanHead, *, keyed: bool) -> list[str]:
    folder = tmp_path / "source"
    folder.mkdir()
    _make(folder)
    state = SnapshotState(os.fsencode(tmp_path / "state"))
    entries = _keyed(folder) if keyed else _plain(folder)
    steps = iter_steps(entries, (), state.folder)
    write_plan(state.plan_path, head, plan_pieces(head, steps))
    packer = Packer(Plan(state.plan_path), state, Sources(folder, state.folder), kernel, Silence())
    try:
        return [cid_text(piece.cid) for piece in packer.run()]
    finally:
        state.close()


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_pieces_of_a_folder_are_known(tmp_path: Path, kernel: Kernel) -> None:
    assert _packed(tmp_path, kernel, HEAD, keyed=False) == PLAIN_PIECES


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_pieces_of_a_data_set_are_known(tmp_path: Path, kernel: Kernel) -> None:
    assert _packed(tmp_path, kernel, HEAD, keyed=True) == KEYED_PIECES


def test_one_large_piece_is_known(tmp_path: Path) -> None:
    head = HEAD._replace(piece_size=1 << 26)
    assert _packed(tmp_path, PLAIN, head, keyed=True) == ONE_PIECE
