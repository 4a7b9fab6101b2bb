"""The texts of age's X25519 keys: ``age1…`` for a recipient, ``AGE-SECRET-KEY-1…`` for an identity.

Bech32 (BIP 173) without its limit of length. Pure code. Format: age-encryption.org/v1.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..core.errors import ProtocolError

KEY_SIZE = 32

_RECIPIENT = "age"
_IDENTITY = "age-secret-key-"
_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECK = 6
_TEXT_MAX = 128
"""No key of ours is longer."""


def encode_recipient(point: bytes) -> str:
    """The text of a recipient."""
    return _encode(_RECIPIENT, point)


def decode_recipient(text: str) -> bytes:
    """The point of a recipient.

    Raises:
        ProtocolError: It is none, or one of another kind.
    """
    return _decode(text, _RECIPIENT, "age recipient")


def encode_identity(secret: bytes) -> str:
    """The text of an identity."""
    return _encode(_IDENTITY, secret).upper()


def decode_identity(text: str) -> bytes:
    """The secret of an identity. What it is not is told without any of it.

    Raises:
        ProtocolError: It is none, or one of another kind.
    """
    if text != text.upper():
        raise ProtocolError("no age identity: it has small letters")
    return _decode(text, _IDENTITY, "age identity")


def _encode(prefix: str, data: bytes) -> str:
    assert len(data) == KEY_SIZE, "a key of X25519 has 32 bytes"
    values = list(_regroup(data, 8, 5))
    check = _polymod([*_expand(prefix), *values, *bytes(_CHECK)]) ^ 1
    values += [check >> 5 * (_CHECK - 1 - place) & 31 for place in range(_CHECK)]
    return prefix + "1" + "".join(_ALPHABET[value] for value in values)


def _decode(text: str, prefix: str, what: str) -> bytes:
    low = text.lower()
    if len(text) > _TEXT_MAX or text not in (low, text.upper()) or not text.isascii():
        raise ProtocolError(f"no {what}")
    found, one, letters = low.rpartition("1")
    if not one or found != prefix or len(letters) < _CHECK:
        raise ProtocolError(f"no {what}")
    try:
        values = [_VALUES[letter] for letter in letters]
    except KeyError:
        raise ProtocolError(f"no {what}") from None
    if _polymod([*_expand(prefix), *values]) != 1:
        raise ProtocolError(f"an {what} with a letter that is wrong")
    values = values[:-_CHECK]
    data = bytes(_regroup(values, 5, 8))
    if len(data) != KEY_SIZE or list(_regroup(data, 8, 5)) != values:
        raise ProtocolError(f"an {what} of another length")
    return data


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode()
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _polymod(values: list[int]) -> int:
    found = 1
    for value in values:
        top = found >> 25
        found = (found & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATORS):
            if top >> place & 1:
                found ^= generator
    return found


def _regroup(data: bytes | list[int], width: int, to: int) -> Iterator[int]:
    """Bits in groups of another width; to wider ones what is left over is dropped."""
    held = bits = 0
    for value in data:
        held, bits = held << width | value, bits + width
        while bits >= to:
            bits -= to
            yield held >> bits & (1 << to) - 1
        held &= (1 << bits) - 1
    if bits and to < width:
        yield held << to - bits & (1 << to) - 1
