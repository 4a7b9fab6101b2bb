"""Which content of a snapshot is there already: earlier in the same tree, or in earlier pieces.

Content has an identity before it is read where it has a name for its bytes: a key, a git object. A
folder has one when all that is in it has. Identities are compared by sorting, so memory does not
grow with their number.
"""

from __future__ import annotations

import marshal
import os
import tempfile
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import groupby
from typing import IO, Any, NamedTuple

from ..dataset.sorted_spill import SortedSpill
from ..wire.archive_rows import MissingRow, RowKind
from ..wire.cid import Cid
from .plan_records import Ref

IDENTITY_SIZE = 32
_NUMBER = 8
_BLOCK = 4096
_KINDS = tuple(RowKind)


class Entry(NamedTuple):
    """A file of a snapshot, as it is found; ``kind`` is None for a folder that may be empty.

    ``path`` is from the archive's root. ``source`` says where its bytes come from. ``identity`` is
    empty where nothing is known of the content before it is read.
    """

    path: bytes
    kind: RowKind | None
    mode: int
    size: int
    key: bytes | None = None
    source: str = ""
    identity: bytes = b""
    missing: MissingRow | None = None


class Closed(NamedTuple):
    """A folder after all that is in it."""

    path: bytes
    identity: bytes


class Step(NamedTuple):
    """An entry or the end of a folder, its number, and where its content stands already."""

    number: int
    what: Entry | Closed
    ref: Ref


def key_identity(key: bytes) -> bytes:
    """The identity of an annexed content."""
    return sha256(b"K" + key).digest()


def object_identity(oid: bytes, kind: RowKind) -> bytes:
    """The identity of what git has under a name in hex: a link is another block than a file."""
    return sha256((b"L" if kind is RowKind.SYMLINK else b"G") + oid).digest()


def iter_steps(
    entries: Iterable[Entry], known: Iterable[tuple[bytes, Cid]], folder: bytes
) -> Iterator[Step]:
    """Number all entries and folders, and find what is there already.

    A folder has its number where it ends; that it may be empty is told without one. Entries come in
    tree order; ``known`` are identities with CIDs, sorted. What is too much for
    memory is spilled to ``folder``.
    """
    with _InOrder(folder) as steps, SortedSpill(folder) as names, SortedSpill(folder) as refs:
        number = 0
        for place, what in enumerate(_walk(entries)):
            steps.add(_plain(what))
            if what.identity:
                head = place.to_bytes(_NUMBER, "big") + number.to_bytes(_NUMBER, "big")
                names.add(what.identity + head)
            number += is_numbered(what)
        _find_repeats(names, known, refs)
        found = iter(refs)
        ref = next(found, None)
        repeats_at = -1 if ref is None else int.from_bytes(ref[:_NUMBER], "big")
        number = 0
        for place, values in enumerate(steps):
            here: Ref = None
            if place == repeats_at and ref is not None:
                here = _read_ref(ref[_NUMBER:])
                ref = next(found, None)
                repeats_at = -1 if ref is None else int.from_bytes(ref[:_NUMBER], "big")
            what = _read(values)
            yield Step(number, what, here)
            number += is_numbered(what)


class _InOrder:
    """Values that may be more than fit in memory, given back in the order they came in."""

    def __init__(self, folder: bytes) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._block: list[tuple[Any, ...]] = []

    def add(self, values: tuple[Any, ...]) -> None:
        """One more."""
        self._block.append(values)
        if len(self._block) == _BLOCK:
            self._spill()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=os.fsdecode(self._folder))  # noqa: SIM115
        raw = marshal.dumps(self._block)
        self._file.write(len(raw).to_bytes(_NUMBER, "big") + raw)
        self._block = []

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


def is_numbered(what: Entry | Closed) -> bool:
    """Whether it is something with a CID."""
    return isinstance(what, Closed) or what.kind is not None


def _plain(what: Entry | Closed) -> tuple[Any, ...]:
    if isinstance(what, Closed):
        return tuple(what)
    path, kind, mode, size, key, source, identity, missing = what
    return (
        path, kind if kind is None else int(kind), mode, size,
        key if key is None else bytes(key), source, identity,
        missing if missing is None else tuple(missing),
    )  # fmt: skip


def _read(values: tuple[Any, ...]) -> Entry | Closed:
    if len(values) == 2:
        return Closed(*values)
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
    for identity, items in groupby(names, lambda item: item[:IDENTITY_SIZE]):
        while row is not None and row[0] < identity:
            row = next(earlier, None)
        first = b""
        for item in items:
            place = item[IDENTITY_SIZE:-_NUMBER]
            if row is not None and row[0] == identity:
                refs.add(place + row[1])
            elif first:
                refs.add(place + first)
            else:
                first = item[-_NUMBER:]


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

    @property
    def identity(self) -> bytes:
        """Empty when something in it has none. Names end with a NUL, identities have one length."""
        return b"" if self.unknown else self.parts.digest()


def _walk(entries: Iterable[Entry]) -> Iterator[Entry | Closed]:
    """The entries with the end of each folder after what is in it, the root's last."""
    folders = [_Open(b"")]
    for entry in entries:
        path = entry.path
        folder = path if entry.kind is None else path[: max(0, path.rfind(b"/"))]
        while folders[-1].path != folder and not _holds(folders[-1].path, folder):
            yield _close(folders)
        while folders[-1].path != folder:
            at = len(folders[-1].path) + 1 if folders[-1].path else 0
            end = folder.find(b"/", at)
            folders.append(_Open(folder if end < 0 else folder[:end]))
        yield entry
        if entry.kind is not None:
            folders[-1].add(path, entry.identity)
    while folders:
        yield _close(folders)


def _holds(above: bytes, folder: bytes) -> bool:
    return not above or folder.startswith(above + b"/")


def _close(folders: list[_Open]) -> Closed:
    closed = folders.pop()
    if folders:
        folders[-1].add(closed.path, closed.identity)
    return Closed(closed.path, closed.identity)
