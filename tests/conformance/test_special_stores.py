"""Kinds of special remotes that can be written to keep the contract of `Store`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.abilities import Readable, Store
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores import directory, rclone, rsync, webdav
from holdfast.stores.special import SpecialRemote
from holdfast.testing.rclone_server import PASSWORD, USER, WebDavServer, find_rclone
from holdfast.testing.store_contract import OpenStore, StoreContract, content_of, ignore, key_of

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000002"), "there")


class NoNotes:
    """A ledger in which nothing is noted of keys."""

    def read(self, log: Any, keys: Any) -> dict[Key, bytes]:
        return {}

    def edit(self, log: Any, key: Key, edit: Any) -> None:
        raise AssertionError("nothing is to be noted")


def remote(
    tmp_path: Path, config: Mapping[str, str], local: Mapping[str, str], **more: Any
) -> SpecialRemote:
    annex = tmp_path / "annex"
    annex.mkdir(exist_ok=True)
    return SpecialRemote(PLACE, config, local, bytes(annex), NoNotes(), **more)


def filled(store: Store, contents: Mapping[Key, bytes]) -> Readable:
    for key, data in contents.items():
        store.send(key, content_of(key, data), ignore)
    return store


class TestDirectory(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        where = remote(tmp_path, {}, {"annex-directory": str(tmp_path / "drive")})
        directory.prepare(where)
        return lambda contents: filled(directory.open_store(where), contents)


@pytest.fixture(scope="module")
def dav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDavServer]:
    if find_rclone() is None:
        pytest.skip("rclone, which serves WebDAV here, is neither beside python nor on PATH")
    with WebDavServer(tmp_path_factory.mktemp("dav")) as server:
        yield server


class TestWebDav(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path, dav: WebDavServer) -> OpenStore:
        url = f"{dav.url}/{tmp_path.name}/data set"
        config = {"url": url.replace(" ", "%20")}
        where = remote(tmp_path, config, {}, credentials=lambda: (USER, PASSWORD))
        webdav.prepare(where)
        return lambda contents: filled(webdav.open_store(where), contents)


class TestRsync(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        if shutil.which("rsync") is None:
            pytest.skip("rsync is not on PATH")
        where = remote(tmp_path, {"rsyncurl": f"{tmp_path}/far/data set"}, {})
        rsync.prepare(where)
        return lambda contents: filled(rsync.open_store(where), contents)


class TestRclone(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenStore]:
        program = find_rclone()
        if program is None:
            pytest.skip("rclone is neither beside python nor on PATH")
        monkeypatch.setenv("PATH", str(Path(program).parent), prepend=":")
        settings = tmp_path / "rclone.conf"
        settings.write_text(f"[far]\ntype = alias\nremote = {tmp_path}/far\n")
        monkeypatch.setenv("RCLONE_CONFIG", str(settings))
        where = remote(tmp_path, {"rcloneremotename": "far", "rclonelayout": "lower"}, {})
        rclone.prepare(where)
        opened = []

        def make(contents: Mapping[Key, bytes]) -> Readable:
            opened.append(rclone.open_store(where))
            return filled(opened[-1], contents)

        yield make
        for store in opened:
            store.close()


@pytest.mark.parametrize("kind", ["directory", "rsync", "webdav", "rclone"])
def test_a_chunk_has_the_size_of_the_chunk(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = find_rclone()
    if kind == "directory":
        store: Store = directory.open_store(
            remote(tmp_path, {}, {"annex-directory": str(tmp_path)})
        )
    elif kind == "rsync":
        if shutil.which("rsync") is None:
            pytest.skip("rsync is not on PATH")
        store = rsync.open_store(remote(tmp_path, {"rsyncurl": f"{tmp_path}/far"}, {}))
    elif kind == "webdav":
        server: WebDavServer = request.getfixturevalue("dav")
        where = remote(
            tmp_path, {"url": f"{server.url}/chunks"}, {}, credentials=lambda: (USER, PASSWORD)
        )
        webdav.prepare(where)
        store = webdav.open_store(where)
    else:
        if program is None:
            pytest.skip("rclone is neither beside python nor on PATH")
        monkeypatch.setenv("PATH", str(Path(program).parent), prepend=":")
        monkeypatch.setenv("RCLONE_CONFIG_FAR_TYPE", "alias")
        monkeypatch.setenv("RCLONE_CONFIG_FAR_REMOTE", str(tmp_path))
        store = rclone.open_store(remote(tmp_path, {"rcloneremotename": "far"}, {}))
    whole = key_of(b"0123456789")
    first, last = (Key(whole.replace(b"--", b"-S6-C%d--" % n, 1)) for n in (1, 2))
    for key, data in ((first, b"012345"), (last, b"6789")):
        store.send(key, _Given(tmp_path, data), ignore)
        with store.open_content(key) as stream:
            assert b"".join(stream.chunks) == data
    assert [a.presence for a in store.ask([first, last])] == [Presence.PRESENT] * 2
    store.close()


class _Given:
    """Content that nobody checks, as a part of some is."""

    def __init__(self, folder: Path, data: bytes) -> None:
        self.size = len(data)
        self._data = data
        self._file = folder / f"given-{len(data)}"

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        yield self._data[offset:]

    def path(self) -> bytes:
        self._file.write_bytes(self._data)
        return bytes(self._file)
