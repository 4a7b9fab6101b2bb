"""A data set or plain folder as an encrypted snapshot: to all that packs it a folder of age files.

Below ``files/``: ``data/SCOPE/FOLDER/NAME.age`` for each content, ``git/NNNN.bundle.age`` for
history, ``names/SCOPE.age`` for what is where. Lists and bundles are encrypted when it is planned,
and are beside the plan; contents when they are read (`sealed_contents`).
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import marshal
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from ..core import faults
from ..core.backends import is_verifiable
from ..core.key import Key
from ..dataset.sorted_spill import SortedSpill
from ..wire.age_header import Primitives
from ..wire.archive_rows import MissingRow, RowKind
from ..wire.tree_layout import tree_order
from .archive_folder import ArchiveFolder
from .contents import FILES, SourceFault, is_sealed
from .entries import OF_STATE, Entry, FileRun, identity_of, key_identity
from .own_files import chain, own_readme
from .passed_over import PassedOver
from .plan_file import Plan
from .plan_records import FileRecord, PlanHead
from .scope_keys import KeyFolder, named
from .scopes import DATASET, Scopes
from .sealable import Sealable
from .sealed_contents import SealedFrom, SealedSources, sealed_from
from .sealed_names import (
    AnnexedName,
    FolderName,
    GitName,
    History,
    LinkName,
    MissingName,
    Name,
    NamedBundle,
    ScopeHead,
    encode_head,
    encode_name,
)
from .seals import SALT_SIZE, Seal, SealedFile, seal_file

_FILE_MODE = 0o100644
_END = b"\0\0"
_NUMBER = 8
_MISSING = b"/missing"
_LOST = b"/lost"
_LOST_NAME = "lost-"
_FOLDER_SIZE = 5


@dataclass
class Sealing:
    """What an archive is encrypted with: the keys, which scopes, and which it has had before."""

    keys: KeyFolder
    scopes: Scopes
    use: Primitives
    known: frozenset[str] = frozenset()
    who: str = ""
    words: str = ""
    """What calls about the keys need besides, to be told: which archive they are of."""
    made: list[str] = field(default_factory=list)
    """Scopes whose keys were made now."""
    used: set[str] = field(default_factory=set)
    """Scopes that were packed now."""

    def have_key(self, scope: str) -> None:
        """Have the key of a scope; that of one which is new is made.

        Raises:
            AccessError: It was made before, and is gone.
        """
        self.used.add(scope)
        if self.keys.has(scope):
            return
        gone = self.keys.destroyed().get(scope)
        if gone is not None:
            detail = f"it was destroyed {gone.get('time')} by {gone.get('who')}: {gone.get('why')}"
            step = f"hold archive keys make {scope}{self.words}"
            if scope != DATASET:
                step = f"take {scope} out of what is packed, or: {step}"
        elif scope in self.known:
            detail = f"it was packed before, and its key is not in {os.fsdecode(self.keys.path)}"
            step = "bring the key folder back from where you keep a copy of it, or name it: --keys"
        else:
            self.keys.make(scope, os.urandom(32), os.urandom(32), (), self.who)
            self.made.append(scope)
            return
        raise faults.ARCHIVE_NO_KEY(scope=named(scope), detail=detail, next=step)


class SealedSource:
    """A version of a data set, or a folder, encrypted."""

    is_sealed = True

    def __init__(self, plain: Sealable, sealing: Sealing) -> None:
        """``plain`` has a history in archives of one scope alone, see decision 34."""
        self._plain = plain
        self._sealing = sealing

    @property
    def plain(self) -> Sealable:
        """What it encrypts."""
        return self._plain

    @property
    def sealing(self) -> Sealing:
        """What it is encrypted with."""
        return self._sealing

    @property
    def passed_over(self) -> PassedOver:
        """What is not packed of it."""
        return self._plain.passed_over

    def refuse_within(self, path: bytes) -> None:
        """Refuse a folder for pieces whose files would be packed themselves.

        Raises:
            UsageError: It is one.
        """
        self._plain.refuse_within(path)

    def check_begun(self, archive: ArchiveFolder, plan: Plan) -> None:
        """There is nothing to choose."""

    def is_outdated(self, plan: Plan) -> bool:
        """As what it encrypts; or it was planned in the clear."""
        return not plan.head.is_sealed or self._plain.is_outdated(plan)

    def head(self, archive: ArchiveFolder, piece_size: int) -> PlanHead:
        """What the next snapshot is of; makes its bundle, encrypted.

        Raises:
            AccessError: The key of all that has none of its own is not at hand.
        """
        self._sealing.have_key(DATASET)
        head = self._plain.head(archive, piece_size)._replace(is_sealed=True)
        self._seal = Seal.begin(os.urandom(SALT_SIZE), self._sealing.keys, self._sealing.use)
        number = self._seal.number(DATASET)
        bundles = []
        for bundle in head.bundles:
            name = bundle.path.rpartition("/")[2]
            path = os.path.join(archive.next_folder, name.encode())
            seal_file(self._seal.fresh_head(number), path, path + b".age")
            os.unlink(path)
            bundles.append(bundle._replace(path=f"files/git/{name}.age"))
        return head._replace(bundles=tuple(bundles))

    def framed(self, archive: ArchiveFolder, head: PlanHead) -> Iterator[Entry]:
        """All files of the snapshot, in tree order.

        Raises:
            AccessError: The key of a scope is not at hand.
            UsageError: A name cannot be in an archive.
        """
        yield own_readme(archive, head, [])
        yield Entry(FILES[:-1], None, 0, 0)
        with _Listing(archive, self._seal, self._sealing, self._plain) as listing:
            for what in self._plain.entries(archive, head):
                listing.take(what)
            listing.seal_names(self._dataset_head(archive, head))
            yield from listing.objects()
            for bundle in chain(archive, head):
                path, source = b"files/git/" + bundle.name.encode(), OF_STATE + bundle.name
                yield _own(path, source, bundle.size)
            yield from listing.names

    def _dataset_head(self, archive: ArchiveFolder, head: PlanHead) -> ScopeHead:
        if not self._plain.has_history:
            return ScopeHead(DATASET)
        bundles = tuple(
            NamedBundle(bundle.name, tuple(bundle.needs), bundle.version, bundle.annex)
            for bundle in chain(archive, head)
        )
        return ScopeHead(DATASET, History(head.version, head.branch, head.annex, bundles))

    def sources(self, state_folder: bytes) -> SealedSources:
        """Where the bytes of a snapshot come from."""
        seal = Seal.read(state_folder, self._sealing.keys, self._sealing.use)
        return SealedSources(self._plain.sources(state_folder), seal, self._plain.is_as_planned)

    def instead_of(self, state_folder: bytes, fault: SourceFault) -> Entry | None:
        """Nothing: the list of what is lost says so (`amended`)."""
        record = fault.record
        if not is_sealed(record) or not sealed_from(record.source).key:
            raise faults.ARCHIVE_STATE(
                path=os.fsdecode(state_folder), detail=f"{self.shown(record).path!r}: {fault.why}"
            )
        about, plain = sealed_from(record.source), self.sources(state_folder).plain_record(record)
        row = self._plain.lost_row(state_folder, plain, fault.why)
        row = row._replace(path=os.fsencode(about.path))
        assert record.key is not None
        lost = [*_read_lost(state_folder), [about.scope, record.key.decode(), list(row)]]
        temporary = state_folder + _LOST + b".part"
        with open(temporary, "wb") as file:
            marshal.dump(lost, file, 4)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, state_folder + _LOST)
        return None

    def amended(self, state_folder: bytes, entries: Iterator[Entry]) -> Iterator[Entry]:
        """Entries without the contents that were lost, and with lists of them after the names.

        No content is encrypted twice under one key: what was another one is in this snapshot under
        no path.
        """
        lost = _read_lost(state_folder)
        seal = self.sources(state_folder).seal
        names = {name for _, name, _ in lost}
        lists = list(_seal_lost(state_folder, seal, lost))
        for entry in entries:
            if entry.source.startswith(OF_STATE + _LOST_NAME):
                continue
            while lists and tree_order(lists[0].path) < tree_order(entry.path):
                yield lists.pop(0)
            if entry.key is None or entry.key.decode() not in names:
                yield entry
        yield from lists

    def shown(self, record: FileRecord) -> FileRecord:
        """The file that a record is of, as people know it."""
        if not is_sealed(record):
            return record
        about = sealed_from(record.source)
        return record._replace(path=os.fsencode(about.path), key=os.fsencode(about.key) or None)


class _Listing:
    """Takes the files of a version; gives the entries of what is encrypted. A context manager."""

    def __init__(
        self, archive: ArchiveFolder, seal: Seal, sealing: Sealing, plain: Sealable
    ) -> None:
        self.names: list[Entry] = []
        self._plain = plain
        self._folder = archive.next_folder
        self._index = archive.index.opened()
        self._seal = seal
        self._sealing = sealing
        self._objects = SortedSpill(archive.folder)
        self._rows = SortedSpill(archive.folder)
        self._count = 0
        self._missing = list[MissingRow]()
        self._folders: dict[tuple[int, bytes], str] = {}
        self._numbers: dict[str, int] = {}

    def __enter__(self) -> _Listing:
        self._find = self._index.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._index.__exit__(None, None, None)
        self._objects.__exit__(None, None, None)
        self._rows.__exit__(None, None, None)

    def take(self, what: Entry | FileRun) -> None:
        """Take files, or a folder that is empty."""
        if isinstance(what, FileRun):
            self._take_run(what)
            return
        path = what.path[len(FILES) :]
        if what.kind is None:
            if path:
                number = self._number_of(self._sealing.scopes.of(path + b"/"))
                self._note(number, FolderName(path))
            return
        number = self._number_of(self._sealing.scopes.of(path))
        self._note(number, self._name_of(number, path, what))

    def _take_run(self, run: FileRun) -> None:
        folder = run.folder[len(FILES) :]
        number = self._number_of(self._sealing.scopes.of(folder))
        rows = zip(run.names, run.modes, run.sizes, run.keys, run.sources, strict=True)
        # What git has is in its history, if that is packed.
        files = [row for row in rows if row[3] is not None or not self._plain.has_history]
        names = self._seal.names(number, [_thing(key, oid) for _, _, _, key, oid in files])
        below = self._folder_name(number, folder[:-1])
        for (name, mode, size, raw, oid), opaque in zip(files, names, strict=True):
            path, key = folder + name, None if raw is None else Key(raw)
            place = self._add_named(number, path, below, opaque.hex(), size, oid, key)
            if key is None:
                self._note(number, GitName(path, mode, size, oid, place))
            else:
                self._note(number, AnnexedName(path, mode, size, key, place))

    def _note(self, number: int, name: Name | None) -> None:
        if name is not None:
            head = number.to_bytes(_NUMBER, "big") + self._count.to_bytes(_NUMBER, "big")
            self._rows.add(head + encode_name(name))
            self._count += 1

    def _number_of(self, scope: str) -> int:
        if scope not in self._numbers:
            self._sealing.have_key(scope)
            self._numbers[scope] = self._seal.number(scope)
        return self._numbers[scope]

    def _name_of(self, number: int, path: bytes, entry: Entry) -> Name | None:
        if entry.kind is RowKind.ANNEXED and entry.key is not None:
            return self._annexed(number, path, entry, Key(entry.key), entry.size)
        if entry.missing is not None:
            key = Key(entry.missing.key)
            size = self._packed_size(number, key)
            if size is not None:
                return self._annexed(number, path, entry, key, size)
            row = entry.missing._replace(path=path)
            self._missing.append(row)
            return MissingName(row)
        if self._plain.has_history:
            return None  # it is in that
        if entry.kind is RowKind.SYMLINK:
            return LinkName(path, self._plain.link_target(entry))
        name = self._add(number, path, entry.size, entry.source)
        return GitName(path, entry.mode, entry.size, entry.source, name)

    def _annexed(self, number: int, path: bytes, entry: Entry, key: Key, size: int) -> AnnexedName:
        name = self._add(number, path, size, entry.source, key)
        return AnnexedName(path, entry.mode, size, key, name)

    def _packed_size(self, number: int, key: Key) -> int | None:
        """The size of content that is in an earlier piece, under the key its scope has now."""
        name = self._seal.name(number, _thing(key, ""))
        return key.size if self._find(key_identity(name.hex().encode())) else None

    def _add(self, number: int, path: bytes, size: int, oid: str, key: Key | None = None) -> str:
        """Note a content; gives where it is below the folder of its scope."""
        folder = self._folder_name(number, path[: max(0, path.rfind(b"/"))])
        name = self._seal.name(number, _thing(key, oid)).hex()
        return self._add_named(number, path, folder, name, size, oid, key)

    def _add_named(
        self, number: int, path: bytes, folder: str, name: str, size: int, oid: str,
        key: Key | None,
    ) -> str:  # fmt: skip
        known = self._find(key_identity(name.encode()))
        digest = ""
        if known is None and key is not None and not is_verifiable(key.backend):
            digest = self._hash(key)
        sealed = known.size if known else self._seal.sealed_size(number, size)
        text = "" if key is None else os.fsdecode(key)
        about = SealedFrom(number, text, oid, digest, os.fsdecode(path))
        place = f"{folder}/{name}"
        object_path = f"files/data/{self._seal.scopes[number].tag}/{place}.age".encode()
        values = marshal.dumps((sealed, name, about.source))
        self._objects.add(tree_order(object_path) + _END + values)
        return place

    def _folder_name(self, number: int, folder: bytes) -> str:
        found = self._folders.get((number, folder))
        if found is None:
            self._folders.clear()  # files of a folder come one after the other
            name = self._seal.name(number, b"F" + folder)
            found = self._folders[number, folder] = name[:_FOLDER_SIZE].hex()
        return found

    def _hash(self, key: Key) -> str:
        """The hash of content whose key has none: what is encrypted has to be just that."""
        path = self._plain.content_path(key)
        if path is None:
            raise faults.ARCHIVE_CHANGED(path=key.text, tries=1)
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def seal_names(self, head: ScopeHead) -> None:
        """Encrypt the lists of all scopes, but those that an earlier snapshot has as they are."""
        self._seal.write(self._folder)
        with open(self._folder + _MISSING, "wb") as file:
            marshal.dump([tuple(row) for row in self._missing], file, 4)
        first = [
            encode_head(head if one.scope == DATASET else ScopeHead(one.scope))
            for one in self._seal.scopes
        ]
        hashers = [hashlib.sha256(line) for line in first]
        for number, lines in self._by_scope():
            for line in lines:
                hashers[number].update(line)
        waiting = {}
        for number, hasher in enumerate(hashers):
            entry, is_known = self._list_entry(number, hasher.digest())
            if is_known:
                self.names.append(entry)
            else:
                waiting[number] = entry
        for number, lines in self._by_scope():
            if number in waiting:
                self._seal_list(number, waiting.pop(number), [first[number]], lines)
        for number, entry in waiting.items():
            self._seal_list(number, entry, [first[number]], ())
        self.names.sort(key=lambda entry: tree_order(entry.path))

    def _by_scope(self) -> Iterator[tuple[int, Iterator[bytes]]]:
        for head, items in groupby(self._rows, lambda item: item[:_NUMBER]):
            yield int.from_bytes(head, "big"), (item[2 * _NUMBER :] for item in items)

    def _list_entry(self, number: int, digest: bytes) -> tuple[Entry, bool]:
        """The entry of a list, and whether an earlier snapshot has it as it is."""
        name = self._seal.digest(number, digest).hex()
        tag = self._seal.scopes[number].tag
        entry = _own(f"files/names/{tag}.age".encode(), f"{OF_STATE}names-{tag}-{name}.age", 0)
        known = self._find(entry.identity)
        return (entry, False) if known is None else (entry._replace(size=known.size), True)

    def _seal_list(
        self, number: int, entry: Entry, first: Sequence[bytes], lines: Iterable[bytes]
    ) -> None:
        path = os.path.join(self._folder, entry.source.removeprefix(OF_STATE).encode())
        pack = zlib.compressobj(wbits=31)
        with SealedFile(path, self._seal.fresh_head(number)) as out:
            for line in itertools.chain(first, lines):
                out.write(pack.compress(line))
            out.write(pack.flush())
        self.names.append(entry._replace(size=os.stat(path).st_size))

    def objects(self) -> Iterator[Entry]:
        """The contents, in tree order, each once in a folder."""
        for path, items in groupby(self._objects, lambda item: item[: item.index(_END)]):
            sealed, name, source = marshal.loads(next(items)[len(path) + len(_END) :])
            key = name.encode()
            yield Entry(
                path.replace(b"\0", b"/"), RowKind.ANNEXED, _FILE_MODE, sealed, key, source,
                key_identity(key),
            )  # fmt: skip


def _thing(key: bytes | None, oid: str) -> bytes:
    """What a content is, as its opaque name is derived from it."""
    return b"G" + oid.encode() if key is None else b"K" + key


def missing_rows(folder: bytes) -> list[MissingRow]:
    """What an encrypted snapshot was planned without, out of its folder."""
    try:
        with open(folder + _MISSING, "rb") as file:
            return [MissingRow._make(values) for values in marshal.load(file)]
    except FileNotFoundError:
        return []


def lost_rows(folder: bytes) -> list[MissingRow]:
    """What it was planned with, and that was not what was planned when it was packed."""
    return [MissingRow._make(row) for _, _, row in _read_lost(folder)]


def _own(path: bytes, source: str, size: int) -> Entry:
    """A file that is beside the plan."""
    identity = identity_of(path, RowKind.PLAIN, None, source)
    return Entry(path, RowKind.PLAIN, _FILE_MODE, size, None, source, identity)


def _read_lost(folder: bytes) -> list[tuple[int, str, list[object]]]:
    """Contents that were not what was planned: their scopes, names, and what is told of them."""
    try:
        with open(folder + _LOST, "rb") as file:
            found: list[tuple[int, str, list[object]]] = marshal.load(file)
            return found
    except FileNotFoundError:
        return []


def _seal_lost(
    folder: bytes, seal: Seal, lost: list[tuple[int, str, list[object]]]
) -> Iterator[Entry]:
    found = list[Entry]()
    for number in sorted({number for number, _, _ in lost}):
        tag = seal.scopes[number].tag
        lines = [encode_head(ScopeHead(seal.scopes[number].scope))]
        lines += [
            encode_name(MissingName(MissingRow._make(row))) for one, _, row in lost if one == number
        ]
        name = f"{_LOST_NAME}{tag}"
        path = os.path.join(folder, name.encode())
        with SealedFile(path, seal.fresh_head(number)) as out:
            out.write(gzip.compress(b"".join(lines)))
        size = os.stat(path).st_size
        found.append(_own(f"files/names/{tag}.lost.age".encode(), OF_STATE + name, size))
    yield from sorted(found, key=lambda entry: tree_order(entry.path))
