"""Contents in pieces whose name nothing proves: their blocks are whole, and nothing leads to them.

Looked for are blocks that no row covers and no other block links to, and files of rows in pieces
of which nobody knows the snapshot; without what the trees of all snapshots lead to. A folder among
them keeps the names that it proves, below its own CID.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from ..core.errors import HoldError, ProtocolError
from ..core.key import Key
from ..dataset.sorted_spill import SortedSpill
from ..wire.archive_manifest import FOOTER_SIZE, decode_footer
from ..wire.cid import DAG_CBOR, DAG_PB, SHA256_CID_SIZE, Cid, cid_text, parse_cid
from ..wire.file_layout import Block
from ..wire.unixfs import Kind
from ..wire.unixfs_reading import message_of
from .chosen_paths import ChosenPaths
from .cid_index import CidIndex, Standing
from .contents import FILES
from .piece_blocks import FileAt, FilePart
from .piece_ends import LoosePiece
from .piece_parts import iter_rows
from .plain_tree import PlainTree, TreeFile, files_of
from .snapshot_chain import Finding, FoundSnapshot
from .stored_blocks import AnyPiece, StoredBlocks

FOLDER = b"lost+found"
"""Below it they get names: their CIDs."""

_PLACE = struct.Struct(f">{SHA256_CID_SIZE}sIQQQ")
_FOLDERS = (Kind.FOLDER, Kind.SHARD)


class UnnamedFile(NamedTuple):
    """A file or symlink, with the path it gets; and what is known of where it was.

    What is encrypted may be told of already where no key opens it: with all of its scope.
    """

    item: TreeFile
    note: str
    is_told_if_locked: bool = False


class Unnamed:
    """What is unnamed in the pieces of an archive. Memory does not grow with it."""

    def __init__(self, finding: Finding, named: Iterable[Cid], has: Callable[[Key], bool]) -> None:
        """``named`` are contents that were found otherwise; ``has`` says which keys were."""
        self.faults: list[HoldError] = []
        """What was wrong where it was looked for."""
        self._pieces: list[AnyPiece] = [*finding.pieces, *finding.loose]
        self._scratch = finding.scratch
        self._has = has
        self._stored = StoredBlocks(self._pieces, finding.scratch, self.faults)
        self._named = CidIndex(self._iter_named(finding, named), finding.scratch)

    def __iter__(self) -> Iterator[UnnamedFile | HoldError]:
        """All of it, once; what is damaged is given as an error."""
        yield from self._iter_of_rows()
        with SortedSpill(self._scratch) as linked:
            for standing in self._stored.iter_sections():
                linked.update(self._links_of(standing))
            for cid in _without(self._stored.iter_sections(), linked):
                if not self._named.find(cid):
                    yield from self._iter_below(cid)

    # what has a name

    def _iter_named(self, finding: Finding, named: Iterable[Cid]) -> Iterator[Standing]:
        for cid in named:
            yield _only(cid)
        for snapshot in finding.snapshots:
            yield from map(_only, self._iter_in_tree(finding, snapshot))

    def _iter_in_tree(self, finding: Finding, snapshot: FoundSnapshot) -> Iterator[Cid]:
        tree = files_of(finding, snapshot, self._stored)
        for piece in snapshot.in_order:
            if piece.manifest.root is not None:
                yield piece.manifest.root
            yield from (bundle.cid for bundle in piece.manifest.bundles)
        for folder in (b"", b"git"):
            try:
                yield from tree.listing(folder).values()
            except HoldError:
                continue  # who restores it is told
        for item in tree.walk(ChosenPaths([])):
            if isinstance(item, TreeFile):
                yield item.cid

    # what has none

    def _iter_of_rows(self) -> Iterator[UnnamedFile]:
        """Files of rows in pieces whose manifests are lost."""
        with SortedSpill(self._scratch) as rows:
            for number, piece in enumerate(self._pieces):
                if not isinstance(piece, LoosePiece):
                    continue
                for row in iter_rows(piece, []):
                    is_whole = row.cid is not None and len(row.cid) == SHA256_CID_SIZE
                    if not is_whole or row.start or (row.key and self._has(Key(row.key))):
                        continue
                    place = _PLACE.pack(row.cid, number, row.offset, row.length, row.size)
                    rows.add(place + row.path.removeprefix(FILES))
            for raw, same in groupby(rows, lambda item: item[:SHA256_CID_SIZE]):
                cid = Cid(raw)
                if self._named.find(cid):
                    continue
                found = next(same)
                _, number, offset, length, size = _PLACE.unpack_from(found)
                part = FilePart(self._pieces[number].copies, offset, length)
                item = TreeFile(lost_path(cid), cid, None, FileAt(size, cid, [part]))
                path = found[_PLACE.size :].decode("utf-8", "replace")
                yield UnnamedFile(item, f"a row that nothing proves calls it {path}")

    def _links_of(self, standing: Standing) -> Iterator[Cid]:
        if parse_cid(standing.cid).codec != DAG_PB:
            return
        try:
            _, links = message_of(Block(standing.cid, self._stored.get(standing.cid)))
        except HoldError:
            return  # damaged, or of others: it leads nowhere
        yield from (cid for cid, _ in links)

    def _iter_below(self, cid: Cid) -> Iterator[UnnamedFile | HoldError]:
        """A file; or all files without a name in a folder."""
        if parse_cid(cid).codec == DAG_CBOR or self._is_footer(cid):
            return
        try:
            if parse_cid(cid).codec == DAG_PB:
                message, _ = message_of(Block(cid, self._stored.get(cid)))
                if message.kind in _FOLDERS:
                    yield from self._iter_folder(cid)
                    return
            file = self._stored.scanned(cid)
        except ProtocolError:
            return  # a block of others
        except HoldError as error:
            yield error
            return
        if file is not None:
            yield UnnamedFile(TreeFile(lost_path(cid), cid, None, file), self._stored.where(cid))

    def _iter_folder(self, cid: Cid) -> Iterator[UnnamedFile | HoldError]:
        tree = PlainTree([], self._pieces, cid, self._scratch, self._stored)
        above = lost_path(cid) + b"/"
        try:
            for item in tree.walk_below(cid):
                if isinstance(item, HoldError):
                    yield item
                elif item.file is not None and not self._named.find(item.cid):
                    named = item._replace(path=above + item.path)
                    yield UnnamedFile(named, "in a folder whose own name nothing proves")
        except HoldError as error:  # it has more entries than there can be
            yield error

    def _is_footer(self, cid: Cid) -> bool:
        """Whether it is the last block of a piece whose manifest is lost."""
        for standing in self._stored.places(cid):
            if standing.size == FOOTER_SIZE:
                try:
                    decode_footer(
                        self._stored.get(cid), self._pieces[standing.piece].copies[0].size
                    )
                    return True
                except HoldError:
                    continue
        return False


def lost_path(cid: Cid) -> bytes:
    """The path that something without a name gets."""
    return FOLDER + b"/" + cid_text(cid).encode()


def _only(cid: Cid) -> Standing:
    return Standing(cid, 0, 0, 0, 0)


def _without(some: Iterable[Standing], others: Iterable[bytes]) -> Iterator[Cid]:
    """CIDs, each once, that are not among others; both are sorted."""
    rest = iter(others)
    other = next(rest, None)
    for cid, _ in groupby(some, lambda standing: standing.cid):
        while other is not None and other < cid:
            other = next(rest, None)
        if cid != other:
            yield cid
