"""A place that somebody else's program reaches keeps the contract of `Store`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from holdfast.core.abilities import Store
from holdfast.core.errors import PolicyError
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores.external_program import Patience
from holdfast.stores.external_store import ExternalStore
from holdfast.stores.special import SpecialRemote
from holdfast.testing.memory_notes import MemoryNotes
from holdfast.testing.store_contract import (
    OpenStore,
    StoreContract,
    content_of,
    ignore,
    key_of,
)

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000001"), "there")
PROGRAMS = Path(__file__).parents[1] / "programs"
Shelf = Callable[..., ExternalStore]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Opens a shelf: a place whose program was made with annexremote."""
    pytest.importorskip("annexremote", reason="the package annexremote is not installed")
    (tmp_path / "shelf").mkdir()

    def open_shelf(program: str = "shelf", **words: str) -> ExternalStore:
        config = {"name": "there", "folder": str(tmp_path / "shelf"), **words}
        remote = SpecialRemote(
            PLACE, config, {}, os.fsencode(tmp_path / ".git" / "annex"), MemoryNotes(),
            environment=os.environ, wanted="anything",
        )  # fmt: skip
        script = str(PROGRAMS / f"git-annex-remote-{program}")
        return ExternalStore(remote, [sys.executable, script], Patience(20, 20))

    (tmp_path / ".git").mkdir()
    return open_shelf


class ExternalContract(StoreContract):
    def test_an_odd_name_is_kept(self, empty: Store) -> None:
        key = key_of(b"1", b".t&%:\xc3\xa9")
        empty.send(key, content_of(key, b"1"), ignore)
        assert self.read(empty, key) == b"1"

    def test_a_name_with_a_space_is_refused(self, empty: Store) -> None:
        key = key_of(b"2", b".a b")
        with pytest.raises(PolicyError, match="cannot be named"):
            empty.send(key, content_of(key, b"2"), ignore)
        assert empty.ask([key])[0].presence is Presence.UNKNOWN


class TestShelf(ExternalContract):
    @pytest.fixture
    def open_store(self, shelf: Shelf, tmp_path: Path) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> ExternalStore:
            for key, content in contents.items():
                (tmp_path / "shelf" / os.fsdecode(key)).write_bytes(content)
            return shelf()

        return make
