"""A server that is killed loses nothing that it said is there, and the next one tells of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast
from holdfast.api.datasets import open_dataset
from holdfast.api.served import Served
from holdfast.core.place import Place, PlaceId
from holdfast.stores.ssh import SshAnnex
from holdfast.testing.store_contract import content_of, ignore, key_of

SOURCE = str(Path(holdfast.__file__).parents[1])
COMMAND = ["env", f"PYTHONPATH={SOURCE}", sys.executable, "-m", "holdfast.site.annex_shell"]


@pytest.fixture
def there(tmp_path: Path) -> Path:
    folder = tmp_path / "there"
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    for words in (["create", "--backend", "SHA256E", str(folder)],):
        hold = [sys.executable, "-m", "holdfast", *words]
        subprocess.run(hold, env=environment, check=True, capture_output=True)
    subprocess.run(["git", "-C", str(folder), "config", "annex.diskreserve", "1 MB"], check=True)
    return folder


@pytest.mark.parametrize("bulk", [False, True])
def test_what_was_answered_before_a_kill_is_whole_and_told_of_later(
    there: Path, bulk: bool
) -> None:
    with open_dataset(there) as dataset:
        here = dataset.here
    contents = {key_of(b"%d" % n * 50): b"%d" % n * 50 for n in range(40)}
    items = [(key, content_of(key, data)) for key, data in contents.items()]
    store = SshAnnex(Place(here, "there"), command=COMMAND, path=str(there))
    if bulk:
        assert [error for _, error in store.iter_send(iter(items), ignore)] == [None] * 40
    else:
        for key, content in items[:5]:
            store.send(key, content, ignore)
        contents = {key: contents[key] for key, _ in items[:5]}
    (connection,) = store._connections._all
    connection.kill()
    store.close()
    with open_dataset(there) as dataset:
        assert dataset.ledger.locations([next(iter(contents))]) is not None
        after = Served(dataset)
        late = key_of(b"late")
        with after.open_put(late, Place(PlaceId(""), "test")) as put:
            assert put.take(iter([b"late"]), 4)
        after.close()
    with open_dataset(there) as dataset:
        locations = dataset.ledger.locations([*contents, late])
        assert all(here in locations[key] for key in (*contents, late))
        for key, data in contents.items():
            path = dataset.objects.content_path(key)
            assert path is not None
            assert Path(os.fsdecode(path)).read_bytes() == data


def test_a_server_that_is_killed_in_the_middle_keeps_what_came_out_of_sight(there: Path) -> None:
    with open_dataset(there) as dataset:
        here = dataset.here
    data = os.urandom(3_000_000)
    key = key_of(data)
    store = SshAnnex(Place(here, "there"), command=COMMAND, path=str(there))
    sent = 0

    def kill_in_the_middle(size: int) -> None:
        nonlocal sent
        sent += size
        if sent > 1_500_000:
            (connection,) = store._connections._all
            connection.kill()

    with pytest.raises(Exception, match="does not answer"):
        store.send(key, content_of(key, data), kill_in_the_middle)
    with open_dataset(there) as dataset:
        assert not dataset.objects.has(key)
    again = SshAnnex(Place(here, "there"), command=COMMAND, path=str(there))
    again.send(key, content_of(key, data), ignore)
    again.close()
    with open_dataset(there) as dataset:
        assert here in dataset.ledger.locations([key])[key]


def test_what_did_not_come_leaves_no_trace_in_the_ledger(there: Path) -> None:
    right, other = key_of(b"right"), key_of(b"other")
    before = ledger(there)
    with open_dataset(there) as dataset:
        served = Served(dataset)
        with served.open_put(right, Place(PlaceId(""), "test")) as put:
            assert not put.take(iter([b"wrong"]), 5)
        assert served.remove(other)
        served.close()
    assert ledger(there) == before
    assert list((there / ".git/annex/tmp").iterdir()) == []
    assert list((there / ".git/annex/hold-unrecorded").iterdir()) == []


def ledger(folder: Path) -> bytes:
    words = ["git", "-C", str(folder), "rev-parse", "git-annex"]
    return subprocess.run(words, check=True, capture_output=True).stdout


def test_a_server_to_whom_nobody_told_a_name_tells_the_ledger_too(there: Path) -> None:
    subprocess.run(["git", "-C", str(there), "config", "user.useConfigOnly", "true"], check=True)
    with open_dataset(there) as dataset:
        here = dataset.here
    key = key_of(b"content")
    nobody = ["env", "-u", "GIT_AUTHOR_NAME", "-u", "GIT_COMMITTER_NAME", "HOME=/nonexistent"]
    store = SshAnnex(Place(here, "there"), command=[*nobody, *COMMAND], path=str(there))
    store.send(key, content_of(key, b"content"), ignore)
    store.close()
    with open_dataset(there) as dataset:
        assert here in dataset.ledger.locations([key])[key]


def test_content_without_a_hash_counts_only_with_its_senders_word(there: Path) -> None:
    with open_dataset(there) as dataset:
        here = dataset.here
    words = b"VERSION 4\n"
    for name, word in ((b"1", b"VALID"), (b"2", b"INVALID")):
        words += b"HOLD-PUT 3 WORM-s3-m1--%b\nabc%b\n" % (name, word)
    words += b"HOLD-PUT 3 WORM-s4-m1--3\nabcINVALID\nCHECKPRESENT WORM-s3-m1--1\nCHECKPRESENT WORM-s3-m1--2\n"
    for rights, said in (
        ({}, b"SUCCESS FAILURE FAILURE SUCCESS FAILURE"),
        (
            {"GIT_ANNEX_SHELL_READONLY": "1"},
            b"ERROR ERROR ERROR SUCCESS FAILURE",
        ),
    ):
        done = subprocess.run(
            [*COMMAND, "p2pstdio", str(there), "someone", "--uuid", here],
            input=words, capture_output=True, check=True, env={**os.environ, **rights},
        )  # fmt: skip
        answers = done.stdout.splitlines()[2:]
        assert [line.split()[0] for line in answers] == said.split()
