"""What is where in an encrypted snapshot: noted file by file, and encrypted as lists of names."""

from __future__ import annotations

import hashlib
import itertools
import marshal
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from ..core import faults
from ..core.backends import is_verifiable
from ..core.errors import ProtocolError
from ..core.key import Key
from ..dataset.sorted_spill import SortedSpill
from ..wire.archive_rows import MissingRow, RowKind
from ..wire.tree_layout import tree_order
from .archive_folder import ArchiveFolder
from .contents import FILES
from .entries import OF_STATE, Entry, FileRun, key_identity
from .scopes import DATASET
from .sealable import Sealable
from .sealed_contents import SealedFrom
from .sealed_lost import FILE_MODE, MISSING, own_entry
from .sealed_names import (
    AnnexedName,
    FolderName,
    GitName,
    LinkName,
    MissingName,
    Name,
    ScopeHead,
    encode_head,
    encode_name,
)
from .sealing import Sealing
from .seals import Seal, SealedFile

_END = b"\0\0"
_NUMBER = 8
_FOLDER_SIZE = 5


class Listing:
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

    def __enter__(self) -> Listing:
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
        known = self._find(key_identity(name.hex().encode()))
        if known is None or key.size is not None:
            return None if known is None else key.size
        try:
            return self._seal.plain_size(number, known.size)
        except ProtocolError:
            return None  # it was packed for other recipients

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
        with open(self._folder + MISSING, "wb") as file:
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
        entry = own_entry(f"files/names/{tag}.age".encode(), f"{OF_STATE}names-{tag}-{name}.age", 0)
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
                path.replace(b"\0", b"/"), RowKind.ANNEXED, FILE_MODE, sealed, key, source,
                key_identity(key),
            )  # fmt: skip


def _thing(key: bytes | None, oid: str) -> bytes:
    """What a content is, as its opaque name is derived from it."""
    return b"G" + oid.encode() if key is None else b"K" + key
