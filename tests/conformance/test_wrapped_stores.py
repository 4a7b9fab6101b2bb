"""Places behind chunks and encryption keep the promises of places."""

from __future__ import annotations

import shutil
import subprocess
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

import pytest

from holdfast.core import faults
from holdfast.core.abilities import Content, OnBytes, Store
from holdfast.core.errors import IntegrityError, PlaceUnavailableError
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.core.policy import Waiver
from holdfast.stores.chunked import Chunked
from holdfast.stores.cipher import Cipher, Sealer
from holdfast.stores.encrypted import Encrypted, Sealed
from holdfast.stores.gpg import Gpg
from holdfast.stores.special import Edit, LogOf
from holdfast.testing.folder_store import FolderStore
from holdfast.testing.store_contract import (
    BIG,
    OpenStore,
    StoreContract,
    content_of,
    ignore,
    key_of,
)  # fmt: skip

PLACE = Place(PlaceId("11111111-1111-4111-8111-111111111111"), "wrapped")
SECRET = b64encode(bytes(range(256)) * 2) + b"\n"
SHARED = Cipher("shared", SECRET, (), "HMACSHA256")
CHUNK = 300_000
KEY = key_of(BIG)


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


class Counting(FolderStore):
    """Writes down what it was sent; it goes away after so many."""

    def __init__(self, folder: Path, most: int = 1000) -> None:
        super().__init__(PLACE, str(folder))
        self.sent: list[Key] = []
        self.most = most

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        if len(self.sent) >= self.most:
            raise faults.UNREACHABLE(place="there", detail="gone")
        super().send(key, content, progress)
        self.sent.append(key)


def test_chunks_that_an_earlier_try_brought_are_not_sent_again(tmp_path: Path) -> None:
    notes, told = Notes(), list[int]()
    broken = Counting(tmp_path, most=2)
    with pytest.raises(PlaceUnavailableError):
        Chunked(broken, notes, 100_000).send(KEY, content_of(KEY, BIG), ignore)
    assert Chunked(broken, notes, 100_000).ask([KEY])[0].presence is Presence.ABSENT
    again = Counting(tmp_path)
    Chunked(again, notes, 100_000).send(KEY, content_of(KEY, BIG), told.append)
    assert len(again.sent) == 11 - len(broken.sent)
    assert sum(told) == len(BIG)


def test_chunks_that_nobody_was_told_of_are_found(tmp_path: Path) -> None:
    Chunked(Counting(tmp_path), Notes(), 100_000).send(KEY, content_of(KEY, BIG), ignore)
    store = Chunked(Counting(tmp_path), Notes(), 100_000)
    assert store.ask([KEY])[0].presence is Presence.PRESENT
    with store.open_content(KEY, 250_000) as stream:
        assert b"".join(stream.chunks) == BIG[250_000:]


def test_no_chunk_of_damaged_content_goes(tmp_path: Path) -> None:
    inner = Counting(tmp_path)
    with pytest.raises(IntegrityError):
        Chunked(inner, Notes(), 100_000).send(KEY, content_of(KEY, BIG[:-1] + b"!"), ignore)
    assert inner.sent == []


def test_a_chunk_that_lacks_is_content_that_lacks(tmp_path: Path) -> None:
    inner, notes = Counting(tmp_path), Notes()
    store = Chunked(inner, notes, 100_000)
    store.send(KEY, content_of(KEY, BIG), ignore)
    lost = inner.sent[4]
    inner.remove(lost, Waiver(lost, PLACE.id, "a test", "it is one"))
    assert store.ask([KEY])[0].presence is Presence.ABSENT


@pytest.mark.parametrize("at", [5, 40, -1])
def test_encrypted_bytes_that_changed_are_told_of(tmp_path: Path, at: int) -> None:
    pytest.importorskip("cryptography", reason="the package cryptography is not installed")
    store = encrypted(FolderStore(PLACE, str(tmp_path)))
    store.send(KEY, content_of(KEY, BIG), ignore)
    [path] = [path for path in tmp_path.rglob("GPG*") if path.is_file()]
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError), store.open_content(KEY) as stream:
        list(stream.chunks)


def test_equal_content_is_sealed_to_equal_bytes_so_that_a_broken_transfer_goes_on() -> None:
    pytest.importorskip("cryptography", reason="the package cryptography is not installed")
    sealer = Sealer("wrapped", SHARED, Gpg("wrapped"))
    one, two = (Sealed(sealer, KEY, content_of(KEY, BIG), ignore) for _ in range(2))
    whole = b"".join(one.chunks())
    assert b"".join(two.chunks(1234)) == whole[1234:]
    assert one.size == len(whole)
    named_only = Key(b"WORM-s1024000-m1--big")
    random = {sealer.cipher.randomness_of(named_only).salt for _ in range(4)}
    assert len(random) == 4


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_gpg_is_told_secrets_by_a_pipe_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    start = subprocess.Popen

    def watch(words: list[str], **more: object) -> object:
        called.extend((words, more))
        return start(words, **more)  # type: ignore[call-overload]

    monkeypatch.setattr("holdfast.stores.gpg.subprocess.Popen", watch)
    secret = SHARED.passphrase
    assert secret is not None
    sealed = b"".join(Gpg("wrapped").encrypt(secret, [BIG]))
    assert b"".join(Gpg("wrapped").decrypt([sealed], secret)) == BIG
    assert secret.decode() not in repr(called)
    assert "env" not in repr(called)
    assert secret.decode() not in repr(SHARED)


def encrypted(inner: Store) -> Encrypted:
    return Encrypted(inner, lambda: Sealer("wrapped", SHARED, Gpg("wrapped")))
