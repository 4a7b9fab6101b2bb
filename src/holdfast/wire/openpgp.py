"""OpenPGP messages under a passphrase (RFC 9580), as gpg --symmetric writes and reads them.

Written: a version 4 session key packet and one integrity protected packet (version 1, AES-256),
which holds the literal data, uncompressed, so that sizes are known before. Read: these, compressed
or not, in packets of any length. The cipher comes from the caller, as this package has none.
"""

from __future__ import annotations

import bz2
import hashlib
import hmac
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ..core.errors import ProtocolError

Crypt = Callable[[bytes], bytes]
"""Encrypts or decrypts what follows what it was given before."""


class Aes(Protocol):
    """AES in full-block CFB with an all-zero start, the only cipher mode these messages use."""

    def encryptor(self, key: bytes) -> Crypt:
        """A stream that encrypts under a key."""

    def decryptor(self, key: bytes) -> Crypt:
        """A stream that decrypts under a key."""


class NotForUs(ProtocolError):
    """A message that may be fine, but is written in a way that is not read here."""


@dataclass(frozen=True)
class Randomness:
    """What makes two messages with the same passphrase different."""

    salt: bytes
    prefix: bytes


SALT = 8
BLOCK = 16
RANDOM = SALT + BLOCK
SIZE_MAX = 0xFFFF_FFFF - 128
"""Longer contents would need packets in parts, which are read here but not written."""

_AES256, _SHA256, _ITERATED = 9, 8, 3
_KEY_SIZES = {7: 16, 8: 24, 9: 32}
_HASHES = {1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512"}
_ROUNDS = 0x60
"""65,536 bytes are hashed: our passphrases are random, so that guessing is no danger."""

_ESK, _COMPRESSED, _MARKER, _LITERAL, _PROTECTED, _PUBLIC_ESK = 3, 8, 10, 11, 18, 1
_MDC = b"\xd3\x14"
_MDC_SIZE = 22
_STEP = 1 << 18


# writing


def sealed_size(size: int) -> int:
    """How long the message is that holds so many bytes."""
    body = 1 + BLOCK + 2 + 6 + 6 + size + _MDC_SIZE
    return 2 + 13 + 6 + body


def seal(
    chunks: Iterable[bytes], size: int, passphrase: bytes, randomness: Randomness, aes: Aes
) -> Iterator[bytes]:
    """Encrypt ``size`` bytes; the last bytes come only after the last chunk was taken."""
    assert 0 <= size <= SIZE_MAX, "the caller looks at sizes"
    yield bytes((0xC3, 13, 4, _AES256, _ITERATED, _SHA256)) + randomness.salt + bytes((_ROUNDS,))
    key = derive(passphrase, _SHA256, randomness.salt, _count(_ROUNDS), 32)
    body = 1 + BLOCK + 2 + 6 + 6 + size + _MDC_SIZE
    head = randomness.prefix + randomness.prefix[-2:]
    head += b"\xcb\xff" + (6 + size).to_bytes(4, "big") + b"b\0\0\0\0\0"
    digest = hashlib.sha1(head, usedforsecurity=False)
    crypt = aes.encryptor(key)
    yield b"\xd2\xff" + body.to_bytes(4, "big") + b"\1" + crypt(head)
    left = size
    for chunk in chunks:
        left -= len(chunk)
        digest.update(chunk)
        yield crypt(chunk)
    if left:
        raise ProtocolError(f"{left} bytes less than were promised")
    digest.update(_MDC)
    yield crypt(_MDC + digest.digest())


def derive(passphrase: bytes, hash_id: int, salt: bytes, count: int, size: int) -> bytes:
    """The key that a passphrase gives (iterated and salted; 0 hashes each byte once)."""
    if hash_id not in _HASHES:
        raise NotForUs(f"hash {hash_id}")
    text = salt + passphrase
    total = max(count, len(text))
    many = text * (1 + _STEP // len(text))
    key, zeros = b"", 0
    while len(key) < size:
        digest = hashlib.new(_HASHES[hash_id], b"\0" * zeros, usedforsecurity=False)
        for _ in range(total // len(many)):
            digest.update(many)
        digest.update(many[: total % len(many)])
        key += digest.digest()
        zeros += 1
    return key[:size]


def _count(coded: int) -> int:
    return (16 + (coded & 15)) << ((coded >> 4) + 6)


# reading


def unseal(chunks: Iterable[bytes], passphrase: bytes, aes: Aes) -> Iterator[bytes]:
    """Decrypt a message; what comes is only to be believed once it ended without an error.

    Raises:
        NotForUs: It is written in a way that is not read here; another program may.
        ProtocolError: The passphrase is another one, or the message was changed or cut.
    """
    source = _Source(chunks)
    keys: list[tuple[int, bytes]] = []
    while True:
        packet = _next_packet(source)
        if packet is None:
            raise ProtocolError("no encrypted data")
        if packet.tag == _PROTECTED:
            break
        body = packet.rest()
        if packet.tag == _ESK:
            keys.append(_session_key(body, passphrase, aes))
        elif packet.tag not in (_MARKER, _PUBLIC_ESK):
            raise NotForUs(f"packet {packet.tag}")
    if packet.take(1) != b"\1":
        raise NotForUs("another version of integrity protection")
    plain = _Source(_decrypted(packet, keys, aes))
    yield from _literal(plain)
    for rest in plain.iter_rest():
        if rest:
            raise ProtocolError("bytes after the content")


def _session_key(body: bytes, passphrase: bytes, aes: Aes) -> tuple[int, bytes]:
    if body[:1] != b"\4" or len(body) < 4:
        raise NotForUs("another version of session keys")
    cipher, kind, hash_id = body[1:4]
    if kind not in (0, 1, 3) or cipher not in _KEY_SIZES:
        raise NotForUs(f"cipher {cipher}, key derivation {kind}")
    more = (0, SALT, 0, SALT + 1)[kind]
    if len(body) < 4 + more:
        raise ProtocolError("a packet is too short")
    salt = body[4:12] if kind else b""
    count = _count(body[12]) if kind == _ITERATED else 0
    wrapped = body[4 + more :]
    key = derive(passphrase, hash_id, salt, count, _KEY_SIZES[cipher])
    if not wrapped:
        return cipher, key
    opened = aes.decryptor(key)(wrapped)
    return opened[0], opened[1:]


def _decrypted(packet: _Packet, keys: list[tuple[int, bytes]], aes: Aes) -> Iterator[bytes]:
    """The bytes inside, checked at the end against the digest that closes them."""
    first = packet.take(BLOCK + 2)
    for cipher, key in keys:
        crypt = aes.decryptor(key) if _KEY_SIZES.get(cipher) == len(key) else None
        head = crypt(first) if crypt else b""
        if crypt and head[-2:] == head[-4:-2] and len(head) == BLOCK + 2:
            break
    else:
        raise ProtocolError("no key of ours opens it")
    digest = hashlib.sha1(head, usedforsecurity=False)
    kept = b""
    for chunk in packet.iter_body():
        kept += crypt(chunk)
        if len(kept) > _MDC_SIZE:
            digest.update(kept[:-_MDC_SIZE])
            yield kept[:-_MDC_SIZE]
            kept = kept[-_MDC_SIZE:]
    digest.update(_MDC)
    if not hmac.compare_digest(kept, _MDC + digest.digest()):
        raise ProtocolError("it was changed or cut")


def _literal(source: _Source) -> Iterator[bytes]:
    packet = _next_packet(source)
    if packet is None:
        raise ProtocolError("nothing inside")
    if packet.tag == _COMPRESSED:
        inside = _Source(_inflated(packet))
        yield from _literal(inside)
        for _ in inside.iter_rest():
            raise ProtocolError("bytes after the content")
        return
    if packet.tag != _LITERAL:
        raise NotForUs(f"packet {packet.tag} inside")
    packet.take(1)
    packet.take(packet.take(1)[0] + 4)
    yield from packet.iter_body()


def _inflated(packet: _Packet) -> Iterator[bytes]:
    kind = packet.take(1)[0]
    if kind == 0:
        yield from packet.iter_body()
    elif kind == 3:
        many = bz2.BZ2Decompressor()
        for chunk in packet.iter_body():
            yield many.decompress(chunk, _STEP)
            while not many.needs_input and not many.eof:
                yield many.decompress(b"", _STEP)
    elif kind in (1, 2):
        yield from _inflated_zlib(packet, zlib.decompressobj(-15 if kind == 1 else 15))
    else:
        raise NotForUs(f"compression {kind}")


def _inflated_zlib(packet: _Packet, stream: zlib._Decompress) -> Iterator[bytes]:
    try:
        for chunk in packet.iter_body():
            data = chunk
            while data and not stream.eof:
                yield stream.decompress(data, _STEP)
                data = stream.unconsumed_tail
        if not stream.eof:
            yield stream.flush()
    except zlib.error as error:
        raise ProtocolError(f"compressed wrongly: {error}") from None


class _Source:
    """Bytes to be read in pieces of any size."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._kept = b""

    def some(self, most: int) -> bytes:
        """At least one byte, at most so many; nothing at the end."""
        while not self._kept:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._kept = bytes(chunk)
        found, self._kept = self._kept[:most], self._kept[most:]
        return found

    def exactly(self, count: int) -> bytes:
        """So many bytes.

        Raises:
            ProtocolError: There are fewer.
        """
        found = b""
        while len(found) < count:
            more = self.some(count - len(found))
            if not more:
                raise ProtocolError("it ends too early")
            found += more
        return found

    def iter_rest(self) -> Iterator[bytes]:
        """All that is left."""
        while chunk := self.some(_STEP):
            yield chunk


@dataclass
class _Packet:
    """One packet: its body may come in parts, or go on to the end of everything."""

    tag: int
    source: _Source
    left: int | None
    last: bool = True

    def _some(self, most: int) -> bytes:
        if self.left is None:
            return self.source.some(most)
        while not self.left and not self.last:
            self.left, self.last = _new_length(self.source)
        found = self.source.some(min(most, self.left)) if self.left else b""
        if self.left and not found:
            raise ProtocolError("it ends too early")
        self.left -= len(found)
        return found

    def take(self, count: int) -> bytes:
        """So many bytes of the body.

        Raises:
            ProtocolError: There are fewer.
        """
        found = b""
        while len(found) < count:
            more = self._some(count - len(found))
            if not more:
                raise ProtocolError("a packet is too short")
            found += more
        return found

    def iter_body(self) -> Iterator[bytes]:
        """The rest of the body."""
        while chunk := self._some(_STEP):
            yield chunk

    def rest(self) -> bytes:
        """The rest of a short body."""
        found = b""
        for chunk in self.iter_body():
            found += chunk
            if len(found) > _STEP:
                raise NotForUs("a packet that is too long")
        return found


def _next_packet(source: _Source) -> _Packet | None:
    first = source.some(1)
    if not first:
        return None
    head = first[0]
    if not head & 0x80:
        raise ProtocolError("it is no OpenPGP message")
    if head & 0x40:
        left, last = _new_length(source)
        return _Packet(head & 0x3F, source, left, last)
    size = (1, 2, 4, 0)[head & 3]
    known = int.from_bytes(source.exactly(size), "big") if size else None
    return _Packet(head >> 2 & 15, source, known)


def _new_length(source: _Source) -> tuple[int, bool]:
    first = source.exactly(1)[0]
    if first < 192:
        return first, True
    if first < 224:
        return ((first - 192) << 8) + source.exactly(1)[0] + 192, True
    if first < 255:
        return 1 << (first & 31), False
    return int.from_bytes(source.exactly(4), "big"), True
