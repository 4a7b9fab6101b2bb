"""A bucket keeps the promises of places; a server's faults are told, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from s3_server import s3_server

from holdfast.core.abilities import Store
from holdfast.core.errors import ConflictError
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId
from holdfast.stores.s3 import S3, open_store, prepare
from holdfast.stores.s3_client import S3Client
from holdfast.stores.special import SpecialRemote
from holdfast.testing.store_contract import (
    OpenStore,
    StoreContract,
    content_of,
    ignore,
    key_of,
)

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


def test_parts_that_a_killed_sender_left_are_not_sent_again(server: int) -> None:
    data = bytes(range(250)) * 60_000
    key = key_of(data)
    there = remote(server, "left", fileprefix="a b/")
    prepare(there)
    store = S3(there)
    name, size = b"a b/" + key, 5 << 20
    for other in (b"a b/other", name, name):  # what counts is the last one
        upload = store.client.begin(other, {})
    store.client.put_part(name, upload, 1, data[:size])
    store.client.put_part(name, upload, 2, bytes(size))
    sent: list[int] = []
    put_part = S3Client.put_part

    def count(self: S3Client, name: bytes, upload: str, number: int, data: bytes) -> str:
        sent.append(number)
        return put_part(self, name, upload, number, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Client, "put_part", count)
        store.send(key, content_of(key, data), ignore)
    assert sorted(sent) == [2, 3]
    with store.open_content(key) as stream:
        assert b"".join(stream.chunks) == data
    assert store.client.uploads(b"a b/").keys() == {b"a b/other", name}
    store.close()


def test_a_bucket_is_one_places_though_two_take_it_at_once(server: int) -> None:
    there = remote(server, "both")
    prepare(there)
    other = replace(there, place=Place(PlaceId("44444444-4444-4444-8444-444444444444"), "other"))
    with pytest.MonkeyPatch.context() as patch:
        answers = iter([None])  # as it was a moment before
        read = S3Client.read
        patch.setattr(S3Client, "read", lambda self, name: next(answers, read(self, name)))
        with pytest.raises(ConflictError):
            prepare(other)
    prepare(there)
