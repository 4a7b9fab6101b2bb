"""PieceCIDs of known bytes."""

from __future__ import annotations

import pytest

from holdfast.archive.commitment import GROUP, piece_cid, piece_cid_size
from holdfast.wire.cid import cid_text
from holdfast.wire.piece import PLAIN

PERIOD = bytes((number * number + 7 * number) % 251 for number in range(251))

KNOWN = {
    0: "bafkzcibcp4bdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy",
    128: "bafkzcibcpyb3mh47nb4agqf2veehjj5xcrxfvk2e5od6kzte5hayz6zfi5fd2aa",
}


def _cid(data: bytes) -> bytes:
    whole = len(data) // GROUP * GROUP
    roots = PLAIN.roots(data[:whole])
    parts = [roots[at : at + 32] for at in range(0, len(roots), 32)]
    return piece_cid(parts, data[whole:], len(data))


@pytest.mark.parametrize(("size", "text"), KNOWN.items())
def test_the_cid_of_a_piece_is_the_published_one(size: int, text: str) -> None:
    assert cid_text(_cid((PERIOD * (size // 251 + 1))[:size])) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (bytes(127), "bafkzcibcaabdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy"),
        (bytes(128), "bafkzcibcpybwiktap34inmaex4wbs6cghlq5i2j2yd2bb2zndn5ep7ralzphkdy"),
        (
            b"".join(bytes((value,)) * 127 for value in range(4)),
            "bafkzcibcaaces3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi",
        ),
    ],
)
def test_the_cid_is_that_of_frc_0069(data: bytes, text: str) -> None:
    assert cid_text(_cid(data)) == text


@pytest.mark.parametrize("size", [1, 127, 128, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP, 1 << 20])
def test_the_length_of_a_cid_is_known_from_the_size(size: int) -> None:
    assert len(_cid(bytes(size))) == piece_cid_size(size)


def test_roots_of_groups_and_a_tail_are_one_tree() -> None:
    data = (PERIOD * 2000)[: 5 * GROUP // 2]
    assert _cid(data) != _cid(data[:-1])
    assert _cid(data)[-32:] == _cid(data + bytes(10))[-32:], "zeros at the end change no root"
