"""A packed store keeps the contract of `Store`, with large packs and with very small ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from holdfast.core.abilities import Readable
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId
from holdfast.stores.packed import PackedStore
from holdfast.stores.packed_marker import make_store
from holdfast.testing.store_contract import OpenStore, StoreContract, content_of, ignore

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000001"), "there")


class TestPacked(StoreContract):
    pack_size = 1 << 30

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        made: list[PackedStore] = []

        def make(contents: Mapping[Key, bytes]) -> Readable:
            folder = os.fsencode(tmp_path / f"store-{len(made)}")
            make_store(folder, PLACE.id, self.pack_size)
            made.append(PackedStore(PLACE, folder))
            for key, data in contents.items():
                made[-1].send(key, content_of(key, data), ignore)
            return made[-1]

        yield make
        for store in made:
            store.close()


class TestPackedInSmallPacks(TestPacked):
    pack_size = 1 << 12
