"""Where blocks stand in a piece, found by going from section to section, whatever its index says.

Only what stands before blocks is read, a window at a time: memory does not grow. Where no section
begins though one should, the next one is looked for: by the bytes that all our CIDs begin with, and
by what follows its block, or by its digest. Nothing that is found is believed: who reads a block
holds it against its CID.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..core.errors import HoldError, IntegrityError, ProtocolError
from ..wire.car import BLOCK_MAX, HEADER_MAX, decode_header
from ..wire.cid import DAG_CBOR_SHA256, DAG_PB_SHA256, RAW_SHA256, SHA256_CID_SIZE, Cid, check_block
from ..wire.varint import VARINT_SIZE_MAX, decode_varint
from .pieces import OpenedPiece, damaged, read

_OURS = (RAW_SHA256, DAG_PB_SHA256, DAG_CBOR_SHA256)
_START = re.compile(b"|".join(re.escape(start) for start in _OURS))
_LENGTH_MAX = 4
"""The length of no section of ours has more bytes."""
_HEAD_MAX = _LENGTH_MAX + SHA256_CID_SIZE
_WINDOW = 1 << 16
_HASHED_MAX = 256 << 20
"""So many bytes are hashed at most to find where sections begin: somebody may have made them."""

Tell = Callable[[HoldError], object]


class SectionAt(NamedTuple):
    """A section: its CID, where it begins, where its block begins, and how long that is."""

    cid: Cid
    offset: int
    start: int
    size: int


def root_of(piece: OpenedPiece) -> Cid | None:
    """The one root that the header of a piece names; None where it cannot be read."""
    try:
        length, at = decode_varint(read(piece, 0, min(VARINT_SIZE_MAX, piece.size)))
        if length > min(HEADER_MAX, _WINDOW):
            return None
        [root] = decode_header(read(piece, at, min(length, piece.size - at)))
    except (HoldError, ValueError):
        return None
    return root


def iter_sections(piece: OpenedPiece, start: int, end: int, tell: Tell) -> Iterator[SectionAt]:
    """The sections in a range, in order. Where none begins that should, ``tell`` is told.

    Raises:
        HoldError: The piece cannot be read.
    """
    scan = _Scan(piece, start, min(end, piece.size))
    at = start
    before: SectionAt | None = None
    last: SectionAt | None = None
    floor = start
    while at < scan.end:
        head = scan.head(at)
        if head is not None:
            yield head
            before, last, at = last, head, head.start + head.size
            continue
        tell(damaged(piece.name, at, "no block begins there"))
        found = scan.next_from(max(floor, scan.trusted(before, last, at)))
        if found is None:
            return
        floor, before, last, at = found + 1, None, None, found


class _Scan:
    """A range of a piece, of which a window is in memory."""

    def __init__(self, piece: OpenedPiece, start: int, end: int) -> None:
        self.end = end
        self._piece = piece
        self._from = start
        self._held = b""
        self._hashed = 0

    def head(self, at: int) -> SectionAt | None:
        """The section that begins there, if one does and ends in the range."""
        self._hold(at, min(_HEAD_MAX, self.end - at))
        return self._head(self._slice(at), at)

    def _head(self, held: bytes, at: int) -> SectionAt | None:
        try:
            length, begin = decode_varint(held)
        except ProtocolError:
            return None
        cid, size = held[begin : begin + SHA256_CID_SIZE], length - SHA256_CID_SIZE
        start = at + begin + SHA256_CID_SIZE
        if len(cid) < SHA256_CID_SIZE or cid[:4] not in _OURS or not 0 <= size <= BLOCK_MAX:
            return None
        return SectionAt(Cid(cid), at, start, size) if start + size <= self.end else None

    def trusted(self, before: SectionAt | None, last: SectionAt | None, at: int) -> int:
        """From where on sections may begin that were not found, where none begins at ``at``.

        A section whose length lies leads to what is none, which may look like one.
        """
        if last is None or self._is_right(last):
            return at
        if before is None or self._is_right(before):
            return last.start
        return before.start

    def next_from(self, at: int) -> int | None:
        """Where the next section begins from a place on, as far as can be told."""
        while at < self.end:
            self._hold(at, min(_HEAD_MAX, self.end - at))
            for match in _START.finditer(self._held, at - self._from):
                found = self._begin_before(match.start() + self._from, at)
                if found is not None:
                    return found
            if (held_end := self._from + len(self._held)) >= self.end:
                return None
            at = max(at + 1, held_end - _HEAD_MAX)
        return None

    def _begin_before(self, cid_at: int, from_at: int) -> int | None:
        """Where the section begins whose CID is there."""
        for length in range(1, _LENGTH_MAX + 1):
            at = cid_at - length
            if at < from_at:
                return None
            head = self._head(self._slice(at), at)
            if head is not None and head.start == cid_at + SHA256_CID_SIZE and self._is_one(head):
                return at
        return None

    def _is_one(self, head: SectionAt) -> bool:
        """Whether a section follows it, or its block is what its CID names."""
        end = head.start + head.size
        if end == self.end:
            return True
        following = read(self._piece, end, min(_HEAD_MAX, self.end - end))
        return self._head(following, end) is not None or self._is_right(head)

    def _is_right(self, head: SectionAt) -> bool:
        """Whether a block is what its CID names; not so where too much was looked at already."""
        self._hashed += head.size
        if self._hashed > _HASHED_MAX:
            return False
        try:
            check_block(head.cid, read(self._piece, head.start, head.size))
        except (IntegrityError, ProtocolError):
            return False
        return True

    def _slice(self, at: int) -> bytes:
        return self._held[at - self._from : at - self._from + _HEAD_MAX]

    def _hold(self, at: int, length: int) -> None:
        """Have so many bytes in memory, few of them."""
        if not self._from <= at <= at + length <= self._from + len(self._held):
            self._held = read(self._piece, at, min(_WINDOW, self.end - at))
            self._from = at
