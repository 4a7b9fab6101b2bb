"""Lanes that send: every content ends once, places that fail are left, memory is bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from holdfast.core import faults
from holdfast.core.abilities import Answer, Content, OnBytes
from holdfast.core.errors import HoldError, IntegrityError, PlaceUnavailableError
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.testing.store_contract import key_of
from holdfast.transfer.carry import BULK_SIZE_MAX, FAILURES_MAX
from holdfast.transfer.send import iter_send

GONE = faults.UNREACHABLE(place="there", detail="it hung up")


@dataclass
class Bytes:
    """Content in memory."""

    data: bytes
    size: int = 0

    def __post_init__(self) -> None:
        self.size = self.size or len(self.data)

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        yield self.data[offset:]

    def path(self) -> bytes:
        raise AssertionError


THERE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000001"), "there")


@dataclass
class Shelf:
    """A place in memory that fails where it is told to."""

    failing: dict[Key, list[HoldError]] = field(default_factory=dict)
    kept: dict[Key, bytes] = field(default_factory=dict)
    calls: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def place(self) -> Place:
        return THERE

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        return [Answer(Presence.PRESENT if k in self.kept else Presence.ABSENT) for k in keys]

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        with self.lock:
            self.calls += 1
            waiting = self.failing.get(key)
            if waiting:
                raise waiting.pop(0)
            self.kept[key] = b"".join(content.chunks())
        progress(content.size)


class BulkShelf(Shelf):
    """The same, by bundles."""

    bundles = 0

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        self.bundles += 1
        for key, content in items:
            try:
                self.send(key, content, progress)
            except HoldError as error:
                yield key, error
            else:
                yield key, None


DATA = {key_of(b"content %d" % n): b"content %d" % n for n in range(300)}
KEYS = list(DATA)


def send(shelf: Shelf, keys: list[Key] | None = None, jobs: int = 4) -> dict[Key, HoldError | None]:
    items = [(key.text, key) for key in keys or KEYS]
    sent = list(iter_send(items, shelf, lambda key: Bytes(DATA[key]), jobs=jobs))
    assert sorted(s.path for s in sent) == sorted(path for path, _ in items)
    return {s.key: s.error for s in sent}


@pytest.mark.parametrize("kind", [Shelf, BulkShelf])
@pytest.mark.parametrize("jobs", [1, 4])
def test_all_that_is_sent_is_there_and_told_once(kind: type[Shelf], jobs: int) -> None:
    shelf = kind()
    assert set(send(shelf, jobs=jobs).values()) == {None}
    assert shelf.kept == DATA


@pytest.mark.parametrize("kind", [Shelf, BulkShelf])
def test_what_broke_off_is_tried_once_more(kind: type[Shelf]) -> None:
    shelf = kind({KEYS[7]: [GONE], KEYS[9]: [GONE, GONE]})
    answers = send(shelf)
    assert answers[KEYS[7]] is None
    assert isinstance(answers[KEYS[9]], PlaceUnavailableError)
    assert len(shelf.kept) == len(KEYS) - 1


@pytest.mark.parametrize("kind", [Shelf, BulkShelf])
def test_a_fault_of_the_content_is_no_fault_of_the_place(kind: type[Shelf]) -> None:
    damaged = faults.DAMAGED_HERE(key="k", detail="other bytes")
    shelf = kind({key: [damaged] for key in KEYS[:50]})
    answers = send(shelf)
    assert sum(isinstance(error, IntegrityError) for error in answers.values()) == 50
    assert len(shelf.kept) == len(KEYS) - 50


@pytest.mark.parametrize("kind", [Shelf, BulkShelf])
def test_a_place_that_is_gone_is_not_asked_for_each_content(kind: type[Shelf]) -> None:
    shelf = kind({key: [GONE] * 9 for key in KEYS})
    answers = send(shelf)
    assert all(isinstance(error, PlaceUnavailableError) for error in answers.values())
    assert shelf.calls < 10 * FAILURES_MAX


def test_large_contents_go_one_by_one() -> None:
    shelf = BulkShelf()
    large = lambda key: Bytes(DATA[key], BULK_SIZE_MAX + 1)  # noqa: E731
    list(iter_send([(k.text, k) for k in KEYS[:5]], shelf, large))
    assert shelf.bundles == 0
    assert len(shelf.kept) == 5


def test_content_that_is_gone_here_is_told_and_the_rest_is_sent() -> None:
    shelf = Shelf()

    def open_content(key: Key) -> Content:
        if key == KEYS[3]:
            raise faults.NOT_PRESENT(path=key.text)
        return Bytes(DATA[key])

    sent = list(iter_send([(k.text, k) for k in KEYS], shelf, open_content))
    assert [s.key for s in sent if s.error] == [KEYS[3]]
    assert len(shelf.kept) == len(KEYS) - 1


def test_a_bug_in_a_store_is_raised_to_the_caller() -> None:
    class Broken(Shelf):
        def send(self, key: Key, content: Content, progress: OnBytes) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        send(Broken())


def test_who_stops_listening_ends_the_lanes() -> None:
    before = threading.active_count()
    sending = iter_send([(k.text, k) for k in KEYS], Shelf(), lambda key: Bytes(DATA[key]), jobs=3)
    next(sending)
    sending.close()
    assert threading.active_count() == before
