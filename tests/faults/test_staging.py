"""Content on its way into a place: nothing has its name before it is checked and synced."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.core.abilities import Answer, Stream
from holdfast.core.errors import HoldError
from holdfast.core.faults import UNREACHABLE
from holdfast.core.key import Key
from holdfast.core.outcome import Outcome, Status
from holdfast.core.place import Place, PlaceId
from holdfast.testing.folder_target import FolderTarget
from holdfast.testing.store_contract import key_of
from holdfast.transfer import staging
from holdfast.transfer.carry import iter_carry
from holdfast.transfer.plan import Attempts
from holdfast.transfer.staging import open_staging

SMALL = {key_of(b"content %d" % n): b"content %d" % n for n in range(1300)}
LARGE = {key_of(c): c for c in (os.urandom(2_000_000), os.urandom(9_000_000))}
CONTENTS = {**SMALL, **LARGE}


class Source:
    """A place in memory; `edit` may spoil its bytes, `breaks_at` a key."""

    cost = 100.0
    place = Place(PlaceId("there"), "there")

    def __init__(self, edit: Callable[[bytes], bytes] = bytes, breaks_at: int = -1) -> None:
        self.edit = edit
        self.breaks_at = breaks_at
        self.given = 0

    def ask(self, keys: object) -> list[Answer]:
        raise NotImplementedError

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        yield Stream(offset, key.size, self.chunks(key, offset))

    def iter_contents(self, keys: Iterator[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        for key in keys:
            yield key, Stream(0, key.size, self.chunks(key, 0))

    def chunks(self, key: Key, offset: int) -> Iterator[bytes]:
        content = self.edit(CONTENTS[key])[offset:]
        self.given += 1
        if self.given == self.breaks_at:
            yield content[:3]
            raise UNREACHABLE(place="there", detail="it fell over")
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    def close(self) -> None:
        pass


class Spy:
    """Watches syncs, and what has its final name at each."""

    def __init__(self, target: FolderTarget, error: OSError | None = None) -> None:
        self.target = target
        self.error = error
        self.seen: list[tuple[int, int]] = []
        self.lock = threading.Lock()

    def __call__(self, folder: bytes) -> None:
        with self.lock:
            named = sum(self.target.has(key) for key in CONTENTS)
            self.seen.append((len(os.listdir(folder)), named))
        if self.error is not None:
            raise self.error


@pytest.fixture
def target(tmp_path: Path) -> FolderTarget:
    return FolderTarget(tmp_path / "here")


def carry(
    target: FolderTarget,
    keys: list[Key],
    source: Source | None = None,
    sync: Callable[[bytes], None] = lambda _: None,
    jobs: int = 1,
) -> list[Outcome]:
    source = source or Source()
    plan = Attempts(keys[0], (source.place.id,))
    wanted = [(f"f{number}", key) for number, key in enumerate(keys)]
    scratch, unfinished = scratch_of(target), os.path.dirname(target.partial_path(keys[0]))
    with open_staging(target, scratch, unfinished, sync) as stage:
        outcomes = list(
            iter_carry(
                wanted, lambda _: plan, {source.place.id: source}, target,
                jobs=jobs, staging=stage,
            )
        )  # fmt: skip
    assert os.listdir(scratch) == []
    return outcomes


def scratch_of(target: FolderTarget) -> bytes:
    return target.path_of(Key(b"WORM--x")).rpartition(b"/")[0] + b"-scratch"


@pytest.mark.parametrize("jobs", [1, 3])
def test_all_content_is_synced_in_few_steps_before_it_has_its_name(
    target: FolderTarget, jobs: int
) -> None:
    spy = Spy(target)
    outcomes = carry(target, list(CONTENTS), sync=spy, jobs=jobs)
    assert {o.status for o in outcomes} == {Status.OK}
    assert sum(o.size or 0 for o in outcomes) == sum(map(len, CONTENTS.values()))
    assert all(target.content(key) == content for key, content in CONTENTS.items())
    assert len(spy.seen) < 40
    if jobs == 1:
        assert all(staged + named <= len(CONTENTS) for staged, named in spy.seen)
        assert spy.seen[0][1] == 0
    modes = {os.stat(target.path_of(key)).st_mode & 0o777 for key in CONTENTS}
    assert modes == {0o444}
    assert os.listdir(os.path.dirname(target.partial_path(next(iter(CONTENTS))))) == []


def test_what_could_not_be_synced_is_not_there(target: FolderTarget) -> None:
    spy = Spy(target, OSError(errno.EIO, "Input/output error"))
    outcomes = carry(target, list(CONTENTS), sync=spy)
    assert {o.status for o in outcomes} == {Status.ERROR}
    assert {o.error.code for o in outcomes if o.error} == {"H403"}
    assert not any(target.has(key) for key in CONTENTS)


def test_what_cannot_have_its_name_is_told_and_the_rest_is_there(
    target: FolderTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlucky = list(SMALL)[7]
    put = target.put

    def refuse_one(key: Key, path: bytes) -> None:
        if key == unlucky:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(key, path)

    monkeypatch.setattr(target, "put", refuse_one)
    outcomes = carry(target, list(SMALL))
    assert [o.key for o in outcomes if o.status is not Status.OK] == [unlucky]
    (error,) = [o.error for o in outcomes if o.error]
    assert error.code == "H401"
    assert sum(target.has(key) for key in SMALL) == len(SMALL) - 1


@pytest.mark.parametrize(
    "edit", [lambda c: c[:-1], lambda c: c + b"?", lambda c: c[:-1] + b"?", lambda _: b""]
)
def test_wrong_bytes_are_not_taken(target: FolderTarget, edit: Callable[[bytes], bytes]) -> None:
    keys = [*list(SMALL)[:5], *LARGE]
    outcomes = carry(target, keys, Source(edit))
    assert {o.status for o in outcomes} == {Status.ERROR}
    assert all("sent other bytes" in o.error.why for o in outcomes if o.error)
    assert not any(target.has(key) for key in keys)


def test_a_small_file_that_breaks_off_comes_again(target: FolderTarget) -> None:
    outcomes = carry(target, list(SMALL), Source(breaks_at=100))
    assert {o.status for o in outcomes} == {Status.OK}


def test_what_an_earlier_transfer_left_of_a_small_file_is_used_up(target: FolderTarget) -> None:
    key = next(iter(SMALL))
    left = Path(os.fsdecode(target.partial_path(key)))
    left.write_bytes(b"some")
    assert carry(target, [key])[0].status is Status.OK
    assert not left.exists()
    assert target.content(key) == SMALL[key]


def test_what_an_earlier_transfer_left_of_a_large_file_is_taken_up(target: FolderTarget) -> None:
    key, content = list(LARGE.items())[1]
    Path(os.fsdecode(target.partial_path(key))).write_bytes(content[:4_000_000])
    (outcome,) = carry(target, [key])
    assert outcome.status is Status.OK
    assert target.content(key) == content


def test_who_stops_early_keeps_what_arrived(target: FolderTarget) -> None:
    source = Source()
    plan = Attempts(next(iter(SMALL)), (source.place.id,))
    wanted = [(f"f{number}", key) for number, key in enumerate(SMALL)]
    with open_staging(target, scratch_of(target), b"/nowhere", lambda _: None) as stage:
        outcomes = iter_carry(
            wanted, lambda _: plan, {source.place.id: source}, target, staging=stage
        )
        first = next(outcomes)
        outcomes.close()  # type: ignore[attr-defined]
    assert first.status is Status.OK
    arrived = [key for key in SMALL if target.has(key)]
    # One may have been on its way.
    assert len(arrived) >= source.given - 1
    assert all(target.content(key) == SMALL[key] for key in arrived)
    assert os.listdir(scratch_of(target)) == []


def test_a_slow_source_is_told_of_before_the_batch_is_full(
    target: FolderTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "BATCH_S", 0.0)
    monkeypatch.setattr(staging, "_SYNC_SHARE", 0)
    synced: list[bytes] = []
    carry(target, list(SMALL)[:50], sync=synced.append)
    assert len(synced) == 50


def test_a_sync_that_takes_long_is_done_less_often(
    target: FolderTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "BATCH_S", 0.001)
    clock = iter(n * 0.01 for n in range(100_000))
    monkeypatch.setattr(staging.time, "monotonic", lambda: next(clock))
    spy = Spy(target)
    carry(target, list(SMALL)[:300], sync=spy)
    # A tick passes at each look: a sync takes one, and ten more have to pass before the next.
    assert len(spy.seen) < 300 / 8


def test_keys_that_are_there_are_not_brought_again(target: FolderTarget) -> None:
    carry(target, list(SMALL)[:5])
    outcomes = carry(target, list(SMALL)[:10])
    assert [o.status for o in outcomes].count(Status.NOT_NEEDED) == 5
