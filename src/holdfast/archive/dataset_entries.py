"""A version of a data set as entries of a snapshot, and where their bytes come from.

Annexed content that is here is packed. Content that is not here, but in an earlier piece, is
linked. Other missing content is told of with all that is known of it, and what git has of the file
(a link, a pointer) stands in its place.
"""

from __future__ import annotations

import marshal
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice

from ..core.key import Key
from ..dataset.annexed import LINK, TrackedFile, iter_tracked
from ..dataset.ledger import Ledger
from ..dataset.objects import Objects
from ..dataset.repository import Repository
from ..dataset.sorted_spill import SortedSpill
from ..wire.archive_rows import MissingRow, RowKind
from ..wire.gitobjects import hash_object
from ..wire.tree_layout import tree_order
from .contents import FILES
from .entries import OF_STATE, Entry, identity_of, key_identity
from .folder_entries import check_name
from .known_index import KnownIndex
from .plan_records import FileRecord, RunRecord

_BLOCK = 4096
_KINDS = tuple(RowKind)
_END = b"\0\0"
"""After a path in tree order; no path has it, since no name is empty."""


def iter_version(
    repository: Repository,
    objects: Objects,
    ledger: Ledger,
    known: KnownIndex,
    commit: str,
    scratch: bytes,
) -> Iterator[Entry]:
    """The files of a version, in tree order; data sets inside it are left out.

    Sizes are looked up now. What is too much for memory is spilled to the folder ``scratch``.

    Raises:
        UsageError: A name cannot be in an archive.
    """
    finder = _Finder(repository, objects, ledger, known)
    with SortedSpill(scratch) as found:
        tracked = iter_tracked(repository, (), commit)
        while block := list(islice(tracked, _BLOCK)):
            found.update(map(_packed, finder.entries(block)))
        yield Entry(FILES[:-1], None, 0, 0)
        for item in found:
            at = item.index(_END)
            yield _read(item[:at].replace(b"\0", b"/"), item[at + 2 :])


def _packed(entry: Entry) -> bytes:
    path, kind, mode, size, key, source, _, missing = entry
    check_name(path)
    about = None if missing is None else tuple(missing)
    name = None if key is None else bytes(key)
    values = marshal.dumps((int(kind or 0), mode, size, name, source, about))
    return tree_order(path) + _END + values


def _read(path: bytes, raw: bytes) -> Entry:
    number, mode, size, key, source, about = marshal.loads(raw)
    kind = _KINDS[number]
    missing = None if about is None else MissingRow(*about)
    identity = identity_of(path, kind, key, source)
    return Entry(path, kind, mode, size, key, source, identity, missing)


class _Finder:
    """Finds out what is known of files, many at a time."""

    def __init__(
        self, repository: Repository, objects: Objects, ledger: Ledger, known: KnownIndex
    ) -> None:
        self._repository = repository
        self._objects = objects
        self._ledger = ledger
        self._known = known

    def entries(self, files: Sequence[TrackedFile]) -> Iterator[Entry]:
        """The entries of these files, in any order."""
        in_git = [(file, None) for file in files if file.key is None]
        annexed = [file for file in files if file.key is not None]
        missing = []
        keys = [file.key for file in annexed if file.key is not None]
        for file, path in zip(annexed, self._objects.paths_of(keys), strict=True):
            size = self._size_of(file, path)
            if size is None:
                missing.append(file)
            else:
                yield _entry(file, RowKind.ANNEXED, size, None)
        rows = self.missing_rows(missing)
        yield from self.in_git([*in_git, *zip(missing, rows, strict=True)])

    def _size_of(self, file: TrackedFile, usual: bytes) -> int | None:
        """The size of content that is here, or in an earlier piece; None when it is in neither."""
        try:
            return os.stat(usual).st_size
        except FileNotFoundError:
            key = file.key
        assert key is not None
        path = self._objects.content_path(key)
        if path is not None:
            with suppress(FileNotFoundError):
                return os.stat(path).st_size
        row = self._known.find(key_identity(key))
        return None if row is None else row.size

    def in_git(self, files: Iterable[tuple[TrackedFile, MissingRow | None]]) -> Iterator[Entry]:
        """What git has of these files."""
        listed = list(files)
        oids = {file.oid for file, _ in listed}
        sizes = dict(self._repository.git.objects.iter_sizes(oids))
        for file, missing in listed:
            kind = RowKind.SYMLINK if file.mode == LINK else RowKind.GIT
            yield _entry(file, kind, sizes[file.oid], missing)

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


def _entry(file: TrackedFile, kind: RowKind, size: int, missing: MissingRow | None) -> Entry:
    # What stands in the place of missing content is git's, not the key's.
    key = file.key if kind is RowKind.ANNEXED else None
    mode, source = _mode(file.mode), file.oid.decode()
    return Entry(FILES + file.path, kind, mode, size, key, source, b"", missing)


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

    def _is_it(self, name: bytes, data: bytes) -> bool:
        return hash_object(b"blob", data, self._repository.object_format).hex().encode() == name

    def instead_of(self, record: FileRecord, why: str) -> Entry:
        """What stands for a file whose content cannot be packed, and what is told of it."""
        assert record.key is not None
        file = TrackedFile(
            record.path[len(FILES) :],
            b"%o" % record.mode,
            record.source.encode(),
            Key(record.key),
        )
        finder = _Finder(self._repository, self._objects, self._ledger, KnownIndex(b""))
        rows = finder.missing_rows([file], why)
        [entry] = finder.in_git([(file, rows[0])])
        identity = identity_of(entry.path, entry.kind or RowKind.GIT, None, entry.source)
        return entry._replace(identity=identity)
