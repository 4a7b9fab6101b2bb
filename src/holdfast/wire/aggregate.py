"""Many pieces in one: where each lies, the index that says so, proofs that it does (FRC-0058).

All by roots: no payload is needed. Pure code. Format: docs/formats/piece.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import NoReturn

from ..core import faults
from . import fr32, merkle
from .fr32 import PADDED_GROUP, PAYLOAD_GROUP, Buffer
from .merkle import NODE_SIZE, SparseTree
from .piece import Piece, height_of_padded

ENTRY_SIZE = 64
SLOTS_MIN = 4

_ENTRY_SHARE = 2048
_FIELDS = struct.Struct("<32sQQ")
_CHECKSUM_SIZE = 16


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece in a larger one: its root, and where it lies, in padded bytes."""

    root: bytes
    offset: int
    padded_size: int

    @property
    def height(self) -> int:
        """The height of its tree."""
        return height_of_padded(self.padded_size)

    @property
    def index(self) -> int:
        """Its number among the subtrees of its height."""
        return self.offset // self.padded_size

    @property
    def payload_start(self) -> int:
        """Where its bytes begin in the payload of the larger one."""
        return self.offset // PADDED_GROUP * PAYLOAD_GROUP

    def entry(self) -> bytes:
        """Its 64 bytes in the index."""
        fields = _FIELDS.pack(self.root, self.offset, self.padded_size)
        return fields + _checksum(fields)


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Proof that a piece is in a larger one, and that the index there says so."""

    index: int
    path: tuple[bytes, ...]
    entry_index: int
    entry_path: tuple[bytes, ...]


class Aggregate:
    """Pieces laid out in one of a given padded size, with the index at its end."""

    def __init__(self, pieces: Iterable[Piece], padded_size: int) -> None:
        """Lay the pieces out in the order given, each at the next multiple of its size.

        Raises:
            UsageError: They do not fit.
            ProtocolError: The padded size is none that a piece can have.
        """
        self.padded_size = padded_size
        self.height = height_of_padded(padded_size)
        self.segments: list[Segment] = []
        end = 0
        for piece in pieces:
            size = piece.padded_size
            offset = -(-end // size) * size
            end = offset + size
            self.segments.append(Segment(piece.root, offset, size))
        slots = slots_of(padded_size)
        if end > index_start(padded_size) or len(self.segments) > slots:
            raise faults.PIECES_DO_NOT_FIT(
                count=len(self.segments), padded=padded_size, room=index_start(padded_size),
                needed=end, slots=slots,
            )  # fmt: skip

    @property
    def piece(self) -> Piece:
        """The commitment of all, whose payload counts as filling it."""
        return Piece(self._tree.root, self.height, 0)

    def index_payload(self) -> tuple[int, bytes]:
        """Where the index begins in the payload, and its bytes there; after it nothing follows."""
        entries = b"".join(segment.entry() for segment in self.segments)
        start = index_start(self.padded_size)
        filled = entries.ljust(self.padded_size - start, b"\0")
        return start // PADDED_GROUP * PAYLOAD_GROUP, fr32.unpad(filled)

    def prove(self, number: int) -> Inclusion:
        """The proof for one of the segments."""
        segment = self.segments[number]
        entry_index = index_start(self.padded_size) // ENTRY_SIZE + number
        return Inclusion(
            segment.index,
            self._tree.path(segment.height, segment.index),
            entry_index,
            self._tree.path(1, entry_index),
        )

    @cached_property
    def _tree(self) -> SparseTree:
        known = {(segment.height, segment.index): segment.root for segment in self.segments}
        first = index_start(self.padded_size) // ENTRY_SIZE
        for number, segment in enumerate(self.segments):
            known[1, first + number] = _entry_node(segment.entry())
        return SparseTree(self.height, known)


def slots_of(padded_size: int) -> int:
    """How many entries the index of a piece of that padded size has."""
    share = max(padded_size // _ENTRY_SHARE // ENTRY_SIZE, 1)
    return max(SLOTS_MIN, 1 << (share - 1).bit_length())


def index_start(padded_size: int) -> int:
    """Where the index begins, in padded bytes; it ends where all ends.

    Raises:
        ProtocolError: So small a piece has no room for one.
    """
    start = padded_size - slots_of(padded_size) * ENTRY_SIZE
    if start <= 0:
        _refuse(f"a piece of {padded_size} padded bytes has no room for an index")
    return start


def read_index(index: Buffer, padded_size: int) -> list[Segment]:
    """The segments of an index, from its payload bytes; entries that are not right do not count.

    Raises:
        ProtocolError: The bytes are no index of a piece of that size at all.
    """
    slots = slots_of(padded_size)
    expected = slots * ENTRY_SIZE // PADDED_GROUP * PAYLOAD_GROUP
    if len(index) != expected:
        _refuse(f"its index should have {expected} bytes and has {len(index)}")
    padded = fr32.pad(index)
    found = []
    for at in range(0, len(padded), ENTRY_SIZE):
        segment = read_entry(padded[at : at + ENTRY_SIZE])
        if segment is not None and segment.offset + segment.padded_size <= padded_size:
            found.append(segment)
    return found


def read_entry(entry: bytes) -> Segment | None:
    """The segment of an entry; None when it is empty or not right."""
    fields, checksum = entry[: _FIELDS.size], entry[_FIELDS.size :]
    if len(entry) != ENTRY_SIZE or checksum != _checksum(fields):
        return None
    root, offset, size = _FIELDS.unpack(fields)
    power = size >= PADDED_GROUP and size & (size - 1) == 0
    if not power or offset % size or root[-1] > 0x3F:
        return None
    return Segment(root, offset, size)


def verify(proof: Inclusion, part: Piece, whole: Piece) -> Segment:
    """Where a piece lies in a larger one, once the proof for it was found right.

    Raises:
        ProtocolError: The proof is not of the form that one for these pieces has.
        IntegrityError: It leads elsewhere: the piece is not there, or the index does not say so.
    """
    start = index_start(whole.padded_size)
    first, end = start // ENTRY_SIZE, whole.padded_size // ENTRY_SIZE
    if len(proof.path) != whole.height - part.height or part.height >= whole.height:
        _refuse(f"the way up is {len(proof.path)} nodes long and should be from height "
                f"{part.height} to {whole.height}")  # fmt: skip
    if len(proof.entry_path) != whole.height - 1:
        _refuse(f"the way up from the index is {len(proof.entry_path)} nodes long")
    if any(len(each) != NODE_SIZE for each in (*proof.path, *proof.entry_path)):
        _refuse("its nodes are not all of 32 bytes")
    if not first <= proof.entry_index < end:
        _refuse(f"entry {proof.entry_index} is outside of the index")
    segment = Segment(part.root, proof.index * part.padded_size, part.padded_size)
    if not 0 <= segment.offset <= start - part.padded_size:
        _refuse("the place it names is outside of the larger piece")
    if merkle.climb(part.root, proof.index, proof.path) != whole.root:
        raise faults.WRONG_PROOF(what=f"{part.v2} is in {whole.v2}")
    entry = _entry_node(segment.entry())
    if merkle.climb(entry, proof.entry_index, proof.entry_path) != whole.root:
        raise faults.WRONG_PROOF(what=f"the index of {whole.v2} names {part.v2}")
    return segment


def _entry_node(entry: bytes) -> bytes:
    return merkle.node(entry[:NODE_SIZE], entry[NODE_SIZE:])


def _checksum(fields: bytes) -> bytes:
    digest = bytearray(sha256(fields + bytes(_CHECKSUM_SIZE)).digest()[:_CHECKSUM_SIZE])
    digest[-1] &= 0x3F
    return bytes(digest)


def _refuse(detail: str) -> NoReturn:
    raise faults.BAD_PIECE(what="what should be an aggregate of pieces", detail=detail)
