"""Unsigned varints of the multiformats: seven bits in each byte, lowest first. Pure code.

A number has one encoding, the shortest, of nine bytes at most (2^63 - 1). Anything else is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.errors import LocalProtocolError, ProtocolError

VARINT_MAX = (1 << 63) - 1
"""The largest number that a varint can say."""
VARINT_SIZE_MAX = 9
"""No varint has more bytes."""

_SHORT = tuple(bytes((number,)) for number in range(128))


def encode_varint(number: int) -> bytes:
    """The bytes of a number.

    Raises:
        LocalProtocolError: It is negative, or larger than `VARINT_MAX`.
    """
    if 0 <= number < 0x80:
        return _SHORT[number]
    if not 0 <= number <= VARINT_MAX:
        raise LocalProtocolError(f"a varint cannot say {number}")
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def varint_sizes(numbers: Sequence[int]) -> int:
    """How long many are together."""
    least = varint_size(min(numbers, default=0))
    if least == varint_size(max(numbers, default=0)):
        return least * len(numbers)
    return sum(map(varint_size, numbers))


def varint_size(number: int) -> int:
    """How many bytes the number takes; it has to be one that a varint can say."""
    return (number.bit_length() + 6) // 7 or 1


def decode_varint(data: bytes | memoryview, at: int = 0) -> tuple[int, int]:
    """The number that begins there, and where it ends.

    Raises:
        ProtocolError: It is cut short, too long, or not the shortest form.
    """
    number = shift = 0
    try:
        byte = data[at]
        if byte < 0x80:
            return byte, at + 1
        for end in range(at, at + VARINT_SIZE_MAX):
            byte = data[end]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        else:
            raise ProtocolError(f"a varint of more than nine bytes at offset {at}")
    except IndexError:
        raise ProtocolError(f"a varint is cut short at offset {at}") from None
    if not byte:
        raise ProtocolError(f"a varint that is not the shortest at offset {at}")
    return number, end + 1
