"""The pieces of a data set keep the promises of a place: in a folder, at a URL, in a bucket."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from piece_forger import forge_chain

from holdfast.api.pieces import open_pieces
from holdfast.core.abilities import Readable
from holdfast.core.errors import HoldError
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId
from holdfast.stores.archive_pieces import open_store, plan_setup, prepare
from holdfast.stores.s3 import S3
from holdfast.stores.s3 import prepare as prepare_bucket
from holdfast.stores.special import SpecialRemote
from holdfast.testing.lying_server import LyingServer
from holdfast.testing.store_contract import (
    BIG,
    CONTENTS,
    OpenStore,
    ReadableContract,
    content_of,
    ignore,
    key_of,
)

PLACE = Place(PlaceId("33333333-3333-4333-8333-333333333333"), "cold")


class NoNotes:
    def read(self, log: object, keys: object) -> dict[Key, bytes]:
        return {}

    def edit(self, log: object, key: Key, edit: object) -> None: ...


def remote(annex: Path, **words: str) -> SpecialRemote:
    setup = plan_setup(words)
    return SpecialRemote(
        PLACE, setup.config, setup.local, os.fsencode(annex), NoNotes(),
        lambda: ("ACCESSKEYOFATEST", "secret"), allowed_addresses="127.0.0.1",
        open_pieces=open_pieces,
    )  # fmt: skip


class TestPiecesInAFolder(ReadableContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> Readable:
            (tmp_path / "pieces/below").mkdir(parents=True)
            (tmp_path / "pieces/README").write_text("no piece")
            forge_chain(tmp_path / "pieces/below", contents)
            return open_store(remote(tmp_path, directory=str(tmp_path / "pieces")))

        return make


class TestPiecesThatTheNewestLeadsTo(ReadableContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        with LyingServer({}) as server:

            def make(contents: Mapping[Key, bytes]) -> Readable:
                newest = forge_chain(tmp_path, contents)
                server.contents |= {p.name: p.read_bytes() for p in tmp_path.glob("*.car")}
                return open_store(remote(tmp_path, url=f"{server.url}/honest/{newest.name}"))

            yield make


class TestPiecesThatAPageNames(ReadableContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        with LyingServer({}) as server:

            def make(contents: Mapping[Key, bytes]) -> Readable:
                forge_chain(tmp_path, contents)
                found = {f"all/{p.name}": p.read_bytes() for p in tmp_path.glob("*.car")}
                page = "".join(f'<a href="{name[4:]}">{name[4:]}</a>' for name in found)
                server.contents |= {**found, "all/": page.encode()}
                return open_store(remote(tmp_path, url=f"{server.url}/all/"))

            yield make


@pytest.fixture(scope="module")
def bucket_server() -> Iterator[int]:
    program = shutil.which("moto_server") or str(Path(sys.executable).with_name("moto_server"))
    if not Path(program).exists():
        pytest.skip("moto_server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(200):
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


def fill_bucket(there: SpecialRemote, files: Mapping[str, bytes]) -> None:
    prepare_bucket(there)
    store = S3(there)
    for name, data in files.items():
        content = content_of(key_of(data), data)
        store.put_object(name.encode(), content, ignore)
    store.close()


class TestPiecesInABucket(ReadableContract):
    @pytest.fixture
    def open_store(
        self, tmp_path: Path, bucket_server: int, request: pytest.FixtureRequest
    ) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> Readable:
            forge_chain(tmp_path, contents)
            there = remote(
                tmp_path, bucket=f"bucket-{abs(hash(request.node.nodeid))}", host="127.0.0.1",
                port=str(bucket_server), protocol="http", requeststyle="path", fileprefix="my +pieces/",
            )  # fmt: skip
            files = {p.name: p.read_bytes() for p in tmp_path.glob("*.car")}
            # So many that the server lists them in two answers.
            fill_bucket(
                there, files | {f"{n:04}.txt": b"x" for n in range(1001)} if many else files
            )
            return open_store(there)

        many = request.node.name.startswith("test_content_comes_whole")
        return make


def test_a_place_is_of_the_data_set_whose_pieces_were_there_when_it_was_made(
    tmp_path: Path,
) -> None:
    forge_chain(tmp_path, CONTENTS)
    told: dict[str, str] = {}
    there = remote(tmp_path / "annex", directory=str(tmp_path))
    prepare(replace(there, on_config=told.__setitem__))
    assert told == {"dataset": "id"}
    other = remote(tmp_path / "annex", directory=str(tmp_path), dataset="another")
    with pytest.raises(HoldError, match="is of another archive"):
        prepare(other)


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"directory": "/a", "url": "http://b/"},
        {"url": "ftp://a/"},
        {"directory": "/a", "host": "b"},
        {"directory": "/a", "color": "red"},
    ],
)
def test_words_that_make_no_sense_are_refused(words: dict[str, str]) -> None:
    with pytest.raises(HoldError, match="cannot be"):
        plan_setup(words)


def test_content_that_is_read_from_the_middle_is_checked_too(tmp_path: Path) -> None:
    forge_chain(tmp_path, CONTENTS)
    key = key_of(BIG, b".dat")
    store = open_store(remote(tmp_path, directory=str(tmp_path)))
    [path] = [p for p in tmp_path.glob("*.car") if BIG in p.read_bytes()]
    at = path.read_bytes().index(BIG) + len(BIG) - 3
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"?")
    damaged = pytest.raises(HoldError, match="is damaged at byte 59")
    with damaged, store.open_content(key, 1000) as stream:
        list(stream.chunks)
    store.close()
