"""Content of keys that are named after their URL: whatever the web gives, if its size is right.

The first time that of a VURL key comes, its hash is written down (``.log.ek``); from then on it has
to be the same. The older URL keys never have one; git-annex takes them from the web so, too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ..core import faults
from ..core.backends import backend_of, is_verifiable, key_digest, make_key
from ..core.errors import HoldError, ProtocolError
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.progress import Progress
from ..core.system_errors import as_fault
from ..dataset.key_facts import KeyFacts
from ..dataset.ledger_write import record_sorted
from ..dataset.packs import sync_file_system
from ..dataset.room import Room
from ..dataset.rules import Rules
from ..dataset.scratch import Scratch
from ..stores.http_urls import server_of
from ..transfer.by_host import ByHost, Pace
from ..wire import logs
from ..wire.branch_paths import equivalent_key_log
from .datasets import Dataset
from .web_client import open_client

if TYPE_CHECKING:
    from ..transfer.download import Downloads

_BATCH = 64


class _Task(NamedTuple):
    """A key, the file it is wanted for, where it may be, and what it was found to be before."""

    key: Key
    path: str
    urls: Sequence[str]
    equals: Sequence[Key]
    backend: bytes


class _Got(NamedTuple):
    """The bytes that came, and the key of them."""

    file: bytes
    size: int
    equal: Key


def iter_get_from_urls(
    dataset: Dataset, wanted: Mapping[Key, str], *, jobs: int, progress: Progress
) -> Iterator[Outcome]:
    """Bring content of keys named after URLs from the web; an outcome for each of them."""
    scratch = Scratch(dataset.repository.annex_dir + b"/othertmp", b"vurl")
    try:
        getter = _Getter(dataset, scratch.path, progress)
        yield from getter.iter_outcomes(wanted, Pace(jobs=jobs + 2))
    finally:
        scratch.close()


class _Getter:
    """Downloads by host, checks, and puts into the annex."""

    def __init__(self, dataset: Dataset, folder: bytes, progress: Progress) -> None:
        self._dataset = dataset
        self._folder = folder
        self._progress = progress
        self._rules = Rules(dataset.repository)
        self._room = Room.of(dataset.repository)
        self._lock = threading.Lock()

    def iter_outcomes(self, wanted: Mapping[Key, str], pace: Pace) -> Iterator[Outcome]:
        """See `iter_get_from_urls`."""
        from ..transfer.download import Downloads  # late: only the web needs it

        workers: ByHost[_Task, _Got | HoldError] = ByHost(self._work, _host_of, pace)
        batch: list[tuple[_Task, _Got]] = []
        with open_client(self._dataset, workers.sleep) as client:
            throttle = self._dataset.limits.throttle_of_web()

            def stop() -> None:
                if throttle is not None:
                    throttle.stop()
                client.close()

            workers.on_stop = stop
            self._check = workers.check
            folder = self._dataset.repository.annex_dir + b"/hold-downloads"
            self._downloads: Downloads = Downloads(
                client, folder, self._folder, progress=self._advance, throttle=throttle,
                admit=self._admit,
            )  # fmt: skip
            for task, got in workers.iter_results(self._iter_tasks(wanted)):
                self._progress.advance(1, 0)
                if isinstance(got, HoldError):
                    yield _failed(task, got)
                    continue
                batch.append((task, got))
                if len(batch) >= _BATCH:
                    yield from self._put(batch)
                    batch = []
        yield from self._put(batch)

    def _advance(self, size: int) -> None:
        self._check()
        self._progress.advance(0, size)

    def _admit(self, size: int) -> HoldError | None:
        with self._lock:
            return self._room.take("the content of a URL", size)

    def _iter_tasks(self, wanted: Mapping[Key, str]) -> Iterator[_Task]:
        ledger = self._dataset.ledger
        urls = ledger.urls(list(wanted))
        paths = {key: equivalent_key_log(key) for key in wanted}
        known = ledger.read_many(list(paths.values()))
        for key, path in wanted.items():
            web = [os.fsdecode(u) for u in urls.get(key, ()) if _is_web(u)]
            equals = list(_equals(known.get(paths[key], b"")))
            backend = equals[0].backend if equals else self._rules.backend(os.fsencode(path))
            yield _Task(key, path, web, equals, backend)

    # in threads

    def _work(self, task: _Task) -> _Got | HoldError:
        error: HoldError = faults.NOT_THERE(
            place="the web", key=task.key.text, detail="no URL is known for it"
        )
        for url in task.urls:
            try:
                return self._fetch(task, url)
            except HoldError as failure:
                error = failure
        return error

    def _fetch(self, task: _Task, url: str) -> _Got:
        done = self._downloads.fetch(url, task.backend, task.key.size)
        alike = [
            key for key in task.equals if backend_of(key) == backend_of(Key(task.backend + b"--"))
        ]
        for key in alike:
            if key_digest(key) == done.hexdigest:
                return _Got(done.path, done.size, key)
        if task.equals:
            os.unlink(done.path)
            raise faults.WRONG_CONTENT(
                source=urlsplit(url).netloc.rpartition("@")[2], key=task.key.text,
                detail="what is there now is not what came the first time",
                next="look what is at that URL; it has changed",
            )  # fmt: skip
        # Named as git-annex names it: by its hash, without the extension of any file.
        equal = make_key(task.backend, b"", done.size, done.hexdigest)
        return _Got(done.path, done.size, equal)

    # in the caller's thread

    def _put(self, batch: Sequence[tuple[_Task, _Got]]) -> Iterator[Outcome]:
        if not batch:
            return
        sync_file_system(self._folder)
        with KeyFacts(self._dataset.repository.common_dir) as facts:
            for task, got in batch:
                if task.key.backend == b"VURL":
                    facts.set_equal(task.key, got.equal)
            if facts:
                record_sorted(self._dataset.repository, facts.iter_edits())
        for task, got in batch:
            try:
                self._dataset.objects.commit(task.key, got.file)
            except OSError as error:
                yield _failed(task, as_fault(error, task.path))
            else:
                yield Outcome("get", Status.OK, task.path, task.key, got.size, "from web")


def _equals(log: bytes) -> Iterator[Key]:
    for raw, entry in logs.parse_presence(log).items():
        try:
            key = Key.parse(raw)
        except ProtocolError:
            continue
        if entry.value == b"1" and is_verifiable(key.backend):
            yield key


def _host_of(task: _Task) -> str:
    return server_of(task.urls[0]) if task.urls else ""


def _is_web(url: bytes) -> bool:
    return url.lower().startswith((b"http://", b"https://"))


def _failed(task: _Task, error: HoldError) -> Outcome:
    return Outcome("get", Status.ERROR, task.path, task.key, task.key.size, error.why, error)
