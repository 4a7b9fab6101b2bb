"""A version of a data set as entries of a snapshot, and where their bytes come from.

Annexed content that is here is packed. Content that is not here, but in an earlier piece, is
linked. Other missing content is told of with all that is known of it, and what git has of the file
(a link, a pointer) stands in its place.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import groupby, islice
from typing import TypeAlias

from ..core.key import Key
from ..dataset.annexed import LINK, TrackedFile, keys_of
from ..dataset.ledger import Ledger
from ..dataset.objects import Objects
from ..dataset.repository import Repository
from ..dataset.sorted_spill import SortedSpill
from ..wire.archive_rows import MissingRow, RowKind
from ..wire.gitobjects import hash_object
from ..wire.tree_layout import tree_order
from .contents import FILES
from .entries import (
    OF_STATE,
    RUN_MAX,
    RUN_MIN,
    Entry,
    FileRun,
    identities_of,
    identity_of,
    key_identity,
)
from .folder_entries import check_name
from .known_index import KnownIndex
from .plan_records import FileRecord, RunRecord

_BLOCK = 8192
_Listed: TypeAlias = tuple[bytes, bytes, bytes]
"""The path of a file, its mode and its object, as git writes them."""
_MODE_SIZE, _BLOB = 6, b" blob "
_OID = _MODE_SIZE + len(_BLOB)
_END = b"\0\0"
"""After a path in tree order; no path has it, since no name is empty."""


def iter_version(
    repository: Repository,
    objects: Objects,
    ledger: Ledger,
    known: KnownIndex,
    commit: str,
    scratch: bytes,
) -> Iterator[Entry | FileRun]:
    """The files of a version, in tree order; data sets inside it are left out.

    Sizes are looked up now. What is too much for memory is spilled to the folder ``scratch``.

    Raises:
        UsageError: A name cannot be in an archive.
    """
    finder = _Finder(repository, objects, ledger, known)
    with SortedSpill(scratch) as listed:
        listed.update(_iter_listed(repository, commit))
        yield Entry(FILES[:-1], None, 0, 0)
        rest = map(_read, listed)
        while block := list(islice(rest, _BLOCK)):
            yield from finder.found(block)


def _iter_listed(repository: Repository, commit: str) -> Iterator[bytes]:
    """What git says of each file, after its path in tree order."""
    for field in repository.git.iter_fields("ls-tree", "-r", "-z", "--full-tree", commit):
        facts, _, path = field.partition(b"\t")
        if facts[_MODE_SIZE:_OID] == _BLOB:
            check_name(FILES + path)
            yield tree_order(path) + _END + facts


def _read(raw: bytes) -> _Listed:
    at = raw.index(_END)
    facts = raw[at + len(_END) :]
    return raw[:at].replace(b"\0", b"/"), facts[:_MODE_SIZE], facts[_OID:]


class _Finder:
    """Finds out what is known of files, many at a time."""

    def __init__(
        self, repository: Repository, objects: Objects, ledger: Ledger, known: KnownIndex
    ) -> None:
        self._repository = repository
        self._objects = objects
        self._ledger = ledger
        self._known = known

    def found(self, files: Sequence[_Listed]) -> Iterator[Entry | FileRun]:
        """These files, in their order."""
        keys = keys_of(self._repository, files)
        kinds = [RowKind.ANNEXED] * len(files)
        sizes = self._sizes_here(keys)
        others = [number for number, size in enumerate(sizes) if size is None]
        missing = [number for number in others if keys[number] is not None]
        rows = self.missing_rows([TrackedFile(*files[number], keys[number]) for number in missing])
        told = dict(zip(missing, rows, strict=True))
        in_git = self.sizes_in_git([files[number][2] for number in others])
        for number in others:
            _, mode, oid = files[number]
            # What stands in the place of missing content is git's, not the key's.
            kinds[number], sizes[number], keys[number] = _kind_in_git(mode), in_git[oid], None
        yield from _in_runs(files, kinds, sizes, keys, told)

    def _sizes_here(self, keys: Sequence[Key | None]) -> list[int | None]:
        """The sizes of content that is here, or in an earlier piece; None of all else."""
        paths = iter(self._objects.paths_of([key for key in keys if key is not None]))
        return [None if key is None else self._size_of(key, next(paths)) for key in keys]

    def _size_of(self, key: Key, usual: bytes) -> int | None:
        try:
            return os.stat(usual).st_size
        except FileNotFoundError:
            path = self._objects.content_path(key)
        if path is not None:
            with suppress(FileNotFoundError):
                return os.stat(path).st_size
        row = self._known.find(key_identity(key))
        return None if row is None else row.size

    def sizes_in_git(self, oids: Iterable[bytes]) -> dict[bytes, int]:
        """How large these are."""
        return dict(self._repository.git.objects.iter_sizes(set(oids)))

    def missing_rows(self, files: Sequence[TrackedFile], why: str = "") -> list[MissingRow]:
        """What is known of content that is not here."""
        keys = [file.key for file in files if file.key is not None]
        if not keys:
            return []
        urls, places = self._ledger.urls(keys), self._ledger.locations(keys)
        rows = []
        for file, key in zip(files, keys, strict=True):
            names = [self._ledger.descriptions.get(place, place) for place in places[key]]
            known = "known to be in: " + ", ".join(names) if names else "in no place that is known"
            texts = tuple(url.decode("utf-8", "replace") for url in urls.get(key, []))
            reason = f"{why or 'it was not here'}; {known}"
            rows.append(MissingRow(FILES + file.path, key, key.size, texts, reason))
        return rows


def _in_runs(
    files: Sequence[_Listed],
    kinds: Sequence[RowKind],
    sizes: Sequence[int | None],
    keys: Sequence[Key | None],
    told: Mapping[int, MissingRow],
) -> Iterator[Entry | FileRun]:
    """Files as entries and runs; ``told`` is what is said of those with missing content."""
    folders = [
        None if kind is RowKind.SYMLINK else path[: path.rfind(b"/") + 1]
        for (path, _, _), kind in zip(files, kinds, strict=True)
    ]
    for number in told:
        folders[number] = None
    start = 0
    for folder, same in groupby(folders):
        stop = start + len(list(same))
        for first in range(start, stop, RUN_MAX):
            end = min(first + RUN_MAX, stop)
            some = slice(first, end)
            if folder is not None and end - first >= RUN_MIN:
                yield _run(folder, files[some], kinds[some], sizes[some], keys[some])
                continue
            for number in range(first, end):
                yield _entry(
                    files[number], kinds[number], sizes[number], keys[number], told.get(number)
                )
        start = stop


def _run(
    folder: bytes,
    files: Sequence[_Listed],
    kinds: Sequence[RowKind],
    sizes: Sequence[int | None],
    keys: Sequence[Key | None],
) -> FileRun:
    paths, modes, oids = zip(*files, strict=True)
    numbers, sources = list(map(int, kinds)), b" ".join(oids).decode().split(" ")
    plain = [None if key is None else bytes(key) for key in keys]
    skip = len(folder)
    return FileRun(
        FILES + folder, [path[skip:] for path in paths], numbers, list(map(_mode, modes)),
        [size or 0 for size in sizes], plain, sources, identities_of(numbers, plain, sources),
    )  # fmt: skip


def _entry(
    file: _Listed, kind: RowKind, size: int | None, key: Key | None, missing: MissingRow | None
) -> Entry:
    path, mode, oid = file
    path, source = FILES + path, oid.decode()
    identity = identity_of(path, kind, key, source)
    return Entry(path, kind, _mode(mode), size or 0, key, source, identity, missing)


def _kind_in_git(mode: bytes) -> RowKind:
    return RowKind.SYMLINK if mode == LINK else RowKind.GIT


@lru_cache(maxsize=64)
def _mode(octal: bytes) -> int:
    return int(octal, 8)


class DatasetSources:
    """The bytes of a version's files, and of those in the folder of the snapshot."""

    def __init__(self, repository: Repository, objects: Objects, ledger: Ledger, folder: bytes):
        self._repository = repository
        self._objects = objects
        self._ledger = ledger
        self._state_folder = folder

    def path_of(self, record: FileRecord) -> bytes | None:
        """The file that has the bytes."""
        if record.source.startswith(OF_STATE):
            return os.path.join(self._state_folder, os.fsencode(record.source[1:]))
        assert record.key is not None
        return self._objects.content_path(Key(record.key))

    def usual_path_of(self, record: FileRecord) -> bytes:
        """Where that file is, if all is as usual: the disk is not asked."""
        if record.source.startswith(OF_STATE):
            return os.path.join(self._state_folder, os.fsencode(record.source[1:]))
        assert record.key is not None
        return self._objects.path_of(Key(record.key))

    def usual_paths(self, run: RunRecord) -> list[bytes]:
        """The same of a run; nothing for what git has."""
        keys = [key for key in run.keys if key is not None]
        paths = self._objects.paths_of(keys)
        if len(keys) == len(run.keys):
            return paths
        found = iter(paths)
        return [b"" if key is None else next(found) for key in run.keys]

    def iter_blobs(self, records: Iterator[FileRecord]) -> Iterator[bytes | None]:
        """What git has, held against the name it has it under."""
        asked: deque[bytes] = deque()  # another thread asks, ahead of us

        def names() -> Iterator[bytes]:
            for record in records:
                asked.append(record.source.encode())
                yield asked[-1]

        for answer in self._repository.git.objects.iter_read(names()):
            name = asked.popleft()
            yield None if answer is None or not self._is_it(name, answer[1]) else answer[1]

    def open_blob(self, record: FileRecord) -> int:
        """A file of the system with what git has."""
        from .large_blobs import open_large_blob  # late: git has few large files

        return open_large_blob(self._repository, record, self._state_folder)

    def _is_it(self, name: bytes, data: bytes) -> bool:
        return hash_object(b"blob", data, self._repository.object_format).hex().encode() == name

    def instead_of(self, record: FileRecord, why: str) -> Entry:
        """What stands for a file whose content cannot be packed, and what is told of it."""
        assert record.key is not None
        path, mode, oid = record.path[len(FILES) :], b"%o" % record.mode, record.source.encode()
        finder = _Finder(self._repository, self._objects, self._ledger, KnownIndex(b""))
        [row] = finder.missing_rows([TrackedFile(path, mode, oid, Key(record.key))], why)
        size = finder.sizes_in_git([oid])[oid]
        return _entry((path, mode, oid), _kind_in_git(mode), size, None, row)
