"""Piece CIDs as bytes and as text: version 1 (a root) and version 2 (a root and sizes). Pure code.

Holds its own few lines on varints, multihashes and base32. Format: docs/formats/piece.md.
"""

from __future__ import annotations

import re
from base64 import b32decode, b32encode
from typing import NamedTuple, NoReturn

from ..core import faults
from .merkle import HEIGHT_MAX, NODE_SIZE

HEIGHT_MIN = 2

_V1 = bytes.fromhex("0181e203922020")
_V2 = bytes.fromhex("01559120")
_TEXT = re.compile(r"b[a-z2-7]+", re.ASCII)
_TEXT_MAX = 128
_VARINT_MAX = 9


class ParsedPieceCid(NamedTuple):
    """What a piece CID says; version 1 says nothing of height and padding."""

    root: bytes
    height: int | None
    padding: int | None


def write_v1(root: bytes) -> bytes:
    """The binary CID of a root alone."""
    assert len(root) == NODE_SIZE
    return _V1 + root


def write_v2(root: bytes, height: int, padding: int) -> bytes:
    """The binary CID of a root, with the height of its tree and how many zeros fill the payload."""
    assert len(root) == NODE_SIZE and HEIGHT_MIN <= height <= HEIGHT_MAX
    digest = _varint(padding) + bytes((height,)) + root
    return _V2 + _varint(len(digest)) + digest


def read(cid: bytes) -> ParsedPieceCid:
    """Take a binary piece CID apart; every piece has one form only.

    Raises:
        ProtocolError: It is none, or not in its one form.
    """
    if cid.startswith(_V1):
        root = cid[len(_V1) :]
        if len(root) != NODE_SIZE:
            _refuse(f"its root has {len(root)} bytes instead of {NODE_SIZE}")
        return ParsedPieceCid(_checked_root(root), None, None)
    if not cid.startswith(_V2):
        _refuse("it begins as a CID of something else does")
    length, at = _read_varint(cid, len(_V2))
    if len(cid) - at != length:
        _refuse(f"it says that {length} bytes follow, and {len(cid) - at} do")
    padding, at = _read_varint(cid, at)
    if len(cid) - at != 1 + NODE_SIZE:
        _refuse(f"its root has {len(cid) - at - 1} bytes instead of {NODE_SIZE}")
    height, root = cid[at], cid[at + 1 :]
    if not HEIGHT_MIN <= height <= HEIGHT_MAX:
        _refuse(f"a tree of height {height} is none of a piece")
    capacity = 127 << (height - HEIGHT_MIN)
    if padding >= capacity and not (height == HEIGHT_MIN and padding == capacity):
        _refuse(f"{padding} zeros fill up a payload of {capacity} bytes")
    return ParsedPieceCid(_checked_root(root), height, padding)


def to_text(cid: bytes) -> str:
    """A binary CID in base32, as everybody shows it."""
    return "b" + b32encode(cid).decode().rstrip("=").lower()


def from_text(text: str) -> bytes:
    """The binary CID of a text in base32.

    Raises:
        ProtocolError: It is no text of a piece CID.
    """
    if len(text) > _TEXT_MAX:
        _refuse(f"it has {len(text)} letters, and no piece CID has more than {_TEXT_MAX}")
    if not _TEXT.fullmatch(text):
        _refuse("it is not b and then base32 in small letters")
    digits = text[1:].upper()
    try:
        cid = b32decode(digits + "=" * (-len(digits) % 8))
    except ValueError:
        _refuse("no bytes are written in so many letters of base32")
    if to_text(cid) != text:
        _refuse("its last letter has bits that belong to no byte")
    return cid


def _checked_root(root: bytes) -> bytes:
    if root[-1] > 0x3F:
        _refuse("the two highest bits of a root are zero, and here they are not")
    return root


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for count, byte in enumerate(data[at : at + _VARINT_MAX]):
        number |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            if not byte and count:
                _refuse("a number in it is longer than it has to be")
            return number, at + count + 1
    raise _refused("a number in it does not end")


def _refuse(detail: str) -> NoReturn:
    raise _refused(detail)


def _refused(detail: str) -> Exception:
    return faults.BAD_PIECE(what="what should be a piece CID", detail=detail)
