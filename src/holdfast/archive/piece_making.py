"""The pieces of one snapshot, one after the other: each is begun, filled, and ends as planned."""

from __future__ import annotations

import os
from contextlib import suppress

from ..wire.car import encode_head
from ..wire.cid import Cid, cid_text
from ..wire.folder_layout import build_folder
from ..wire.piece import Kernel
from .piece_stream import CarFile, PieceStream, name_piece
from .piece_tail import PieceTail
from .plan_file import Plan
from .plan_records import PieceRecord
from .resuming import Start, part_in
from .snapshot_state import DonePiece, SnapshotState

EMPTY_FOLDER = build_folder([]).blocks[-1].cid
"""What the header of every piece but the last names as its root."""


class PieceMaker:
    """Has the stream of the piece that is being made, if something of it is to be made."""

    def __init__(
        self, plan: Plan, state: SnapshotState, kernel: Kernel, folder: bytes, lanes: int
    ) -> None:
        """``folder`` is where the pieces are written, if they are; ``lanes``: see `PieceStream`."""
        self._plan = plan
        self._state = state
        self._kernel = kernel
        self._folder = folder
        self._lanes = lanes
        self._sizes = plan.summary.sizes
        self._file: CarFile | None = None
        self.stream: PieceStream | None = None
        self.number = 0
        self.start = Start(0, 0, 0)
        """Where a run before was stopped; has to be set before anything is made."""

    @property
    def is_done(self) -> bool:
        """Whether the piece whose turn it is was finished by a run before."""
        return self.number < self.start.pieces

    def stream_at(self, offset: int) -> PieceStream:
        """The piece being made, at that offset."""
        if self.stream is None:
            number = self.number
            known = self.start.known if number == self.start.pieces else 0
            if self._folder:
                self._file = CarFile(self.part_path(number), self._sizes[number])
            self.stream = PieceStream(
                self._kernel, self._state.stem(number), self._file, self._state.flush, known,
                offset, self._lanes,
            )  # fmt: skip
        assert self.stream.offset == offset, "what was packed is not as it was planned"
        return self.stream

    def is_last(self) -> bool:
        """Whether no piece comes after this one."""
        return self.number + 1 == len(self._sizes)

    def end(self, record: PieceRecord, root: Cid | None) -> DonePiece:
        """The piece with its last blocks; ``root`` is given with the last one.

        Raises:
            OSError: It could not be written.
        """
        number = self.number
        if self.is_done:
            self.number += 1
            return self._state.pieces[number]
        stream = self.stream_at(record.index_offset)
        self._state.flush()
        tail = PieceTail(self._plan, self._state, number)
        for cid, block in tail.blocks(record, [piece.ref for piece in self._state.pieces], root):
            stream.emit([encode_head(cid, len(block)), block])
        piece_cid = stream.finish(root or EMPTY_FOLDER, record.size)
        path, is_ours = b"", True
        if self._file is not None:
            path = os.path.join(self._folder, cid_text(piece_cid).encode() + b".car")
            is_ours = not os.path.lexists(path)
            self._file.finish(record.size)
        first, last = record.first, record.last
        piece = DonePiece(piece_cid, record.size, tail.manifest, first, last, path, is_ours)
        self._state.end_piece(piece)
        # It is noted before, so that no file is there of which nothing is known.
        if self._file is not None:
            name_piece(self._file.path, path)
        stream.close()
        # The first group is part of the piece; its root is with the others now.
        _unlink(self._state.stem(number) + b".first")
        self.stream = self._file = None
        self.number += 1
        return piece

    def forget_from(self, number: int, offset: int) -> None:
        """Nothing counts as packed from there on; there may be fewer pieces in the next plan."""
        self._state.rewind(number, offset)
        for later in range(number + 1, self.number + 1):
            if path := self.part_path(later):
                _unlink(path)

    def stop(self) -> None:
        """Leave what is being made; may be called twice."""
        if self.stream is not None:
            self.stream.close()
        if self._file is not None:
            self._file.close()
        self.stream = self._file = None

    def part_path(self, number: int) -> bytes:
        """The file of a piece that is not finished; empty when pieces are not written."""
        return part_in(self._folder, self._plan, number) if self._folder else b""


def _unlink(path: bytes) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
