"""Large files copied side by side: every copy right and protected, every fault its own file's."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from holdfast.core.errors import HoldError, IntegrityError
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId
from holdfast.kernel import choose
from holdfast.kernel.lanes import LANES, CopyLanes, copy_lanes
from holdfast.transfer.local import Brought, Wanted, iter_bring
from holdfast.transfer.side_by_side import Copied, Copy, SideBySide, are_worth_it, can_be

MANY = 3 * LANES + 1


class Item(NamedTuple):
    key: Key
    source: bytes


def make_file(folder: Path, number: int, size: int, backend: str = "MD5") -> Item:
    data = os.urandom(size)
    path = folder / f"{number}.dat"
    path.write_bytes(data)
    digest = hashlib.new(backend.lower(), data).hexdigest()
    key = Key(f"{backend}E-s{size}--{digest}.dat".encode())
    return Item(key, os.fsencode(path))


def copier(folder: Path, lanes: CopyLanes) -> SideBySide[Item]:
    numbers = iter(range(10_000))

    def begin(item: Item) -> Copy:
        return Copy(item.key, item.source, os.fsencode(folder / f"copy-{next(numbers)}"))

    return SideBySide(lanes, begin, "there")


@pytest.fixture
def lanes() -> CopyLanes:
    found = copy_lanes(choose.best(), "md5")
    if found is None:
        pytest.skip("no kernel in C could be built here")
    return found


def test_files_of_all_sizes_arrive_as_they_are_and_protected(
    tmp_path: Path, lanes: CopyLanes
) -> None:
    sizes = [0, 1, 63, 64, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 1 << 20, 3_000_001]
    items = [make_file(tmp_path, n, sizes[n % len(sizes)]) for n in range(MANY)]
    ends = copier(tmp_path, lanes).copy(items)
    assert set(ends) == set(items)
    for item, end in ends.items():
        assert isinstance(end, Copied)
        assert (
            Path(os.fsdecode(end.temporary)).read_bytes()
            == Path(os.fsdecode(item.source)).read_bytes()
        )
        assert os.stat(end.temporary).st_mode & 0o777 == 0o444
        assert end.size == item.key.size


def spoil(item: Item, how: str) -> None:
    path = Path(os.fsdecode(item.source))
    data = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    elif how == "short":
        path.write_bytes(data[:-1])
    elif how == "long":
        path.write_bytes(data + b"!")
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


@pytest.mark.parametrize("how", ["flipped", "short", "long", "gone"])
def test_a_file_that_is_wrong_is_refused_and_no_other_one(
    tmp_path: Path, lanes: CopyLanes, how: str
) -> None:
    items = [make_file(tmp_path, n, 700_000 + n) for n in range(MANY)]
    wrong = set(items[2::5])
    for item in wrong:
        spoil(item, how)
    ends = copier(tmp_path, lanes).copy(items)
    kind = FileNotFoundError if how == "gone" else IntegrityError
    assert {item for item, end in ends.items() if isinstance(end, kind)} == wrong
    assert {item for item, end in ends.items() if isinstance(end, Copied)} == set(items) - wrong
    kept = {os.fsdecode(end.temporary) for end in ends.values() if isinstance(end, Copied)}
    assert {str(path) for path in tmp_path.glob("copy-*")} == kept, "nothing unfinished stays"


def test_what_breaks_in_the_middle_leaves_nothing_behind(
    tmp_path: Path, lanes: CopyLanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise MemoryError

    monkeypatch.setattr(lanes, "taken", fail)
    items = [make_file(tmp_path, n, 1 << 20) for n in range(MANY)]
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(MemoryError):
        copier(tmp_path, lanes).copy(items)
    assert not list(tmp_path.glob("copy-*"))
    assert len(os.listdir("/dev/fd")) == before, "every file is closed"


def test_a_full_disk_and_a_source_that_cannot_be_read_are_told_apart(
    tmp_path: Path, lanes: CopyLanes
) -> None:
    right, full, broken = (make_file(tmp_path, n, 300_000) for n in range(3))

    def begin(item: Item) -> Copy:
        copy = Copy(item.key, item.source, item.source + b".copy")
        if item is full:
            device = os.open("/dev/full", os.O_WRONLY)
            os.dup2(device, copy._writer)
            os.close(device)
        elif item is broken:
            folder = os.open(tmp_path, os.O_RDONLY)
            os.dup2(folder, copy.reader)
            os.close(folder)
        return copy

    ends = SideBySide(lanes, begin, "there").copy([right, full, broken])
    assert isinstance(ends[right], Copied)
    for item, number, name in (
        (full, errno.ENOSPC, full.source + b".copy"),
        (broken, errno.EISDIR, broken.source),
    ):
        end = ends[item]
        assert isinstance(end, OSError)
        assert (end.errno, end.filename) == (number, name)
    assert len(list(tmp_path.glob("*.copy"))) == 1


def test_only_large_content_of_usual_backends_is_worth_the_kernel() -> None:
    large, small = b"MD5E-s268435456--%032d.nii", b"MD5E-s4096--%032d.nii"
    assert can_be(Key(large % 1))
    assert can_be(Key(b"MD5-s1048576--%032d" % 1))
    assert not can_be(Key(small % 1))
    assert can_be(Key(b"SHA256E-s268435456--%064d.nii" % 1))
    assert not can_be(Key(b"SHA512E-s268435456--%0128d.nii" % 1))
    assert are_worth_it([Key(large % 1)])
    assert not are_worth_it([Key(small % n) for n in range(1000)])


class Source:
    def __init__(self, items: Sequence[Item]) -> None:
        self.place = Place(PlaceId("there"), "there")
        self._paths = {item.key: item.source for item in items}

    def content_path(self, key: Key) -> bytes | None:
        path = self._paths[key]
        return path if os.path.exists(path) else None


class Target:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, key: Key, path: bytes) -> None:
        os.rename(path, os.fsencode(self.folder) + b"/" + key)


def test_a_get_brings_many_large_files_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.transfer.side_by_side.WORTH_IT", 1)
    monkeypatch.setattr("holdfast.transfer.side_by_side.LARGE", 1)
    kinds = ("MD5", "SHA256", "SHA512")
    items = [make_file(tmp_path, n, 300_000, kinds[n % 3]) for n in range(MANY)]
    spoil(items[4], "flipped")
    spoil(items[9], "gone")
    target = Target(tmp_path / "here")
    target.folder.mkdir()
    ends: list[Brought] = list(
        iter_bring(
            [Wanted(str(n), item.key) for n, item in enumerate(items)], Source(items), target,
            scratch=os.fsencode(tmp_path / "scratch"), source_name="there", sync=lambda _: None,
        )
    )  # fmt: skip
    assert [end.wanted.path for end in ends] == [str(n) for n in range(MANY)]
    failed = {int(end.wanted.path): end.error for end in ends if end.error}
    assert set(failed) == {4, 9}
    assert all(isinstance(error, HoldError) for error in failed.values())
    there = {name.encode() for name in os.listdir(target.folder)}
    assert there == {bytes(item.key) for n, item in enumerate(items) if n not in failed}
    for item in items:
        if bytes(item.key) in there:
            with open(item.source, "rb") as source:
                assert (target.folder / item.key.decode()).read_bytes() == source.read()
    assert not os.listdir(tmp_path / "scratch")


def copy_in_the_kernel(source: int, target: int) -> bool:
    """What a file system that shares blocks does, as far as anybody sees."""
    while os.sendfile(target, source, None, 1 << 20):
        pass
    os.lseek(target, 0, os.SEEK_SET)
    return True


def test_a_copy_that_shares_blocks_is_hashed_itself_and_not_its_original(
    tmp_path: Path, lanes: CopyLanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [make_file(tmp_path, n, (1 << 20) + n) for n in range(MANY)]

    def clone(source: int, target: int) -> bool:
        copy_in_the_kernel(source, target)
        if os.fstat(source).st_size == (1 << 20) + 5:
            os.pwrite(target, b"other bytes", 70_000)
        return True

    monkeypatch.setattr("holdfast.transfer.side_by_side.clone", clone)
    before = len(os.listdir("/dev/fd"))
    ends = copier(tmp_path, lanes).copy(items)
    assert isinstance(ends.pop(items[5]), IntegrityError)
    for item, end in ends.items():
        assert isinstance(end, Copied)
        with open(end.temporary, "rb") as file, open(item.source, "rb") as original:
            assert file.read() == original.read()
        assert os.stat(end.temporary).st_mode & 0o777 == 0o444
    assert len(list(tmp_path.glob("copy-*"))) == MANY - 1
    assert len(os.listdir("/dev/fd")) == before, "every file is closed"


@pytest.mark.parametrize("backend", ["MD5", "SHA512"])
def test_an_interrupt_ends_copies_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setattr("holdfast.transfer.side_by_side.WORTH_IT", 1)
    monkeypatch.setattr("holdfast.transfer.side_by_side.LARGE", 1)
    items = [make_file(tmp_path, n, 300_000, backend) for n in range(70)]
    begun = threading.Event()

    def slowly(lanes: CopyLanes) -> None:
        begun.set()
        time.sleep(0.05)

    def read_slowly(file: int, rooms: list[memoryview]) -> int:
        begun.set()
        time.sleep(0.05)
        rooms[0][:1] = b"x"
        return 1

    monkeypatch.setattr(CopyLanes, "step", slowly)
    monkeypatch.setattr(os, "readv", read_slowly)
    target = Target(tmp_path / "here")
    target.folder.mkdir()
    waiting = threading.Thread(target=lambda: (begun.wait(), os.kill(os.getpid(), signal.SIGINT)))
    waiting.start()
    with pytest.raises(KeyboardInterrupt):
        list(
            iter_bring(
                [Wanted(str(n), item.key) for n, item in enumerate(items)], Source(items), target,
                scratch=os.fsencode(tmp_path / "scratch"), source_name="there", sync=lambda _: None,
            )
        )  # fmt: skip
    waiting.join()
    assert not os.listdir(tmp_path / "scratch")
