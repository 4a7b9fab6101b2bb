"""The commitment to a piece: a binary tree of SHA-256 over its bytes, and the PieceCID of its root.

By hashlib alone. Every 127 bytes become four leaves of 254 bits; a node is the SHA-256 of two, its
two highest bits cleared; what is missing counts as zeros. `GROUP` bytes make a subtree of height
11, and these are independent of each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Protocol

from ..wire.multihash import FR32_SHA256_TRUNC254_PADBINTREE
from ..wire.varint import encode_varint, varint_size

GROUP = 127 * 512
"""So many bytes make one subtree."""
GROUP_HEIGHT = 11
ROOT_SIZE = 32

_CLEAR = bytes(value & 0x3F for value in range(256))
_LANE = (1 << 254) - 1
_UNIT = 127


class Kernel(Protocol):
    """What computes subtrees. It may be called by several threads, and lets Python's others run."""

    def subtrees(self, data: bytes | memoryview) -> bytes:
        """The roots over whole groups, 32 bytes for each."""


class PlainKernel:
    """By hashlib: slow, and everywhere."""

    def subtrees(self, data: bytes | memoryview) -> bytes:
        """The roots over whole groups, 32 bytes for each."""
        assert len(data) % GROUP == 0, "whole groups only"
        return b"".join(
            _fold(_leaves(bytes(data[at : at + GROUP])), GROUP_HEIGHT)
            for at in range(0, len(data), GROUP)
        )


def piece_cid(roots: Iterable[bytes], tail: bytes, size: int) -> bytes:
    """The PieceCID, version 2, of ``size`` bytes: the roots of whole groups, and what is left."""
    height = _height(size)
    stack: list[tuple[int, bytes]] = []
    for root in roots:
        _push(stack, GROUP_HEIGHT, root)
    if tail or not size:
        _push(stack, *_tail_root(tail))
    while len(stack) > 1 or stack[0][0] < height:
        low, node = stack.pop()
        if stack and stack[-1][0] == low:
            node = _node(stack.pop()[1], node)
        else:
            node = _node(node, _ZEROS[low])
        stack.append((low + 1, node))
    padding = _UNIT * (1 << (height - 2)) - size
    digest = encode_varint(padding) + bytes((height,)) + stack[0][1]
    code = encode_varint(FR32_SHA256_TRUNC254_PADBINTREE)
    return b"\x01\x55" + code + encode_varint(len(digest)) + digest


def piece_cid_size(size: int) -> int:
    """How long the PieceCID of so many bytes is."""
    return 6 + varint_size(_UNIT * (1 << (_height(size) - 2)) - size) + ROOT_SIZE


def _height(size: int) -> int:
    units = max(1, -(-size // _UNIT))
    return 2 + (units - 1).bit_length()


def _tail_root(tail: bytes) -> tuple[int, bytes]:
    height = _height(len(tail))
    padded = tail + bytes(_UNIT * (1 << (height - 2)) - len(tail))
    return height, _fold(_leaves(padded), height)


def _push(stack: list[tuple[int, bytes]], height: int, node: bytes) -> None:
    """Add a subtree that is no larger than any before it."""
    while stack and stack[-1][0] == height:
        node = _node(stack.pop()[1], node)
        height += 1
    stack.append((height, node))


def _leaves(data: bytes) -> bytes:
    out = []
    for at in range(0, len(data), _UNIT):
        bits = int.from_bytes(data[at : at + _UNIT], "little")
        spread = bits & _LANE | (bits >> 254 & _LANE) << 256
        spread |= (bits >> 508 & _LANE) << 512 | (bits >> 762) << 768
        out.append(spread.to_bytes(128, "little"))
    return b"".join(out)


def _fold(level: bytes | bytearray, height: int) -> bytes:
    """The root over a full level of leaves."""
    for _ in range(height):
        view = memoryview(level)
        level = bytearray(
            b"".join([sha256(view[at : at + 64]).digest() for at in range(0, len(level), 64)])
        )
        level[31::32] = level[31::32].translate(_CLEAR)
    return bytes(level)


def _node(left: bytes, right: bytes) -> bytes:
    digest = sha256(left + right).digest()
    return digest[:31] + bytes((digest[31] & 0x3F,))


def _zeros() -> list[bytes]:
    found = [bytes(ROOT_SIZE)]
    for _ in range(64):
        found.append(_node(found[-1], found[-1]))
    return found


_ZEROS = _zeros()
