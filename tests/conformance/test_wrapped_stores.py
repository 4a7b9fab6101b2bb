"""Places behind chunks and encryption keep the promises of places."""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

import pytest

from holdfast.core.abilities import Store
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId
from holdfast.stores.chunked import Chunked
from holdfast.stores.cipher import Cipher, Sealer
from holdfast.stores.encrypted import Encrypted
from holdfast.stores.gpg import Gpg
from holdfast.stores.special import Edit, LogOf
from holdfast.testing.folder_store import FolderStore
from holdfast.testing.store_contract import OpenStore, StoreContract, content_of, ignore

PLACE = Place(PlaceId("11111111-1111-4111-8111-111111111111"), "wrapped")
SECRET = b64encode(bytes(range(256)) * 2) + b"\n"
SHARED = Cipher("shared", SECRET, (), "HMACSHA256")
CHUNK = 300_000


class Notes:
    """Logs of keys, in memory."""

    def __init__(self) -> None:
        self.logs: dict[bytes, bytes] = {}

    def read(self, log: LogOf, keys: list[Key]) -> dict[Key, bytes]:
        return {key: self.logs[log(key)] for key in keys if log(key) in self.logs}

    def edit(self, log: LogOf, key: Key, edit: Edit) -> None:
        self.logs[log(key)] = edit(self.logs.get(log(key), b""))


def filled(store: Store, contents: Mapping[Key, bytes]) -> Store:
    for key, data in contents.items():
        store.send(key, content_of(key, data), ignore)
    return store


class TestChunked(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        notes = Notes()
        return lambda contents: filled(
            Chunked(FolderStore(PLACE, str(tmp_path)), notes, CHUNK), contents
        )


class TestUnchunkedAgain(StoreContract):
    """Contents were sent in chunks, what comes now goes whole."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        notes = Notes()

        def make(contents: Mapping[Key, bytes]) -> Store:
            folder = FolderStore(PLACE, str(tmp_path))
            filled(Chunked(folder, notes, CHUNK), contents)
            return Chunked(folder, notes, None)

        return make


class TestEncrypted(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        pytest.importorskip("cryptography", reason="the package cryptography is not installed")
        return lambda contents: filled(encrypted(FolderStore(PLACE, str(tmp_path))), contents)


class TestEncryptedInChunks(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        pytest.importorskip("cryptography", reason="the package cryptography is not installed")
        notes = Notes()
        inner = encrypted(FolderStore(PLACE, str(tmp_path)))
        return lambda contents: filled(Chunked(inner, notes, CHUNK), contents)


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
class TestEncryptedByGpg(StoreContract):
    """As where the package cryptography is not installed."""

    @pytest.fixture
    def open_store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenStore:
        monkeypatch.setenv("GNUPGHOME", str(tmp_path / "gpg"))
        (tmp_path / "gpg").mkdir(mode=0o700)
        monkeypatch.setattr("holdfast.stores.cipher._aes", lambda: None)
        return lambda contents: filled(encrypted(FolderStore(PLACE, str(tmp_path))), contents)


def encrypted(inner: Store) -> Encrypted:
    return Encrypted(inner, lambda: Sealer("wrapped", SHARED, Gpg("wrapped")))
