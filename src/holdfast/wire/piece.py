"""Piece commitments: the one root that names any sequence of bytes to Filecoin. Pure code.

A payload is filled up with zeros to 127·2^k bytes, padded (`fr32`), cut into leaves of 32 bytes,
and hashed up to one root. `PieceHasher` does that for a payload that comes in parts; the hashing
itself is a `Kernel`'s, of which `PLAIN` is always there and others, in `holdfast.kernel`, are
faster.
Format: docs/formats/piece.md.
"""

from __future__ import annotations

from array import array
from hashlib import md5, sha256
from typing import NamedTuple, Protocol, TypeAlias

from ..core import faults
from . import fr32, merkle, piece_cid
from .fr32 import PAYLOAD_GROUP, Buffer
from .merkle import HEIGHT_MAX, NODE_SIZE
from .piece_cid import HEIGHT_MIN

UNIT_GROUPS = 512
UNIT_SIZE = PAYLOAD_GROUP * UNIT_GROUPS
UNIT_HEIGHT = 11
"""Payloads are hashed in units of 65,024 bytes, whose trees are 11 high and of 64 KiB."""

SIZE_MAX = PAYLOAD_GROUP << (HEIGHT_MAX - HEIGHT_MIN)

_ROW_MAX = NODE_SIZE * 1024

Numbers: TypeAlias = "array[int]"
"""Of 64 bits each, typecode ``Q``."""


class Piece(NamedTuple):
    """A commitment: the root, how high its tree is, and how many zeros fill the payload up."""

    root: bytes
    height: int
    padding: int

    @property
    def size(self) -> int:
        """How many bytes the payload has."""
        return capacity(self.height) - self.padding

    @property
    def padded_size(self) -> int:
        """How many bytes it takes when padded; a power of two."""
        return NODE_SIZE << self.height

    @property
    def v1(self) -> str:
        """Its CID of version 1, which does not know the size."""
        return piece_cid.to_text(piece_cid.write_v1(self.root))

    @property
    def v2(self) -> str:
        """Its CID of version 2, which says everything."""
        return piece_cid.to_text(piece_cid.write_v2(self.root, self.height, self.padding))

    @classmethod
    def of_root(cls, root: bytes, size: int) -> Piece:
        """The piece of a payload whose root and size are known."""
        height = height_of(size)
        return cls(root, height, capacity(height) - size)


def read_piece(text: str, padded_size: int | None = None) -> Piece:
    """The piece that a CID in text names.

    Version 1 does not know the size: the padded size has to be given, and the payload counts as
    filling it. With version 2 a padded size that is given has to agree.

    Raises:
        ProtocolError: The text is no piece CID, or the sizes do not fit.
    """
    root, height, padding = piece_cid.read(piece_cid.from_text(text))
    if height is None or padding is None:
        if padded_size is None:
            raise _refused("a piece CID of version 1 means nothing without the padded size")
        return Piece(root, height_of_padded(padded_size), 0)
    if padded_size is not None and padded_size != NODE_SIZE << height:
        raise _refused(f"it is of {NODE_SIZE << height} padded bytes, not of {padded_size}")
    return Piece(root, height, padding)


def capacity(height: int) -> int:
    """How many bytes of payload a tree of that height holds."""
    return PAYLOAD_GROUP << (height - HEIGHT_MIN)


def height_of(size: int) -> int:
    """The height of the lowest tree that holds so much payload."""
    assert 0 <= size <= SIZE_MAX, "no piece is so large"
    groups = max(1, -(-size // PAYLOAD_GROUP))
    return HEIGHT_MIN + (groups - 1).bit_length()


def height_of_padded(padded_size: int) -> int:
    """The height of the tree of a padded size.

    Raises:
        ProtocolError: No piece has that padded size.
    """
    height = padded_size.bit_length() - 6
    if not HEIGHT_MIN <= height <= HEIGHT_MAX or padded_size != NODE_SIZE << height:
        raise _refused(f"{padded_size} is no padded size: that is a power of two, 128 or more")
    return height


class Running(Protocol):
    """A hash fed in parts, as the kernel that made it wants it."""

    def update(self, data: Buffer, /) -> None:
        """Take more bytes in."""

    def digest(self) -> bytes:
        """The digest of all bytes so far."""

    def hexdigest(self) -> str:
        """The same in hex."""


class Kernel(Protocol):
    """What hashes. Any thread may call any method at any time."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    @property
    def takes_along(self) -> bool:
        """Whether a ``whole`` of its own costs less in `roots_beside` than by itself.

        It does as long as the bytes it had before are a multiple of 64.
        """

    def nodes(self, row: Buffer) -> bytes:
        """The row above a row, whose nodes are even in number."""

    def roots(self, data: Buffer, groups: int = UNIT_GROUPS) -> bytes:
        """The roots of payload that is a whole number of subtrees.

        A subtree has ``groups`` groups: a power of two, at most UNIT_GROUPS.
        """

    def roots_beside(
        self, data: Buffer, block: Buffer, whole: Running | None = None
    ) -> tuple[bytes, bytes]:
        """`roots` of whole units, and the SHA-256 of a block; ``whole`` takes the block in, too.

        The block may be the same bytes, or others. ``whole`` may be of any hash; see `takes_along`.
        """

    def roots_beside_each(
        self, data: Buffer, base: Buffer, places: Numbers, sizes: Numbers
    ) -> tuple[bytes, bytes]:
        """`roots` of whole units, and the SHA-256 of each buffer at these places in ``base``."""

    def running(self) -> Running:
        """A SHA-256 to give as ``whole``."""

    def running_md5(self) -> Running:
        """An MD5 to give as ``whole``."""


class PlainKernel:
    """All by hashlib: works everywhere, and is the slowest."""

    name = "hashlib"
    takes_along = False

    def nodes(self, row: Buffer) -> bytes:
        """See `Kernel`."""
        return merkle.nodes(row)

    def roots(self, data: Buffer, groups: int = UNIT_GROUPS) -> bytes:
        """See `Kernel`."""
        roots = []
        for start in range(0, len(data), UNIT_SIZE):  # so much stays in a processor's cache
            row: bytes = fr32.pad(data[start : start + UNIT_SIZE])
            for _ in range(groups.bit_length() + 1):
                row = merkle.nodes(row)
            roots.append(row)
        return b"".join(roots)

    def roots_beside(
        self, data: Buffer, block: Buffer, whole: Running | None = None
    ) -> tuple[bytes, bytes]:
        """See `Kernel`."""
        if whole is not None:
            whole.update(block)
        return self.roots(data), sha256(block).digest()

    def roots_beside_each(
        self, data: Buffer, base: Buffer, places: Numbers, sizes: Numbers
    ) -> tuple[bytes, bytes]:
        """See `Kernel`."""
        return self.roots(data), sha256_each(base, places, sizes)

    def running(self) -> Running:
        """See `Kernel`."""
        return sha256()

    def running_md5(self) -> Running:
        """See `Kernel`."""
        return md5(usedforsecurity=False)


def sha256_each(base: Buffer, places: Numbers, sizes: Numbers) -> bytes:
    """The SHA-256 of each of the buffers at these places in ``base``, by hashlib."""
    view = memoryview(base)
    return b"".join(
        [sha256(view[at : at + size]).digest() for at, size in zip(places, sizes, strict=True)]
    )


PLAIN = PlainKernel()


class PieceHasher:
    """Makes the commitment of a payload that comes in parts of any size, in little memory.

    Whole units may be hashed elsewhere, in other threads too: `add_roots` takes what they gave.
    """

    def __init__(self, kernel: Kernel = PLAIN, *, keep: int | None = None) -> None:
        """``keep`` is a height, UNIT_HEIGHT or more, whose row is kept; see `kept`."""
        assert keep is None or keep >= UNIT_HEIGHT, "rows below a unit's root are not kept"
        self.size = 0
        self._kernel = kernel
        self._rest = bytearray()
        self._rows: list[bytearray] = [bytearray()]
        self._keep = keep
        self._kept = bytearray()
        self._piece: Piece | None = None

    @property
    def kept(self) -> bytes:
        """The row at the height that was asked for, as far as it holds data; whole after `digest`.

        It is empty when the tree is lower. 32 bytes a node: of the units, 1/2032 of the payload.
        """
        return bytes(self._kept)

    def update(self, data: Buffer) -> None:
        """Take more payload in."""
        for part in self._units(data):
            self._push(self._kernel.roots(part))

    def update_beside(self, data: Buffer, block: Buffer, whole: Running | None = None) -> bytes:
        """Take more payload in, and give the SHA-256 of a block, which ``whole`` takes in, too.

        The block may be the same bytes, or others, say those that come next. Where the machine can,
        both are hashed at once, for less than the sum of both.
        """
        parts, block = self._units(data), memoryview(block).cast("B")
        if not parts:
            return self._kernel.roots_beside(b"", block, whole)[1]
        for part in parts[:-1]:
            self._push(self._kernel.roots(part))
        roots, digest = self._kernel.roots_beside(parts[-1], block, whole)
        self._push(roots)
        return digest

    def add_roots(self, roots: bytes, size: int) -> None:
        """Take in the roots of the next units, and how much payload they are.

        Only the last unit of all may be less than whole; then it was filled up with zeros. All
        together have to be more than 32,512 bytes: the tree of less is lower than a unit's.
        """
        assert self.size % UNIT_SIZE == 0 and not self._rest, "only at the border of a unit"
        assert len(roots) == NODE_SIZE * -(-size // UNIT_SIZE), "a root for each unit"
        self._grow(size)
        assert height_of(self.size) >= UNIT_HEIGHT, "so little is no unit"
        self._push(roots)

    def digest(self) -> Piece:
        """The commitment of all. Nothing can be taken in after that."""
        if self._piece is None:
            self._piece = Piece.of_root(self._finish(), self.size)
        return self._piece

    def _grow(self, size: int) -> None:
        assert self._piece is None, "the digest was asked for already"
        self.size += size
        assert self.size <= SIZE_MAX, "no piece is so large"

    def _units(self, data: Buffer) -> list[memoryview]:
        """What makes whole units with what there was before; the rest is kept for later."""
        view = memoryview(data).cast("B")
        self._grow(len(view))
        parts = []
        if self._rest:
            lacking = UNIT_SIZE - len(self._rest)
            self._rest += view[:lacking]
            view = view[lacking:]
            if len(self._rest) < UNIT_SIZE:
                return []
            parts.append(memoryview(self._rest))
        whole = len(view) - len(view) % UNIT_SIZE
        if whole:
            parts.append(view[:whole])
        self._rest = bytearray(view[whole:])
        return parts

    def _push(self, roots: bytes) -> None:
        """Add to the lowest row; rows that are long enough go to the row above."""
        for level in range(HEIGHT_MAX):
            row = self._rows[level]
            row += roots
            self._keep_row(level, roots)
            if len(row) < _ROW_MAX:
                return
            even = len(row) - len(row) % (2 * NODE_SIZE)
            roots = self._kernel.nodes(bytes(row[:even]))
            del row[:even]
            if level + 1 == len(self._rows):
                self._rows.append(bytearray())

    def _keep_row(self, level: int, roots: bytes) -> None:
        if level + UNIT_HEIGHT == self._keep:
            self._kept += roots

    def _finish(self) -> bytes:
        height = height_of(self.size)
        if height < UNIT_HEIGHT:
            filled = bytes(self._rest).ljust(capacity(height), b"\0")
            return self._kernel.roots(filled, 1 << (height - HEIGHT_MIN))
        if self._rest:
            self._push(self._kernel.roots(bytes(self._rest).ljust(UNIT_SIZE, b"\0")))
        return self._fold(height)

    def _fold(self, height: int) -> bytes:
        above = b""
        for at in range(UNIT_HEIGHT, height + 1):
            level = at - UNIT_HEIGHT
            if level > 0:
                self._keep_row(level, above)
            row = bytes(self._rows[level] if level < len(self._rows) else b"") + above
            if at == height:
                return row
            above = merkle.row_above(row, at, self._kernel.nodes)
        raise AssertionError("a tree ends at its height")


def commit(payload: Buffer, kernel: Kernel = PLAIN) -> Piece:
    """The commitment of a payload that is in memory."""
    hasher = PieceHasher(kernel)
    hasher.update(payload)
    return hasher.digest()


def _refused(detail: str) -> Exception:
    return faults.BAD_PIECE(what="what should be a piece CID", detail=detail)
