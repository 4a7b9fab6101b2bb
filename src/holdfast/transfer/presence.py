"""Asking for very many keys, which of them are really there: a place, or URLs of many hosts.

Nobody is waited for again and again: a place, or a host, that let us wait in vain is not asked any
more, and what it was to be asked is told as unknown.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from ..core import faults
from ..core.abilities import Answer, Askable
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Presence
from ..stores.http_urls import server_of
from ..stores.url_store import HeadClient, answer_at, tell
from .by_host import ByHost, Pace

_FIRST, _PART = 16, 1024
PATIENCE_S = 5.0
HOST_TRIES = 3
_BARE = "its folder is empty: perhaps its drive is not mounted"
_SILENT = (faults.UNREACHABLE.code, faults.STALLED.code)


class PatientPlace:
    """A place, by all ways to it, cheapest first; see the module for when it is given up."""

    def __init__(
        self, ways: Sequence[Askable], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        assert ways, "a place that cannot be reached is not asked"
        self.place = ways[0].place
        self._ways = [_Way(way, now) for way in ways]

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look, for each key, in order; where one way gives no answer the next one is tried."""
        answers = self._ways[0].ask(keys)
        for way in self._ways[1:]:
            open_ = [n for n, answer in enumerate(answers) if answer.presence is Presence.UNKNOWN]
            if not open_:
                break
            again = way.ask([keys[number] for number in open_])
            for number, answer in zip(open_, again, strict=True):
                if answer.presence is not Presence.UNKNOWN:
                    answers[number] = answer
        return answers


class _Way:
    """One way to a place, asked in parts: a small one first, to find out whether it answers."""

    def __init__(self, place: Askable, now: Callable[[], float]) -> None:
        self._place = place
        self._now = now
        self._part = _FIRST
        self._given_up = ""

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        answers: list[Answer] = []
        while len(answers) < len(keys):
            if self._given_up:
                rest = len(keys) - len(answers)
                return answers + [Answer(Presence.UNKNOWN, self._given_up)] * rest
            part = keys[len(answers) : len(answers) + self._part]
            began = self._now()
            found = self._ask(part)
            if all(answer.presence is Presence.UNKNOWN for answer in found):
                if self._now() - began > PATIENCE_S:
                    self._given_up = found[0].remark
            else:
                self._part = _PART
            answers += found
        return answers

    def _ask(self, keys: Sequence[Key]) -> list[Answer]:
        try:
            answers = self._place.ask(keys)
        except HoldError as error:
            return [Answer(Presence.UNKNOWN, tell(error))] * len(keys)
        is_bare = getattr(self._place, "is_bare", None)
        if is_bare is not None and is_bare():
            return [Answer(Presence.UNKNOWN, _BARE)] * len(keys)
        path_of = getattr(self._place, "content_path", None)
        if path_of is None:
            return answers
        return [
            _of_right_size(key, path_of, answer) if answer.presence is Presence.PRESENT else answer
            for key, answer in zip(keys, answers, strict=True)
        ]


def _of_right_size(key: Key, path_of: Callable[[Key], bytes | None], answer: Answer) -> Answer:
    """The answer of a place whose files we can open: a file of another size is no copy."""
    if key.size is None:
        return answer
    path = path_of(key)
    try:
        size = None if path is None else os.stat(path).st_size
    except OSError as error:
        return Answer(Presence.UNKNOWN, error.strerror or str(error))
    if size is None:
        return Answer(Presence.ABSENT)
    if size != key.size:
        return Answer(Presence.ABSENT, f"there are {size} bytes instead of {key.size}")
    return answer


class AtUrl(NamedTuple):
    """The question whether content is at a URL, as it can be requested."""

    key: Key
    url: str


OpenClient = Callable[[Callable[[float], None]], AbstractContextManager[HeadClient]]
"""Opens a client that waits by what it is given where a server asks for that."""


class UrlAsker:
    """Asks for URLs, many at a time but few of one host, and no host faster than it is allowed."""

    def __init__(self, open_client: OpenClient, pace: Pace) -> None:
        self._open_client = open_client
        self._pace = pace
        self._silent: dict[str, tuple[int, str]] = {}
        self._lock = threading.Lock()

    def iter_answers(self, questions: Collection[AtUrl]) -> Iterator[tuple[AtUrl, Answer]]:
        """The answer to each question, in any order."""
        if not questions:
            return
        by_host: ByHost[AtUrl, Answer] = ByHost(
            self._ask, lambda question: server_of(question.url), self._pace
        )
        with self._open_client(by_host.sleep) as client:
            self._client = client
            by_host.on_stop = client.close
            yield from by_host.iter_results(questions)

    def _ask(self, question: AtUrl) -> Answer:
        host = server_of(question.url)
        count, said = self._silent.get(host, (0, ""))
        if count >= HOST_TRIES:
            return Answer(Presence.UNKNOWN, said)
        try:
            answer = answer_at(self._client, question.key, question.url)
        except HoldError as error:
            answer = Answer(Presence.UNKNOWN, tell(error))
            if error.code in _SILENT:
                with self._lock:
                    before = self._silent.get(host, (0, ""))[0]
                    self._silent[host] = before + 1, answer.remark
                return answer
        self._silent.pop(host, None)
        return answer
