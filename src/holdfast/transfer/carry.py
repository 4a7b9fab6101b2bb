"""Many keys at once: a lane of threads for each place, small files in bulk where it can.

What is on its way is bounded, so memory does not grow with what is wanted. A key whose place
fails goes over to the lane of its next place; a place that fails again and again is asked no
more. Outcomes come in the order in which things end.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from ..core import faults
from ..core.abilities import (
    BulkReadable,
    Readable,
    Stream,
    Writable,
    bytes_for_a_lane,
    limits_of_fetching,
    waiting_bytes,
)
from ..core.errors import HoldError, PlaceFullError, PlaceUnavailableError
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.place import Place, PlaceId
from ..core.progress import Progress, Silence
from .inbox import Inbox
from .plan import Attempts
from .receive import Received, may_take, no_source, receive
from .staging import Door, Staging

ON_WAY_MAX = 8000
"""How many keys are in lanes at a time: more than all lanes hold back until a batch is synced."""

BULK_SIZE_MAX = 8 << 20
"""Larger files go one by one: they are resumed, and change to another source mid-file."""

FAILURES_MAX = 3
"""After so many failures in a row, without a byte between them, a place counts as gone."""

_PATIENCE_S = 0.5
_GOOD_BYE_S = 5.0


def iter_carry(
    wanted: Iterable[tuple[str, Key]],
    plan: Callable[[Key], Attempts],
    sources: Mapping[PlaceId, Readable],
    target: Writable,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
    unchecked_from: Collection[PlaceId] = (),
    action: str = "get",
    staging: Staging | None = None,
    are_missing: bool = False,
    on_stop: Callable[[], None] = lambda: None,
) -> Iterator[Outcome]:
    """Bring content into a place, telling of each path when it is done.

    ``jobs`` is how many transfers may go on with each place. Two paths with the same key cost one
    transfer. ``action`` is what outcomes call it; their fact ``from`` is the UUID of the place it
    came from. With a ``staging`` into the same place, content is synced in batches before it is
    told of. ``are_missing`` says that the caller has looked, and spares a look for each key.
    ``on_stop`` is called when all ends, before lanes are waited for: it wakes those that wait.
    Closing the iterator, or Ctrl-C, stops soon: what arrived is kept, and a source that does not
    stop by itself is closed.
    """
    carrier = _Carrier(sources, target, jobs, progress or Silence(), unchecked_from)
    carrier.action = action
    carrier.staging = staging
    try:
        for path, key in wanted:
            carrier.want(path, key, plan, is_missing=are_missing)
            while carrier.is_full:
                yield from carrier.take(wait=True)
            yield from carrier.take(wait=False)
        while carrier.on_way:
            yield from carrier.take(wait=True)
    finally:
        carrier.stopping.set()
        on_stop()
        carrier.stop()


class _Task:
    """One key on its way: who wants it, who is still to be asked, who answered what."""

    __slots__ = ("answers", "key", "order", "paths", "retried")

    def __init__(self, key: Key, paths: list[str], order: deque[PlaceId]) -> None:
        self.key = key
        self.paths = paths
        self.order = order
        self.answers: list[tuple[Place, HoldError]] = []
        self.retried: set[PlaceId] = set()


_Done = tuple[_Task | None, Received | HoldError | BaseException]


class _Carrier:
    """The lanes, and what is on its way in them. Used by the caller's thread; lanes report back."""

    def __init__(
        self,
        sources: Mapping[PlaceId, Readable],
        target: Writable,
        jobs: int,
        progress: Progress,
        unchecked_from: Collection[PlaceId],
    ) -> None:
        self.sources = sources
        self.target = target
        self.progress = progress
        self.unchecked_from = unchecked_from
        self.stopping = threading.Event()
        self.on_way: dict[Key, _Task] = {}
        self.action = "get"
        self.staging: Staging | None = None
        self._jobs = max(1, jobs)
        self._lanes: dict[PlaceId, _Lane] = {}
        self._lock = threading.Lock()
        self._done: Inbox[_Done] = Inbox()
        self._said: list[Outcome] = []

    @property
    def is_full(self) -> bool:
        return len(self.on_way) >= ON_WAY_MAX

    def want(
        self, path: str, key: Key, plan: Callable[[Key], Attempts], *, is_missing: bool
    ) -> None:
        """Send a key on its way, unless it is there or on its way already."""
        task = self.on_way.get(key)
        if task is not None:
            task.paths.append(path)
        elif not is_missing and self.target.has(key):
            self.progress.advance(1, key.size or 0)
            self._said.append(Outcome(self.action, Status.NOT_NEEDED, path, key, key.size))
        else:
            order = deque(place for place in plan(key).order if place in self.sources)
            self.on_way[key] = task = _Task(key, [path], order)
            self.pass_on(task)

    def take(self, *, wait: bool) -> Iterator[Outcome]:
        """What has ended since it was last asked."""
        said, self._said = self._said, []
        yield from said
        for task, result in self._done.take(wait=wait and bool(self.on_way)):
            if task is None or not isinstance(result, Received | HoldError):
                assert isinstance(result, BaseException)
                raise result
            del self.on_way[task.key]
            yield from self._outcomes(task, result)

    def pass_on(self, task: _Task) -> None:
        """Give a task to the lane of its next place, or tell that there is none. For any thread."""
        while task.order:
            place = task.order.popleft()
            lane = self._lane(place)
            gone = lane.gone
            if gone is None:
                lane.put(task)
                return
            task.answers.append((lane.source.place, gone))
        self.report(task, no_source(task.key, task.answers))

    def report(self, task: _Task | None, result: Received | HoldError | BaseException) -> None:
        """Tell the caller's thread that a task has ended. For any thread."""
        self._done.put((task, result))

    def ring(self) -> None:
        """Let the caller's thread hear now what was reported. For any thread."""
        self._done.ring()

    def stop(self) -> None:
        """End all lanes; those that hang in a source are woken by closing it."""
        self.stopping.set()
        lanes = list(self._lanes.values())
        for lane in lanes:
            lane.wake()
        for lane in lanes:
            if not lane.join(_PATIENCE_S):
                lane.source.close()
        for lane in lanes:
            lane.join(_GOOD_BYE_S)

    def _lane(self, place: PlaceId) -> _Lane:
        with self._lock:
            if place not in self._lanes:
                self._lanes[place] = _Lane(self, self.sources[place], self._jobs)
            return self._lanes[place]

    def _outcomes(self, task: _Task, result: Received | HoldError) -> Iterator[Outcome]:
        self.progress.advance(1, 0)
        key, size = task.key, task.key.size
        for number, path in enumerate(task.paths):
            if isinstance(result, HoldError):
                nobody_has_it = result.code == faults.NO_SOURCE.code and not task.answers
                status = Status.IMPOSSIBLE if nobody_has_it else Status.ERROR
                yield Outcome(self.action, status, path, key, size, result.why, result)
            elif not result.fresh or number:
                yield Outcome(self.action, Status.NOT_NEEDED, path, key, size)
            else:
                place = result.place
                note = f"from {place.label}" if place else ""
                facts = {"from": place.id} if place else {}
                yield Outcome(
                    self.action, Status.OK, path, key, size or result.size, note, facts=facts
                )


class _Lane:
    """The threads that read from one place, and what they are to read."""

    def __init__(self, carrier: _Carrier, source: Readable, jobs: int) -> None:
        self.source = source
        self.gone: HoldError | None = None
        self._carrier = carrier
        self._bulk = source if isinstance(source, BulkReadable) else None
        limits = limits_of_fetching(source)
        self._size_max = min(BULK_SIZE_MAX, limits.size_max or BULK_SIZE_MAX)
        self._bulk_lanes = min(jobs, limits.lanes or jobs)
        self._in_bulk = 0
        self._small: deque[_Task] = deque()
        self._large: deque[_Task] = deque()
        self._ready = threading.Condition()
        self._failures = 0
        self._last: HoldError | None = None
        self._jobs = jobs
        self._lane_bytes = bytes_for_a_lane(source)
        self._threads: list[threading.Thread] = []

    def put(self, task: _Task) -> None:
        """Queue a task; threads are started as there is work for them."""
        with self._ready:
            (self._small if self._is_bulk(task) else self._large).append(task)
            self._ready.notify()
            count = len(self._small) + len(self._large)
            lanes, waiting = len(self._threads), waiting_bytes(count, task.key.size)
            if not lanes or (lanes < self._jobs and waiting >= self._lane_bytes):
                name = f"lane-{self.source.place.label}"
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def wake(self) -> None:
        """Let threads that wait see that all is stopping."""
        with self._ready:
            self._ready.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the threads; whether all have ended."""
        for thread in self._threads:
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        carrier = self._carrier
        door: Door[_Task] = Door(carrier.target, carrier.report, carrier.staging)
        task = None
        try:
            while (task := self._next(door)) is not None:
                try:
                    if self._bulk is not None and self._is_bulk(task):
                        self._take_many(self._bulk, task, door)
                    else:
                        if not _is_small(task.key):
                            # What is held back shall not wait for a large file.
                            door.flush()
                        self._take_one(task, door)
                    self._done(task)
                except _Stopped:
                    break
            door.flush()
        except BaseException as error:  # a bug: the caller's thread shall raise it
            carrier.report(task, error)
        carrier.ring()

    def _next(self, door: Door[_Task]) -> _Task | None:
        task = self._take()
        if task is None:
            # Nobody shall wait for what we hold back while we wait for others.
            door.flush()
            self._carrier.ring()
            with self._ready:
                while (task := self._take()) is None and not self._carrier.stopping.is_set():
                    self._ready.wait()
        return task

    def _take(self) -> _Task | None:
        """A task that may be begun now."""
        with self._ready:
            if self._carrier.stopping.is_set():
                return None
            if self._small and self._in_bulk < self._bulk_lanes:
                self._in_bulk += 1
                return self._small.popleft()
            return self._large.popleft() if self._large else None

    def _done(self, task: _Task) -> None:
        """Some places serve many by one lane better than by several: let the next one be it."""
        if self._is_bulk(task):
            with self._ready:
                self._in_bulk -= 1
                self._ready.notify_all()

    def _next_small(self) -> _Task | None:
        """The next task if there is one now that is small."""
        if self._carrier.stopping.is_set():
            return None
        try:
            return self._small.popleft()
        except IndexError:
            return None

    def _is_bulk(self, task: _Task) -> bool:
        size = task.key.size
        return self._bulk is not None and size is not None and size <= self._size_max

    # one key

    def _take_one(self, task: _Task, door: Door[_Task]) -> None:
        carrier = self._carrier
        ways = [carrier.sources[place] for place in task.order]
        if self.gone is None:
            ways.insert(0, self.source)
        else:
            task.answers.append((self.source.place, self.gone))

        def failed(place: Place, error: HoldError) -> None:
            if carrier.stopping.is_set():
                # Its source was closed to wake us: it is not to be asked again.
                raise _Stopped
            task.answers.append((place, error))
            if place.id == self.source.place.id:
                self._count(error)

        try:
            received = receive(
                door.target,
                task.key,
                ways,
                self._advance,
                unchecked_from=carrier.unchecked_from,
                on_failure=failed,
            )
        except HoldError as error:
            had_none = error.code == faults.NO_SOURCE.code
            door.tell(task, no_source(task.key, task.answers) if had_none else error)
        else:
            if received.place is not None and received.place.id == self.source.place.id:
                self._failures = 0
            door.tell(task, received)

    # many keys

    def _take_many(self, bulk: BulkReadable, first: _Task, door: Door[_Task]) -> None:
        taken: deque[_Task] = deque()
        for key, found in bulk.iter_contents(self._keys(first, taken, door)):
            task = taken.popleft()
            assert task.key == key
            self._end(task, self._received(task, found, door), door)
        assert not taken

    def _keys(self, first: _Task, taken: deque[_Task], door: Door[_Task]) -> Iterator[Key]:
        task: _Task | None = first
        while task is not None:
            if may_take(task.key, self.source.place, self._carrier.unchecked_from):
                taken.append(task)
                yield task.key
            else:
                self._take_one(task, door)
            # Never waits: what is asked for already shall not wait for what is not yet wanted.
            task = self._next_small() if self.gone is None else None

    def _received(
        self, task: _Task, found: Stream | HoldError, door: Door[_Task]
    ) -> Received | HoldError:
        if isinstance(found, HoldError):
            return found
        try:
            return door.take(task.key, self.source.place, found, self._advance)
        except HoldError as error:
            return error

    def _end(self, task: _Task, result: Received | HoldError, door: Door[_Task]) -> None:
        if isinstance(result, Received):
            self._failures = 0
        elif not isinstance(result, PlaceFullError) and result.code != faults.IN_USE.code:
            self._fall_over(task, result)
            return
        door.tell(task, result)

    def _fall_over(self, task: _Task, error: HoldError) -> None:
        """On to the next place; one that broke off is asked once more, after all others."""
        place = self.source.place
        task.answers.append((place, error))
        self._count(error)
        if isinstance(error, PlaceUnavailableError) and place.id not in task.retried:
            task.retried.add(place.id)
            task.order.append(place.id)
        self._carrier.pass_on(task)

    # what befalls the place

    def _count(self, error: HoldError) -> None:
        """Count failures in a row; the place is given up after some. One break counts once."""
        if not isinstance(error, PlaceUnavailableError):
            self._failures = 0
        elif error is not self._last:
            self._last = error
            self._failures += 1
            if self._failures >= FAILURES_MAX and self.gone is None:
                self.gone = error
                self._hand_over()

    def _hand_over(self) -> None:
        with self._ready:
            tasks = [*self._small, *self._large]
            self._small.clear()
            self._large.clear()
        for task in tasks:
            assert self.gone is not None
            task.answers.append((self.source.place, self.gone))
            self._carrier.pass_on(task)

    def _advance(self, size: int) -> None:
        if self._carrier.stopping.is_set():
            raise _Stopped
        self._carrier.progress.advance(0, size)


class _Stopped(BaseException):
    """Unwinds a lane's thread when all is stopping."""


def _is_small(key: Key) -> bool:
    return key.size is not None and key.size <= BULK_SIZE_MAX
