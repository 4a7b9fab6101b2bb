"""More hands for many small files: forked copies of this process that share one kind of work.

Python runs one thread at a time, and with files of a few KiB nearly all time is Python and short
system calls, so threads gain nothing there. A fork costs a millisecond and shares what was read.
It is done on Linux only, and only while no other thread lives (its locks would be copied in
whatever state); elsewhere `open_hands` says no and callers do the work as ever. A hand dies with
this process (PR_SET_PDEATHSIG), so nothing goes on behind the back of whoever comes next.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from typing import IO, Any, Generic, NoReturn, TypeVar

from ..core import faults

Task = TypeVar("Task")
Result = TypeVar("Result")

SMALL = 256 << 10
"""Up to this many bytes a file is small; what is larger keeps threads busy with hashing."""

MANY = 1024
"""With fewer files a fork is not worth it."""

_PR_SET_PDEATHSIG = 1
_STREAMS = 3
_CORES_MAX = 8
_BUFFER = 1 << 16
_PIPE = 1 << 20
_AHEAD = 8
"""So many tasks a hand is given at most before the first of their results was taken."""


class Hands(Generic[Task, Result]):
    """Processes that each do one task at a time; results come in the order of the tasks."""

    def __init__(self, hands: list[_Hand]) -> None:
        self._hands = hands

    def map(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """Do these tasks, the first ones at once; what one raises is raised here, in its turn.

        The first task goes to the first hand, and so on in turn: in each call the same numbers of
        tasks meet in the same hand.

        Raises:
            PlaceUnavailableError: A hand was killed, by the system when memory is short, say.
        """
        import pickle  # late, here and below: most commands have too few files for hands

        feed = _Feed(self._hands, (pickle.dumps(task, pickle.HIGHEST_PROTOCOL) for task in tasks))
        feed.give()
        return feed.iter_results()

    def close(self) -> None:
        """Let every hand end what it was given, and wait for it."""
        for hand in self._hands:
            hand.dismiss()
        for hand in self._hands:
            hand.wait()


class _Feed:
    """Tasks on their way to hands, each hand in its turn."""

    def __init__(self, hands: Sequence[_Hand], tasks: Iterator[bytes]) -> None:
        self._turns = cycle(hands)
        self._tasks = tasks
        self._hand = next(self._turns)
        self._task = next(tasks, None)
        self._busy: deque[_Hand] = deque()
        """Whose results are to come, in their order."""

    def give(self) -> None:
        """Give tasks until there are no more, or the next hand has enough to do."""
        while self._task is not None and self._hand.has_room(len(self._task)):
            self._hand.give(self._task)
            self._busy.append(self._hand)
            self._hand = next(self._turns)
            self._task = next(self._tasks, None)

    def iter_results(self) -> Iterator[Any]:
        while self._busy:
            failure, result = self._busy.popleft().take()
            # Given before the result is looked at, so that no hand waits for our reader.
            self.give()
            if failure is not None:
                raise failure
            yield result


class _Hand:
    """One of them, as we see it."""

    def __init__(self, process: int, tasks: IO[bytes], results: IO[bytes]) -> None:
        self._process = process
        self._tasks = tasks
        self._results = results
        self._room = _enlarge(tasks) // 2
        self._given: deque[int] = deque()

    def has_room(self, size: int) -> bool:
        """Whether a task of so many bytes can be given without waiting for this hand to read it.

        Who waits for a hand that itself waits for its results to be read waits for ever.
        """
        if not self._given:
            return True
        return len(self._given) < _AHEAD and sum(self._given) + size <= self._room

    def give(self, task: bytes) -> None:
        try:
            self._tasks.write(task)
            self._tasks.flush()
        except BrokenPipeError:
            raise faults.HAND_KILLED() from None
        self._given.append(len(task))

    def take(self) -> tuple[Exception | None, Any]:
        import pickle

        try:
            answer: tuple[Exception | None, Any] = pickle.load(self._results)
        except (EOFError, pickle.UnpicklingError):
            raise faults.HAND_KILLED() from None
        self._given.popleft()
        return answer

    def dismiss(self) -> None:
        with suppress(BrokenPipeError):
            self._tasks.close()

    def wait(self) -> None:
        while self._results.read(_BUFFER):
            pass
        self._results.close()
        os.waitpid(self._process, 0)


def _enlarge(pipe: IO[bytes]) -> int:
    """Make a pipe as large as it may be without asking; gives how many bytes fit into it."""
    import fcntl

    with suppress(OSError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
    return fcntl.fcntl(pipe.fileno(), fcntl.F_GETPIPE_SZ)


def are_many(count: int) -> bool:
    """Whether so many files are worth a fork."""
    return count >= MANY


def are_small(sizes: Sequence[int | None]) -> bool:
    """Whether files of these sizes are small, most of them: the work that hands are for."""
    return sum(size or 0 for size in sizes) <= SMALL * len(sizes)


def usable_cores() -> int:
    """How many cores we may use, as far as the system tells; at most eight."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    return min(count, _CORES_MAX)


def may_fork() -> bool:
    """Whether this process may be forked without harm."""
    return sys.platform == "linux" and threading.active_count() == 1


@contextmanager
def open_hands(
    work: Callable[[Task], Result],
    count: int,
    *,
    begin: Callable[[], None] = lambda: None,
    end: Callable[[], None] = lambda: None,
) -> Iterator[Hands[Task, Result] | None]:
    """So many hands for the length of a block; None where there can be none, or one at most.

    Tasks and results are pickled, ``work`` is not. ``begin`` and ``end`` are called in each hand,
    before its first task and after its last.
    """
    if count < 2 or not may_fork():
        yield None
        return
    hands: Hands[Task, Result] = Hands([])
    try:
        for _ in range(count):
            hands._hands.append(_fork(work, begin, end))
        yield hands
    finally:
        hands.close()


def _fork(
    work: Callable[[Task], Result], begin: Callable[[], None], end: Callable[[], None]
) -> _Hand:
    task_out, task_in = os.pipe()
    result_out, result_in = os.pipe()
    parent = os.getpid()
    process = os.fork()
    if not process:
        _be_a_hand(parent, task_out, result_in, work, begin, end)
    os.close(task_out)
    os.close(result_in)
    return _Hand(
        process, open(task_in, "wb", buffering=_BUFFER), open(result_out, "rb", buffering=_BUFFER)
    )


def _be_a_hand(
    parent: int,
    source: int,
    sink: int,
    work: Callable[[Task], Result],
    begin: Callable[[], None],
    end: Callable[[], None],
) -> NoReturn:
    """Do tasks until there are no more; never returns into what this process was copied from."""
    import pickle

    try:
        _die_with(parent)
        # Ctrl-C reaches all of us: who gave the work decides.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _close_all_but({source, sink})
        begin()
        with open(source, "rb", buffering=_BUFFER) as tasks, open(sink, "wb", _BUFFER) as results:
            while True:
                try:
                    task = pickle.load(tasks)  # of our own parent
                except EOFError:
                    break
                pickle.dump(_answer(work, task), results, pickle.HIGHEST_PROTOCOL)
                results.flush()
            end()
    except BaseException:  # whatever it was, nobody above us may handle it
        os._exit(1)
    os._exit(0)


def _answer(work: Callable[[Task], Result], task: Task) -> tuple[Exception | None, Result | None]:
    try:
        return None, work(task)
    except Exception as error:  # raised again where the task came from
        return error, None


def _die_with(parent: int) -> None:
    import ctypes  # late: only here

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _close_all_but(kept: set[int]) -> None:
    """Close the files of the process we were copied from: a pipe ends when all ends are closed."""
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        if number >= _STREAMS and number not in kept:
            with suppress(OSError):
                os.close(number)
