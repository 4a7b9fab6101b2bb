"""A data set's storage in a RIA store keeps the contract of `Store`, by each way to it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.abilities import Readable, Store
from holdfast.core.errors import AccessError, PlaceUnavailableError, PolicyError
from holdfast.core.key import Key, object_path, object_path_lower
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.core.policy import Waiver
from holdfast.stores import ora
from holdfast.stores.http import HttpClient
from holdfast.stores.http_connection import Limits
from holdfast.stores.ora_http import OraHttp
from holdfast.stores.ora_sftp import OraSftp
from holdfast.stores.ora_store import BulkOraStore, OraStore
from holdfast.stores.special import SpecialRemote
from holdfast.testing import lying_sftp
from holdfast.testing.lying_server import LyingServer
from holdfast.testing.store_contract import (
    BIG,
    CONTENTS,
    MISSING,
    SMALL,
    OpenStore,
    ReadableContract,
    StoreContract,
    content_of,
    ignore,
    key_of,
)

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000003"), "far")
IDENTITY = "73d09ccb-8101-4f35-8cea-6a7512955e95"
DATASET = f"{IDENTITY[:3]}/{IDENTITY[3:]}"
SFTP_SERVER = shutil.which(
    "sftp-server", path="/usr/lib/openssh:/usr/libexec/openssh:/usr/libexec:/usr/lib/ssh"
)
LAYOUTS: dict[str, Callable[[Key], bytes]] = {"1": object_path_lower, "2": object_path}


class NoNotes:
    """A ledger in which nothing is noted of keys."""

    def read(self, log: Any, keys: Any) -> dict[Key, bytes]:
        return {}

    def edit(self, log: Any, key: Key, edit: Any) -> None:
        raise AssertionError("nothing is to be noted")


def make_store(
    folder: Path, contents: Mapping[Key, bytes], *, version: str = "2", store: str = "1\n"
) -> Path:
    """A store as DataLad makes it, with a data set in it that has these contents."""
    dataset = folder / DATASET
    (dataset / "annex/objects").mkdir(parents=True)
    (folder / "ria-layout-version").write_text(store)
    (dataset / "ria-layout-version").write_text(f"{version}\n")
    for key, data in contents.items():
        path = dataset / "annex/objects" / os.fsdecode(LAYOUTS.get(version, object_path)(key))
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    return dataset


def remote(
    url: str, local: Mapping[str, str] | None = None, settings: Mapping[str, str] | None = None
) -> SpecialRemote:
    config = {"type": "external", "externaltype": "ora", "url": url, "archive-id": IDENTITY}
    known = {"annex.uuid": "here", **(settings or {})}
    return SpecialRemote(PLACE, config, local or {}, b"/nowhere", NoNotes(), settings=known.get)


def opened(folder: Path, **settings: str) -> Store:
    return ora.open_store(remote(f"ria+file://{folder}", settings=settings))  # type: ignore[return-value]


def archive_in(dataset: Path, contents: Mapping[Key, bytes], *options: str) -> None:
    """An archive as `datalad export-archive-ora` makes it."""
    if shutil.which("7z") is None:
        pytest.skip("7z is not installed (package p7zip-full or 7zip)")
    tree = dataset.parent / "tree"
    for key, data in contents.items():
        path = tree / os.fsdecode(object_path(key))
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    (dataset / "archives").mkdir(exist_ok=True)
    target = dataset / "archives/archive.7z"
    words = ["7z", "a", *(options or ("-mx0",)), str(target), "."]
    subprocess.run(words, cwd=tree, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)


@pytest.fixture(autouse=True)
def without_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.stores.ora_folder.sync_file_system", lambda path: None)


class TestOraHere(StoreContract):
    version = "2"

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> Readable:
            make_store(tmp_path / "store", contents, version=self.version)
            return opened(tmp_path / "store")

        return make


class TestOraHereInTheOldLayout(TestOraHere):
    version = "1"


class TestOraHereWithAnArchive(StoreContract):
    """What is asked for is in the archive; what is sent becomes a file."""

    options: tuple[str, ...] = ("-mx0",)

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> Readable:
            dataset = make_store(tmp_path / "store", {})
            archive_in(dataset, contents or {MISSING: b"another content"}, *self.options)
            return opened(tmp_path / "store")

        return make

    def test_the_tests_of_an_empty_store_have_an_archive_too(self, open_store: OpenStore) -> None:
        assert not hasattr(open_store({}), "content_path")


class TestOraHereWithACompressedArchive(ReadableContract):
    options = ("-mx5",)
    open_store = TestOraHereWithAnArchive.open_store


class TestOraHereWithAnArchiveOfSingleBlocks(ReadableContract):
    options = ("-m0=LZMA", "-ms=off", "-mhc=off")
    open_store = TestOraHereWithAnArchive.open_store


class SftpStore(StoreContract):
    """A store behind an SFTP server."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def fill(self, folder: Path, contents: Mapping[Key, bytes]) -> None:
        make_store(folder, contents)

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        made: list[OraStore] = []

        def make(contents: Mapping[Key, bytes]) -> Readable:
            self.fill(tmp_path / "store", contents)
            files = OraSftp(
                PLACE,
                self.command(),
                str(tmp_path / "store"),
                IDENTITY,
                here="here",
                cost=175.0,
                runs=bytes(tmp_path / "runs"),
            )
            made.append(BulkOraStore(files))
            return made[-1]

        yield make
        for store in made:
            store.close()


@pytest.mark.interop
@pytest.mark.skipif(SFTP_SERVER is None, reason="OpenSSH's sftp-server is not installed")
class TestOraBySftpOfOpenSsh(SftpStore):
    def command(self) -> list[str]:
        return [SFTP_SERVER or ""]

    def test_nothing_is_left_of_files_on_their_way(self, empty: Store, tmp_path: Path) -> None:
        self.test_many_are_sent_each_with_its_answer(empty)
        assert list((tmp_path / "store" / DATASET).glob("ora-remote-*/transfer/*")) == []


@pytest.mark.interop
@pytest.mark.skipif(SFTP_SERVER is None, reason="OpenSSH's sftp-server is not installed")
class TestOraArchiveBySftp(ReadableContract):
    open_store = SftpStore.open_store

    def command(self) -> list[str]:
        return [SFTP_SERVER or ""]

    def fill(self, folder: Path, contents: Mapping[Key, bytes]) -> None:
        archive_in(make_store(folder, {}), contents)


class TestOraBySftpOutOfOrder(ReadableContract):
    open_store = SftpStore.open_store
    fill = SftpStore.fill

    def command(self) -> list[str]:
        return lying_sftp.command(lying_sftp.Lie.BACKWARDS)


class HttpStore(ReadableContract):
    archived = False

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        servers: list[LyingServer] = []

        def make(contents: Mapping[Key, bytes]) -> Readable:
            dataset = make_store(tmp_path / "s", {} if self.archived else contents)
            if self.archived:
                archive_in(dataset, contents)
            files = {
                str(path.relative_to(tmp_path)): path.read_bytes()
                for path in (tmp_path / "s").rglob("*")
                if path.is_file()
            }
            servers.append(LyingServer(files).__enter__())
            limits = Limits(connect_s=2, stall_s=2, tries_max=1)
            client = HttpClient(allowed_addresses="all", proxies={}, limits=limits)
            url = f"{servers[-1].url}/s"
            return OraStore(OraHttp(PLACE, url, IDENTITY, cost=200.0, client=client))

        yield make
        for server in servers:
            server.__exit__(None, None, None)


class TestOraByHttp(HttpStore):
    def test_a_web_server_takes_nothing(self, store: Store) -> None:
        key = key_of(SMALL, b".txt")
        with pytest.raises(AccessError, match="can only be read"):
            store.send(key, content_of(key, SMALL), ignore)
        with pytest.raises(AccessError, match="can only be read"):
            store.remove(key, Waiver(key, PLACE.id, "a test", "it is one"))


class TestOraArchiveByHttp(HttpStore):
    archived = True


# what only a RIA store has


def test_a_store_that_is_not_mounted_is_unknown_not_empty(tmp_path: Path) -> None:
    store = opened(tmp_path / "gone")
    assert store.ask([MISSING])[0].presence is Presence.UNKNOWN
    with pytest.raises(PlaceUnavailableError), store.open_content(MISSING):
        pass
    with pytest.raises(PlaceUnavailableError):
        store.send(MISSING, content_of(MISSING, b"nobody has this"), ignore)
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("versions", [("2", "7\n"), ("3", "1\n")])
def test_an_unknown_layout_is_read_and_not_written(
    tmp_path: Path, versions: tuple[str, str]
) -> None:
    objects, of_store = versions
    make_store(tmp_path / "store", CONTENTS, version=objects, store=of_store)
    store = opened(tmp_path / "store")
    assert store.ask([key_of(BIG, b".dat")])[0].presence is Presence.PRESENT
    with pytest.raises(AccessError, match="can only be read"):
        store.send(MISSING, content_of(MISSING, b"nobody has this"), ignore)
    with pytest.raises(AccessError, match="can only be read"):
        store.remove(key_of(BIG, b".dat"), Waiver(key_of(BIG, b".dat"), PLACE.id, "", ""))


def test_somebody_may_force_writing_to_an_unknown_layout(tmp_path: Path) -> None:
    make_store(tmp_path / "store", {}, store="7\n")
    store = opened(tmp_path / "store", **{"annex.ora-remote.far.force-write": "true"})
    store.send(MISSING, content_of(MISSING, b"nobody has this"), ignore)
    assert store.ask([MISSING])[0].presence is Presence.PRESENT


def test_flags_of_a_layout_are_no_other_layout(tmp_path: Path) -> None:
    make_store(tmp_path / "store", {}, store="1|l\n")
    opened(tmp_path / "store").send(MISSING, content_of(MISSING, b"nobody has this"), ignore)


def test_what_is_in_the_archive_is_not_said_to_be_removed(tmp_path: Path) -> None:
    dataset = make_store(tmp_path / "store", CONTENTS)
    archive_in(dataset, CONTENTS)
    store, key = opened(tmp_path / "store"), key_of(SMALL, b".txt")
    with pytest.raises(PolicyError, match="stays in far"):
        store.remove(key, Waiver(key, PLACE.id, "a test", "it is one"))
    assert store.ask([key])[0].presence is Presence.PRESENT


def test_a_damaged_archive_is_unknown_not_empty(tmp_path: Path) -> None:
    dataset = make_store(tmp_path / "store", {})
    archive_in(dataset, CONTENTS)
    archive = dataset / "archives/archive.7z"
    archive.write_bytes(archive.read_bytes()[:-20])
    store = opened(tmp_path / "store")
    assert store.ask([key_of(BIG, b".dat")])[0].presence is Presence.UNKNOWN


def test_a_push_url_takes_what_the_url_cannot(tmp_path: Path) -> None:
    make_store(tmp_path / "store", {})
    with LyingServer({}) as server:
        where = remote(
            f"ria+{server.url}",
            {"ora-url": f"ria+{server.url}", "ora-push-url": f"ria+file://{tmp_path}/store"},
        )
        store = ora.open_store(where)
        store.send(MISSING, content_of(MISSING, b"nobody has this"), ignore)  # type: ignore[attr-defined]
        store.close()
    assert opened(tmp_path / "store").ask([MISSING])[0].presence is Presence.PRESENT


def test_what_a_killed_run_left_is_gone_after_the_next(tmp_path: Path) -> None:
    dataset = make_store(tmp_path / "store", {})
    left = dataset / "ora-remote-here/transfer/hold-0123456789abcdef"
    left.mkdir(parents=True)
    (left / "1").write_bytes(b"half")
    opened(tmp_path / "store").send(MISSING, content_of(MISSING, b"nobody has this"), ignore)
    assert list(left.parent.iterdir()) == []
