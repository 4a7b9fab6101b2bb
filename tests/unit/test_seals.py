"""What is derived for an encrypted snapshot never changes: its pieces are made again from it."""

from __future__ import annotations

from hashlib import sha256

import pytest

from holdfast.archive.scope_keys import KeyFolder, ScopeKey
from holdfast.archive.seal_primitives import primitives
from holdfast.archive.seals import Seal, SealedScope
from holdfast.core.errors import AccessError

pytest.importorskip("cryptography")
USE = primitives()
POINTS = (USE.public(b"1" * 32), USE.public(b"2" * 32))
NAME = bytes(range(16))
HEADS = [
    "c7e9e0a26b94625cc6f533ff3b0c518a",
    "a5e720475d33b28b2bad29498261df16",
    "01729901d15d8129b9a58fd25c513faa",
]
NAMES = ["780b7339697741ad26b92775282b5cf0", "8471d72b848b9459d8b057137f50700a"]
DIGEST = "9a6bea8a7962a8cfc3b59099a45912aa"


class _Keys(KeyFolder):
    """Keys that are in no folder."""

    def __init__(self) -> None:
        super().__init__(b"nowhere", USE)
        self.secrets = {".": b"s" * 32, "sub-01": b"t" * 32}

    def has(self, scope: str) -> bool:
        return scope in self.secrets

    def key(self, scope: str) -> ScopeKey:
        if scope not in self.secrets:
            raise AccessError("it is gone")
        return ScopeKey(scope, f"tag of {scope}", self.secrets[scope], POINTS)


def _seal(keys: _Keys) -> Seal:
    seal = Seal.begin(b"salt" * 4, keys, USE)
    assert [seal.number(scope) for scope in (".", "sub-01", ".")] == [0, 1, 0]
    return seal


def test_heads_and_names_are_those_of_every_release() -> None:
    seal = _seal(_Keys())
    heads = [*seal.heads([(0, NAME), (1, NAME)]), seal.head(0, NAME[::-1])]
    found = [sha256(head.start + head.payload.seal(0, b"x", is_last=True)) for head in heads]
    assert [one.hexdigest()[:32] for one in found] == HEADS
    assert [name.hex() for name in seal.names(1, (b"Ka", b"Fb"))] == NAMES
    assert seal.name(1, b"Ka").hex() == NAMES[0]
    assert seal.digest(0, b"data").hex() == DIGEST


def test_a_key_that_is_destroyed_meanwhile_seals_nothing_more() -> None:
    keys = _Keys()
    seal = _seal(keys)
    seal.heads([(0, NAME), (1, NAME)])
    del keys.secrets["sub-01"]
    with pytest.raises(AccessError):
        seal.heads([(0, NAME), (1, NAME)])
    seal.heads([(0, NAME)])


def test_another_secret_in_its_place_is_refused() -> None:
    keys = _Keys()
    scopes = [SealedScope(".", "dataset", keys.key("sub-01").check, POINTS)]
    with pytest.raises(AccessError) as caught:
        Seal(b"salt" * 4, scopes, keys, USE).head(0, NAME)
    assert "another one" in caught.value.why
