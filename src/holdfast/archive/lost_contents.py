"""Content whose rows are lost, found all the same: by its path below the root, or by its key.

The root's tree names the content of every path; a key of SHA-256 names the only leaf of small
content; and any key with a hash is held against what has its size and no row. Who gets it holds it
against its key again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..core.backends import backend_of, hasher, is_verifiable, key_digest
from ..core.errors import HoldError, ProtocolError
from ..core.key import Key
from ..dataset.sorted_spill import SortedSpill
from ..wire.cid import DAG_PB, RAW, RAW_SHA256, Cid, parse_cid
from ..wire.unixfs import FOLDERS_DEEP_MAX, PROFILE
from .chosen_paths import ChosenPaths
from .cid_index import Standing
from .contents import FILES
from .entries import key_identity
from .known_index import KnownIndex, KnownRow, encode_row
from .piece_blocks import FileAt, iter_content
from .plain_tree import PlainTree, tree_of
from .snapshot_chain import Finding, FoundSnapshot
from .stored_blocks import TOLD_MAX, AnyPiece, StoredBlocks

_POINTER = b"/annex/objects/"
_SUFFIX = b".age"


class Wanted(NamedTuple):
    """A file of a version: its path, and the key of its content."""

    path: bytes
    key: Key


class LostContents:
    """Finds content of a snapshot that no row leads to; by key, once it was looked for."""

    def __init__(self, finding: Finding, snapshot: FoundSnapshot) -> None:
        self.faults: list[HoldError] = []
        """What was wrong where it was looked for."""
        self._tree = tree_of(finding, snapshot)
        self._found: dict[Key, Cid] = {}
        if self._tree is not None:
            self.faults, self._stored = self._tree.faults, self._tree.stored
        else:
            everything: list[AnyPiece] = [*finding.pieces, *finding.loose]
            self._stored = StoredBlocks(everything, finding.scratch, self.faults)

    def look(self, files: Sequence[Wanted]) -> None:
        """Look for the content of files; that of some is found afterwards."""
        left = []
        for file in files:
            if file.key in self._found:
                continue
            cid = self._by_path(file) or self._by_digest(file.key)
            if cid is not None:
                self._found[file.key] = cid
            elif is_verifiable(file.key.backend) and file.key.size is not None:
                left.append(file.key)
        if left:
            self._look_by_size(left)

    @property
    def cids(self) -> Iterable[Cid]:
        """What was found."""
        return self._found.values()

    def find(self, key: Key) -> FileAt | None:
        """Where the content of a key is; None when it was not found."""
        cid = self._found.get(key)
        return None if cid is None else self._file_of(cid)

    def _by_path(self, file: Wanted) -> Cid | None:
        if self._tree is None or file.path.count(b"/") > FOLDERS_DEEP_MAX:
            return None
        folder, _, name = (FILES + file.path).rpartition(b"/")
        try:
            cid = self._tree.listing(folder).get(name)
        except HoldError as error:
            if error.code:
                self._tell(error)
            return None
        found = None if cid is None else self._file_of(cid)
        if cid is None or found is None or _is_link(cid, found):
            return None
        if file.key.size not in (None, found.size) or self._is_pointer(found):
            return None
        return cid

    def _by_digest(self, key: Key) -> Cid | None:
        cid = leaf_of(key)
        return cid if cid is not None and self._file_of(cid) is not None else None

    def _look_by_size(self, keys: Sequence[Key]) -> None:
        """Hash what has the size of a key, once by each hash that is wanted of that size."""
        wanted: dict[int, dict[tuple[bytes, str], list[Key]]] = {}
        for key in keys:
            assert key.size is not None
            name = backend_of(key), key_digest(key)
            wanted.setdefault(key.size, {}).setdefault(name, []).append(key)
        for file in self._iter_of_size(wanted):
            names = wanted[file.size]
            hashes = {backend: hasher(backend) for backend, _ in names}
            try:
                for chunk in iter_content(file):
                    for one in hashes.values():
                        one.update(chunk)
            except HoldError:
                continue  # damaged: it is nobody's
            for backend, one in hashes.items():
                for key in names.get((backend, one.hexdigest()), ()):
                    self._found[key] = file.cid

    def _iter_of_size(self, wanted: Mapping[int, object]) -> Iterator[FileAt]:
        for standing in self._stored.iter_sections():
            if self._may_be(standing, wanted):
                file = self._file_of(standing.cid)
                if file is not None and file.size in wanted and not _is_link(standing.cid, file):
                    yield file

    def _may_be(self, standing: Standing, wanted: Mapping[int, object]) -> bool:
        codec = parse_cid(standing.cid).codec
        return codec == DAG_PB or (codec == RAW and standing.size in wanted)

    def _file_of(self, cid: Cid) -> FileAt | None:
        try:
            return self._stored.linked(cid) or self._stored.scanned(cid)
        except ProtocolError:
            return None
        except HoldError as error:
            self._tell(error)
            return None

    def _tell(self, error: HoldError) -> None:
        if len(self.faults) < TOLD_MAX:
            self.faults.append(error)

    def _is_pointer(self, file: FileAt) -> bool:
        """Whether git's word for content that was missing stands in its place."""
        if file.size > PROFILE.chunk_size or file.blocks is not None:
            return False
        try:
            return b"".join(iter_content(file)).startswith(_POINTER)
        except HoldError:
            return False


class LostObjects:
    """Finds encrypted contents whose rows are lost, by what rows call them: the tree names them."""

    def __init__(self, tree: PlainTree, scratch: bytes) -> None:
        self._tree = tree
        self._scratch = scratch
        self._index: KnownIndex | None = None

    @property
    def faults(self) -> list[HoldError]:
        """What was wrong where it was looked for."""
        return self._tree.faults

    def find(self, key: Key) -> FileAt | None:
        """The age file of that name; None when no folder names it, or it is nowhere.

        Raises:
            IntegrityError: It is damaged.
        """
        if self._index is None:
            self._index = self._made()
        row = self._index.find(key_identity(key))
        return None if row is None else self._tree.file_of(row.cid)

    def _made(self) -> KnownIndex:
        index = KnownIndex(os.path.join(self._scratch, b"lost"))
        with SortedSpill(self._scratch) as rows:
            for item in self._tree.walk(ChosenPaths([b"data"])):
                if not isinstance(item, HoldError) and item.file is not None:
                    name = item.path.rpartition(b"/")[2].removesuffix(_SUFFIX)
                    known = KnownRow(key_identity(name), item.cid, item.file.size, 0, 0, 0, 0)
                    rows.add(encode_row(known))
            index.add(rows)
        return index


def leaf_of(key: Key) -> Cid | None:
    """The only block of content, where the key tells what that is."""
    is_leaf = key.size is not None and key.size <= PROFILE.chunk_size
    if not is_leaf or backend_of(key) != b"SHA256":
        return None
    return Cid(RAW_SHA256 + bytes.fromhex(key_digest(key)))


def _is_link(cid: Cid, file: FileAt) -> bool:
    """A symlink is no raw block, and too small to be a file of several."""
    return parse_cid(cid).codec != RAW and file.blocks is None and file.size <= PROFILE.chunk_size
