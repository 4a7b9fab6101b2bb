"""Parity pieces: what is kept beside pieces so that lost ones can be computed again. Pure code.

A group is k pieces, the members, and m parity pieces. Byte p of a parity piece's data is made of
byte p of each member, so members stay as they are, and may differ in length. A parity piece is a
CAR: header, the group, its number in it, then its data in raw blocks.
Format: docs/formats/erasure.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..core.errors import HoldError, ProtocolError
from . import piece_cid
from .archive_fields import Fields, as_bytes, as_cid, as_text, as_uint
from .car import HEADER_SIZE, decode_head, decode_header, encode_header, encode_section
from .cid import DAG_CBOR_SHA256, Cid, check_block, dag_cbor_cid
from .dag_cbor import Link, encode_cbor
from .file_layout import section_size
from .piece import capacity
from .varint import decode_varint

VERSION = 1
CODE = "rs-cauchy-gf256-11d"
"""Reed-Solomon over GF(2^8) of polynomial 0x11d, by a Cauchy matrix: parity k+j takes of member i
1 / ((k + j) xor i)."""
PIECES_MAX = 255
"""A group has no more pieces and parity pieces: each is another element of the field."""
SEGMENT = 1 << 20
"""So much data is in a block of a parity piece; less in the last one."""
HEAD_MAX = 64 << 10
"""Header, group and number of a parity piece are within so many bytes from its start."""

_GROUP = "parity-group"
_NUMBER = "parity"


class Member(NamedTuple):
    """A piece of a group: PieceCID v2 as bytes, and how long it is."""

    cid: bytes
    size: int

    @property
    def text(self) -> str:
        """Its PieceCID, as people see it."""
        return piece_cid.to_text(self.cid)


class Section(NamedTuple):
    """Where a block of data is in a parity piece, and which data: ``at`` counts in the members."""

    offset: int
    at: int
    size: int


@dataclass(frozen=True)
class Group:
    """The members in their order, and how many parity pieces there are."""

    members: tuple[Member, ...]
    parities: int

    @property
    def length(self) -> int:
        """How much data each parity piece has: as much as the longest member."""
        return max(member.size for member in self.members)

    @cached_property
    def block(self) -> bytes:
        """The block that says it all; every parity piece of the group has it."""
        return encode_cbor(
            {
                "v": VERSION, "kind": _GROUP, "code": CODE, "parities": self.parities,
                "segment": SEGMENT, "members": [[m.cid, m.size] for m in self.members],
            }
        )  # fmt: skip

    @cached_property
    def cid(self) -> Cid:
        """What names the group: the root of all its parity pieces."""
        return dag_cbor_cid(self.block)

    def head(self, number: int) -> bytes:
        """What stands before the data in a parity piece."""
        block = encode_cbor(
            {"v": VERSION, "kind": _NUMBER, "group": Link(self.cid), "number": bytes((number,))}
        )
        sections = encode_section(self.cid, self.block), encode_section(dag_cbor_cid(block), block)
        return b"".join((encode_header([self.cid]), *sections))

    def sections(self) -> Iterator[Section]:
        """Where the data is in a parity piece."""
        offset = len(self.head(0))
        for at in range(0, self.length, SEGMENT):
            size = min(SEGMENT, self.length - at)
            yield Section(offset, at, size)
            offset += section_size(size)

    @cached_property
    def parity_size(self) -> int:
        """How long each parity piece is."""
        whole, rest = divmod(self.length, SEGMENT)
        size = len(self.head(0)) + whole * section_size(SEGMENT)
        return size + (section_size(rest) if rest else 0)


class ParityHead(NamedTuple):
    """What a parity piece says of itself."""

    group: Group
    number: int


def decode_group(block: bytes) -> Group:
    """The group of a block.

    Raises:
        ProtocolError: It is none, or of a code that is not known.
    """
    fields = Fields.of_block(block, _GROUP, VERSION)
    code, segment = fields.take("code", as_text), fields.take("segment", as_uint)
    parities = fields.take("parities", as_uint)
    members = tuple(_member(item) for item in fields.take_lists("members"))
    fields.finish()
    if code != CODE or segment != SEGMENT:
        raise ProtocolError(f"a group of code {code[:40]!r} in segments of {segment} bytes")
    if not members or not parities or len(members) + parities > PIECES_MAX:
        raise ProtocolError(f"a group of {len(members)} pieces and {parities} of parity")
    if len({member.cid for member in members}) < len(members):
        raise ProtocolError("a group that has a piece twice")
    return Group(members, parities)


def decode_parity_head(data: bytes) -> ParityHead:
    """What a piece, of which this is the start, says of itself.

    Raises:
        ProtocolError: It is no parity piece.
        IntegrityError: It is damaged there.
    """
    size, start = decode_varint(data, 0)
    if start + size != HEADER_SIZE:
        raise ProtocolError("a header of another length than that of a parity piece")
    roots = decode_header(data[start:HEADER_SIZE])
    first = decode_head(data, HEADER_SIZE).cid
    if roots != [first] or not first.startswith(DAG_CBOR_SHA256):
        raise ProtocolError("a root that is not the first block, or no group")
    group_block, cid, at = _block_at(data, HEADER_SIZE)
    group = decode_group(group_block)
    fields = Fields.of_block(_block_at(data, at)[0], _NUMBER, VERSION)
    [number] = fields.take("number", as_bytes)[:1] or b"\xff"
    if fields.take("group", as_cid) != cid or number >= group.parities:
        raise ProtocolError("a parity piece that is none of its group")
    fields.finish()
    if group.cid != cid or not data.startswith(group.head(number)):
        raise ProtocolError("a head that is not in its one form")
    return ParityHead(group, number)


def _block_at(data: bytes, at: int) -> tuple[bytes, Cid, int]:
    head = decode_head(data, at)
    if head.end > len(data):
        raise ProtocolError("a block that is longer than the head of a parity piece")
    block = data[head.start : head.end]
    check_block(head.cid, block)
    return block, head.cid, head.end


def _member(item: object) -> Member:
    if not isinstance(item, list) or len(item) != 2:
        raise ProtocolError("no piece of a group")
    cid, size = as_bytes(item[0]), as_uint(item[1])
    try:
        parsed = piece_cid.read(cid)
    except HoldError as error:
        raise ProtocolError(str(error)) from None
    height, padding = parsed.height, parsed.padding
    if height is None or padding is None or not size or capacity(height) - padding != size:
        raise ProtocolError(f"a piece of a group of {size} bytes that its PieceCID does not have")
    return Member(cid, size)
