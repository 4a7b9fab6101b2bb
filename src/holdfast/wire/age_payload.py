"""What follows the header of an age file: a nonce, then chunks that are sealed one by one. Pure.

Format: age-encryption.org/v1. Any chunk can be made, or opened, without those before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from ..core.errors import IntegrityError, ProtocolError
from .age_header import HEADER_MAX, Header, Primitives, decode_header, header_size, hkdf

CHUNK = 1 << 16
TAG = 16
SEALED_CHUNK = CHUNK + TAG
NONCE_SIZE = 16

_COUNTS = 88
"""Bits of the number of a chunk."""


class Payload:
    """The chunks under one key."""

    def __init__(self, file_key: bytes, nonce: bytes, use: Primitives) -> None:
        self._cipher = use.cipher(hkdf(file_key, nonce, b"payload"))

    def __repr__(self) -> str:
        return "Payload()"

    def seal(self, number: int, data: bytes | memoryview, *, is_last: bool) -> bytes:
        """A chunk as it stands in the file."""
        return self._cipher.seal(_nonce(number, is_last=is_last), data)

    def seal_whole(self, data: memoryview) -> Iterator[bytes]:
        """All chunks of a content that is in memory."""
        last = count_chunks(len(data)) - 1
        for number in range(last + 1):
            chunk = data[number * CHUNK : (number + 1) * CHUNK]
            yield self.seal(number, chunk, is_last=number == last)

    def open(self, number: int, data: bytes | memoryview, *, is_last: bool) -> bytes:
        """What is in a chunk.

        Raises:
            IntegrityError: It is not that chunk of this file.
        """
        if len(data) < TAG or (len(data) == TAG and number):
            raise IntegrityError("an age file is cut short")
        try:
            return self._cipher.open(_nonce(number, is_last=is_last), data)
        except IntegrityError:
            raise IntegrityError(f"chunk {number} of an age file is not what was sealed") from None


def sealed_size(size: int, recipients: int) -> int:
    """How long the age file for so many X25519 recipients is, whose content has that size."""
    return header_size(recipients) + NONCE_SIZE + size + TAG * count_chunks(size)


def plain_size(sealed: int, recipients: int) -> int:
    """How long the content of such an age file is.

    Raises:
        ProtocolError: None is so long.
    """
    rest = sealed - header_size(recipients) - NONCE_SIZE
    size = rest - TAG * max(1, -(-rest // SEALED_CHUNK))
    if size < 0 or sealed_size(size, recipients) != sealed:
        raise ProtocolError(f"no age file for {recipients} recipients has {sealed} bytes")
    return size


def count_chunks(size: int) -> int:
    """Of how many chunks so many bytes of content are."""
    return max(1, -(-size // CHUNK))


def read_header(chunks: Iterator[bytes]) -> tuple[Header, bytes, Iterator[bytes]]:
    """The header a file begins with, the nonce after it, and the rest of the bytes.

    Raises:
        ProtocolError: It is no age file.
    """
    held = b""
    for chunk in chunks:
        held += chunk
        if len(held) > HEADER_MAX:
            break
    header = decode_header(held)
    nonce = held[header.length : header.length + NONCE_SIZE]
    if len(nonce) != NONCE_SIZE:
        raise ProtocolError("an age file without its nonce")
    return header, nonce, chain((held[header.length + NONCE_SIZE :],), chunks)


def iter_opened(payload: Payload, chunks: Iterator[bytes], first: int = 0) -> Iterator[bytes]:
    """What is in a file whose bytes from chunk ``first`` on these are; a chunk at a time.

    The last chunk is known by its mark: a file that is cut short is found at its end.

    Raises:
        IntegrityError: They are not what was sealed, or not all of it.
    """
    held, number = bytearray(), first
    for chunk in chunks:
        held += chunk
        at = 0
        while len(held) - at > SEALED_CHUNK:
            yield payload.open(number, bytes(held[at : at + SEALED_CHUNK]), is_last=False)
            number, at = number + 1, at + SEALED_CHUNK
        del held[:at]
    yield payload.open(number, bytes(held), is_last=True)


def _nonce(number: int, *, is_last: bool) -> bytes:
    assert number < 1 << _COUNTS, "no file is so long"
    return number.to_bytes(11, "big") + bytes([is_last])
