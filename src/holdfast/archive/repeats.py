"""Which content of a snapshot is there already: earlier in the same tree, or in earlier pieces.

Content has an identity before it is read where it has a name for its bytes: a key, a git object. A
folder has one when all that is in it has. Identities are compared by sorting, so memory does not
grow with their number.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from operator import add
from struct import Struct
from typing import IO, Any, NamedTuple

from ..dataset.sorted_spill import SortedSpill
from ..wire.archive_rows import MissingRow, RowKind
from ..wire.cid import Cid
from .entries import Entry, FileRun, iter_in_runs
from .plan_records import Ref

IDENTITY_SIZE = 32
_NUMBER = 8
_PLACE_AND_NUMBER = Struct(">QQ").pack
_LAST = b"\xff" * _NUMBER + bytes(_NUMBER)
_BLOCK = 4096
_KINDS = tuple(RowKind)


class Closed(NamedTuple):
    """A folder after all that is in it."""

    path: bytes
    identity: bytes


class Step(NamedTuple):
    """An entry or the end of a folder, its number, and where its content stands already.

    Or a run of files, the number of the first one, and no such place for any of them.
    """

    number: int
    what: Entry | Closed | FileRun
    ref: Ref


def iter_steps(
    entries: Iterable[Entry | FileRun], known: Iterable[tuple[bytes, Cid]], folder: bytes
) -> Iterator[Step]:
    """Number all entries and folders, and find what is there already.

    A folder has its number where it ends; that it may be empty is told without one. Entries come in
    tree order; ``known`` are identities with CIDs, sorted. What is too much for
    memory is spilled to ``folder``.
    """
    with _InOrder(folder) as steps, SortedSpill(folder) as names, SortedSpill(folder) as found:
        place = number = 0
        for what in _walk(iter_in_runs(entries)):
            count = len(what.names) if isinstance(what, FileRun) else 1
            steps.add(_plain(what), count)
            names.update(_named(what, place, number))
            place += count
            number += count * is_numbered(what)
        _find_repeats(names, known, found)
        refs = _Refs(found)
        place = number = 0
        for values in steps:
            what = _read(values)
            if isinstance(what, FileRun):
                count = len(what.names)
                if refs.place >= place + count:
                    yield Step(number, what, None)
                else:
                    for at, entry in enumerate(what.entries()):
                        yield Step(number + at, entry, refs.at(place + at))
                place += count
                number += count
            else:
                yield Step(number, what, refs.at(place))
                place += 1
                number += is_numbered(what)


def _named(what: Entry | Closed | FileRun, place: int, number: int) -> Iterator[bytes]:
    """What is to be sorted of something that has an identity: that, its place and its number."""
    identities = what.identities if isinstance(what, FileRun) else (what.identity,)
    count = len(identities)
    places = map(_PLACE_AND_NUMBER, range(place, place + count), range(number, number + count))
    if all(identities):
        return map(add, identities, places)
    return (identity + at for identity, at in zip(identities, places, strict=True) if identity)


class _Refs:
    """Where content stands already, by its place here, in order."""

    def __init__(self, found: Iterable[bytes]) -> None:
        self._rest = iter(found)
        self._next()

    def at(self, place: int) -> Ref:
        """Where what is at a place stands; places have to be asked for in order."""
        if place != self.place:
            return None
        ref = self._ref
        self._next()
        return ref

    def _next(self) -> None:
        raw = next(self._rest, _LAST)
        self.place = int.from_bytes(raw[:_NUMBER], "big")
        self._ref = _read_ref(raw[_NUMBER:])


class _InOrder:
    """Values that may be more than fit in memory, given back in the order they came in."""

    def __init__(self, folder: bytes) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._block: list[tuple[Any, ...]] = []
        self._count = 0

    def add(self, values: tuple[Any, ...], count: int) -> None:
        """One more, which says as much as so many."""
        self._block.append(values)
        self._count += count
        if self._count >= _BLOCK:
            self._spill()

    def _spill(self) -> None:
        if self._file is None:
            import tempfile  # late: most snapshots are small

            self._file = tempfile.TemporaryFile(dir=os.fsdecode(self._folder))  # noqa: SIM115
        raw = marshal.dumps(self._block)
        self._file.write(len(raw).to_bytes(_NUMBER, "big") + raw)
        self._block, self._count = [], 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        if self._file is not None:
            self._file.seek(0)
            while length := self._file.read(_NUMBER):
                yield from marshal.loads(self._file.read(int.from_bytes(length, "big")))
        yield from self._block

    def __enter__(self) -> _InOrder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def is_numbered(what: Entry | Closed | FileRun) -> bool:
    """Whether it is something with a CID."""
    return not isinstance(what, Entry) or what.kind is not None


def _plain(what: Entry | Closed | FileRun) -> tuple[Any, ...]:
    if not isinstance(what, Entry):
        return (isinstance(what, FileRun), *what)
    path, kind, mode, size, key, source, identity, missing = what
    return (
        path, kind if kind is None else int(kind), mode, size,
        key if key is None else bytes(key), source, identity,
        missing if missing is None else tuple(missing),
    )  # fmt: skip


def _read(values: tuple[Any, ...]) -> Entry | Closed | FileRun:
    if isinstance(values[0], bool):
        return FileRun(*values[1:]) if values[0] else Closed(*values[1:])
    path, kind, mode, size, key, source, identity, missing = values
    return Entry(
        path, kind if kind is None else _KINDS[kind], mode, size, key, source, identity,
        missing if missing is None else MissingRow(*missing),
    )  # fmt: skip


def _read_ref(raw: bytes) -> Ref:
    return int.from_bytes(raw, "big") if len(raw) == _NUMBER else Cid(raw)


def _find_repeats(
    names: SortedSpill, known: Iterable[tuple[bytes, Cid]], refs: SortedSpill
) -> None:
    earlier = iter(known)
    row = next(earlier, None)
    last = first = b""
    for item in names:
        identity = item[:IDENTITY_SIZE]
        is_new = identity != last
        if is_new:
            last, first = identity, item[-_NUMBER:]
            while row is not None and row[0] < identity:
                row = next(earlier, None)
            if row is not None and row[0] == identity:
                first, is_new = row[1], False
        if not is_new:
            refs.add(item[IDENTITY_SIZE:-_NUMBER] + first)


class _Open:
    """A folder that is open, and what its identity is made of: names and identities in it."""

    __slots__ = ("parts", "path", "unknown")

    def __init__(self, path: bytes) -> None:
        self.path = path
        self.parts = sha256(b"F")
        self.unknown = False

    def add(self, path: bytes, identity: bytes) -> None:
        """Something that is in it."""
        if identity:
            self.parts.update(path[path.rfind(b"/") + 1 :] + b"\0" + identity)
        else:
            self.unknown = True

    def add_run(self, run: FileRun) -> None:
        """Files that are in it."""
        if all(run.identities):
            pairs = zip(run.names, run.identities, strict=True)
            self.parts.update(b"".join([name + b"\0" + identity for name, identity in pairs]))
        else:
            self.unknown = True

    @property
    def identity(self) -> bytes:
        """Empty when something in it has none. Names end with a NUL, identities have one length."""
        return b"" if self.unknown else self.parts.digest()


def _walk(entries: Iterable[Entry | FileRun]) -> Iterator[Entry | Closed | FileRun]:
    """The entries with the end of each folder after what is in it, the root's last."""
    folders = [_Open(b"")]
    for entry in entries:
        folder = _folder_of(entry)
        while folders[-1].path != folder and not _holds(folders[-1].path, folder):
            yield _close(folders)
        while folders[-1].path != folder:
            at = len(folders[-1].path) + 1 if folders[-1].path else 0
            end = folder.find(b"/", at)
            folders.append(_Open(folder if end < 0 else folder[:end]))
        yield entry
        if isinstance(entry, FileRun):
            folders[-1].add_run(entry)
        elif entry.kind is not None:
            folders[-1].add(entry.path, entry.identity)
    while folders:
        yield _close(folders)


def _folder_of(entry: Entry | FileRun) -> bytes:
    if isinstance(entry, FileRun):
        return entry.folder[:-1]
    path = entry.path
    return path if entry.kind is None else path[: max(0, path.rfind(b"/"))]


def _holds(above: bytes, folder: bytes) -> bool:
    return not above or folder.startswith(above + b"/")


def _close(folders: list[_Open]) -> Closed:
    closed = folders.pop()
    if folders:
        folders[-1].add(closed.path, closed.identity)
    return Closed(closed.path, closed.identity)
