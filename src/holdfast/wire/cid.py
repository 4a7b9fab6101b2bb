"""CIDs: names of blocks, made of their bytes. Pure code.

Version 1 is ``01 varint(codec) multihash``; version 0 is the bare multihash ``12 20 <32 bytes>`` of
a dag-pb block. A CID is passed about as its bytes; `parse_cid` takes it apart.
"""

from __future__ import annotations

from base64 import b32decode, b32encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BinasciiError
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple, NewType

from ..core.errors import ProtocolError
from .multihash import MURMUR3_X64_64, SHA2_256, Multihash, decode_multihash
from .varint import decode_varint, encode_varint

Cid = NewType("Cid", bytes)
"""The bytes of a CID that were read or made by this module."""

RAW = 0x55
DAG_PB = 0x70
DAG_CBOR = 0x71
JSON = 0x0200
FIL_COMMITMENT_UNSEALED = 0xF101

RAW_SHA256 = bytes((1, RAW, SHA2_256, 32))
"""What stands before the digest in the CID of a raw block, and so on."""
DAG_PB_SHA256 = bytes((1, DAG_PB, SHA2_256, 32))
DAG_CBOR_SHA256 = bytes((1, DAG_CBOR, SHA2_256, 32))
SHA256_CID_SIZE = 36
"""How long each of these CIDs is."""

CID_SIZE_MAX = 1 + 9 + 9 + 2 + 128
TEXT_MAX = 2 * CID_SIZE_MAX + 1
"""No CID that we read is longer, in bytes and as text."""

_COMMON = {RAW_SHA256: RAW, DAG_PB_SHA256: DAG_PB, DAG_CBOR_SHA256: DAG_CBOR}
_V0_START = bytes((SHA2_256, 32))
_V0_SIZE = 34
_V0_TEXT_SIZE = 46
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUES = {letter: value for value, letter in enumerate(_BASE58)}


class CidParts(NamedTuple):
    """What a CID says: its version, what the block is written in, and its hash."""

    version: int
    codec: int
    multihash: Multihash


def make_cid(codec: int, multihash: Multihash) -> Cid:
    """The CID, version 1, of a block with that multihash."""
    return Cid(b"\1" + encode_varint(codec) + multihash.encode())


def raw_cid(block: bytes | memoryview) -> Cid:
    """The CID of a raw block, by sha2-256; and so on."""
    return Cid(RAW_SHA256 + sha256(block).digest())


def dag_pb_cid(block: bytes | memoryview) -> Cid:
    return Cid(DAG_PB_SHA256 + sha256(block).digest())


def dag_cbor_cid(block: bytes | memoryview) -> Cid:
    return Cid(DAG_CBOR_SHA256 + sha256(block).digest())


def decode_cid(data: bytes | memoryview, at: int = 0) -> tuple[Cid, int]:
    """The CID that begins there, and where it ends.

    Raises:
        ProtocolError: There is none.
    """
    end = _parts(data, at)[1]
    return Cid(bytes(data[at:end])), end


def parse_cid(cid: bytes) -> CidParts:
    """Take a CID apart.

    Raises:
        ProtocolError: The bytes are none, or more than one.
    """
    parts, end = _parts(cid, 0)
    if end != len(cid):
        raise ProtocolError(f"a CID goes on after its end at offset {end}")
    return parts


def check_block(cid: bytes, block: bytes | memoryview) -> None:
    """Pass when the CID is the block's.

    Raises:
        IntegrityError: It is the CID of other bytes.
        ProtocolError: It is none, or of a hash that we cannot compute.
    """
    parse_cid(cid).multihash.check(block)


def _parts(data: bytes | memoryview, at: int) -> tuple[CidParts, int]:
    codec = _COMMON.get(bytes(data[at : at + 4]))
    if codec is not None and len(data) - at >= SHA256_CID_SIZE:
        digest = bytes(data[at + 4 : at + SHA256_CID_SIZE])
        return CidParts(1, codec, Multihash(SHA2_256, digest)), at + SHA256_CID_SIZE
    if data[at : at + 2] == _V0_START:
        multihash, end = decode_multihash(data, at)
        return CidParts(0, DAG_PB, multihash), end
    version, start = decode_varint(data, at)
    if version != 1:
        raise ProtocolError(f"a CID of version {version} at offset {at}")
    codec, start = decode_varint(data, start)
    multihash, end = decode_multihash(data, start)
    if multihash.code == MURMUR3_X64_64:
        raise ProtocolError(f"a CID of a hash that guards nothing at offset {at}")
    return CidParts(1, codec, multihash), end


def cid_text(cid: bytes, base: str = "b") -> str:
    """A CID as text: ``Qm…`` for version 0, else in base32 (``b``), or in another of `BASES`."""
    if cid.startswith(_V0_START):
        return _to_base58(cid)
    return base + BASES[base][0](cid)


def parse_cid_text(text: str) -> Cid:
    """The CID that a text says, in any of `BASES`.

    Raises:
        ProtocolError: It says none, or not in the one way it would be written.
    """
    if len(text) > TEXT_MAX:
        raise ProtocolError(f"a text of {len(text)} letters is no CID")
    if len(text) == _V0_TEXT_SIZE and text.startswith("Qm"):
        cid = Cid(_from_base58(text))
    elif text[:1] in BASES:
        cid = Cid(_decoded(text))
    else:
        raise ProtocolError(f"not a CID: {text!r}")
    parse_cid(cid)
    if cid_text(cid, text[0]) != text:
        raise ProtocolError(f"not a CID as it is written: {text!r}")
    return cid


def _decoded(text: str) -> bytes:
    try:
        return BASES[text[0]][1](text[1:])
    except (BinasciiError, ValueError, KeyError):
        raise ProtocolError(f"not a CID: {text!r}") from None


def _to_base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    letters = []
    while number:
        number, value = divmod(number, 58)
        letters.append(_BASE58[value])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(letters))


def _from_base58(text: str) -> bytes:
    number = 0
    for letter in text:
        value = _BASE58_VALUES.get(letter)
        if value is None:
            raise ProtocolError(f"not a CID: {text!r}")
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _to_base32(data: bytes) -> str:
    return b32encode(data).decode("ascii").rstrip("=").lower()


def _from_base32(text: str) -> bytes:
    return b32decode(text.upper() + "=" * (-len(text) % 8))


def _to_base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _from_base64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


BASES: dict[str, tuple[Callable[[bytes], str], Callable[[str], bytes]]] = {
    "b": (_to_base32, _from_base32),
    "z": (_to_base58, _from_base58),
    "f": (bytes.hex, bytes.fromhex),
    "u": (_to_base64, _from_base64),
}
"""The multibase letters that we read, and how each is written and read."""
