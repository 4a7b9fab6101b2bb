"""The Skein-256-256 and Skein-512-512 hashes, which hashlib lacks; about a megabyte a second.

From "The Skein Hash Function Family", version 1.3, by Ferguson, Lucks, Schneier and others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from struct import Struct
from typing import cast

_Words = tuple[int, ...]
_Cipher = Callable[[_Words, int, int, _Words], _Words]

_MASK = 2**64 - 1
_PARITY = 0x1BD11BDAA9FC1A22
_ROUNDS = 72
_ROTATIONS = {
    4: ((14, 16), (52, 57), (23, 40), (5, 37), (25, 33), (46, 12), (58, 22), (32, 32)),
    8: (
        (46, 36, 19, 37), (33, 27, 14, 42), (17, 49, 36, 39), (44, 9, 54, 56),
        (39, 30, 34, 24), (13, 50, 10, 17), (25, 29, 39, 43), (8, 35, 56, 22),
    ),
}  # fmt: skip
_PERMUTATIONS = {4: (0, 3, 2, 1), 8: (2, 1, 4, 7, 6, 5, 0, 3)}
_FIRST, _FINAL = 1 << 62, 1 << 63
_CONFIG, _MESSAGE, _OUTPUT = 4 << 56, 48 << 56, 63 << 56


class Skein:
    """A running Skein hash whose state and digest have the same size."""

    def __init__(self, size: int, data: bytes = b"") -> None:
        """Start a hash of ``size`` bytes: 32 or 64."""
        self._size = size
        self._state = _start(size)
        self._done = 0
        self._flag = _FIRST
        self._rest = b""
        self.update(data)

    def update(self, data: bytes) -> None:
        """Take more bytes in."""
        # The last block is hashed in another way than all others, so one is always held back.
        data = self._rest + data
        whole = max(len(data) - 1, 0) // self._size * self._size
        for at in range(0, whole, self._size):
            self._done += self._size
            self._state = _block(
                self._state, data[at : at + self._size], self._done, _MESSAGE | self._flag
            )
            self._flag = 0
        self._rest = data[whole:]

    def hexdigest(self) -> str:
        """The digest of all bytes so far; the hash may go on."""
        done = self._done + len(self._rest)
        state = _block(self._state, self._rest, done, _MESSAGE | self._flag | _FINAL)
        state = _block(state, bytes(8), 8, _OUTPUT | _FIRST | _FINAL)
        return _words(self._size).pack(*state).hex()


@cache
def _start(size: int) -> _Words:
    config = b"SHA3\1\0\0\0" + (8 * size).to_bytes(8, "little") + bytes(16)
    return _block((0,) * (size // 8), config, len(config), _CONFIG | _FIRST | _FINAL)


def _block(state: _Words, data: bytes, position: int, kind: int) -> _Words:
    """Chain one block on: the message is enciphered with the state as key, and fed forward."""
    words = _words(8 * len(state)).unpack(data.ljust(8 * len(state), b"\0"))
    return _cipher(len(state))(state, position, kind, words)


@cache
def _words(size: int) -> Struct:
    return Struct(f"<{size // 8}Q")


@cache
def _cipher(count: int) -> _Cipher:
    """Threefish and feed-forward for ``count`` words, as one straight run of sums.

    The text of the function is put together from the tables above: with loops and lists at work
    it would take twice as long.
    """
    names = [f"x{i}" for i in range(count)]
    keys = [f"k{i}" for i in range(count + 1)]
    lines = [
        "def cipher(key, t0, t1, words):",
        f"{', '.join(keys[:-1])} = key",
        f"{keys[-1]} = {' ^ '.join(keys[:-1])} ^ {_PARITY}",
        "t2 = t0 ^ t1",
        f"{', '.join(names)} = words",
    ]
    for number in range(_ROUNDS):
        if number % 4 == 0:
            lines += _add_subkey(names, keys, number // 4)
        turns = _ROTATIONS[count][number % 8]
        for turn, a, b in zip(turns, names[::2], names[1::2], strict=True):
            lines.append(f"{a} = {a} + {b} & {_MASK}")
            lines.append(f"{b} = ({b} << {turn} & {_MASK} | {b} >> {64 - turn}) ^ {a}")
        names = [names[i] for i in _PERMUTATIONS[count]]
    lines += _add_subkey(names, keys, _ROUNDS // 4)
    lines.append("return " + ", ".join(f"{name} ^ words[{i}]" for i, name in enumerate(names)))
    space: dict[str, object] = {}
    exec("\n    ".join(lines), space)
    return cast(_Cipher, space["cipher"])


def _add_subkey(names: list[str], keys: list[str], step: int) -> list[str]:
    terms = [keys[(step + i) % len(keys)] for i in range(len(names))]
    terms[-3] += f" + t{step % 3}"
    terms[-2] += f" + t{(step + 1) % 3}"
    terms[-1] += f" + {step}"
    return [f"{name} = {name} + {term} & {_MASK}" for name, term in zip(names, terms, strict=True)]
