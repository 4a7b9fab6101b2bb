"""The header of an age file: who can open it, and what with. Pure code.

Format: age-encryption.org/v1. Of recipients X25519 ones are written and opened; stanzas of other
kinds are passed over. The curve and the cipher are given from outside (`Primitives`).
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from ..core.errors import IntegrityError, ProtocolError

FILE_KEY_SIZE = 16
HEADER_MAX = 1 << 16
"""No header is read that is longer."""
STANZAS_MAX = 64
"""No header with more recipients is read, nor written."""

_INTRO = b"age-encryption.org/v1\n"
_END = b"---"
_POINT = 32
_BODY = 32
_LINE = 64
_BODY_MAX = 2048
_KIND = b"X25519"
_INFO = b"age-encryption.org/v1/X25519"
_NO_NONCE = bytes(12)
_ARGUMENT = re.compile(rb"[\x21-\x7e]+")
_STANZA_SIZE = len(b"-> X25519 \n\n") + 2 * 43
_FIXED_SIZE = len(_INTRO) + len(b"--- \n") + 43


class Cipher(Protocol):
    """ChaCha20-Poly1305 under one key."""

    def seal(self, nonce: bytes, data: bytes | memoryview) -> bytes:
        """What is sealed; the tag comes last."""

    def open(self, nonce: bytes, data: bytes | memoryview) -> bytes:
        """The reverse.

        Raises:
            IntegrityError: It was not sealed so.
        """


class Primitives(Protocol):
    """What somebody else has to be good at."""

    def x25519(self, secret: bytes, point: bytes) -> bytes:
        """The shared secret.

        Raises:
            ProtocolError: The point is one of those that give nothing away but zeros.
        """

    def public(self, secret: bytes) -> bytes:
        """The point of a secret."""

    def agree(self, secret: bytes, point: bytes) -> tuple[bytes, bytes]:
        """Both: the point of the secret, and what it shares with another point.

        Raises:
            ProtocolError: As `x25519`.
        """

    def cipher(self, key: bytes) -> Cipher:
        """What seals and opens under a key."""


class Stanza(NamedTuple):
    """The file key, wrapped for one recipient."""

    arguments: tuple[bytes, ...]
    body: bytes


class Header(NamedTuple):
    """A header that was read: its stanzas, what its MAC is of, the MAC, and its length."""

    stanzas: tuple[Stanza, ...]
    signed: bytes
    mac: bytes
    length: int


def is_age(data: bytes) -> bool:
    """Whether some bytes are the begin of an age file."""
    return data.startswith(_INTRO)


def header_size(recipients: int) -> int:
    """How long the header for so many X25519 recipients is."""
    return _FIXED_SIZE + recipients * _STANZA_SIZE


class Expander:
    """HKDF-SHA-256 of one secret and salt: what depends on these alone is worked out once."""

    def __init__(self, secret: bytes, salt: bytes) -> None:
        extracted = hmac.digest(salt, secret, "sha256")
        self._keyed = hmac.new(extracted, digestmod="sha256")

    def __repr__(self) -> str:
        return "Expander()"

    def expand(self, info: bytes, size: int = 32) -> bytes:
        """Up to 32 bytes for a use."""
        assert size <= 32, "one block is enough"
        keyed = self._keyed.copy()
        keyed.update(info + b"\x01")
        return keyed.digest()[:size]


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int = 32) -> bytes:
    """The same, where one thing is expanded."""
    assert size <= 32, "one block is enough"
    extracted = hmac.digest(salt or bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")[:size]


def wrap(recipient: bytes, file_key: bytes, ephemeral: bytes, use: Primitives) -> Stanza:
    """The stanza of a recipient; ``ephemeral`` is for this file and this recipient alone."""
    share, shared = use.agree(ephemeral, recipient)
    key = hkdf(shared, share + recipient, _INFO)
    return Stanza((_KIND, _b64(share)), use.cipher(key).seal(_NO_NONCE, file_key))


def encode_header(stanzas: Sequence[Stanza], file_key: bytes) -> bytes:
    """The header with these stanzas."""
    assert 0 < len(stanzas) <= STANZAS_MAX, "somebody has to be able to open it"
    lines = [_INTRO]
    for stanza in stanzas:
        lines.append(b"-> " + b" ".join(stanza.arguments) + b"\n")
        body = _b64(stanza.body)
        lines += [body[at : at + _LINE] + b"\n" for at in range(0, len(body) + 1, _LINE)]
    signed = b"".join(lines) + _END
    return signed + b" " + _b64(_mac(file_key, signed)) + b"\n"


def decode_header(data: bytes) -> Header:
    """The header that some bytes begin with; give `HEADER_MAX` of them, or all there are.

    Raises:
        ProtocolError: They begin with none, or with one that is longer, or of too many stanzas.
    """
    if not data.startswith(_INTRO):
        raise ProtocolError("no age file of version 1")
    at, stanzas = len(_INTRO), list[Stanza]()
    while True:
        line, at = _line(data, at)
        if line.startswith(_END):
            break
        if len(stanzas) == STANZAS_MAX:
            raise ProtocolError(f"an age header with more than {STANZAS_MAX} recipients")
        body, arguments = list[bytes](), _arguments(line)
        while True:
            line, at = _line(data, at)
            if len(line) > _LINE or len(body) * _LINE > _BODY_MAX * 4 // 3:
                raise ProtocolError("an age stanza that is too long")
            body.append(line)
            if len(line) < _LINE:
                break
        stanzas.append(Stanza(arguments, _unb64(b"".join(body))))
    if not stanzas:
        raise ProtocolError("an age header without a recipient")
    mac = _unb64(line[len(_END) + 1 :])
    if line[len(_END) : len(_END) + 1] != b" " or len(mac) != 32:
        raise ProtocolError("an age header whose last line cannot be")
    signed = data[: at - len(line) - 1 + len(_END)]
    return Header(tuple(stanzas), signed, mac, at)


def unwrap(
    header: Header, identities: Iterable[tuple[bytes, bytes]], use: Primitives
) -> bytes | None:
    """The file key, by the first identity that opens one of the stanzas; None when none does.

    An identity is its secret and its point.

    Raises:
        ProtocolError: A stanza cannot be.
        IntegrityError: The header is not the one that was written.
    """
    ours = [_read_stanza(stanza) for stanza in header.stanzas if stanza.arguments[0] == _KIND]
    if any(stanza.arguments[0] == b"scrypt" for stanza in header.stanzas):
        if len(header.stanzas) > 1:
            raise ProtocolError("an age header with a passphrase and something else")
        return None
    for identity, recipient in identities:
        for share, body in ours:
            key = hkdf(use.x25519(identity, share), share + recipient, _INFO)
            try:
                file_key = use.cipher(key).open(_NO_NONCE, body)
            except IntegrityError:
                continue
            if not hmac.compare_digest(_mac(file_key, header.signed), header.mac):
                raise IntegrityError("the header of an age file is not the one that was written")
            return file_key
    return None


def _read_stanza(stanza: Stanza) -> tuple[bytes, bytes]:
    if len(stanza.arguments) != 2 or len(stanza.body) != _BODY:
        raise ProtocolError("an X25519 stanza that cannot be")
    share = _unb64(stanza.arguments[1])
    if len(share) != _POINT:
        raise ProtocolError("an X25519 stanza that cannot be")
    return share, stanza.body


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.find(b"\n", at, HEADER_MAX)
    if end < 0:
        raise ProtocolError("an age header without an end")
    return data[at:end], end + 1


def _arguments(line: bytes) -> tuple[bytes, ...]:
    if not line.startswith(b"-> "):
        raise ProtocolError("an age header with a line that cannot be")
    arguments = tuple(line[3:].split(b" "))
    if not all(_ARGUMENT.fullmatch(argument) for argument in arguments):
        raise ProtocolError("an age stanza with an argument that cannot be")
    return arguments


def _mac(file_key: bytes, signed: bytes) -> bytes:
    return hmac.digest(hkdf(file_key, b"", b"header"), signed, "sha256")


def _b64(data: bytes) -> bytes:
    return b64encode(data).rstrip(b"=")


def _unb64(text: bytes) -> bytes:
    try:
        data = b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except Base64Error:
        raise ProtocolError("an age header with bad base64") from None
    if _b64(data) != text:
        raise ProtocolError("an age header with base64 that has a second form")
    return data
