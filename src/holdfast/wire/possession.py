"""Proofs that somebody still has a piece. Pure code.

Two of them. *Leaves*: 32 bytes of the padded payload and the way up to the root; whoever knows the
piece's CID can check it. *Polls*: everybody who has all of it hashes all of it anew, together with
numbers that nobody knew before; that finds a single wrong byte, and where it is.
Format: docs/formats/piece.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NoReturn

from ..core import faults
from . import merkle
from .fr32 import PADDED_GROUP, PAYLOAD_GROUP, Buffer, pad
from .merkle import NODE_SIZE, Nodes
from .piece import UNIT_HEIGHT, UNIT_SIZE, Piece, capacity

SEED_SIZE = 32
POLL_BLOCK = 1 << 20

_LEAF_WORD = b"possession-v1"
_POLL_LEAF, _POLL_NODE = b"\0possession-poll-v1", b"\1"


# leaves


@dataclass(frozen=True, slots=True)
class LeafProof:
    """A leaf, and its siblings on the way up to the root."""

    leaf: bytes
    path: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """Leaf and path, one after the other."""
        return self.leaf + b"".join(self.path)

    @classmethod
    def from_bytes(cls, data: bytes, piece: Piece) -> LeafProof:
        """Read what `to_bytes` wrote for a piece.

        Raises:
            ProtocolError: It has not the length that a proof for this piece has.
        """
        expected = NODE_SIZE * (piece.height + 1)
        if len(data) != expected:
            _refuse(f"it has {len(data)} bytes, and one for this piece has {expected}")
        leaf, *path = (data[at : at + NODE_SIZE] for at in range(0, len(data), NODE_SIZE))
        return cls(leaf, tuple(path))


def data_leaves(piece: Piece) -> int:
    """How many leaves hold any of the payload; those after them are zeros and prove nothing."""
    return -(-piece.size * PADDED_GROUP // (PAYLOAD_GROUP * NODE_SIZE))


def challenged_leaf(piece: Piece, seed: bytes, number: int) -> int:
    """Which leaf a seed asks for, as its challenge of that number.

    Raises:
        ProtocolError: The seed is not of 32 bytes, or the payload is empty.
    """
    if len(seed) != SEED_SIZE:
        _refuse(f"the seed has {len(seed)} bytes instead of {SEED_SIZE}")
    leaves = data_leaves(piece)
    if not leaves:
        _refuse("nobody can be asked for a leaf of an empty payload")
    drawn = sha256(_LEAF_WORD + seed + piece.root + number.to_bytes(8, "little")).digest()
    return int.from_bytes(drawn, "big") % leaves


class LeafProver:
    """Makes proofs from the row of unit roots (`PieceHasher.kept`) and one unit of payload each."""

    def __init__(self, piece: Piece, unit_roots: bytes, nodes: Nodes = merkle.nodes) -> None:
        """``unit_roots`` has 32 bytes for 65,024 of payload; it is empty when the tree is lower.

        Raises:
            IntegrityError: They are not the ones of this piece.
        """
        self._piece = piece
        self._nodes = nodes
        self._rows: list[bytes] = []
        if piece.height < UNIT_HEIGHT:
            return
        units = -(-piece.size // UNIT_SIZE)
        if len(unit_roots) == NODE_SIZE * units:
            self._rows = merkle.rows_above(unit_roots, UNIT_HEIGHT, piece.height, nodes)
        if not self._rows or self._rows[-1] != piece.root:
            raise faults.WRONG_PROOF(what=f"these are the roots of the units of {piece.v2}")

    def unit_of(self, leaf: int) -> tuple[int, int]:
        """The range of payload that `prove` needs for a leaf."""
        assert 0 <= leaf < data_leaves(self._piece), "the leaf holds none of the payload"
        start = (leaf >> UNIT_HEIGHT) * UNIT_SIZE
        return start, min(start + UNIT_SIZE, self._piece.size)

    def prove(self, leaf: int, payload: Buffer) -> LeafProof:
        """The proof for a leaf, from the payload in the range of `unit_of`.

        Raises:
            IntegrityError: The payload is not the one of this piece.
        """
        start, stop = self.unit_of(leaf)
        assert len(payload) == stop - start, "the payload is not the range of the unit"
        height = min(UNIT_HEIGHT, self._piece.height)
        leaves = pad(bytes(payload).ljust(capacity(height), b"\0"))
        inside = merkle.rows_above(leaves, 0, height, self._nodes)
        unit, index = leaf >> height, leaf & ((1 << height) - 1)
        expected = self._rows[0][NODE_SIZE * unit :][:NODE_SIZE] if self._rows else self._piece.root
        if inside[-1] != expected:
            raise faults.WRONG_PROOF(what=f"bytes {start} to {stop} are those of {self._piece.v2}")
        path = merkle.path_in(inside, index, 0)
        path += merkle.path_in(self._rows, unit, UNIT_HEIGHT) if self._rows else []
        return LeafProof(leaves[NODE_SIZE * index :][:NODE_SIZE], tuple(path))


def verify_leaf(piece: Piece, leaf: int, proof: LeafProof) -> None:
    """Check a proof against a piece alone.

    Raises:
        ProtocolError: It is not of the form that a proof for this piece has.
        IntegrityError: It leads elsewhere.
    """
    if len(proof.path) != piece.height:
        _refuse(f"the way up is {len(proof.path)} nodes long, and the tree is {piece.height} high")
    if any(len(each) != NODE_SIZE for each in (proof.leaf, *proof.path)):
        _refuse("its nodes are not all of 32 bytes")
    if not 0 <= leaf < data_leaves(piece):
        _refuse(f"leaf {leaf} holds none of the payload")
    if merkle.climb(proof.leaf, leaf, proof.path) != piece.root:
        raise faults.WRONG_PROOF(what=f"leaf {leaf} is one of {piece.v2}")


# polls


@dataclass(frozen=True, slots=True)
class Poll:
    """What all of a piece is hashed with: a number of the one who asks, one of who answers."""

    piece: Piece
    asker: bytes
    voter: bytes

    def __post_init__(self) -> None:
        if len(self.asker) != SEED_SIZE or len(self.voter) != SEED_SIZE:
            _refuse(f"the numbers of a poll have {SEED_SIZE} bytes each")

    @property
    def blocks(self) -> int:
        """How many blocks of 1 MiB are hashed; an empty payload has one that is empty."""
        return max(1, -(-self.piece.size // POLL_BLOCK))

    def block(self, index: int, data: Buffer) -> bytes:
        """The vote of one block; the last may be shorter than others."""
        made = sha256(_POLL_LEAF + self.asker + self.voter + self.piece.root)
        made.update(index.to_bytes(8, "little"))
        made.update(data)
        return made.digest()


class PollHasher:
    """Hashes the payload for a poll as it comes, in parts of any size. 32 bytes kept for a MiB."""

    def __init__(self, poll: Poll) -> None:
        self._poll = poll
        self._size = 0
        self._votes = bytearray()
        self._block = bytearray()

    def update(self, data: Buffer) -> None:
        """Take more payload in."""
        view = memoryview(data).cast("B")
        self._size += len(view)
        while len(view):
            lacking = POLL_BLOCK - len(self._block)
            if not self._block and len(view) >= POLL_BLOCK:
                self._vote(view[:POLL_BLOCK])
            else:
                self._block += view[:lacking]
                if len(self._block) == POLL_BLOCK:
                    self._vote(self._block)
                    self._block = bytearray()
            view = view[lacking:]

    def finish(self) -> VoteTree:
        """The votes of all blocks.

        Raises:
            IntegrityError: It was not as much payload as the piece has.
        """
        if self._size != self._poll.piece.size:
            raise faults.WRONG_PROOF(what=f"{self._size} bytes are those of {self._poll.piece.v2}")
        if self._block or not self._votes:
            self._vote(self._block)
        return VoteTree(bytes(self._votes))

    def _vote(self, data: Buffer) -> None:
        self._votes += self._poll.block(len(self._votes) // NODE_SIZE, data)


class VoteTree:
    """The votes of all blocks, and the tree over them; a last one that is odd goes up as it is."""

    def __init__(self, votes: bytes) -> None:
        assert votes and len(votes) % NODE_SIZE == 0
        self.rows = [votes]
        while len(self.rows[-1]) > NODE_SIZE:
            self.rows.append(_poll_row(self.rows[-1]))

    @property
    def root(self) -> bytes:
        """The vote of all: what is compared first."""
        return self.rows[-1]

    def vote(self, level: int, index: int) -> bytes:
        """One node; level 0 has the blocks.

        Raises:
            ProtocolError: There is none.
        """
        inside = 0 <= level < len(self.rows) and 0 <= index < len(self.rows[level]) // NODE_SIZE
        if not inside:
            _refuse(f"there is no vote {index} on level {level}")
        return self.rows[level][NODE_SIZE * index : NODE_SIZE * (index + 1)]


Ask = Callable[[int, Sequence[int]], Sequence[bytes]]
"""Another's votes, by level and indexes; a call for each level and not for each vote."""


def differing_blocks(ours: VoteTree, ask: Ask) -> Iterator[int]:
    """The blocks of 1 MiB in which another's payload is not ours; in steps down the tree.

    What the other says below a node has to make up that node, so nobody can name other blocks than
    those that made its vote differ.

    Raises:
        ProtocolError: The answers contradict each other, or are not of the form of votes.
    """
    top = len(ours.rows) - 1
    theirs = _answers(ask, top, [0])
    differing = [0] if theirs[0] != ours.root else []
    for level in range(top - 1, -1, -1):
        count = len(ours.rows[level]) // NODE_SIZE
        wanted = [i for up in differing for i in (2 * up, 2 * up + 1) if i < count]
        above, theirs = theirs, _answers(ask, level, wanted) if wanted else {}
        for up in differing:
            if _poll_row(theirs[2 * up] + theirs.get(2 * up + 1, b"")) != above[up]:
                _refuse(f"the votes on level {level} are not those that it voted with above")
        differing = [i for i in wanted if theirs[i] != ours.vote(level, i)]
    yield from differing


def _answers(ask: Ask, level: int, wanted: list[int]) -> dict[int, bytes]:
    answers = ask(level, wanted)
    if len(answers) != len(wanted) or any(len(answer) != NODE_SIZE for answer in answers):
        _refuse(f"{len(wanted)} votes on level {level} were asked for, of {NODE_SIZE} bytes each")
    return dict(zip(wanted, answers, strict=True))


def _poll_row(row: bytes) -> bytes:
    whole = len(row) - len(row) % (2 * NODE_SIZE)
    made = [sha256(_POLL_NODE + row[at : at + 64]).digest() for at in range(0, whole, 64)]
    return b"".join(made) + row[whole:]


def _refuse(detail: str) -> NoReturn:
    raise faults.BAD_PIECE(what="what should prove possession of a piece", detail=detail)
