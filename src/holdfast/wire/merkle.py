"""The tree over a piece: nodes, subtrees of zeros, rows, paths. Pure code, by hashlib.

A node is the SHA-256 of its two children, the two highest bits of the last byte set to zero. Rows
end where the data ends: what is missing at their right is the root of a tree of zeros.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256

from .fr32 import Buffer

NODE_SIZE = 32
HEIGHT_MAX = 50

_PAIR = struct.Struct("64s")
_ROW_MAX = 1 << 16
"""A row that is no longer is taken apart at once, which is quicker."""
_TRUNCATED = bytes(byte & 0x3F for byte in range(256))

Nodes = Callable[[Buffer], bytes]
"""Makes of a row of pairs the row above."""


def node(left: bytes, right: bytes) -> bytes:
    """The node above two."""
    digest = sha256(left + right).digest()
    return digest[:31] + bytes((digest[31] & 0x3F,))


def nodes(row: Buffer) -> bytes:
    """The row above a row, whose nodes are even in number."""
    if len(row) <= _ROW_MAX:
        made = [sha256(pair).digest() for pair in _pairs_of(len(row)).unpack(row)]
    else:
        made = [sha256(pair).digest() for (pair,) in _PAIR.iter_unpack(row)]
    above = bytearray(b"".join(made))
    above[31::32] = above[31::32].translate(_TRUNCATED)
    return bytes(above)


@lru_cache(maxsize=64)
def _pairs_of(size: int) -> struct.Struct:
    return struct.Struct("64s" * (size // (2 * NODE_SIZE)))


def _zeros() -> tuple[bytes, ...]:
    found = [bytes(NODE_SIZE)]
    for _ in range(HEIGHT_MAX):
        found.append(node(found[-1], found[-1]))
    return tuple(found)


ZEROS = _zeros()
"""The root of a tree of zeros, by its height."""


def row_above(row: Buffer, height: int, make: Nodes = nodes) -> bytes:
    """The row above one whose nodes are of a height; an odd one is paired with zeros."""
    return make(bytes(row) + ZEROS[height] if len(row) % 64 else row)


def rows_above(row: bytes, height: int, top: int, make: Nodes = nodes) -> list[bytes]:
    """The row itself and all above it, up to the root at height ``top``."""
    rows = [row]
    for at in range(height, top):
        rows.append(row_above(rows[-1], at, make))
    assert len(rows[-1]) <= NODE_SIZE, "the tree is higher than that"
    return rows


def node_at(row: bytes, index: int, height: int) -> bytes:
    """One node of a row; zeros where the row has ended."""
    return row[NODE_SIZE * index : NODE_SIZE * (index + 1)] or ZEROS[height]


def path_in(rows: Sequence[bytes], index: int, height: int) -> list[bytes]:
    """The siblings on the way from a node of the first row, at ``height``, up to the root."""
    return [node_at(row, index >> n ^ 1, height + n) for n, row in enumerate(rows[:-1])]


def climb(start: bytes, index: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to; None when the index is outside of such a tree."""
    if not 0 <= index < 1 << len(path):
        return None
    for sibling in path:
        start = node(sibling, start) if index & 1 else node(start, sibling)
        index >>= 1
    return start


class SparseTree:
    """A tree of which some subtrees are known by their roots, and all else is zeros.

    It takes room for each subtree and its way up only, however large the tree is.
    """

    def __init__(self, height: int, subtrees: Mapping[tuple[int, int], bytes]) -> None:
        """``subtrees`` has roots by height and index; none may lie in another."""
        assert height <= HEIGHT_MAX
        self._height = height
        self._rows: list[dict[int, bytes]] = [{} for _ in range(height + 1)]
        for (at, index), root in subtrees.items():
            assert index < 1 << (height - at), "a subtree is outside of the tree"
            self._rows[at][index] = root
        for at in range(height):
            above = self._rows[at + 1]
            for index in {index >> 1 for index in self._rows[at]}:
                assert index not in above, "a subtree is inside another"
                above[index] = node(self._node(at, 2 * index), self._node(at, 2 * index + 1))

    @property
    def root(self) -> bytes:
        """The root of all."""
        return self._node(self._height, 0)

    def path(self, height: int, index: int) -> tuple[bytes, ...]:
        """The siblings on the way from a node up to the root."""
        return tuple(
            self._node(at, index >> (at - height) ^ 1) for at in range(height, self._height)
        )

    def _node(self, height: int, index: int) -> bytes:
        return self._rows[height].get(index, ZEROS[height])
