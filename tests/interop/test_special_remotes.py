"""Chunks, encryption and S3 in both directions: git-annex stores and we read, we store and it reads.

Places in folders are served by the testing store where there is no kind of ours for them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from conftest import Tools

from holdfast.api.datasets import Dataset, open_dataset
from holdfast.api.get import iter_get
from holdfast.api.special import open_special
from holdfast.api.special_setup import set_up_special
from holdfast.core.abilities import BulkSendable
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.core.policy import Waiver
from holdfast.dataset.annexed import iter_annexed
from holdfast.dataset.ledger_write import set_locations
from holdfast.stores.special import Setup
from holdfast.testing.folder_store import FolderStore
from holdfast.testing.store_contract import ignore
from holdfast.transfer.outgoing import LocalContent

pytestmark = pytest.mark.interop

BIG = bytes(range(251)) * 4000
FILES = {"big.dat": BIG, "small.txt": b"one line\n", "empty": b"", "sub/ü &%.x": b"odd"}
USER, SECRET = "AKIAOFATESTABCDEF", "secret/of+a/test"
SCHEMES = ("none", "shared", "hybrid", "pubkey", "sharedpubkey")


@pytest.fixture(autouse=True)
def _directory_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("holdfast.stores.directory") is not None:
        return
    kind = ModuleType("holdfast.stores.directory")
    kind.open_store = lambda remote: FolderStore(  # type: ignore[attr-defined]
        remote.place, remote.local["annex-directory"]
    )
    kind.plan_setup = lambda given: Setup(  # type: ignore[attr-defined]
        {}, {"annex-directory": given["directory"]}
    )
    kind.prepare = lambda remote: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "holdfast.stores.directory", kind)


@pytest.fixture(scope="module")
def keyring() -> Iterator[Path]:
    """A home for gpg with one key, which has no passphrase."""
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    # Its sockets are in it, and their names must be short.
    home = Path(tempfile.mkdtemp(prefix="g-", dir="/tmp"))
    environment = {**os.environ, "GNUPGHOME": str(home)}
    words = ["--batch", "--passphrase", "", "--quick-gen-key", "ada@example.org", "default"]
    subprocess.run(
        ["gpg", "--quiet", *words, "default", "never"], env=environment, check=True,
        capture_output=True,
    )  # fmt: skip
    yield home
    subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=False)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def s3_port() -> Iterator[int]:
    program = Path(sys.executable).with_name("moto_server")
    found = str(program) if program.exists() else shutil.which("moto_server")
    if found is None:
        pytest.skip("moto_server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [found, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(200):
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield port
    process.kill()
    process.wait()


@pytest.fixture
def secrets(keyring: Path, tools: Tools, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """gpg's home and the keys of S3 in the environment, ours and git-annex's."""
    secret = {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": SECRET}
    for name, value in {**tools.environment, **secret, "GNUPGHOME": str(keyring)}.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setitem(tools.environment, name, value)
    yield


@pytest.fixture
def folder(tools: Tools, bench: Path, secrets: None) -> Path:
    made = tools.create("annex", bench / "data")
    tools.git(made, "config", "annex.security.allowed-ip-addresses", "all")
    # Otherwise gpg hashes a secret for a quarter of a second, each time.
    tools.git(made, "config", "annex.gnupg-options", "--s2k-count 65536")
    tools.write(made, FILES)
    tools.save("annex", made)
    return made


def words_of_s3(port: int, bucket: str) -> list[str]:
    return [
        "type=S3", "host=127.0.0.1", f"port={port}", "protocol=http", "requeststyle=path",
        f"bucket={bucket}",
    ]  # fmt: skip


def words_of_folder(bench: Path, name: str) -> list[str]:
    (bench / name).mkdir()
    return ["type=directory", f"directory={bench / name}"]


def encryption(scheme: str) -> list[str]:
    by_key = [] if scheme in ("none", "shared") else ["keyid=ada@example.org"]
    return [f"encryption={scheme}", *by_key]


def mapping(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)


def keys_of(dataset: Dataset) -> list[Key]:
    return [file.key for file in iter_annexed(dataset.repository, []) if file.key is not None]


def place_of(dataset: Dataset, name: str) -> tuple[dict[str, str], Place]:
    settings = dataset.repository.config.sections("remote")[name]
    return settings, Place(PlaceId(settings["annex-uuid"]), name)


def send_all(dataset: Dataset, name: str) -> None:
    """What a copy to a special remote does."""
    settings, place = place_of(dataset, name)
    opened = open_special(dataset, settings, place)
    store = opened.store
    keys = keys_of(dataset)
    items = [(key, LocalContent(key, dataset.objects.path_of(key))) for key in keys]
    if isinstance(store, BulkSendable):
        assert dict(store.iter_send(iter(items), ignore)) == dict.fromkeys(keys)
    else:
        for key, content in items:
            store.send(key, content, ignore)  # type: ignore[attr-defined]
    opened.notes.finish()
    set_locations(dataset.repository, keys, place.id, present=True)
    assert [a.presence for a in store.ask(keys)] == [Presence.PRESENT] * len(keys)
    store.close()


def we_get_all(folder: Path, name: str) -> None:
    with open_dataset(folder) as dataset:
        done = list(iter_get(dataset, [], source=name))
    assert [o.status for o in done] == ["ok"] * len(FILES), done
    for path, content in FILES.items():
        assert (folder / path).read_bytes() == content


def drop_here(tools: Tools, folder: Path) -> None:
    tools.annex(folder, "drop", "-q", "--force", ".")


def git_annex_reads_all(tools: Tools, folder: Path, name: str) -> None:
    drop_here(tools, folder)
    tools.annex(folder, "get", "-q", "--from", name, ".")
    for path, content in FILES.items():
        assert (folder / path).read_bytes() == content
    told = tools.annex(folder, "fsck", "--from", name, ".").all_text
    assert "failed" not in told and "fixing" not in told


@pytest.mark.parametrize("chunk", [[], ["chunk=300kB"]], ids=["whole", "chunks"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_we_read_what_git_annex_stored(
    tools: Tools, folder: Path, bench: Path, scheme: str, chunk: list[str]
) -> None:
    words = [*words_of_folder(bench, "place"), *encryption(scheme), *chunk]
    tools.annex(folder, "initremote", "-q", "place", *words)
    tools.annex(folder, "copy", "-q", "--to", "place", ".")
    drop_here(tools, folder)
    we_get_all(folder, "place")


@pytest.mark.parametrize("chunk", [[], ["chunk=300kB"]], ids=["whole", "chunks"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_git_annex_reads_and_removes_what_we_stored_where_we_set_it_up(
    tools: Tools, folder: Path, bench: Path, scheme: str, chunk: list[str]
) -> None:
    words = [*words_of_folder(bench, "place"), *encryption(scheme), *chunk, "mac=HMACSHA256"]
    with open_dataset(folder) as dataset:
        made = set_up_special(dataset, "place", mapping(words))
        assert made.approved and "cipher" not in made.config
        send_all(dataset, "place")
    git_annex_reads_all(tools, folder, "place")
    tools.annex(folder, "drop", "-q", "--from", "place", ".")
    left = [path for path in (bench / "place").rglob("*") if path.is_file()]
    assert left == []


@pytest.mark.parametrize(
    "more",
    [["encryption=none"], ["encryption=none", "fileprefix=a/b/"], ["encryption=shared", "chunk=300kB"]],
    ids=["plain", "prefix", "shared"],
)  # fmt: skip
def test_buckets_are_read_and_written_by_both(
    tools: Tools, folder: Path, s3_port: int, more: list[str], request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id
    words = [*words_of_s3(s3_port, f"theirs-{name}"), *more]
    tools.annex(folder, "initremote", "-q", "theirs", *words)
    tools.annex(folder, "copy", "-q", "--to", "theirs", ".")
    drop_here(tools, folder)
    we_get_all(folder, "theirs")
    with open_dataset(folder) as dataset:
        set_up_special(dataset, "ours", mapping([*words_of_s3(s3_port, f"ours-{name}"), *more]))
        send_all(dataset, "ours")
    git_annex_reads_all(tools, folder, "ours")
    with open_dataset(folder) as dataset:
        settings, place = place_of(dataset, "theirs")
        opened = open_special(dataset, settings, place)
        [key] = [key for key in keys_of(dataset) if key.size == len(BIG)]
        opened.store.remove(key, Waiver(key, place.id, "a test", "it is one"))  # type: ignore[attr-defined]
        opened.notes.finish()
        assert opened.store.ask([key])[0].presence is Presence.ABSENT
        opened.store.close()
    assert b"failed" not in tools.annex(folder, "fsck", "--from", "theirs", "small.txt").output
