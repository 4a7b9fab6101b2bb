"""Multihashes: a digest that says which hash made it. Pure code.

``varint(code) varint(length) digest``. A hash we know has digests of its own length only: a digest
that was cut would be easier to forge.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from ..core.errors import IntegrityError, LocalProtocolError, ProtocolError
from .varint import decode_varint, encode_varint

IDENTITY = 0x00
"""No hash: the digest is the content itself."""
SHA2_256 = 0x12
BLAKE3 = 0x1E
MURMUR3_X64_64 = 0x22
"""Spreads names over the shards of a directory; never in a CID."""
FR32_SHA256_TRUNC254_PADBINTREE = 0x1011
"""A piece, version 2: padding, height and root."""
SHA2_256_TRUNC254_PADDED = 0x1012
"""A piece, version 1: its root alone."""

DIGEST_MAX = 128
"""No digest that we read is longer; nor is content that is its own digest."""

_SIZES = {
    IDENTITY: range(DIGEST_MAX + 1),
    SHA2_256: range(32, 33),
    BLAKE3: range(32, 33),
    MURMUR3_X64_64: range(8, 9),
    FR32_SHA256_TRUNC254_PADBINTREE: range(34, 43),
    SHA2_256_TRUNC254_PADDED: range(32, 33),
}
_OTHER = range(1, DIGEST_MAX + 1)


class Multihash(NamedTuple):
    """A digest and the code of its hash."""

    code: int
    digest: bytes

    def encode(self) -> bytes:
        """Its bytes.

        Raises:
            LocalProtocolError: The hash has no digests of that length.
        """
        if len(self.digest) not in _SIZES.get(self.code, _OTHER):
            raise LocalProtocolError(f"hash {self.code:#x} has no digest of {len(self.digest)}")
        return encode_varint(self.code) + encode_varint(len(self.digest)) + self.digest

    def check(self, content: bytes | memoryview) -> None:
        """Pass when this is the multihash of the content.

        Raises:
            IntegrityError: It is of other bytes.
            ProtocolError: It is of a hash that we cannot compute.
        """
        if self.code == SHA2_256:
            right = sha256(content).digest() == self.digest
        elif self.code == IDENTITY:
            right = content == self.digest
        else:
            raise ProtocolError(f"no content can be checked by hash {self.code:#x}")
        if not right:
            raise IntegrityError(f"{len(content)} bytes are not those of {self.digest.hex()}")


def decode_multihash(data: bytes | memoryview, at: int = 0) -> tuple[Multihash, int]:
    """The multihash that begins there, and where it ends.

    Raises:
        ProtocolError: There is none, or its digest is of no length that its hash has.
    """
    code, start = decode_varint(data, at)
    size, start = decode_varint(data, start)
    if size not in _SIZES.get(code, _OTHER):
        raise ProtocolError(f"hash {code:#x} has no digest of {size} bytes, at offset {at}")
    digest = bytes(data[start : start + size])
    if len(digest) != size:
        raise ProtocolError(f"a multihash is cut short at offset {at}")
    return Multihash(code, digest), start + size
