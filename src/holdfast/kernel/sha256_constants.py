"""The constants of SHA-256, and those of the block that ends every message of 64 bytes."""

from __future__ import annotations

_WORD = 0xFFFFFFFF


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _root_bits(number: int, power: int) -> int:
    """The first 32 bits after the point of a square or cube root."""
    scaled = number << 32 * power
    low, high = 0, 1 << 40
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**power <= scaled else (low, middle)
    return low & _WORD


def _rotated(x: int, count: int) -> int:
    return (x >> count | x << 32 - count) & _WORD


def _of_padding() -> tuple[int, ...]:
    words = [0x80000000] + [0] * 14 + [512]
    for i in range(16, 64):
        early, late = words[i - 15], words[i - 2]
        first = _rotated(early, 7) ^ _rotated(early, 18) ^ early >> 3
        second = _rotated(late, 17) ^ _rotated(late, 19) ^ late >> 10
        words.append((words[i - 16] + first + words[i - 7] + second) & _WORD)
    return tuple((k + word) & _WORD for k, word in zip(ROUND, words, strict=True))


INITIAL = tuple(_root_bits(prime, 2) for prime in _primes(8))
ROUND = tuple(_root_bits(prime, 3) for prime in _primes(64))
ROUND_OF_PADDING = _of_padding()
