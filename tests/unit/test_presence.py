"""Asking for very many keys: in parts, by all ways, and not for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from holdfast.api.urls import shown_url
from holdfast.core import faults
from holdfast.core.abilities import Answer
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores.directory import Directory
from holdfast.stores.placing import Placing
from holdfast.stores.url_store import answer_at
from holdfast.transfer.by_host import Pace
from holdfast.transfer.presence import HOST_TRIES, PATIENCE_S, AtUrl, PatientPlace, UrlAsker

KEYS = [Key(b"SHA256-s3--%d" % number) for number in range(5000)]


class _Place:
    """A place that answers the same for all; each question takes its time."""

    def __init__(self, presence: Presence, *, takes_s: float = 0.0) -> None:
        self.place = Place(PlaceId("p"), "p")
        self.asked: list[int] = []
        self.now = 0.0
        self._presence = presence
        self._takes_s = takes_s

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        self.asked.append(len(keys))
        self.now += self._takes_s
        return [Answer(self._presence, "so it is")] * len(keys)


def test_a_place_that_lets_us_wait_in_vain_is_asked_once() -> None:
    place = _Place(Presence.UNKNOWN, takes_s=PATIENCE_S + 1)
    patient = PatientPlace([place], now=lambda: place.now)
    for _ in range(2):
        answers = patient.ask(KEYS)
        assert answers == [Answer(Presence.UNKNOWN, "so it is")] * len(KEYS)
    assert place.asked == [16]


def test_a_place_that_is_unsure_but_quick_is_asked_for_all() -> None:
    place = _Place(Presence.UNKNOWN)
    PatientPlace([place], now=lambda: place.now).ask(KEYS)
    assert sum(place.asked) == len(KEYS)


def test_a_slow_place_that_answers_is_asked_for_all_in_large_parts() -> None:
    place = _Place(Presence.PRESENT, takes_s=60)
    PatientPlace([place], now=lambda: place.now).ask(KEYS)
    assert sum(place.asked) == len(KEYS) and len(place.asked) < 10


def test_the_next_way_to_a_place_is_tried_where_the_first_gives_no_answer() -> None:
    silent, good = _Place(Presence.UNKNOWN), _Place(Presence.ABSENT)
    answers = PatientPlace([silent, good]).ask(KEYS[:3])
    assert {answer.presence for answer in answers} == {Presence.ABSENT}


def test_a_file_of_another_size_is_no_copy(tmp_path: Path) -> None:
    place = _Place(Presence.PRESENT)
    (tmp_path / "content").write_bytes(b"four")
    place.content_path = lambda key: bytes(tmp_path / "content")  # type: ignore[attr-defined]
    (answer,) = PatientPlace([place]).ask(KEYS[:1])
    assert answer == Answer(Presence.ABSENT, "there are 4 bytes instead of 3")


def test_a_folder_with_nothing_in_it_says_nothing_of_what_was_there(tmp_path: Path) -> None:
    """So it looks where a drive is mounted otherwise."""
    place = Directory(
        Place(PlaceId("p"), "p"), bytes(tmp_path), Placing("p", lambda key: [b"there"]), cost=1.0
    )
    assert [a.presence for a in place.ask(KEYS[:1])] == [Presence.ABSENT]
    [answer] = PatientPlace([place]).ask(KEYS[:1])
    assert answer.presence is Presence.UNKNOWN
    assert "mounted" in answer.remark
    (tmp_path / "other").touch()
    assert [a.presence for a in PatientPlace([place]).ask(KEYS[:1])] == [Presence.ABSENT]


class _Client:
    def __init__(self, head: Callable[[str], Any]) -> None:
        self.head = head
        self.asked: list[str] = []

    def close(self) -> None:
        pass


def _answers(head: Callable[[str], Any], urls: Sequence[str]) -> dict[str, Answer]:
    @contextmanager
    def open_client(sleep: Callable[[float], None]) -> Iterator[_Client]:
        yield _Client(head)

    asker = UrlAsker(open_client, Pace(jobs=1, per_host=1))  # type: ignore[arg-type]
    questions = [AtUrl(KEYS[0], url) for url in urls]
    return {question.url: answer for question, answer in asker.iter_answers(questions)}


def test_a_host_that_does_not_answer_is_left_alone_and_others_are_asked() -> None:
    asked: list[str] = []

    def head(url: str) -> Any:
        asked.append(url)
        if "silent" in url:
            raise faults.UNREACHABLE(place="silent", detail="no connection within 15 s")
        return SimpleNamespace(status=200, size=3, content_type="")

    urls = [f"http://silent/{n}" for n in range(50)] + ["http://good/1"]
    found = _answers(head, urls)
    assert sum("silent" in url for url in asked) == HOST_TRIES
    assert found["http://good/1"].presence is Presence.PRESENT
    assert {found[url].presence for url in urls[:50]} == {Presence.UNKNOWN}


def test_a_url_is_dead_only_when_its_server_says_so() -> None:
    sizes = {200: 3, 404: None, 410: None, 403: None, 500: None, 206: 7}

    def head(url: str) -> Any:
        status = int(url.rpartition("/")[2])
        return SimpleNamespace(status=status, size=sizes[status], content_type="")

    found = _answers(head, [f"http://h/{status}" for status in sizes])
    assert {url[-3:]: answer.presence for url, answer in found.items()} == {
        "200": Presence.PRESENT, "404": Presence.ABSENT, "410": Presence.ABSENT,
        "403": Presence.UNKNOWN, "500": Presence.UNKNOWN, "206": Presence.ABSENT,
    }  # fmt: skip


def test_a_page_of_another_size_says_nothing_of_what_was_there() -> None:
    """A login, a notice of works, the portal of a network: each answers 200 to any URL."""

    def head(url: str) -> Any:
        return SimpleNamespace(status=200, size=1234, content_type="text/html")

    question = "http://h/data"
    (found,) = _answers(head, [question]).values()
    assert found.presence is Presence.UNKNOWN
    assert "HTML page" in found.remark
    page = Key(b"SHA256E-s3--0.html")
    client: Any = _Client(head)
    assert answer_at(client, page, question).presence is Presence.ABSENT


def test_what_is_no_url_stops_no_other_question() -> None:
    asked: list[str] = []

    def head(url: str) -> Any:
        asked.append(url)
        if "[" in url:
            raise faults.BAD_URL(url="it", detail="it is no URL")
        return SimpleNamespace(status=200, size=3, content_type="")

    found = _answers(head, ["http://[half/x", "http://good/1"])
    assert [found[url].presence for url in ("http://[half/x", "http://good/1")] == [
        Presence.UNKNOWN, Presence.PRESENT,
    ]  # fmt: skip


def test_a_password_is_not_shown_of_what_is_no_url_either() -> None:
    for host in ("host", "[half"):
        shown = shown_url(f"http://me:secret@{host}/x".encode())
        assert "secret" not in shown
        assert shown.endswith(f"{host}/x")
