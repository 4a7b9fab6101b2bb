"""Chunks, encryption and S3 in both directions: git-annex stores and we read, we store and it reads.

Places in folders are served by the testing store where there is no kind of ours for them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from holdfast.api.datasets import Dataset, open_dataset
from holdfast.api.get import iter_get
from holdfast.api.special import config_of, open_special
from holdfast.api.special_setup import approve_special, enable_special, set_up_special
from holdfast.core.abilities import BulkSendable
from holdfast.core.errors import AccessError, ConflictError, PolicyError
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.core.policy import Waiver
from holdfast.dataset.annexed import iter_annexed
from holdfast.dataset.ledger_write import now, record, set_locations
from holdfast.stores.special import Setup
from holdfast.testing.folder_store import FolderStore
from holdfast.testing.store_contract import ignore
from holdfast.transfer.outgoing import LocalContent
from holdfast.wire import logs
from holdfast.wire.branch_paths import REMOTE_LOG

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

BIG = bytes(range(251)) * 4000
FILES = {"big.dat": BIG, "small.txt": b"one line\n", "empty": b"", "sub/ü &%.x": b"odd"}
USER, SECRET = "AKIAOFATESTABCDEF", "secret/of+a/test"
CHUNKS = ["chunk=300kB"]
WAYS = [
    pytest.param("none", CHUNKS, id="chunks"),
    pytest.param("shared", CHUNKS, id="shared, chunks"),
    pytest.param("hybrid", CHUNKS, id="hybrid, chunks"),
    pytest.param("pubkey", [], id="pubkey"),
    pytest.param("sharedpubkey", CHUNKS, id="sharedpubkey, chunks"),
]


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


@pytest.mark.parametrize(("scheme", "chunk"), WAYS)
def test_we_read_what_git_annex_stored_and_store_beside_it(
    tools: Tools, folder: Path, bench: Path, scheme: str, chunk: list[str]
) -> None:
    words = [*words_of_folder(bench, "place"), *encryption(scheme), *chunk]
    tools.annex(folder, "initremote", "-q", "place", *words)
    tools.annex(folder, "copy", "-q", "--to", "place", ".")
    drop_here(tools, folder)
    we_get_all(folder, "place")
    tools.annex(folder, "drop", "-q", "--from", "place", ".")
    with open_dataset(folder) as dataset:
        send_all(dataset, "place")
    git_annex_reads_all(tools, folder, "place")


@pytest.mark.parametrize(("scheme", "chunk"), WAYS)
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
    [["encryption=none", "fileprefix=a/b/"], ["encryption=shared", "chunk=300kB"]],
    ids=["plain", "shared"],
)
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


def test_a_bucket_of_another_place_is_refused(tools: Tools, folder: Path, s3_port: int) -> None:
    words = [*words_of_s3(s3_port, "taken"), "encryption=none"]
    tools.annex(folder, "initremote", "-q", "theirs", *words)
    with open_dataset(folder) as dataset:
        with pytest.raises(ConflictError):
            set_up_special(dataset, "ours", mapping(words))
        assert "ours" not in dataset.repository.config.sections("remote")
    assert "name=ours" not in tools.git(folder, "show", "git-annex:remote.log").text


@pytest.mark.parametrize("scheme", ["none", "hybrid"])
def test_embedded_credentials_serve_a_clone_that_has_no_others(
    tools: Tools,
    folder: Path,
    bench: Path,
    s3_port: int,
    scheme: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    more = [*encryption(scheme), "embedcreds=yes"]
    tools.annex(
        folder, "initremote", "-q", "theirs", *words_of_s3(s3_port, f"creds-{scheme}"), *more
    )
    tools.annex(folder, "copy", "-q", "--to", "theirs", ".")
    with open_dataset(folder) as dataset:
        set_up_special(dataset, "ours", mapping([*words_of_s3(s3_port, f"mine-{scheme}"), *more]))
        send_all(dataset, "ours")
    tools.git(bench, "clone", "-q", folder, "clone")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
        monkeypatch.delitem(tools.environment, name)
    clone = bench / "clone"
    tools.git(clone, "config", "annex.security.allowed-ip-addresses", "all")
    with open_dataset(clone) as dataset:
        shown = enable_special(dataset, "theirs", {}).config
        approve_special(dataset, "theirs", shown)
    we_get_all(clone, "theirs")
    tools.annex(clone, "drop", "-q", "--force", ".")
    tools.annex(clone, "enableremote", "-q", "ours")
    tools.git(clone, "config", "remote.ours.annex-verified", "verified")
    tools.annex(clone, "get", "-q", "--from", "ours", ".")


def test_without_credentials_a_bucket_says_which_it_wants(
    tools: Tools, folder: Path, s3_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_dataset(folder) as dataset:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        words = [*words_of_s3(s3_port, "nobodys"), "encryption=none"]
        with pytest.raises(AccessError) as found:
            set_up_special(dataset, "ours", mapping(words))
        assert "AWS_ACCESS_KEY_ID" in found.value.hint


def test_credentials_are_kept_in_this_clone_for_its_owner_alone(
    tools: Tools, folder: Path, s3_port: int
) -> None:
    with open_dataset(folder) as dataset:
        words = [*words_of_s3(s3_port, "kept"), "encryption=shared"]
        place = set_up_special(dataset, "ours", mapping(words)).place
    kept = folder / ".git/annex/creds" / place.id
    assert kept.read_text() == f"{USER}\n{SECRET}\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    everything = tools.git(folder, "grep", "-c", SECRET, "git-annex", exits=None)
    assert everything.output == b""
    assert SECRET not in (folder / ".git/config").read_text()


def test_what_we_set_up_is_written_down_as_git_annex_would(
    tools: Tools, folder: Path, bench: Path
) -> None:
    shared = ["encryption=none", "chunk=1MiB", "autoenable=true"]
    tools.annex(folder, "initremote", "-q", "theirs", *words_of_folder(bench, "a"), *shared)
    with open_dataset(folder) as dataset:
        set_up_special(dataset, "ours", mapping([*words_of_folder(bench, "b"), *shared]))
        also = {"type": "directory", "directory": str(bench / "b"), "sameas": "ours"}
        set_up_special(dataset, "also", also)
    lines = {}
    for line in tools.git(folder, "show", "git-annex:remote.log").text.splitlines():
        uuid, _, rest = line.partition(" ")
        words = rest.rpartition(" timestamp=")[0].split(" ")
        lines[next(w for w in words if "name=" in w)] = (uuid, set(words))
    assert lines["name=ours"][1] ^ lines["name=theirs"][1] == {"name=ours", "name=theirs"}
    ours = lines["name=ours"][0]
    assert lines["sameas-name=also"][1] == {
        "sameas-name=also", f"sameas-uuid={ours}", "type=directory",
    }  # fmt: skip
    log = (folder / ".git/annex/verified-remote.log").read_text()
    assert {line.split(" ")[0] for line in log.splitlines()} == {
        found[0] for found in lines.values()
    }
    assert tools.annex(folder, "info", "also").code == 0
    tools.annex(folder, "copy", "-q", "--to", "also", "small.txt")
    assert "ours" in tools.git(folder, "show", "git-annex:uuid.log").text
    assert "also" not in tools.git(folder, "show", "git-annex:uuid.log").text


def test_a_private_place_is_told_to_nobody(tools: Tools, folder: Path, bench: Path) -> None:
    words = [*words_of_folder(bench, "place"), "encryption=shared", "private=true"]
    before = tools.git(folder, "rev-parse", "git-annex").text
    with open_dataset(folder) as dataset:
        set_up_special(dataset, "ours", mapping(words))
    assert tools.git(folder, "rev-parse", "git-annex").text == before
    tools.annex(folder, "copy", "-q", "--to", "ours", "small.txt")
    tools.annex(folder, "fsck", "-q", "--from", "ours", "small.txt")


def test_what_somebody_else_set_up_is_used_only_once_it_was_approved(
    tools: Tools, folder: Path, bench: Path
) -> None:
    words = [*words_of_folder(bench, "place"), "encryption=none"]
    tools.annex(folder, "initremote", "-q", "place", *words)
    tools.annex(folder, "copy", "-q", "--to", "place", ".")
    tools.git(bench, "clone", "-q", folder, "clone")
    with open_dataset(bench / "clone") as dataset:
        found = enable_special(dataset, "place", {"directory": str(bench / "place")})
        assert not found.approved
        settings, place = place_of(dataset, "place")
        assert settings["annex-verified"] == "manual"
        with pytest.raises(PolicyError):
            open_special(dataset, settings, place)
        with pytest.raises(PolicyError):
            approve_special(dataset, "place", {**found.config, "chunk": "1MiB"})
        assert approve_special(dataset, "place", found.config).approved
    we_get_all(bench / "clone", "place")
    tools.annex(bench / "clone", "fsck", "-q", "--from", "place", ".")


def test_a_place_that_set_itself_up_is_read_but_nothing_is_sent_there(
    tools: Tools, folder: Path, bench: Path
) -> None:
    words = [*words_of_folder(bench, "place"), "encryption=none"]
    tools.annex(folder, "initremote", "-q", "place", *words)
    tools.annex(folder, "copy", "-q", "--to", "place", ".")
    tools.git(folder, "config", "remote.place.annex-verified", "automatic")
    drop_here(tools, folder)
    we_get_all(folder, "place")
    with open_dataset(folder) as dataset:
        settings, place = place_of(dataset, "place")
        store = open_special(dataset, settings, place).store
        key = keys_of(dataset)[0]
        content = LocalContent(key, dataset.objects.path_of(key))
        with pytest.raises(PolicyError):
            store.send(key, content, ignore)  # type: ignore[attr-defined]
        with pytest.raises(PolicyError):
            store.remove(key, Waiver(key, place.id, "a test", "it is one"))  # type: ignore[attr-defined]
        assert store.ask([key])[0].presence is Presence.PRESENT


def test_a_change_that_comes_through_the_ledger_is_not_believed(
    tools: Tools, folder: Path, bench: Path
) -> None:
    with open_dataset(folder) as dataset:
        words = [*words_of_folder(bench, "place"), "encryption=none", "chunk=300kB"]
        place = set_up_special(dataset, "ours", mapping(words)).place
    with open_dataset(folder) as dataset:
        changed = {"name": "ours", "type": "rsync", "rsyncurl": "evil.example.org:/"}
        record(
            dataset.repository,
            [(REMOTE_LOG, lambda old: logs.set_remote(old, place.id, changed, now()))],
        )
        dataset.forget()
        settings, _ = place_of(dataset, "ours")
        assert config_of(dataset, settings, place)["type"] == "directory"
        send_all(dataset, "ours")
    assert any((bench / "place").iterdir())


@pytest.mark.parametrize("versions", ["yes", "no"])
def test_an_export_is_read_with_credentials(
    tools: Tools, folder: Path, s3_port: int, versions: str
) -> None:
    more = ["exporttree=yes", f"versioning={versions}", "fileprefix=top/"]
    words = [*words_of_s3(s3_port, f"versions-{versions}"), *more]
    tools.annex(folder, "initremote", "-q", "theirs", *words, "encryption=none")
    tools.annex(folder, "export", "-q", "main", "--to", "theirs")
    drop_here(tools, folder)
    we_get_all(folder, "theirs")
    with open_dataset(folder) as dataset:
        settings, place = place_of(dataset, "theirs")
        store = open_special(dataset, settings, place).store
        key = keys_of(dataset)[0]
        with pytest.raises(PolicyError):
            store.remove(key, Waiver(key, place.id, "a test", "it is one"))  # type: ignore[attr-defined]
