"""A place that somebody else's program reaches keeps the contract of `Store`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.core.abilities import Store
from holdfast.core.errors import NotFoundError, PolicyError, UsageError
from holdfast.core.key import Key, encode_file_name, hash_dir_lower, hash_dir_mixed
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores import external
from holdfast.stores.external_program import ExternalProgram, Patience
from holdfast.stores.external_store import ExternalStore
from holdfast.stores.special import SpecialRemote
from holdfast.testing.memory_notes import MemoryNotes
from holdfast.testing.store_contract import (
    CONTENTS,
    MISSING,
    OpenStore,
    StoreContract,
    content_of,
    ignore,
    key_of,
)

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000001"), "there")
PROGRAMS = Path(__file__).parents[1] / "programs"
OpenShelf = Callable[..., ExternalStore]


def remote_of(where: Path, **words: str) -> SpecialRemote:
    """A special remote of a clone in a folder."""
    (where / ".git").mkdir(exist_ok=True)
    return SpecialRemote(
        PLACE, {"name": "there", **words}, {}, os.fsencode(where / ".git" / "annex"),
        MemoryNotes(), environment=os.environ, wanted="anything",
    )  # fmt: skip


@pytest.fixture
def open_shelf(tmp_path: Path) -> Iterator[OpenShelf]:
    """Opens a place on a folder that a program of the tests reaches."""
    (tmp_path / "shelf").mkdir()
    opened: list[ExternalStore] = []

    def make(program: str = "shelf", *, work_s: float = 20, **words: str) -> ExternalStore:
        if program == "shelf":
            pytest.importorskip("annexremote", reason="the package annexremote is not installed")
        remote = remote_of(tmp_path, **{"folder": str(tmp_path / "shelf"), **words})
        script = str(PROGRAMS / f"git-annex-remote-{program}")
        argv = [script] if program == "ill" else [sys.executable, script]
        opened.append(ExternalStore(remote, argv, Patience(min(work_s, 20), work_s)))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


class ExternalContract(StoreContract):
    program = "shelf"

    @pytest.fixture
    def open_store(self, open_shelf: OpenShelf, tmp_path: Path) -> OpenStore:
        def make(contents: Mapping[Key, bytes]) -> ExternalStore:
            for key, content in contents.items():
                (tmp_path / "shelf" / os.fsdecode(key)).write_bytes(content)
            return open_shelf(self.program)

        return make

    def test_an_odd_name_is_kept(self, empty: Store) -> None:
        key = key_of(b"1", b".t&%:\xc3\xa9")
        empty.send(key, content_of(key, b"1"), ignore)
        assert self.read(empty, key) == b"1"

    def test_a_name_with_a_space_is_refused(self, empty: Store) -> None:
        key = key_of(b"2", b".a b")
        with pytest.raises(PolicyError, match="cannot be named"):
            empty.send(key, content_of(key, b"2"), ignore)
        assert empty.ask([key])[0].presence is Presence.UNKNOWN


class TestAProgramMadeWithAnnexremote(ExternalContract):
    pass


class TestAProgramThatDoesSeveralJobsAtOnce(ExternalContract):
    program = "jobs"


class TestRclone(ExternalContract):
    """rclone's own `gitannex`."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        rclone = find_tool("rclone")
        (tmp_path / "rclone.conf").write_text("[shelf]\ntype = local\n")

        def make(contents: Mapping[Key, bytes]) -> ExternalStore:
            shelf = tmp_path / "shelf"
            shelf.mkdir()
            for key, content in contents.items():
                (shelf / os.fsdecode(encode_file_name(key))).write_bytes(content)
            remote = remote_of(
                tmp_path, rcloneremotename="shelf", rcloneprefix=str(shelf), rclonelayout="nodir"
            )
            environment = {**os.environ, "RCLONE_CONFIG": str(tmp_path / "rclone.conf")}
            return ExternalStore(replace(remote, environment=environment), [rclone, "gitannex"])

        return make


def find_tool(name: str) -> str:
    """A program beside python or on PATH; skips where there is none."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def pids(store: ExternalStore) -> list[int]:
    return [program._process.pid for program in store._lanes._all]


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_nothing_is_started_before_it_is_needed_and_all_ends_with_the_store(
    open_shelf: OpenShelf,
) -> None:
    store = open_shelf("jobs")
    assert pids(store) == []
    store.ask([MISSING])
    [pid] = pids(store)
    assert is_alive(pid)
    store.close()
    assert not is_alive(pid)


def test_threads_share_a_program_that_does_several_jobs(open_shelf: OpenShelf) -> None:
    store = open_shelf("jobs")
    threads = [threading.Thread(target=store.ask, args=([MISSING] * 20,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids(store)) == 1


def test_a_program_learns_what_it_asks_and_is_believed_what_it_tells(
    open_shelf: OpenShelf, tmp_path: Path
) -> None:
    key, data = next(iter(CONTENTS.items()))
    store = open_shelf()
    changed: dict[str, str] = {}
    wanted: list[str] = []
    store._answers.remote = replace(
        store._answers.remote, on_config=changed.__setitem__, on_wanted=wanted.append
    )
    store.initialise()
    assert changed == {"made": "by initremote"}
    assert wanted == ["include=*.dat"]
    creds = tmp_path / ".git" / "annex" / "creds" / f"{PLACE.id}-door"
    assert creds.read_text() == "ada\nopen sesame\n"
    assert creds.stat().st_mode & 0o777 == 0o600
    store.send(key, content_of(key, data), ignore)
    assert store.whereis(key) == " ".join(
        [
            PLACE.id, str(tmp_path / ".git"), "there", "include=*.dat",
            f"{hash_dir_mixed(key).decode()}/", f"{hash_dir_lower(key).decode()}/", "stored here",
            f"shelf:{key.text}", "open sesame", "there",
        ]
    )  # fmt: skip
    assert store.claims(b"shelf:x") and not store.claims(b"http://x")


def test_a_place_that_cannot_be_made_is_refused_with_the_reason(open_shelf: OpenShelf) -> None:
    with pytest.raises(UsageError) as caught:
        open_shelf(folder="").initialise()
    assert "a shelf needs folder=" in caught.value.why


def test_no_secret_is_told_to_people(open_shelf: OpenShelf) -> None:
    store = open_shelf()
    store.initialise()
    with pytest.raises(NotFoundError) as caught, store.open_content(MISSING):
        pass
    assert "not on this shelf, said …" in caught.value.why
    assert "sesame" not in str(caught.value.as_record())


@pytest.mark.parametrize("program", ["shelf", "jobs"])
def test_programs_that_were_killed_while_they_had_nothing_to_do_are_replaced(
    open_shelf: OpenShelf, program: str
) -> None:
    store = open_shelf(program)
    threads = [threading.Thread(target=store.ask, args=([MISSING] * 20,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for pid in pids(store):
        os.kill(pid, signal.SIGKILL)
    answers = store.ask([MISSING] * 3)
    assert [answer.presence for answer in answers] == [Presence.ABSENT] * 3
    assert len(pids(store)) == 1


@pytest.mark.parametrize("program", ["shelf", "jobs"])
def test_programs_whose_death_is_not_known_yet_are_replaced(
    open_shelf: OpenShelf, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_shelf(program)
    with ExitStack() as at_work:
        for _ in range(3):
            at_work.enter_context(store._lanes._line())
    # As when the system has not yet got round to it: they are spoken to, and then found dead.
    monkeypatch.setattr(ExternalProgram, "has_ended", property(lambda self: self.broken))
    for pid in pids(store):
        os.kill(pid, signal.SIGKILL)
    answers = store.ask([MISSING] * 3)
    assert [answer.presence for answer in answers] == [Presence.ABSENT] * 3
    assert len(pids(store)) == 1


def test_the_words_of_a_program_are_listed_where_it_lists_them() -> None:
    pytest.importorskip("annexremote", reason="the package annexremote is not installed")
    path = os.pathsep.join((str(PROGRAMS), str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path}
    words = external.list_words("shelf", environment)
    assert words == {"folder": "where content is kept", "how": "how it fails"}
    assert external.list_words("jobs", environment) is None
