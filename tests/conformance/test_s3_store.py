"""A bucket keeps the promises of places; a server's faults are told, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from s3_server import s3_server

from holdfast.core.abilities import Store
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId
from holdfast.stores.s3 import open_store, prepare
from holdfast.stores.special import SpecialRemote
from holdfast.testing.store_contract import OpenStore, StoreContract, content_of, ignore

PLACE = Place(PlaceId("22222222-2222-4222-8222-222222222222"), "bucket")


class NoNotes:
    def read(self, log: object, keys: object) -> dict[Key, bytes]:
        return {}

    def edit(self, log: object, key: Key, edit: object) -> None: ...


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with s3_server() as port:
        yield port


def test_the_server_of_these_tests_takes_any_signature_of_the_old_kind(server: int) -> None:
    asked = Request(f"http://127.0.0.1:{server}/none", headers={"Authorization": "AWS A:b/c/d/e/f"})
    with pytest.raises(HTTPError) as told:
        urlopen(asked)
    assert told.value.code == 404


def remote(port: int, bucket: str, **config: str) -> SpecialRemote:
    words = {
        "type": "S3", "host": "127.0.0.1", "port": str(port), "protocol": "http",
        "requeststyle": "path", "bucket": bucket, "partsize": "5MiB", **config,
    }  # fmt: skip
    return SpecialRemote(
        PLACE, words, {}, b"", NoNotes(), lambda: ("ACCESSKEYOFATEST", "secret"),
        allowed_addresses="127.0.0.1",
    )  # fmt: skip


class TestS3(StoreContract):
    more: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture
    def open_store(self, server: int, request: pytest.FixtureRequest) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> Store:
            bucket = f"bucket-{abs(hash(request.node.nodeid))}"
            more = {
                name: text.format(port=server, bucket=bucket) for name, text in self.more.items()
            }
            there = remote(server, bucket, fileprefix="some/where/", **more)
            prepare(there)
            store = open_store(there)
            for key, data in contents.items():
                store.send(key, content_of(key, data), ignore)  # type: ignore[attr-defined]
            return store  # type: ignore[return-value]

        return make


class TestS3ThatAnybodyMayRead(TestS3):
    more: ClassVar[Mapping[str, str]] = {
        "publicurl": "http://127.0.0.1:{port}/{bucket}",
        "public": "yes",
    }
