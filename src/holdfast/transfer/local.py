"""Bringing content from a place on this machine's file systems: in bulk, each byte hashed once.

Staged files are written and checked by threads, synced together once a batch, and only then given
their final names.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..core import faults
from ..core.abilities import LocalFiles
from ..core.backends import backend_of, check_hashed, checker, is_verifiable
from ..core.buffers import aligned_buffer
from ..core.errors import HoldError
from ..core.key import Key
from ..core.system_errors import as_fault
from .hands import Hands, are_many, are_small, open_hands
from .side_by_side import ALGORITHMS, Copied, Copy, End, SideBySide, are_worth_it, can_be
from .throttle import Throttle

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_CHUNK = 1 << 20
BATCH_FILES = 1024
BATCH_BYTES = 1 << 30
_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What only a writer meets."""


class BulkTarget(Protocol):
    """A place of ours that takes checked, write-protected files."""

    def put(self, key: Key, path: bytes) -> None:
        """Rename a file to its final name."""


class Wanted(NamedTuple):
    """Content to bring, and the path people know it by."""

    path: str
    key: Key


class Brought(NamedTuple):
    """What became of it: bytes brought (0 if it was there), or why not."""

    wanted: Wanted
    size: int
    error: HoldError | None


Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""Does one kind of work for parts of a batch side by side; results in order.

What is done second for a part is done where the first was, so that what lies between stays there.
"""


class _Staged(NamedTuple):
    key: Key
    path: str
    temporary: bytes
    size: int
    error: HoldError | None


_End = tuple[int, HoldError | None]
"""How many bytes were brought of one content, or why not."""


def iter_bring(
    wanted: Iterable[Wanted],
    source: LocalFiles,
    target: BulkTarget,
    *,
    scratch: bytes,
    source_name: str,
    sync: Callable[[bytes], None],
    jobs: int = 2,
    throttle: Throttle | None = None,
) -> Iterator[Brought]:
    """Bring content, in the order given; ``sync`` makes a folder's files durable in one call.

    With a ``throttle`` it goes no faster than that; closing the iterator ends who waits for it.
    """
    items = iter(wanted)
    os.makedirs(scratch, exist_ok=True)
    folder = scratch + b"/get" + os.urandom(8).hex().encode()
    os.mkdir(folder, 0o700)
    carrier = _Carrier(source, target, folder, source_name, throttle)
    try:
        with ExitStack() as stack:
            sharing = _Sharing(carrier, stack, jobs)
            while batch := _take(items):
                yield from _bring_batch(sharing, carrier, folder, batch, sync, jobs)
    finally:
        for name in os.listdir(folder):
            os.unlink(folder + b"/" + name)
        os.rmdir(folder)


def _take(items: Iterator[Wanted]) -> list[Wanted]:
    batch: list[Wanted] = []
    size = 0
    for item in islice(items, BATCH_FILES):
        batch.append(item)
        size += item.key.size or 0
        if size >= BATCH_BYTES:
            break
    return batch


def _bring_batch(
    sharing: _Sharing,
    carrier: _Carrier,
    folder: bytes,
    batch: Sequence[Wanted],
    sync: Callable[[bytes], None],
    jobs: int,
) -> Iterator[Brought]:
    size = max(1, min(32, len(batch) // jobs or 1))
    parts = [batch[start : start + size] for start in range(0, len(batch), size)]
    sizes = [item.key.size for item in batch]
    spread = sharing.choose(sizes)
    if not carrier.side_by_side and not are_small(sizes):
        carrier.side_by_side = are_worth_it(item.key for item in batch)
    if any(list(spread(carrier.stage_all, enumerate(parts)))):
        sync(folder)
    for part, ends in zip(parts, spread(carrier.put_all, range(len(parts))), strict=True):
        for wanted, (brought, error) in zip(part, ends, strict=True):
            yield Brought(wanted, brought, error)


class _Sharing:
    """Spreads a batch: over threads, which hash side by side; over hands where files are small."""

    def __init__(self, carrier: _Carrier, stack: ExitStack, jobs: int) -> None:
        self._carrier = carrier
        self._stack = stack
        self._jobs = jobs
        self._pool: ThreadPoolExecutor | None = None
        self._hands: Hands[Any, Any] | None = None

    def choose(self, sizes: Sequence[int | None]) -> Spread:
        """What spreads the parts of a batch of files of these sizes."""
        # Hands could not share one limit, and where there is one there is time enough.
        if self._carrier.throttle is None and are_small(sizes):
            if self._hands is None and are_many(len(sizes)):
                self._hands = self._stack.enter_context(open_hands(self._carrier.do, self._jobs))
            if self._hands is not None:
                return self._by_hands
        if len(sizes) == 1 and self._carrier.throttle is None:
            return map
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # late: it costs start-up time

            self._pool = self._stack.enter_context(ThreadPoolExecutor(self._jobs))
            # Called before threads are waited for: those that wait themselves shall end.
            self._stack.callback(self._carrier.stop)
        return self._pool.map

    def _by_hands(self, work: Callable[[Any], Any], parts: Iterable[Any]) -> Iterator[Any]:
        assert self._hands is not None
        return self._hands.map((work.__name__, part) for part in parts)


class _Stopped(BaseException):
    """Ends a thread when all was ended."""


class _Carrier:
    def __init__(
        self,
        source: LocalFiles,
        target: BulkTarget,
        folder: bytes,
        source_name: str,
        throttle: Throttle | None,
    ) -> None:
        self.throttle = throttle
        self._stopped = False
        self._source = source
        self._target = target
        self._folder = folder
        self._name = source_name
        self._local = threading.local()
        self._taken: set[Key] = set()
        self._staged: dict[int, list[_Staged]] = {}
        self.side_by_side = False

    def stop(self) -> None:
        """Let threads that wait go on to where they find out that all has ended."""
        self._stopped = True
        if self.throttle is not None:
            self.throttle.stop()

    def do(self, task: tuple[str, Any]) -> Any:
        """One of the two below, by name: for a hand, to which no method can be sent."""
        name, part = task
        work: Callable[[Any], Any] = getattr(self, name)
        return work(part)

    def stage_all(self, part: tuple[int, Sequence[Wanted]]) -> bool:
        """Write and check a part of a batch; whether there is something to be put."""
        number, batch = part
        copied = self._copy_side_by_side(batch)
        self._staged[number] = staged = [self._stage(item, copied) for item in batch]
        return any(item.temporary for item in staged)

    def put_all(self, number: int) -> list[_End]:
        """Give the part of a batch with this number its final names."""
        return [self._put(item) for item in self._staged.pop(number)]

    def _stage(self, item: Wanted, copied: dict[Key, End]) -> _Staged:
        end: End | None = copied.pop(item.key, None)
        if end is None and item.key in self._taken:
            return _Staged(item.key, item.path, b"", 0, None)
        self._taken.add(item.key)
        try:
            if end is None:
                end = self._copy(self._begin(item))
            if isinstance(end, Exception):
                raise end
        except (HoldError, OSError) as error:
            self._taken.discard(item.key)
            return _Staged(item.key, item.path, b"", 0, self._as_ours(error, item.path))
        return _Staged(item.key, item.path, end.temporary, end.size, None)

    def _copy_side_by_side(self, batch: Sequence[Wanted]) -> dict[Key, End]:
        """Copy large files whose hash is slow alone, where there are several."""
        if not self.side_by_side or self.throttle is not None:
            return {}
        kinds: dict[str, list[Wanted]] = {}
        for item in batch:
            if can_be(item.key) and item.key not in self._taken:
                kinds.setdefault(ALGORITHMS[backend_of(item.key)], []).append(item)
        copied: dict[Key, End] = {}
        for algorithm, items in kinds.items():
            if len(items) > 1:
                copied |= self._copy_many(algorithm, items)
        self._taken.update(copied)
        return copied

    def _copy_many(self, algorithm: str, items: list[Wanted]) -> dict[Key, End]:
        from ..kernel.choose import best, is_ready  # late: most calls use no kernel

        if not is_ready():
            return {}
        from ..kernel.lanes import copy_lanes

        lanes = copy_lanes(best(), algorithm)
        if lanes is None:
            return {}
        ends = SideBySide(lanes, self._begin, self._name, self._check).copy(items)
        return {item.key: end for item, end in ends.items()}

    def _as_ours(self, error: HoldError | OSError, path: str) -> HoldError:
        if isinstance(error, HoldError):
            return error
        if error.errno in _OURS or self._is_here(error.filename):
            return as_fault(error, path)
        return faults.UNREACHABLE(place=self._name, detail=str(error.strerror or error))

    def _is_here(self, name: object) -> bool:
        """Whether what failed is a file of ours, not of the source."""
        return isinstance(name, bytes | str) and os.fsencode(name).startswith(self._folder)

    def _begin(self, item: Wanted) -> Copy:
        path = self._source.content_path(item.key)
        if path is None:
            raise faults.NOT_PRESENT(path=f"{item.path} in {self._name}")
        name = b"/%d-%d-%d" % (os.getpid(), threading.get_ident(), self._next())
        return Copy(item.key, path, self._folder + name)

    def _copy(self, copy: Copy) -> Copied:
        key, buffer = copy.key, self._buffer()
        try:
            check = checker(key, self._name) if is_verifiable(key.backend) else None
            while count := os.readv(copy.reader, [buffer]):
                chunk = buffer[:count]
                if self.throttle is not None:
                    self.throttle.wait(count)
                self._check()
                if check is not None:
                    check.feed(chunk)  # type: ignore[arg-type]
                copy.write(chunk)
                if count < len(buffer) and copy.size == key.size:
                    break
            if check is not None:
                check.finish()
            else:
                check_hashed(key, copy.size, "", self._name)
            return copy.finish()
        except BaseException:
            copy.abandon()
            raise

    def _check(self) -> None:
        """End this thread if all was ended."""
        if self._stopped:
            raise _Stopped

    def _next(self) -> int:
        self._local.number = number = getattr(self._local, "number", 0) + 1
        return number

    def _buffer(self) -> memoryview:
        buffer: memoryview | None = getattr(self._local, "buffer", None)
        if buffer is None:
            buffer = self._local.buffer = aligned_buffer(_CHUNK)
        return buffer

    def _put(self, item: _Staged) -> _End:
        if not item.temporary:
            return 0, item.error
        try:
            self._target.put(item.key, item.temporary)
        except OSError as error:
            return 0, as_fault(error, item.path)
        return item.size, None
