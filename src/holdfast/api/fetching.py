"""Files from URLs: fetched, hashed and taken in, or named by their URL alone; many at once."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ..core import faults, secure_hashes
from ..core.backends import make_key, url_key
from ..core.errors import HoldError
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.place import WEB
from ..core.progress import Progress
from ..dataset.arrivals import Arrival, Arrivals
from ..dataset.room import Room
from ..dataset.spots import Spot
from ..stores.http_urls import safe_url, server_of
from ..transfer.by_host import ByHost, Pace
from ..transfer.throttle import Throttle
from ..wire.metadata import Change
from ..wire.url_names import requestable
from .datasets import Dataset
from .web_client import open_client

if TYPE_CHECKING:
    from ..stores.http import HttpClient
    from ..transfer.download import Downloads

_BLOCK = 512
_BATCH_FILES = 256
_BATCH_BYTES = 64 << 20
_BATCH_S = 1.0


class How(StrEnum):
    """Whether content is fetched now; ``fast`` asks for its size only, ``relaxed`` for nothing."""

    FETCH = "fetch"
    FAST = "fast"
    RELAXED = "relaxed"


class IfExists(StrEnum):
    """What to do where something is already; ``fail`` still takes the same content as success."""

    FAIL = "fail"
    SKIP = "skip"
    OVERWRITE = "overwrite"


class Wish(NamedTuple):
    """A file that is to be, and the URL of its content; with a key it is not fetched."""

    url: str
    path: bytes
    key: Key | None = None
    metadata: tuple[Change, ...] = ()


@dataclass(frozen=True)
class FetchPlan:
    """How a set of wishes is to be fulfilled."""

    how: How = How.FETCH
    if_exists: IfExists = IfExists.FAIL
    pace: Pace = field(default_factory=Pace)
    message: str | None = None
    action: str = "addurl"


class _Task(NamedTuple):
    """A wish, what is at its path, and the backend for what comes."""

    wish: Wish
    spot: Spot
    backend: bytes


class _Got(NamedTuple):
    """What a URL gave: a key, perhaps a file of bytes."""

    key: Key
    size: int
    file: bytes | None


def iter_fetch(
    dataset: Dataset, wishes: Iterable[Wish], plan: FetchPlan, progress: Progress
) -> Iterator[Outcome]:
    """Make files of wishes, and one version of all of them.

    What fails, or was there already, is told at once; what is new once it is recorded, by path.
    Stopped in the middle, what came so far is recorded.
    """
    with Arrivals(dataset.repository, dataset.objects) as arrivals:
        fetcher = _Fetcher(dataset, arrivals, plan, progress)
        progress.start(None, None)
        try:
            yield from fetcher.iter_outcomes(iter(wishes))
        except (KeyboardInterrupt, GeneratorExit):
            fetcher.finish()
            raise
        finally:
            progress.stop()
            dataset.forget()


class _Fetcher:
    """Decides, fetches, takes in."""

    def __init__(
        self, dataset: Dataset, arrivals: Arrivals, plan: FetchPlan, progress: Progress
    ) -> None:
        self._dataset = dataset
        self._arrivals = arrivals
        self._plan = plan
        self._progress = progress
        self._said: deque[Outcome] = deque()
        self._batch: list[tuple[Wish, Arrival]] = []
        self._bytes = 0
        self._began = 0.0
        self._room = Room.of(dataset.repository)
        self._room_lock = threading.Lock()

    def iter_outcomes(self, wishes: Iterator[Wish]) -> Iterator[Outcome]:
        """Fulfil wishes; see `iter_fetch`."""
        workers: ByHost[_Task, _Got | HoldError] = ByHost(self._work, _host_of, self._plan.pace)
        with open_client(self._dataset, workers.sleep) as client:
            self._client = client
            throttle = self._dataset.limits.throttle_of_web()

            def stop() -> None:
                if throttle is not None:
                    throttle.stop()
                client.close()

            workers.on_stop = stop
            self._check = workers.check
            self._downloads = self._open_downloads(client, throttle)
            for task, got in workers.iter_results(self._iter_tasks(wishes)):
                self._progress.advance(1, 0)
                self._settle(task, got)
                yield from self._iter_said()
        self._flush()
        yield from self._iter_said()
        self.finish()
        yield from self._arrivals.iter_recorded(self._plan.action, same=Status.OK)

    def finish(self) -> None:
        """Record what came so far."""
        self._flush()
        count = self._arrivals.count
        files = "1 file" if count == 1 else f"{count} files"
        self._arrivals.finish(self._plan.message or f"Add {files} from the web")

    def _open_downloads(self, client: HttpClient, throttle: Throttle | None) -> Downloads:
        from ..transfer.download import Downloads

        return Downloads(
            client,
            self._dataset.repository.annex_dir + b"/hold-downloads",
            self._arrivals.folder,
            progress=self._advance,
            throttle=throttle,
            admit=self._admit,
        )

    def _advance(self, size: int) -> None:
        self._check()
        self._progress.advance(0, size)

    def _admit(self, size: int) -> HoldError | None:
        with self._room_lock:
            return self._room.take("the content of a URL", size)

    def _iter_said(self) -> Iterator[Outcome]:
        while self._said:
            yield self._said.popleft()

    # deciding, in the caller's thread

    def _iter_tasks(self, wishes: Iterator[Wish]) -> Iterator[_Task]:
        while block := list(islice(wishes, _BLOCK)):
            looked = [(wish, self._look(wish)) for wish in block]
            keys = {spot.key for _, spot in looked if spot is not None and spot.key is not None}
            known = self._dataset.ledger.urls(list(keys)) if keys else {}
            for wish, spot in looked:
                if spot is not None:
                    urls = known.get(spot.key, []) if spot.key is not None else []
                    yield from self._decide(wish, spot, urls)

    def _look(self, wish: Wish) -> Spot | None:
        """What is at the path of a wish; None when it cannot be, which is told."""
        refusal = refusal_of_url(wish.url) or self._arrivals.spots.refusal(wish.path)
        if refusal is not None:
            self._say_failure(wish, refusal)
            return None
        return self._arrivals.spots.look(wish.path)

    def _decide(self, wish: Wish, spot: Spot, urls: list[bytes]) -> Iterator[_Task]:
        if spot.key is not None and os.fsencode(wish.url) in urls:
            self._keep(wish, spot.key, "it has this URL already")
        elif self._plan.if_exists is IfExists.SKIP and self._arrivals.spots.is_settled(wish.path):
            self._say(wish, Status.NOT_NEEDED, spot.key, "something is there already")
        elif spot.there and spot.key is None and not self._may_replace(spot):
            self._say_failure(wish, faults.SPOT_TAKEN(path=os.fsdecode(wish.path)))
        else:
            try:
                yield _Task(wish, spot, self._backend(wish))
            except HoldError as error:
                self._say_failure(wish, error)

    def _backend(self, wish: Wish) -> bytes:
        rules = self._arrivals.rules
        if wish.key is not None and not rules.allows(wish.key):
            raise secure_hashes.refusal(os.fsdecode(wish.path), wish.key.backend)  # type: ignore[misc]
        return rules.backend(wish.path)

    def _may_replace(self, spot: Spot) -> bool:
        return self._plan.if_exists is IfExists.OVERWRITE and spot.kept

    def _keep(self, wish: Wish, key: Key, note: str) -> None:
        """What is there already is as wished; it only has to be in the version."""
        if not self._arrivals.spots.is_tracked(wish.path):
            self._add(wish, Arrival(wish.path, key, key.size or 0))
            return
        self._arrivals.facts.change_metadata(key, wish.metadata)
        self._say(wish, Status.NOT_NEEDED, key, note)

    # fetching, in threads

    def _work(self, task: _Task) -> _Got | HoldError:
        try:
            return self._get(task)
        except HoldError as error:
            return error

    def _get(self, task: _Task) -> _Got:
        wish, there = task.wish, task.spot.key
        if wish.key is not None:
            return _Got(wish.key, wish.key.size or 0, None)
        replaces = self._plan.if_exists is IfExists.OVERWRITE
        if self._plan.how is How.FETCH:
            return self._fetch(wish, task.backend)
        size = self._size_at(wish.url) if self._plan.how is How.FAST else None
        if there is None or replaces:
            key = url_key(os.fsencode(wish.url), size, backend=b"VURL")
            return _Got(key, size or 0, None)
        if size is not None and there.size not in (None, size):
            raise faults.SPOT_TAKEN(path=os.fsdecode(wish.path))
        return _Got(there, there.size or 0, None)

    def _fetch(self, wish: Wish, backend: bytes) -> _Got:
        done = self._downloads.fetch(wish.url, backend)
        name = wish.path.rpartition(b"/")[2]
        limits = self._arrivals.rules.limits
        key = make_key(backend, name, done.size, done.hexdigest, limits)
        return _Got(key, done.size, done.path)

    def _size_at(self, url: str) -> int | None:
        from ..stores.http import raise_for_status

        answer = self._client.head(requestable(url))
        if answer.status != 416:
            raise_for_status(answer)
        return answer.size

    # taking in, in the caller's thread

    def _settle(self, task: _Task, got: _Got | HoldError) -> None:
        if isinstance(got, HoldError):
            self._say_failure(task.wish, got)
            return
        over = self._plan.if_exists is IfExists.OVERWRITE
        self._add(task.wish, Arrival(task.wish.path, got.key, got.size, got.file, over=over))

    def _add(self, wish: Wish, arrival: Arrival) -> None:
        if not self._batch:
            self._began = time.monotonic()
        self._batch.append((wish, arrival))
        self._bytes += arrival.size
        if (
            len(self._batch) >= _BATCH_FILES
            or self._bytes >= _BATCH_BYTES
            or time.monotonic() - self._began >= _BATCH_S
        ):
            self._flush()

    def _flush(self) -> None:
        batch, self._batch, self._bytes = self._batch, [], 0
        if not batch:
            return
        facts = self._arrivals.facts
        taken = self._arrivals.take([arrival for _, arrival in batch])
        for (arrival, error), (wish, _) in zip(taken, batch, strict=True):
            if error is not None:
                self._say_failure(wish, error)
                continue
            assert arrival.key is not None
            facts.set_url(arrival.key, os.fsencode(wish.url), registered=True)
            facts.set_place(arrival.key, WEB, present=True)
            facts.change_metadata(arrival.key, wish.metadata)

    # telling

    def _say(self, wish: Wish, status: Status, key: Key | None, note: str) -> None:
        path = os.fsdecode(wish.path)
        self._said.append(Outcome(self._plan.action, status, path, key, note=note))

    def _say_failure(self, wish: Wish, error: HoldError) -> None:
        path = os.fsdecode(wish.path)
        self._said.append(
            Outcome(self._plan.action, Status.ERROR, path, error=error, note=error.why)
        )


def _host_of(task: _Task) -> str:
    # What is not fetched waits for nobody.
    return "" if task.wish.key is not None else server_of(task.wish.url)


def refusal_of_url(url: str) -> HoldError | None:
    """Why a URL may not be registered: it is none, or holds a secret. None when it may."""
    try:
        parts = urlsplit(url)
        host, password = parts.hostname, parts.password
    except ValueError:
        return faults.BAD_URL(url="it", detail="it is no URL")
    if parts.scheme.lower() not in ("http", "https") or not host:
        return faults.BAD_URL(url=safe_url(url), detail="it is no http or https URL")
    if any(ord(sign) < 32 for sign in url):
        return faults.BAD_URL(url=host, detail="it holds a control character")
    return faults.URL_WITH_PASSWORD(host=host) if password is not None else None
