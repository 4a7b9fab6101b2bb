"""A pack that is killed between two steps of its own: the next ones make the same pieces, all whole."""

from __future__ import annotations

import errno
import importlib
import os
import random
import resource
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.api.archive import PackOptions, archive_of_folder, iter_archive_pack
from holdfast.archive.archive_folder import ArchiveFolder
from holdfast.archive.commitment import ROOT_SIZE
from holdfast.archive.piece_making import EMPTY_FOLDER
from holdfast.archive.piece_stream import PieceStream
from holdfast.core.outcome import Outcome, Status
from holdfast.wire.car import encode_header
from holdfast.wire.piece import PLAIN, PieceHasher
from holdfast.wire.piece_cid import from_text

PIECE_SIZE = 4 << 20
KILLED = 9


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """What is packed is a file in two pieces, and small ones before and after it."""
    chance = random.Random(5)
    (tmp_path / "main").mkdir()
    for name in ("before", "in the way", *(f"z{number}" for number in range(6))):
        (tmp_path / "main" / name).write_bytes(chance.randbytes(300_000))
    (tmp_path / "main/large").write_bytes(chance.randbytes(5_500_000))
    return tmp_path


def _pack(top: Path, to: str = "", each: Callable[[Outcome], None] = lambda _: None) -> list[str]:
    """Pack it all, in this process and by one thread; gives the names of the pieces."""
    archive = archive_of_folder(os.fsencode(top / "main"), os.fsencode(top / "state"))
    write, options = os.fsencode(top / to) if to else None, PackOptions(kernel=PLAIN)
    told = []
    for outcome in iter_archive_pack(archive, write=write, piece_size=PIECE_SIZE, options=options):
        each(outcome)
        told.append(outcome)
    assert all(one.status is Status.OK for one in told if one.path.startswith("baf")), told
    pieces = ArchiveFolder(os.fsencode(top / "state")).pieces_of(0)
    return [piece.cid.hex() for piece in pieces]


def _killed(
    top: Path, at: str, to: str = "", after: int = 0,
    each: Callable[[Outcome], None] = lambda _: None,
) -> None:  # fmt: skip
    """Pack, and be killed just before that is called, after so many calls of it."""
    module, *owner, name = at.split(":")
    if not (child := os.fork()):
        try:
            place = importlib.import_module(f"holdfast.archive.{module}")
            for part in owner:
                place = getattr(place, part)
            real, calls = getattr(place, name), 0

            def killed(*given: object) -> object:
                nonlocal calls
                calls += 1
                if calls > after:
                    os._exit(KILLED)
                return real(*given)

            setattr(place, name, killed)
            _pack(top, to, each)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == KILLED, "it was to be killed"


def _check(folder: Path, count: int) -> None:
    """Each piece in the folder has the name that its bytes have."""
    paths = sorted(folder.glob("*.car"))
    assert len(paths) == count
    for path in paths:
        hasher = PieceHasher(PLAIN)
        hasher.update(path.read_bytes())
        assert hasher.digest().v2 == path.stem


def test_a_pack_begun_elsewhere_and_killed_again_does_not_leave_out_what_was_known(
    top: Path,
) -> None:
    _killed(top, "piece_making:PieceMaker:end", "one", after=1)
    _killed(top, "piece_stream:PieceStream:__init__", "two")
    _pack(top, "two")
    _check(top / "two", 1)


def test_a_begun_piece_gets_no_name_as_the_same_one_was_finished_elsewhere(top: Path) -> None:
    _killed(top, "piece_making:PieceMaker:end", "two")
    _killed(top, "piece_making:PieceMaker:end", "one", after=1)
    _pack(top, "two")
    _check(top / "one", 1)
    _check(top / "two", 1)


def test_a_piece_that_was_finished_and_not_named_gets_its_name_where_it_was_copied_to(
    top: Path,
) -> None:
    _killed(top, "piece_making:name_piece", "one")
    (top / "one").rename(top / "two")
    _pack(top, "two")
    _check(top / "two", 2)


def _replace_large(top: Path) -> Callable[[Outcome], None]:
    def replace(outcome: Outcome) -> None:
        if outcome.path.startswith("baf"):
            (top / "main/large").write_bytes(random.Random(6).randbytes(5_500_000))

    return replace


@pytest.mark.parametrize("begins", [0, 1])
def test_a_pack_killed_while_it_takes_a_piece_back_is_gone_on_with(top: Path, begins: int) -> None:
    _killed(top, "snapshot_state:SnapshotState:take_away", after=1, each=_replace_large(top))
    if begins:  # the piece after it, which was begun as well
        _killed(top, "piece_stream:PieceStream:__init__", after=1)
    shutil.copytree(top, top / "anew")
    for path in (top / "anew/state/snapshot-0").glob("*.roots"):
        path.unlink()
    assert _pack(top) == _pack(top / "anew")


def test_what_is_left_of_a_snapshot_that_was_being_forgotten_is_not_believed(top: Path) -> None:
    _killed(top, "piece_making:PieceMaker:end", "one")
    (top / "state/snapshot-0/plan").unlink()
    changed = random.Random(8).randbytes(300_000)
    (top / "main/before").write_bytes(changed)
    _pack(top, "one")
    _check(top / "one", 2)
    assert any(changed in path.read_bytes() for path in (top / "one").glob("*.car"))


def test_a_pack_killed_in_any_piece_goes_on_in_that(top: Path) -> None:
    read = []
    _killed(top, "piece_making:PieceMaker:end", "one", after=1)
    import holdfast.archive.contents as contents

    real = contents.File.read

    def counted(self: contents.File, view: memoryview, offset: int) -> None:
        read.append(len(view))
        real(self, view, offset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents.File, "read", counted)
        _pack(top, "one")
    _check(top / "one", 2)
    assert not read


def test_a_disk_that_is_full_for_what_is_noted_ends_a_pack_by_many_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite

    def full(file: int, data: bytes, at: int) -> int:
        if threading.current_thread().name == "piece" and len(data) % ROOT_SIZE == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data, at)

    monkeypatch.setattr(os, "pwrite", full)
    stem, made = os.fsencode(tmp_path / "piece-0"), list[OSError]()

    def make() -> None:
        stream = PieceStream(PLAIN, stem, None, lambda: None, lanes=2)
        try:
            for _ in range(8):
                stream.emit([bytes(1 << 20)])
            stream.finish(EMPTY_FOLDER, stream.offset)
        except OSError as error:
            made.append(error)
        stream.close()

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive() and made[0].errno == errno.ENOSPC


def test_roots_are_noted_whole_by_a_system_that_writes_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: real(file, data[:48], at))
    stem, data = os.fsencode(tmp_path / "piece-0"), random.Random(3).randbytes(1 << 20)
    stream = PieceStream(PLAIN, stem, None, lambda: None, lanes=1)
    for _ in range(8):
        stream.emit([data])
    size = stream.offset
    made = stream.finish(EMPTY_FOLDER, size)
    stream.close()
    hasher = PieceHasher(PLAIN)
    hasher.update(encode_header([EMPTY_FOLDER]) + data * 8)
    assert from_text(hasher.digest().v2) == made


def test_the_name_of_an_archive_is_there_after_the_disk_was_full(tmp_path: Path) -> None:
    archive = ArchiveFolder(os.fsencode(tmp_path))
    archive.keep_name("the first one")
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        with pytest.raises(OSError):
            archive.keep_name("another one")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert archive.name == "the first one"
