"""The PieceCID of a piece of which the roots of all whole units are known: they are on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from ..wire.merkle import NODE_SIZE
from ..wire.piece import PLAIN, UNIT_SIZE, Kernel, PieceHasher, capacity, height_of
from ..wire.piece_cid import write_v2

GROUP = UNIT_SIZE
"""So many bytes make one subtree."""
ROOT_SIZE = NODE_SIZE

_BLOCK = 4096


def piece_cid(
    roots: Iterable[bytes], tail: bytes | bytearray, size: int, kernel: Kernel = PLAIN
) -> bytes:
    """The PieceCID, version 2, of ``size`` bytes: the roots of whole units, and what is left."""
    hasher = PieceHasher(kernel)
    for block in _blocks(roots):
        hasher.add_roots(block, len(block) // ROOT_SIZE * GROUP)
    hasher.update(tail)
    assert hasher.size == size, "roots and tail make the whole"
    piece = hasher.digest()
    return write_v2(piece.root, piece.height, piece.padding)


def piece_cid_size(size: int) -> int:
    """How long the PieceCID of so many bytes is."""
    height = height_of(size)
    return len(write_v2(bytes(ROOT_SIZE), height, capacity(height) - size))


def _blocks(roots: Iterable[bytes]) -> Iterator[bytes]:
    rest = iter(roots)
    while block := b"".join(islice(rest, _BLOCK)):
        yield block
