"""What a snapshot is made of, as it is found: files and folders, and runs of small files.

A run is files that follow each other in one folder, as columns: what has to be done for each of
them is done for all at once then, mostly by code that is not Python's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import groupby
from typing import NamedTuple

from ..wire.archive_rows import MissingRow, RowKind

OF_STATE = "@"
"""Begins the ``source`` of a file that is in the folder of the snapshot itself."""
OF_SEAL = "~"
"""Begins the ``source`` of an age file that is made while it is packed."""

RUN_MIN, RUN_MAX = 8, 512
"""Fewer files are no run, more are several."""

_KINDS = tuple(RowKind)
_KINDS_IN_RUNS = (RowKind.ANNEXED, RowKind.GIT, RowKind.PLAIN)


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


class FileRun(NamedTuple):
    """Files in one folder: the path of each is ``folder``, slash included, and its name.

    None of them is a link, is missing, or is made by the archive itself, but age files: of these
    are all of a run, or none.
    """

    folder: bytes
    names: Sequence[bytes]
    kinds: Sequence[int]
    modes: Sequence[int]
    sizes: Sequence[int]
    keys: Sequence[bytes | None]
    sources: Sequence[str]
    identities: Sequence[bytes]

    def part(self, start: int, stop: int) -> FileRun:
        """Some of them."""
        _, names, kinds, modes, sizes, keys, sources, identities = self
        some = slice(start, stop)
        return FileRun(
            self.folder, names[some], kinds[some], modes[some], sizes[some], keys[some],
            sources[some], identities[some],
        )  # fmt: skip

    def entries(self) -> list[Entry]:
        """The files one by one."""
        paths, kinds = map(self.folder.__add__, self.names), map(_KINDS.__getitem__, self.kinds)
        return list(map(Entry, paths, kinds, *self[3:]))


def one_by_one(found: Iterable[Entry | FileRun]) -> Iterator[Entry]:
    """The entries, those of runs too."""
    for what in found:
        if isinstance(what, FileRun):
            yield from what.entries()
        else:
            yield what


def iter_in_runs(found: Iterable[Entry | FileRun]) -> Iterator[Entry | FileRun]:
    """The same, those entries that can be in runs in these."""
    some: list[Entry] = []
    for what in found:
        if isinstance(what, FileRun):
            yield from _in_runs(some)
            some.clear()
            yield what
            continue
        some.append(what)
        if len(some) == RUN_MAX:
            yield from _in_runs(some)
            some.clear()
    yield from _in_runs(some)


def _in_runs(entries: Sequence[Entry]) -> Iterator[Entry | FileRun]:
    folders = [
        (path[: path.rfind(b"/") + 1], source.startswith(OF_SEAL))
        if kind in _KINDS_IN_RUNS and missing is None and not source.startswith(OF_STATE)
        else None
        for path, kind, _, _, _, source, _, missing in entries
    ]
    start = 0
    for folder, same in groupby(folders):
        stop = start + len(list(same))
        if folder is None or stop - start < RUN_MIN:
            yield from entries[start:stop]
        else:
            yield _run_of(folder[0], entries[start:stop])
        start = stop


def _run_of(folder: bytes, entries: Sequence[Entry]) -> FileRun:
    paths, kinds, modes, sizes, keys, sources, identities, _ = zip(*entries, strict=True)
    skip = len(folder)
    plain_keys = keys if set(map(type, keys)) <= {bytes, type(None)} else _plain(keys)
    return FileRun(
        folder, [path[skip:] for path in paths], list(map(int, kinds)), modes, sizes, plain_keys,
        sources, identities,
    )  # fmt: skip


def _plain(keys: Iterable[bytes | None]) -> list[bytes | None]:
    return [None if key is None else bytes(key) for key in keys]


def key_identity(key: bytes) -> bytes:
    """The identity of an annexed content."""
    return sha256(b"K" + key).digest()


def object_identity(oid: bytes, kind: RowKind) -> bytes:
    """The identity of what git has under a name in hex: a link is another block than a file."""
    return sha256((b"L" if kind is RowKind.SYMLINK else b"G") + oid).digest()


def identity_of(path: bytes, kind: RowKind, key: bytes | None, source: str) -> bytes:
    """The identity of what a record or entry is of; none for what has no name for its bytes."""
    if kind is RowKind.ANNEXED and key is not None:
        return key_identity(key)
    if kind in (RowKind.GIT, RowKind.SYMLINK) and source:
        return object_identity(source.encode(), kind)
    if source.startswith(OF_STATE) and source.endswith(".bundle"):
        return key_identity(b"bundle " + path)  # no key begins so; each archive has its own
    if source.startswith(OF_STATE) and source.endswith(".age"):
        return key_identity(b"sealed " + path + b" " + source.encode())
    return b""


def identities_of(
    kinds: Sequence[int], keys: Sequence[bytes | None], sources: Sequence[str]
) -> list[bytes]:
    """The identities of files that are in a run."""
    if not any(sources) and not any(keys):
        return [b""] * len(kinds)
    return [
        sha256(b"K" + key).digest()
        if kind == RowKind.ANNEXED and key is not None
        else identity_of(b"", _KINDS[kind], key, source)
        for kind, key, source in zip(kinds, keys, sources, strict=True)
    ]
