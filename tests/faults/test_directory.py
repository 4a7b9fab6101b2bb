"""A directory whose disk is full, that vanishes, or whose sender is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.core.errors import PlaceFullError, PlaceUnavailableError
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores.directory import Directory
from holdfast.stores.placing import Placing
from holdfast.testing.store_contract import content_of, ignore, key_of

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000003"), "drive")


def open_directory(folder: Path) -> Directory:
    return Directory(PLACE, bytes(folder), Placing("drive", None), cost=100.0)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]


def test_a_full_disk_keeps_what_is_whole_and_nothing_else(mount: Callable[..., Path]) -> None:
    drive = mount("drive", "-t", "tmpfs", "-o", "size=2m", "tmpfs")
    contents = {key_of(b"%d" % n * 600_000): b"%d" % n * 600_000 for n in range(6)}
    store = open_directory(drive)
    items = [(key, content_of(key, data)) for key, data in contents.items()]
    answers = dict(store.iter_send(iter(items), ignore))
    good = [key for key, error in answers.items() if error is None]
    assert 1 <= len(good) < 6
    assert all(isinstance(e, PlaceFullError) for e in answers.values() if e is not None)
    assert {p.read_bytes() for p in files_in(drive)} == {contents[key] for key in good}
    assert [a.presence is Presence.PRESENT for a in store.ask([*contents])] == [
        answers[key] is None for key in contents
    ]


def test_a_folder_that_is_not_there_is_neither_made_nor_said_to_be_empty(tmp_path: Path) -> None:
    store = open_directory(tmp_path / "unplugged")
    key = key_of(b"data")
    assert store.ask([key])[0].presence is Presence.UNKNOWN
    with pytest.raises(PlaceUnavailableError):
        store.send(key, content_of(key, b"data"), ignore)
    with pytest.raises(PlaceUnavailableError), store.open_content(key):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_vanishes_while_it_is_sent_to_is_told_of_each_content(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    keys = [key_of(b"%d" % number) for number in range(3)]

    def items():  # type: ignore[no-untyped-def]
        for number, key in enumerate(keys):
            if number == 2:
                shutil.rmtree(drive)
            yield key, content_of(key, b"%d" % number)

    answers = dict(open_directory(drive).iter_send(items(), ignore))
    assert {key: type(error) for key, error in answers.items()} == dict.fromkeys(
        keys, PlaceUnavailableError
    )


def test_a_killed_sender_leaves_no_half_content_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    data = {key_of(b"%d" % n * 900_000): b"%d" % n * 900_000 for n in range(4)}
    sender = textwrap.dedent("""
        import os, sys
        sys.path.insert(0, sys.argv[2])
        from test_directory import *
        class Slow:
            def __init__(self, data): self.data, self.size = data, len(data)
            def chunks(self, offset=0):
                yield self.data[:500_000]
                if self.data[:1] == b"2":
                    print("now", flush=True)
                    sys.stdin.read()
                yield self.data[500_000:]
        data = {key_of(b"%d" % n * 900_000): b"%d" % n * 900_000 for n in range(4)}
        for done in open_directory(Path(sys.argv[1])).iter_send([(k, Slow(d)) for k, d in data.items()], ignore):
            pass
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", sender, str(drive), str(Path(__file__).parent)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == b"now\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(files_in(drive / "tmp")) == 3
    assert [path for path in files_in(drive) if drive / "tmp" not in path.parents] == []
    store = open_directory(drive)
    key: Key = next(iter(data))
    store.send(key, content_of(key, data[key]), ignore)
    assert files_in(drive / "tmp") == []
    assert [path.read_bytes() for path in files_in(drive)] == [data[key]]


def test_a_living_sender_is_not_cleaned_away(tmp_path: Path) -> None:
    key, other = key_of(b"one"), key_of(b"two")
    store = open_directory(tmp_path)

    def items():  # type: ignore[no-untyped-def]
        yield key, content_of(key, b"one")
        open_directory(tmp_path).send(other, content_of(other, b"two"), ignore)

    assert dict(store.iter_send(items(), ignore)) == {key: None}
    assert len(files_in(tmp_path)) == 2
