"""A store that is written to while the writer, or what it writes by, is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.core.errors import HoldError, PlaceUnavailableError
from holdfast.core.key import Key, object_path
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores.ora_sftp import OraSftp
from holdfast.stores.ora_store import BulkOraStore
from holdfast.testing.store_contract import content_of, key_of
from holdfast.transfer.outgoing import LocalContent

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000003"), "far")
IDENTITY = "73d09ccb-8101-4f35-8cea-6a7512955e95"
SFTP_SERVER = shutil.which(
    "sftp-server", path="/usr/lib/openssh:/usr/libexec/openssh:/usr/libexec:/usr/lib/ssh"
)
DATA = [bytes([n]) * (3_000_000 if n == 5 else 4096 * n + 1) for n in range(12)]
needs_sftp = pytest.mark.skipif(
    SFTP_SERVER is None, reason="OpenSSH's sftp-server is not installed"
)

CHILD = """
import os, signal, sys
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId
from holdfast.stores.ora_folder import OraFolder
from holdfast.stores.ora_sftp import OraSftp
from holdfast.stores.ora_store import OraStore
from holdfast.transfer.outgoing import LocalContent

folder, server, *paths = sys.argv[1:]
place = Place(PlaceId(%r), "far")
if server:
    files = OraSftp(
        place, [server], folder + "/store", %r, here="here", cost=1, runs=os.fsencode(folder) + b"/runs"
    )
else:
    files = OraFolder(place, os.fsencode(folder) + b"/store", %r, "here", 1.0)

class Deadly(LocalContent):
    def chunks(self, offset=0):
        for number, chunk in enumerate(super().chunks(offset)):
            if number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            yield chunk

items = [(Key(os.fsencode(os.path.basename(p))), Deadly(Key(os.fsencode(os.path.basename(p))), os.fsencode(p))) for p in paths]
for _ in OraStore(files).iter_send(items, lambda size: None):
    pass
""" % (PLACE.id, IDENTITY, IDENTITY)  # noqa: UP031


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "store" / IDENTITY[:3] / IDENTITY[3:]
    (folder / "annex/objects").mkdir(parents=True)
    (tmp_path / "store/ria-layout-version").write_text("1\n")
    (folder / "ria-layout-version").write_text("2\n")
    return folder


@pytest.fixture
def keys(tmp_path: Path) -> dict[Key, Path]:
    (tmp_path / "content").mkdir()
    found = {}
    for data in DATA:
        key = key_of(data)
        found[key] = tmp_path / "content" / os.fsdecode(key)
        found[key].write_bytes(data)
    return found


def check(dataset: Path, keys: dict[Key, Path]) -> int:
    """What has a name is whole; how many have."""
    found = [path for path in (dataset / "annex/objects").rglob("*") if path.is_file()]
    for path in found:
        assert path.read_bytes() == keys[Key(os.fsencode(path.name))].read_bytes()
    return len(found)


def sftp_store(tmp_path: Path) -> BulkOraStore:
    files = OraSftp(
        PLACE, [SFTP_SERVER or ""], str(tmp_path / "store"), IDENTITY, here="here", cost=1,
        runs=bytes(tmp_path / "runs"),
    )  # fmt: skip
    return BulkOraStore(files)


@pytest.mark.parametrize("server", ["", pytest.param(SFTP_SERVER, marks=needs_sftp)])
def test_a_killed_writer_leaves_no_half_file_and_the_next_cleans_up(
    tmp_path: Path, dataset: Path, keys: dict[Key, Path], server: str
) -> None:
    words = [sys.executable, "-c", CHILD, str(tmp_path), server, *map(str, keys.values())]
    done = subprocess.run(words, check=False)
    assert done.returncode == -signal.SIGKILL
    check(dataset, keys)
    transfer = dataset / "ora-remote-here/transfer"
    assert len(list(transfer.glob("hold-*/*"))) > 0
    again = [word for word in words if not word.endswith(os.fsdecode(key_of(DATA[5])))]
    assert subprocess.run(again, check=False).returncode == 0
    assert check(dataset, keys) == len(DATA) - 1
    assert list(transfer.iterdir()) == []


class Cutting(LocalContent):
    """Content during whose reading the connection is lost."""

    store: BulkOraStore

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        for number, chunk in enumerate(super().chunks(offset)):
            if number == 1:
                for connection in self.store._files._all:  # type: ignore[attr-defined]
                    connection._process.kill()
                    connection._process.wait()
            yield chunk


@needs_sftp
def test_when_the_connection_is_lost_all_that_was_taken_is_answered_so(
    tmp_path: Path, dataset: Path, keys: dict[Key, Path]
) -> None:
    store = sftp_store(tmp_path)
    items = [(key, Cutting(key, bytes(path))) for key, path in keys.items()]
    for _, content in items:
        content.store = store
    answers = dict(store.iter_send(iter(items), lambda size: None))
    assert answers.keys() == keys.keys()
    assert any(isinstance(error, PlaceUnavailableError) for error in answers.values())
    named = check(dataset, keys)
    assert named == sum(error is None for error in answers.values())
    again = [(key, LocalContent(key, bytes(path))) for key, path in keys.items()]
    assert set(dict(store.iter_send(iter(again), lambda size: None)).values()) == {None}
    assert {answer.presence for answer in store.ask(list(keys))} == {Presence.PRESENT}
    assert list((dataset / "ora-remote-here/transfer").iterdir()) == []
    store.close()


@needs_sftp
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_where_nothing_may_be_written_it_says_so(tmp_path: Path, dataset: Path) -> None:
    dataset.chmod(0o555)
    store, key = sftp_store(tmp_path), key_of(b"x")
    with pytest.raises(HoldError, match="refuses"):
        store.send(key, content_of(key, b"x"), lambda size: None)
    store.close()


@needs_sftp
def test_a_file_in_the_way_of_a_folder_is_an_error_of_that_key_alone(
    tmp_path: Path, dataset: Path, keys: dict[Key, Path]
) -> None:
    store, first = sftp_store(tmp_path), next(iter(keys))
    blocked = dataset / "annex/objects" / os.fsdecode(object_path(first))
    blocked.parent.parent.mkdir(parents=True)
    blocked.parent.write_bytes(b"")
    items = [(key, LocalContent(key, bytes(path))) for key, path in keys.items()]
    answers = dict(store.iter_send(iter(items), lambda size: None))
    assert [key for key, error in answers.items() if error is not None] == [first]
    assert list((dataset / "ora-remote-here/transfer").iterdir()) == []
    store.close()
