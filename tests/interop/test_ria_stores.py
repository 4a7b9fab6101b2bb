"""RIA stores with the real DataLad: what it made is read, what we made it reads, over file and ssh."""

from __future__ import annotations

import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.api.datasets import open_dataset
from holdfast.api.sources import open_sources
from holdfast.core.abilities import Store
from holdfast.core.key import Key
from holdfast.core.place import Presence
from holdfast.core.policy import Waiver
from holdfast.dataset.ledger_write import set_locations
from holdfast.transfer.outgoing import LocalContent

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("datalad") is None, reason="DataLad is not installed"),
]


class Quiet(SimpleHTTPRequestHandler):
    """A plain web server of files."""

    def log_message(self, *words: object) -> None:
        """Say nothing."""


FILES = {"big.dat": os.urandom(300_000), "sub/a b.txt": b"one\n", "sub/c.txt": b"two\n"}


@pytest.fixture(scope="module")
def source(tools: Tools, shelf: Path) -> Path:
    """A data set that DataLad pushed to a store that it made."""
    folder = tools.create("hold", shelf / "source")
    tools.write(folder, FILES)
    tools.save("hold", folder)
    url = f"ria+file://{shelf}/store"
    tools.datalad(
        folder, "create-sibling-ria", "-s", "st", "--new-store-ok", "--alias", "study", url
    )
    tools.datalad(folder, "push", "--to", "st")
    return folder


def identity_of(tools: Tools, folder: Path) -> str:
    told = tools.git(folder, "config", "-f", ".datalad/config", "datalad.dataset.id")
    return told.text.strip()


def settings(tools: Tools, folder: Path, name: str) -> dict[str, str]:
    told = tools.git(folder, "config", "--local", "--list").text.splitlines()
    start = f"remote.{name}."
    return dict(line.removeprefix(start).split("=", 1) for line in told if line.startswith(start))


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def send_all(folder: Path, storage: str, environment: dict[str, str]) -> list[Key]:
    """Send all content by our store, and tell the ledger."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with open_dataset(folder) as dataset, open_sources(dataset) as sources:
            store: Store = sources.only(storage).readers[0]  # type: ignore[assignment]
            paths = (folder / ".git/annex/objects").glob("*/*/*/*")
            keys = {Key.from_file_name(os.fsencode(p.name)): os.fsencode(p) for p in paths}
            for key, path in keys.items():
                store.send(key, LocalContent(key, path), lambda size: None)
            assert {answer.presence for answer in store.ask(list(keys))} == {Presence.PRESENT}
            set_locations(dataset.repository, keys, store.place.id, present=True)
        return list(keys)
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_what_datalad_pushed_to_a_store_is_cloned_and_got(
    tools: Tools, source: Path, bench: Path
) -> None:
    url = f"ria+file://{source.parent}/store"
    tools.hold(bench, "clone", f"{url}#~study", "mine")
    mine = bench / "mine"
    tools.hold(mine, "get")
    assert contents(mine) == FILES
    assert settings(tools, mine, "origin")["annex-ignore"] == "true"
    assert settings(tools, mine, "origin")["datalad-publish-depends"] == "st-storage"
    told = tools.git(mine, "config", "datalad.get.subdataset-source-candidate-200origin").text
    assert told == f"{url}#{{id}}\n"
    tools.fsck("annex", mine)
    branch = tools.git(source, "branch", "--show-current").text.strip()
    tools.hold(bench, "clone", f"{url}#{identity_of(tools, source)}@{branch}", "again")
    assert tools.git(bench / "again", "rev-parse", "HEAD").text == (
        tools.git(source, "rev-parse", "HEAD").text
    )


def test_a_store_that_has_moved_is_read_where_it_is_now(
    tools: Tools, source: Path, bench: Path
) -> None:
    tools.copy(source.parent / "store", bench / "moved")
    url = f"ria+file://{bench}/moved"
    tools.hold(bench, "clone", f"{url}#~study", "mine")
    assert settings(tools, bench / "mine", "st-storage")["ora-url"] == url
    objects = next((bench / "moved").glob("*/*/annex/objects"))
    assert len(list(objects.glob("*/*/*/*"))) == len(FILES)
    (source.parent / "store").rename(source.parent / "away")
    try:
        tools.hold(bench / "mine", "get", "--from", "st-storage")
    finally:
        (source.parent / "away").rename(source.parent / "store")
    assert contents(bench / "mine") == FILES


def test_a_store_on_a_web_server_is_cloned_and_read(
    tools: Tools, source: Path, bench: Path
) -> None:
    dataset = next((source.parent / "store").glob("*/*/annex")).parent
    tools.git(dataset, "update-server-info")
    handler = partial(Quiet, directory=str(source.parent / "store"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"ria+http://127.0.0.1:{server.server_address[1]}"
        tools.hold(bench, "clone", f"{url}#~study", "mine")
        mine = bench / "mine"
        assert settings(tools, mine, "st-storage")["ora-url"] == url
        assert settings(tools, mine, "origin")["datalad-publish-depends"] == "st-storage"
        allowed = "annex.security.allowed-ip-addresses=127.0.0.1"
        tools.hold(mine, "get", "-c", allowed, "--from", "st-storage")
        server.shutdown()
    assert contents(mine) == FILES


def test_a_data_set_that_is_in_the_store_already_keeps_its_storage(
    tools: Tools, source: Path, bench: Path
) -> None:
    url = f"ria+file://{source.parent}/store"
    tools.hold(bench, "clone", source, "mine")
    mine = bench / "mine"
    words = ("create-sibling", "-s", "st", url)
    assert "H368" in tools.hold(mine, *words, exits=4).all_text
    tools.hold(mine, *words, "--existing", "skip")
    assert settings(tools, mine, "st") == {}
    tools.hold(mine, *words, "--existing", "reconfigure")
    theirs = settings(tools, source, "st-storage")["annex-uuid"]
    assert settings(tools, mine, "st-storage")["annex-uuid"] == theirs
    tools.hold(mine, "get", "--from", "st-storage")
    assert contents(mine) == FILES
    other = (*words[:-1], f"ria+file://{bench}/other", "--new-store", "-s", "st2")
    assert "H364" in tools.hold(mine, *other, "--storage-name", "origin", exits=4).all_text
    assert not (bench / "other").exists()


@pytest.mark.skipif(shutil.which("7z") is None, reason="7z is not installed (p7zip-full or 7zip)")
def test_what_datalad_put_into_an_archive_is_read_from_it(
    tools: Tools, source: Path, bench: Path
) -> None:
    tools.copy(source.parent / "store", bench / "store")
    dataset = next((bench / "store").glob("*/*/annex")).parent
    (dataset / "archives").mkdir(exist_ok=True)
    tools.datalad(source, "export-archive-ora", dataset / "archives/archive.7z")
    tools.copy(dataset / "annex/objects", bench / "objects")
    shutil.rmtree(dataset / "annex/objects")
    (dataset / "annex/objects").mkdir()
    tools.hold(bench, "clone", f"ria+file://{bench}/store#~study", "mine")
    tools.hold(bench / "mine", "get", "--from", "st-storage")
    assert contents(bench / "mine") == FILES


def test_datalad_clones_and_gets_what_we_made_and_sent(tools: Tools, bench: Path) -> None:
    ours = tools.create("hold", bench / "ours")
    tools.write(ours, FILES)
    tools.save("hold", ours)
    url = f"ria+file://{bench}/store"
    tools.hold(ours, "create-sibling", url, exits=1)
    assert not (bench / "store").exists()
    tools.hold(ours, "create-sibling", "--new-store", "--alias", "study", "-s", "st", url)
    before = (bench / "ours/.git/config").read_bytes()
    tools.hold(ours, "create-sibling", "--new-store", "--alias", "study", "-s", "st", url)
    assert (bench / "ours/.git/config").read_bytes() == before
    keys = send_all(ours, "st-storage", {})
    tools.annex(ours, "fsck", "--from", "st-storage")
    tools.git(ours, "push", "-q", "st", "main", "git-annex")
    tools.datalad(bench, "clone", f"{url}#~study", "theirs")
    tools.datalad(bench / "theirs", "get", ".")
    assert contents(bench / "theirs") == FILES
    assert settings(tools, bench / "theirs", "origin")["datalad-publish-depends"] == "st-storage"
    # And on with DataLad: what it sends, and what it drops, we see.
    tools.write(ours, {"new.txt": b"new\n"})
    tools.save("hold", ours)
    assert "st-storage" in tools.datalad(ours, "push", "--to", "st").text
    tools.annex(ours, "drop", "--from", "st-storage", "sub/c.txt")
    with open_dataset(ours) as dataset, open_sources(dataset) as sources:
        store: Store = sources.only("st-storage").readers[0]  # type: ignore[assignment]
        known = {path: Key(key) for path, key in tools.keys(ours).items()}
        asked = [known[b"new.txt"], known[b"sub/c.txt"], known[b"big.dat"]]
        here, gone = Presence.PRESENT, Presence.ABSENT
        assert [answer.presence for answer in store.ask(asked)] == [here, gone, here]
        store.remove(asked[2], Waiver(asked[2], store.place.id, "a test", "it is one"))
    assert len(keys) == len(FILES)
    tools.annex(ours, "fsck", "--fast", "--from", "st-storage", "big.dat", exits=1)


def test_a_store_over_ssh_is_made_by_us_and_used_by_both(
    tools: Tools, bench: Path, ssh_environment: dict[str, str]
) -> None:
    ours = tools.create("hold", bench / "ours")
    tools.write(ours, FILES)
    tools.save("hold", ours)
    url = f"ria+ssh://127.0.0.1{bench}/store"
    tools.hold(
        ours, "create-sibling", "--new-store", "--alias", "study", "-s", "st", url,
        **ssh_environment,
    )  # fmt: skip
    send_all(ours, "st-storage", ssh_environment)
    assert list((bench / "store").glob("*/*/ora-remote-*/transfer/*")) == []
    tools.git(ours, "push", "-q", "st", "main", "git-annex", **ssh_environment)
    tools.datalad(bench, "clone", f"{url}#~study", "theirs", **ssh_environment)
    tools.datalad(bench / "theirs", "get", "big.dat", **ssh_environment)
    assert (bench / "theirs/big.dat").read_bytes() == FILES["big.dat"]
    tools.write(ours, {"new.txt": b"new\n"})
    tools.save("hold", ours)
    tools.datalad(ours, "push", "--to", "st", **ssh_environment)
    tools.hold(bench, "clone", f"{url}#~study", "mine", **ssh_environment)
    tools.hold(bench / "mine", "get", "--from", "st-storage", **ssh_environment)
    assert contents(bench / "mine") == FILES
    assert (bench / "mine/new.txt").read_bytes() == b"new\n"
