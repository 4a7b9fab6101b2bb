"""Computes pieces of a group from as many others as it has members, in memory that does not grow.

A segment of each is at hand at a time; reading, committing and writing of a stripe go side by side.
What is computed gets its name, its PieceCID, when it is whole, on the disk, and what it should be.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from typing import NamedTuple

from ..core.progress import Progress
from ..core.system_errors import as_fault
from ..dataset import locks
from ..wire.car import encode_head
from ..wire.cid import raw_cid
from ..wire.parity import SEGMENT, Group, Member, ParityHead
from ..wire.piece import Kernel, PieceHasher
from .parity_code import ParityCode
from .parity_finding import iter_parity_data, member_of
from .piece_stream import CarFile, name_piece
from .pieces import UNFINISHED, FilePiece, OpenedPiece, unreadable

_LOCK = UNFINISHED + b"lock"
_SCRATCH = UNFINISHED + b"scratch"
_ZEROS = bytes(SEGMENT)


class Made(NamedTuple):
    """A piece that was computed: its number in the group, what it is, and its file."""

    number: int
    piece: Member
    path: bytes


class _Reading:
    """The data of a piece, segment by segment; of a member that is shorter, zeros follow."""

    def __init__(self, chunks: Iterator[bytes], hasher: PieceHasher | None) -> None:
        self._chunks = chunks
        self._hasher = hasher
        self._rest = b""

    def segment(self) -> bytes:
        """The next one."""
        parts, size = [self._rest], len(self._rest)
        while size < SEGMENT and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            size += len(chunk)
        data = parts[1] if len(parts) == 2 and not parts[0] else b"".join(parts)
        self._rest = data[SEGMENT:]
        data = data[:SEGMENT]
        if self._hasher is not None:
            self._hasher.update(data)
        if not data:
            return _ZEROS
        return data if len(data) == SEGMENT else data.ljust(SEGMENT, b"\0")


class _Output:
    """A piece that is written."""

    def __init__(self, group: Group, number: int, folder: bytes, kernel: Kernel) -> None:
        self.number = number
        members = group.members
        self._member = members[number] if number < len(members) else None
        self._size = group.parity_size if self._member is None else self._member.size
        name = b"%s%s-%d.part" % (UNFINISHED, group.cid[-8:].hex().encode(), number)
        self._folder = folder
        self._file = CarFile(folder + b"/" + name, self._size)
        self._hasher = PieceHasher(kernel)
        self._at = 0
        if self._member is None:
            self._write(group.head(number - len(members)))

    def take(self, data: memoryview, at: int, length: int) -> None:
        """Take the data of a stripe; ``length`` of it count where the longest member ends."""
        if self._member is not None:
            self._write(data[: max(0, min(SEGMENT, self._member.size - at))])
            return
        data = data[:length]
        self._write(encode_head(raw_cid(data), len(data)))
        self._write(data)

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self._file.write(view, self._at)
        self._hasher.update(view)
        self._at += len(view)

    def check(self) -> Member:
        """What it is.

        Raises:
            IntegrityError: It is not what it should be.
        """
        assert self._at == self._size, "what is computed has not the size that was planned"
        found = member_of(self._hasher.digest())
        if self._member is not None and found != self._member:
            why = "what was computed of the others is another piece: their group does not fit them"
            raise unreadable(self._member.text, why)
        return found

    def finish(self, found: Member, whole: Iterable[OpenedPiece]) -> Made:
        """Give it its name; what is damaged under it gives way, a whole piece to a name beside."""
        path = self._folder + b"/" + found.text.encode() + b".car"
        self._file.finish(self._size)
        if os.path.isfile(path) and not os.path.islink(path):
            _set_aside(path, whole)
        name_piece(self._file.path, path)
        return Made(self.number, found, path)

    def leave(self) -> None:
        """Away with what is unfinished."""
        self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._file.path)


@contextmanager
def alone_in(folder: bytes) -> Iterator[bytes]:
    """No other run computes pieces in the folder; what a killed one left there is removed.

    Gives a folder in it for what is needed meanwhile, which is removed at the end.

    Raises:
        PlaceUnavailableError: Another run does.
    """
    scratch = folder + b"/" + _SCRATCH
    with locks.exclusive(folder + b"/" + _LOCK, wait_s=0):
        for name in os.listdir(folder):
            if name.startswith(UNFINISHED) and name.endswith(b".part"):
                os.unlink(folder + b"/" + name)
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            try:
                os.mkdir(scratch, 0o700)
            except OSError as error:
                raise as_fault(error, os.fsdecode(folder)) from error
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            os.unlink(folder + b"/" + _LOCK)


def compute(
    group: Group,
    there: Mapping[int, OpenedPiece],
    wanted: Sequence[int],
    folder: bytes,
    kernel: Kernel,
    progress: Progress,
    whole: Sequence[OpenedPiece] = (),
) -> list[Made]:
    """Compute pieces of a group, given as many others, and write them; all of them, or none.

    Pieces have numbers: members first, then parities. Members that are read are checked. Pieces
    that are ``whole``, under whatever name, give way to none.

    Raises:
        IntegrityError: One of the others is not what it should be.
        UsageError: There is no code for it here.
        PlaceFullError: There is no room.
    """
    members, needed = group.members, len(group.members)
    assert len(there) == needed, "as many are needed as there are members"
    code = ParityCode(needed, group.parities)
    readings: dict[int, _Reading] = {}
    hashers: dict[int, PieceHasher] = {}
    for number, piece in sorted(there.items()):
        if number < needed:
            hashers[number] = PieceHasher(kernel)
            chunks = piece.iter_range(0, piece.size)
            readings[number] = _Reading(chunks, hashers[number])
        else:
            data = iter_parity_data(piece, ParityHead(group, number - needed))
            readings[number] = _Reading(data, None)
    outputs: list[_Output] = []
    try:
        for number in wanted:
            outputs.append(_Output(group, number, folder, kernel))
        _go_through(group, readings, outputs, code, progress)
        for number, hasher in hashers.items():
            if member_of(hasher.digest()) != members[number]:
                why = f"all of its bytes together are not {members[number].text}"
                raise unreadable(there[number].name, why)
        found = [output.check() for output in outputs]
        return [one.finish(piece, whole) for one, piece in zip(outputs, found, strict=True)]
    except OSError as error:
        raise as_fault(error, os.fsdecode(folder)) from error
    finally:
        for output in outputs:
            output.leave()


def _set_aside(path: bytes, whole: Iterable[OpenedPiece]) -> None:
    """Give a file another name if it is a whole piece: what it is is found by what is in it."""
    same = [piece for piece in whole if isinstance(piece, FilePiece) and piece.is_at(path)]
    if same:
        numbered = (b"%b-%d.car" % (path.removesuffix(b".car"), number) for number in count(1))
        beside = next(name for name in numbered if not os.path.lexists(name))
        os.rename(path, beside)
        for piece in same:
            piece.follow(beside)


def _go_through(
    group: Group, readings: Mapping[int, _Reading], outputs: Sequence[_Output], code: ParityCode,
    progress: Progress,
) -> None:  # fmt: skip
    wanted = [output.number for output in outputs]
    only_parities = set(range(len(group.members))) == set(readings)
    workers = min(len(readings) + len(outputs), os.cpu_count() or 1)
    with ThreadPoolExecutor(workers, thread_name_prefix="parity") as pool:
        for at in range(0, group.length, SEGMENT):
            length = min(SEGMENT, group.length - at)
            segments = list(pool.map(_Reading.segment, readings.values()))
            if only_parities:
                parities = code.encode(b"".join(segments))
                made = [parities[number - len(group.members)] for number in wanted]
            else:
                made = code.rebuild(dict(zip(readings, segments, strict=True)), wanted)
            take: Callable[[_Output, memoryview], None] = _taker(at, length)
            for _ in pool.map(take, outputs, made):
                pass
            progress.advance(0, length * len(readings))


def _taker(at: int, length: int) -> Callable[[_Output, memoryview], None]:
    def take(output: _Output, data: memoryview) -> None:
        output.take(data, at, length)

    return take
