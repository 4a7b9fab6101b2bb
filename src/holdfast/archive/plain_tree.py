"""The tree below a snapshot's root, and where its files are: for what has no history in git.

A folder's own blocks stand after all that is in it, where no row is: they are looked for between
the rows, first where they belong. Each is held against the CID that the folder above has for it, so
names, symlinks and contents are those of the root, whatever rows say. What no row leads to is
looked for among all blocks; of a folder whose own blocks are lost, rows say what was in it.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..core import faults
from ..core.errors import HoldError, IncompleteError, NotFoundError, ProtocolError
from ..wire.archive_rows import Row
from ..wire.cid import RAW, Cid, parse_cid
from ..wire.file_layout import Block
from ..wire.folder_names import name_of_link
from ..wire.tree_layout import tree_order
from ..wire.unixfs import FOLDERS_DEEP_MAX, Kind
from ..wire.unixfs_folders import FolderEntry, iter_folder
from ..wire.unixfs_reading import message_of
from .chosen_paths import ChosenPaths
from .contents import FILES
from .piece_blocks import FileAt, FilePart, FoundBlock, is_gapless, iter_blocks
from .piece_ends import FoundPiece, LoosePiece
from .piece_rows import AFTER, PieceRows
from .pieces import unreadable
from .snapshot_chain import Finding, FoundSnapshot
from .stored_blocks import AnyPiece, StoredBlocks, nowhere

_ENTRIES = 100_000
"""So many entries a tree may have, however few bytes it is made of."""
_BLOCKS_HELD = 64 << 20
_NO_ROOT = "only what the other pieces say of their own files is known"
_GAP_MAX = 8 << 20
"""No folder's own blocks are more, but of very large folders; these are found all the same."""
_LISTINGS_HELD = 16


class TreeFile(NamedTuple):
    """A file, folder or symlink of a tree: its path, its CID, and its row if it has one.

    A folder has neither ``row`` nor ``file``.
    """

    path: bytes
    cid: Cid
    row: Row | None
    file: FileAt | None


class PlainTree:
    """The tree of a snapshot."""

    def __init__(
        self,
        pieces: Sequence[FoundPiece],
        others: Sequence[AnyPiece],
        root: Cid | None,
        scratch: bytes,
        stored: StoredBlocks | None = None,
    ) -> None:
        """``pieces`` are those of the snapshot, in order; ``others`` may hold what it links to.

        Without a ``root`` only rows tell what is in it. ``scratch`` is a folder for what is too
        much for memory. ``stored`` are the blocks of all of them, where several trees share these.
        """
        self.faults: list[HoldError] = []
        """What could not be read of rows and folders."""
        self.found_again = 0
        """So many files were found by their blocks, as no row tells of them."""
        self._rows = [PieceRows(piece, self.faults) for piece in pieces]
        self._loose = [PieceRows(one, self.faults) for one in others if isinstance(one, LoosePiece)]
        self._root = root
        self._with_rows = [one for one in self._rows if one.first is not None]
        self._firsts = [one.first or b"" for one in self._with_rows]
        everything = [*pieces, *others]
        self.stored = stored or StoredBlocks(everything, scratch, self.faults)
        self._left = _ENTRIES + sum(piece.copies[0].size for piece in everything)
        self._blocks: OrderedDict[Cid, bytes] = OrderedDict()
        self._held = 0
        self._hint = b""
        self._gaps: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._listings: OrderedDict[bytes, dict[bytes, Cid]] = OrderedDict()

    def walk(self, chosen: ChosenPaths) -> Iterator[TreeFile | HoldError]:
        """All that is wanted below ``files/``, in tree order, paths without that.

        A folder comes before what is in it. What cannot be read of the tree is given as an error.
        """
        try:
            top = self.listing(b"").get(FILES[:-1])
        except ProtocolError as error:
            yield unreadable("the root", error.what)
        except HoldError as error:
            yield error
            yield from self._by_rows(b"", chosen)
        else:
            if top is not None:
                yield from self._walk_folder(b"", top, chosen, 0)

    def walk_below(self, cid: Cid) -> Iterator[TreeFile | HoldError]:
        """All that is in a folder to which only its CID leads; paths are those from there."""
        yield from self._walk_folder(b"", cid, ChosenPaths([]), 0)

    def listing(self, folder: bytes) -> dict[bytes, Cid]:
        """What a folder has in it; its path is that from the root, which is empty.

        Raises:
            IncompleteError: A block of it, or of a folder above, is in no piece.
            IntegrityError: Such a block is damaged.
            ProtocolError: It is no folder, or one that cannot be.
            NotFoundError: There is no such folder.
        """
        if folder not in self._listings:
            cid = self._root
            if folder:
                above, _, name = folder.rpartition(b"/")
                cid = self.listing(above).get(name)
                if cid is None:
                    raise NotFoundError(f"there is no {os.fsdecode(folder)}")
            elif cid is None:
                raise faults.PIECE_MISSING(piece="with the root", detail=_NO_ROOT)
            self._listings[folder] = dict(self._folder(cid, folder))
            if len(self._listings) > _LISTINGS_HELD:
                self._listings.popitem(last=False)
        return self._listings[folder]

    def file_of(self, cid: Cid) -> FileAt | None:
        """A file or symlink by its CID; None when it is nowhere, or is something else."""
        file = self.stored.linked(cid)
        if file is None:
            try:
                file = self.stored.scanned(cid)
            except ProtocolError:
                return None
        return file

    def _walk_folder(
        self, path: bytes, cid: Cid, chosen: ChosenPaths, depth: int
    ) -> Iterator[TreeFile | HoldError]:
        if depth > FOLDERS_DEEP_MAX:
            yield unreadable("the tree", "its folders are too deep")
            return
        where = FILES + path if path else FILES[:-1]
        try:
            entries = sorted(self._folder(cid, where))
        except ProtocolError as error:
            yield unreadable(f"folder {where.decode('utf-8', 'replace')}", error.what)
            return
        except HoldError as error:
            yield error
            yield from self._by_rows(path, chosen)
            return
        if path and chosen.are_all:
            yield TreeFile(path, cid, None, None)
        for entry in entries:
            self._left -= 1
            if self._left < 0:
                # Few blocks can name very many entries.
                raise unreadable("the tree", "it has more entries than bytes")
            below = path + b"/" + entry.name if path else entry.name
            row, file = self._file_at(FILES + below, entry.cid)
            if file is not None:
                if chosen.has(below):
                    yield TreeFile(below, entry.cid, row, file)
            elif chosen.has(below) or chosen.may_be_below(below):
                yield from self._walk_other(below, entry.cid, row, chosen, depth)

    def _walk_other(
        self, path: bytes, cid: Cid, row: Row | None, chosen: ChosenPaths, depth: int
    ) -> Iterator[TreeFile | HoldError]:
        """What no row leads to: a folder, content that stands elsewhere, or whose row is lost."""
        is_leaf = parse_cid(cid).codec == RAW
        try:
            if not is_leaf and row is None and self._is_folder(cid, FILES + path):
                if chosen.may_be_below(path):
                    yield from self._walk_folder(path, cid, chosen, depth + 1)
                return
            file = self.stored.linked(cid) if row is None else None
            if file is None:
                file = self.stored.scanned(cid)
                self.found_again += file is not None
            found: TreeFile | HoldError = nowhere(cid, _shown(path))
            if file is not None:
                found = TreeFile(path, cid, row, file)
        except ProtocolError as error:
            found = unreadable(_shown(path), error.what)
        except HoldError as error:
            found = error
        if chosen.has(path):
            yield found
        if isinstance(found, HoldError) and not is_leaf:
            yield from self._by_rows(path, chosen)

    def _by_rows(self, path: bytes, chosen: ChosenPaths) -> Iterator[TreeFile | HoldError]:
        """What rows of this snapshot say was in a folder of which a block is lost."""
        for one in self._rows:
            for row in one.iter_below(FILES + path if path else FILES[:-1]):
                below = row.path[len(FILES) :]
                if row.cid is None or not chosen.has(below):
                    continue
                _, file = self._file_at(row.path, row.cid)
                try:
                    # Of one that is split, rows of other parts may be lost.
                    file = file or self.file_of(row.cid)
                except HoldError as error:
                    yield error
                    continue
                if file is not None:
                    yield TreeFile(below, row.cid, row, file)
                else:
                    yield nowhere(row.cid, _shown(below))

    def _folder(self, cid: Cid, path: bytes) -> Iterator[FolderEntry]:
        """What a folder has in it."""
        self._hint = path
        for entry in iter_folder(cid, self._get):
            yield entry._replace(name=name_of_link(entry.name))

    def _is_folder(self, cid: Cid, path: bytes) -> bool:
        """Whether a block is one of a folder; not so where a row tells that it is of a file."""
        self._hint = path
        if cid not in self._blocks:
            self._look_near(cid)
        if cid not in self._blocks and self.stored.linked(cid) is not None:
            return False
        kind = message_of(Block(cid, self._get(cid)))[0].kind
        return kind in (Kind.FOLDER, Kind.SHARD)

    # files

    def _file_at(self, path: bytes, cid: Cid) -> tuple[Row | None, FileAt | None]:
        rows = self._rows_at(tree_order(path))
        named = next((row for _, row in rows if row.cid == cid), None)
        if named is None:
            return None, None
        parts = {
            row.start: FilePart(one.piece.copies, row.offset, row.length, row.start)
            for one, row in rows
            if row.size == named.size
        }
        file = FileAt(named.size, cid, [parts[start] for start in sorted(parts)])
        return (named, file) if is_gapless(file) else (named, None)

    def _rows_at(self, order: bytes) -> list[tuple[PieceRows, Row]]:
        """The rows of a path, one in each piece that a part of it is in."""
        found = []
        for one in (*self._loose, *self._near(order)):
            row = one.find(order)
            if row is not None:
                found.append((one, row))
        return found

    def _near(self, order: bytes) -> list[PieceRows]:
        last = bisect_right(self._firsts, order) - 1
        start = last
        while start > 0 and self._firsts[start] == order:
            start -= 1
        return self._with_rows[max(0, start) : last + 1]

    # folders' own blocks

    def _get(self, cid: Cid) -> bytes:
        if cid not in self._blocks:
            self._look_near(cid)
        if cid in self._blocks:
            return self._blocks[cid]
        try:
            data = self.stored.get(cid)
        except IncompleteError:
            raise nowhere(cid, _shown(self._hint)) from None
        self._hold(FoundBlock(0, cid, data))
        return data

    def _look_near(self, cid: Cid) -> None:
        """Look where the blocks of the folder that is being read belong."""
        after = tree_order(self._hint) + AFTER if self._hint else AFTER[1:]
        number = len(self._rows) - 1
        while number > 0 and (first := self._rows[number].first) is not None and first > after:
            number -= 1
        for one in self._rows[max(0, number) : number + 2]:
            self._read_gap(one.piece, *one.gap_after(after if one is self._rows[number] else b""))
            if cid in self._blocks:
                return

    def _read_gap(self, piece: FoundPiece | LoosePiece, start: int, end: int) -> None:
        if end - start > _GAP_MAX or (id(piece), start) in self._gaps:
            return  # a part with its rows is damaged: all is looked through once, if it has to be
        self._gaps[id(piece), start] = None
        if len(self._gaps) > _LISTINGS_HELD:
            self._gaps.popitem(last=False)
        for copy in piece.copies:
            wrong: list[HoldError] = []
            try:
                for block in iter_blocks(copy, start, end - start, wrong):
                    self._hold(block)
            except HoldError as error:
                wrong.append(error)
            if not wrong:
                return
            self.faults += wrong

    def _hold(self, block: FoundBlock) -> None:
        if block.cid not in self._blocks:
            self._blocks[block.cid] = block.data
            self._held += len(block.data)
        while self._held > _BLOCKS_HELD and len(self._blocks) > 1:
            _, old = self._blocks.popitem(last=False)
            self._held -= len(old)


def tree_of(
    finding: Finding, snapshot: FoundSnapshot, stored: StoredBlocks | None = None
) -> PlainTree | None:
    """The tree of a snapshot; None when its root is not known."""
    return None if snapshot.last is None else files_of(finding, snapshot, stored)


def files_of(
    finding: Finding, snapshot: FoundSnapshot, stored: StoredBlocks | None = None
) -> PlainTree:
    """The tree of a snapshot; where its root is not known, it has what rows tell."""
    root = None if snapshot.last is None else snapshot.last.manifest.root
    others: list[AnyPiece] = [
        piece
        for one in reversed(finding.snapshots)
        if one.number != snapshot.number
        for piece in one.in_order
    ]
    others += finding.loose
    return PlainTree(snapshot.in_order, others, root, finding.scratch, stored)


def _shown(path: bytes) -> str:
    return path.removeprefix(FILES).decode("utf-8", "replace") or "the root"
