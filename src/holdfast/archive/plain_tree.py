"""The tree below a snapshot's root, and where its files are: for what has no history in git.

A folder's own blocks stand after all that is in it, where no row is: they are looked for between
the rows, first where they belong. Each is held against the CID that the folder above has for it, so
names, symlinks and contents are those of the root, whatever rows say.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..core import faults
from ..core.errors import HoldError, IncompleteError, ProtocolError
from ..wire.archive_rows import PartKind, Row
from ..wire.car import HEADER_SIZE
from ..wire.cid import RAW, Cid, cid_text, parse_cid
from ..wire.folder_names import NAME_MAX, name_of_link
from ..wire.tree_layout import tree_order
from ..wire.unixfs import FOLDERS_DEEP_MAX
from ..wire.unixfs_folders import FolderEntry, iter_folder
from .chosen_paths import ChosenPaths
from .contents import FILES
from .finding import FoundPiece, iter_rows, rows_of
from .piece_blocks import FileAt, FilePart, FoundBlock, is_gapless, iter_blocks
from .pieces import unreadable

_PARTS_HELD = 4
_ENTRIES = 100_000
"""So many entries a tree may have, however few bytes it is made of."""
_BLOCKS_HELD = 64 << 20
_AFTER = b"\0" + b"\xff" * (NAME_MAX + 1)
"""Sorts a folder's path after all that is in it: no name has so many bytes."""


class TreeFile(NamedTuple):
    """A file, folder or symlink of a tree: its path, its CID, and its row if it has one.

    A folder has neither ``row`` nor ``file``.
    """

    path: bytes
    cid: Cid
    row: Row | None
    file: FileAt | None


class PieceRows:
    """The rows of a piece, found by path; holds a few parts."""

    def __init__(self, piece: FoundPiece, wrong: list[HoldError]) -> None:
        self.piece = piece
        self._wrong = wrong
        self._parts = [p for p in piece.manifest.parts if p.kind is PartKind.ROWS]
        self._firsts = [tree_order(part.first) for part in self._parts]
        self._held: OrderedDict[int, tuple[list[bytes], list[Row]]] = OrderedDict()

    @property
    def first(self) -> bytes | None:
        """The first path, in tree order; None when there is no row."""
        return self._firsts[0] if self._firsts else None

    def find(self, order: bytes) -> Row | None:
        """The row of a path in tree order."""
        place = bisect_right(self._firsts, order) - 1
        if place < 0:
            return None
        orders, rows = self._part(place)
        at = bisect_right(orders, order) - 1
        return rows[at] if at >= 0 and orders[at] == order else None

    def gap_after(self, order: bytes) -> tuple[int, int]:
        """What stands between the last row up to a path in tree order, and the next row."""
        place = bisect_right(self._firsts, order) - 1
        if place < 0:
            start, following = HEADER_SIZE, 0
        else:
            orders, rows = self._part(place)
            at = bisect_right(orders, order)
            if at < len(rows):
                start = rows[at - 1].offset + rows[at - 1].length if at else HEADER_SIZE
                return start, rows[at].offset
            start = rows[-1].offset + rows[-1].length if rows else HEADER_SIZE
            following = place + 1
        if following < len(self._parts):
            _, rows = self._part(following)
            return start, rows[0].offset if rows else self.piece.data_end
        return start, self.piece.data_end

    def _part(self, place: int) -> tuple[list[bytes], list[Row]]:
        held = self._held.get(place)
        if held is None:
            rows = rows_of(self.piece.copies, self._parts[place], self._wrong)
            held = self._held[place] = [tree_order(row.path) for row in rows], rows
            if len(self._held) > _PARTS_HELD:
                self._held.popitem(last=False)
        return held


class PlainTree:
    """The tree of a snapshot."""

    def __init__(
        self, pieces: Sequence[FoundPiece], earlier: Sequence[FoundPiece], root: Cid
    ) -> None:
        """``pieces`` are those of the snapshot, in order; ``earlier`` may hold what it links to."""
        self.faults: list[HoldError] = []
        """What could not be read of rows and folders."""
        self._rows = [PieceRows(piece, self.faults) for piece in pieces]
        self._all = [*pieces, *earlier]
        self._root = root
        self._with_rows = [one for one in self._rows if one.first is not None]
        self._firsts = [one.first or b"" for one in self._with_rows]
        self._left = _ENTRIES + sum(piece.copies[0].size for piece in self._all)
        self._blocks: OrderedDict[Cid, bytes] = OrderedDict()
        self._held = 0
        self._hint = b""
        self._elsewhere: dict[Cid, FileAt] | None = None
        self._everywhere: dict[Cid, tuple[FoundPiece, int, int]] | None = None

    def walk(self, chosen: ChosenPaths) -> Iterator[TreeFile | HoldError]:
        """All that is wanted below ``files/``, in tree order, paths without that.

        A folder comes before what is in it. What cannot be read of the tree is given as an error.
        """
        top = next(
            (entry.cid for entry in self._folder(self._root, b"") if entry.name == FILES[:-1]), None
        )
        if top is not None:
            yield from self._walk(b"", top, chosen, 0)

    def _walk(
        self, path: bytes, cid: Cid, chosen: ChosenPaths, depth: int
    ) -> Iterator[TreeFile | HoldError]:
        if depth > FOLDERS_DEEP_MAX:
            yield unreadable("the tree", "its folders are too deep")
            return
        try:
            entries = sorted(self._folder(cid, FILES + path if path else FILES[:-1]))
        except IncompleteError as error:
            linked = self._linked().get(cid)
            if linked is None:
                yield error
            elif chosen.has(path):
                yield TreeFile(path, cid, None, linked)
            return
        except HoldError as error:
            yield error
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
            if row is None and parse_cid(entry.cid).codec == RAW:
                file = self._linked().get(entry.cid)
            if file is not None:
                if chosen.has(below):
                    yield TreeFile(below, entry.cid, row, file)
            elif row is not None or parse_cid(entry.cid).codec == RAW:
                if chosen.has(below):
                    yield self._nowhere(below, entry.cid)
            elif chosen.may_be_below(below):
                yield from self._walk(below, entry.cid, chosen, depth + 1)

    def _folder(self, cid: Cid, path: bytes) -> list[FolderEntry]:
        """What a folder has in it.

        Raises:
            IncompleteError: Its block, or one of its blocks, is in no piece.
            IntegrityError: It is no folder, or one that cannot be.
        """
        self._hint = path
        try:
            entries = iter_folder(cid, self._get)
            return [entry._replace(name=name_of_link(entry.name)) for entry in entries]
        except ProtocolError as error:
            name = f"folder {path.decode('utf-8', 'replace')}"
            raise unreadable(name, error.what) from None

    def _nowhere(self, path: bytes, cid: Cid) -> HoldError:
        name = path.decode("utf-8", "replace") or "the root"
        detail = f"block {cid_text(cid)} of it is in no piece that is here"
        return faults.PIECE_MISSING(piece=f"with {name}", detail=detail)

    # files

    def _file_at(self, path: bytes, cid: Cid) -> tuple[Row | None, FileAt | None]:
        rows = self._rows_at(tree_order(path))
        if rows and rows[-1][1].cid == cid:
            parts = [
                FilePart(one.piece.copies, row.offset, row.length, row.start) for one, row in rows
            ]
            row = rows[-1][1]
            file = FileAt(row.size, cid, parts)
            return (row, file) if is_gapless(file) else (row, None)
        return None, None

    def _rows_at(self, order: bytes) -> list[tuple[PieceRows, Row]]:
        """The rows of a path, one in each piece that a part of it is in."""
        found = []
        for one in self._near(order):
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

    def _linked(self) -> dict[Cid, FileAt]:
        """Files of all pieces by CID: what has no row of its own here is one of them."""
        if self._elsewhere is None:
            self._elsewhere = {}
            for piece in self._all:
                for row in iter_rows(piece, self.faults):
                    if row.cid is not None and not row.start:
                        part = FilePart(piece.copies, row.offset, row.length)
                        self._elsewhere.setdefault(row.cid, FileAt(row.size, row.cid, [part]))
        return self._elsewhere

    # folders' own blocks

    def _get(self, cid: Cid) -> bytes:
        if cid not in self._blocks:
            self._look_near(cid)
        if cid not in self._blocks:
            self._look_everywhere(cid)
        if cid in self._blocks:
            return self._blocks[cid]
        raise self._nowhere(self._hint, cid)

    def _look_near(self, cid: Cid) -> None:
        """Look where the blocks of the folder that is being read belong."""
        after = tree_order(self._hint) + _AFTER if self._hint else _AFTER[1:]
        number = len(self._rows) - 1
        while number > 0 and (first := self._rows[number].first) is not None and first > after:
            number -= 1
        for one in self._rows[max(0, number) : number + 2]:
            self._read_gap(one.piece, *one.gap_after(after if one is self._rows[number] else b""))
            if cid in self._blocks:
                return

    def _look_everywhere(self, cid: Cid) -> None:
        if self._everywhere is None:
            self._everywhere = {}
            for piece in self._all:
                for start, end in self._gaps(piece):
                    try:
                        copy = piece.copies[0]
                        for block in iter_blocks(copy, start, end - start, self.faults):
                            if parse_cid(block.cid).codec == RAW:
                                continue
                            size = len(block.data) + HEADER_SIZE
                            self._everywhere[block.cid] = piece, block.offset, size
                    except HoldError as error:
                        self.faults.append(error)
        if cid in self._everywhere:
            piece, start, size = self._everywhere[cid]
            end = min(start + size, piece.data_end)
            self._hold(next(iter_blocks(piece.copies[0], start, end - start)))

    def _gaps(self, piece: FoundPiece) -> Iterator[tuple[int, int]]:
        at = HEADER_SIZE
        for row in iter_rows(piece, self.faults):
            if row.offset > at:
                yield at, row.offset
            at = row.offset + row.length
        if at < piece.data_end:
            yield at, piece.data_end

    def _read_gap(self, piece: FoundPiece, start: int, end: int) -> None:
        if end - start > _BLOCKS_HELD:
            return  # a part with its rows is damaged: all is looked through once, if it has to be
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
