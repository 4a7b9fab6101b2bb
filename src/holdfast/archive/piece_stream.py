"""One piece while it is made: bytes go in once, in order, and come out as a commitment and a file.

Content is read straight to where it stands in the CAR, by a few threads that also hash it, write
full regions and compute their roots. Places are given out in order, and told to be filled in order;
in between, several jobs are under way. What is known of a piece so far is in two files, so that a
run that was stopped goes on: ``roots`` (32 bytes for each group of 65,024, never one before those
ahead of it) and ``first`` (the first group, whose root has to wait, since the header names the root
of the archive).
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..core.buffers import aligned_buffer
from ..wire.car import BLOCK_MAX, HEADER_SIZE, encode_header
from ..wire.cid import Cid
from ..wire.piece import PLAIN, Kernel
from .commitment import GROUP, ROOT_SIZE, piece_cid
from .leaf_jobs import LeafJob

REGION = GROUP * 16
"""So much is committed to at once."""
_SEGMENT, _SEGMENT_ALONE = REGION * 4, REGION * 2
"""So much is in one buffer, with room for what begins before its end. One thread alone is never
ahead of itself: with less, what it has to do is still in its processor's cache."""
ROOM = BLOCK_MAX + 64
"""So much can be taken at once at most."""

_LANES_MAX = 6
_SLICE = 1 << 20
"""Larger writes cost the system several times as much."""


class CarFile:
    """The file of a piece; it gets its final name when it is whole and on the disk."""

    def __init__(self, path: bytes, size: int) -> None:
        """Reserve all of its room.

        Raises:
            OSError: There is no room, or the folder cannot be written to. No file is left then.
        """
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _reserve(self._file, size)
        except BaseException:
            self.close()
            os.unlink(path)
            raise

    def write(self, view: memoryview, at: int) -> None:
        """Write bytes at an offset."""
        done = 0
        while done < len(view):
            done += os.pwrite(self._file, view[done : done + _SLICE], at + done)

    def finish(self, size: int) -> None:
        """Cut it there; it is whole and on the disk then, and has its name by `name_piece`."""
        os.ftruncate(self._file, size)
        os.fsync(self._file)
        self.close()

    def close(self) -> None:
        """Leave it as it is."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def name_piece(part: bytes, path: bytes) -> None:
    """Give the file of a piece that is whole its name."""
    os.rename(part, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _reserve(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.ftruncate(file, size)


class _Segment:
    """A buffer with a part of the piece in it, from ``base`` on."""

    __slots__ = ("base", "left", "view")

    def __init__(self, size: int) -> None:
        self.view = aligned_buffer(size + ROOM)
        self.base = self.left = 0


class _Region(NamedTuple):
    """Whole units that are filled: bytes of a segment from ``start`` to ``stop``."""

    segment: _Segment
    start: int
    stop: int

    @property
    def offset(self) -> int:
        return self.segment.base + self.start


class PieceStream:
    """Takes the sections of a piece in order; for one thread, which has others work for it."""

    def __init__(
        self,
        kernel: Kernel,
        stem: bytes,
        file: CarFile | None,
        note: Callable[[], None],
        start: int = 0,
        offset: int = HEADER_SIZE,
        lanes: int = 0,
    ) -> None:
        """Begin; with ``start``, what is before it is known already and not committed to again.

        Sections come from ``offset`` on, which is not after it. ``stem`` begins the names of the
        files in which it is noted what is known; ``note`` is called before more becomes known.
        ``lanes`` is how many threads work, 0 for one on each processor that this process may use; a
        single one is the caller's own.
        """
        assert offset <= start or offset == HEADER_SIZE, "more is passed over than is known"
        self._kernel = kernel
        self._stem = stem
        self._file = file
        self._note = note
        self._start = start
        self._roots = os.open(stem + b".roots", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.ftruncate(self._roots, start // GROUP * ROOT_SIZE)
        lanes = lanes or usual_lanes(kernel)
        self._size, count = (_SEGMENT, lanes + 2) if lanes > 1 else (_SEGMENT_ALONE, 2)
        self._free = deque(_Segment(self._size) for _ in range(count))
        self._open: deque[_Segment] = deque()
        self._regions: deque[_Region] = deque()
        self._pending = 0
        self._made: dict[int, bytes] = {}
        self._next_root = start
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._jobs: queue.SimpleQueue[LeafJob | None] = queue.SimpleQueue()
        self._begin(offset)
        threads = lanes if lanes > 1 else 0  # one alone would only be waited for
        self.in_flight_max = 2 * threads + 1 if threads else 0
        """So many jobs keep all threads busy."""
        self._lanes = [
            threading.Thread(target=self._work, name="piece", daemon=True) for _ in range(threads)
        ]
        for lane in self._lanes:
            lane.start()

    def _begin(self, offset: int) -> None:
        """Place the first segment; in its first group, what is before ``offset`` is known."""
        base = 0 if not self._start else offset // GROUP * GROUP
        self._place = self._filled = offset - base
        self._published = 0
        self._open_segment(base)

    @property
    def offset(self) -> int:
        """Where the next section will begin."""
        return self._open[-1].base + self._place

    def has_room(self) -> bool:
        """Whether `room` gives some without waiting for what was not filled yet."""
        return self._place < self._size or bool(self._free)

    def room(self) -> tuple[memoryview, int]:
        """A buffer, and where in it the next `ROOM` bytes of the piece stand; `take` some of them.

        Raises:
            OSError: The piece could not be written.
        """
        if self._place >= self._size:
            self._place -= self._size
            self._open_segment(self._open[-1].base + self._size)
        return self._open[-1].view, self._place

    def take(self, size: int) -> None:
        """So many of these bytes are taken; later they have to be `fill`ed."""
        assert size <= ROOM, "more than there is room for"
        self._place += size

    def start_job(self, job: LeafJob) -> None:
        """Have leaves read and hashed."""
        if self._lanes:
            self._jobs.put(job)
        else:
            self._do(job)

    def fill(self, size: int) -> None:
        """The next so many bytes that were taken are there."""
        segment = self._open[0]
        self._filled += size
        self._publish(segment, min(self._filled, self._size) // REGION * REGION)
        if self._filled < self._size:
            return
        over = bytes(segment.view[self._size : self._filled])
        if len(self._open) == 1:
            self._place -= self._size
            self._open_segment(segment.base + self._size)
        self._open.popleft()
        self._filled -= self._size
        self._published = 0
        self._open[0].view[: len(over)] = over
        self._publish(self._open[0], self._filled // REGION * REGION)

    def emit(self, parts: list[bytes]) -> None:
        """Take bytes that are there already; all that was taken before has to be filled."""
        for part in parts:
            buffer, at = self.room()
            buffer[at : at + len(part)] = part
            self.take(len(part))
            self.fill(len(part))

    def finish(self, root: Cid, size: int) -> bytes:
        """End the piece, its header naming that root; gives its PieceCID.

        Raises:
            OSError: It could not be written.
        """
        assert self.offset == size, "a piece has not the size that was planned"
        segment = self._open[0]
        assert len(self._open) == 1 and self._filled == self._place, "something is not filled"
        self._publish(segment, self._filled // GROUP * GROUP)
        tail = bytes(segment.view[self._published : self._filled])
        self._wait(lambda: not self._pending)
        header = encode_header([root])
        assert len(header) == HEADER_SIZE
        if self._file is not None and tail:
            self._file.write(memoryview(tail), size - len(tail))
        if size >= GROUP:
            first = header + self._read_first()[HEADER_SIZE:]
            os.pwrite(self._roots, self._kernel.roots(first), 0)
        else:
            tail = header + tail[HEADER_SIZE:]
        if self._file is not None:
            self._file.write(memoryview(header), 0)
        return piece_cid(self._iter_roots(size // GROUP), tail, size, self._kernel)

    def close(self) -> None:
        """Stop; what was committed to stays known."""
        for _ in self._lanes:
            self._jobs.put(None)
        for lane in self._lanes:
            lane.join()
        os.close(self._roots)

    def _open_segment(self, base: int) -> None:
        self._wait(lambda: bool(self._free))
        segment = self._free.popleft()
        segment.base, segment.left = base, self._size // REGION
        self._open.append(segment)

    def _wait(self, is_so: Callable[[], bool]) -> None:
        """Wait for the other threads, which have nothing to do but what is filled.

        What is filled is left to the leaves that come, which it costs less with, while it can be.
        """
        for _ in range(0 if is_so() else len(self._regions)):
            self.start_job(LeafJob(bytearray()))
        with self._changed:
            self._changed.wait_for(lambda: is_so() or self._error is not None)
        if self._error is not None:
            raise self._error

    def _publish(self, segment: _Segment, end: int) -> None:
        """Let the other threads commit to what is filled up to there."""
        start = self._published
        if end <= start:
            return
        self._note()
        with self._changed:
            while start < end:
                stop = min(start + REGION, end)
                known = max(start, min(stop, self._start - segment.base))
                if known < stop:
                    self._pending += 1
                    self._regions.append(_Region(segment, known, stop))
                else:
                    self._release(segment)
                start = stop
        self._published = end

    def _release(self, segment: _Segment) -> None:
        segment.left -= 1
        if not segment.left:
            self._free.append(segment)

    # in the other threads

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._do(job)

    def _do(self, job: LeafJob) -> None:
        """A job, and the oldest region that is filled, if there is one."""
        try:
            region = self._regions.popleft()
        except IndexError:
            job.run(self._kernel, b"")
            return
        try:
            roots = self._commit(job, region)
        except BaseException as error:  # told to the thread that waits
            roots, self._error = b"", error
        with self._changed:
            try:
                if self._error is None:
                    self._note_roots(region.offset, roots)
            except BaseException as error:
                self._error = error
            self._pending -= 1
            self._release(region.segment)
            self._changed.notify_all()

    def _commit(self, job: LeafJob, region: _Region) -> bytes:
        """Write a region and give its roots, doing the job, too."""
        view = region.segment.view[region.start : region.stop]
        try:
            if self._file is not None:
                self._file.write(view, region.offset)
            if region.offset:
                return job.run(self._kernel, view)
            self._write_first(view[:GROUP])
            return bytes(ROOT_SIZE) + job.run(self._kernel, view[GROUP:])
        except BaseException:
            job.run(self._kernel, b"")
            raise

    def _note_roots(self, offset: int, roots: bytes) -> None:
        self._made[offset] = roots
        while (ready := self._made.pop(self._next_root, None)) is not None:
            at, done = self._next_root // GROUP * ROOT_SIZE, 0
            while done < len(ready):  # on a disk that gets full it may be a part
                done += os.pwrite(self._roots, ready[done:], at + done)
            self._next_root += len(ready) // ROOT_SIZE * GROUP

    def _write_first(self, view: memoryview) -> None:
        with open(self._stem + b".first.part", "wb") as file:
            file.write(view)
        os.rename(self._stem + b".first.part", self._stem + b".first")

    def _read_first(self) -> bytes:
        with open(self._stem + b".first", "rb") as file:
            return file.read()

    def _iter_roots(self, count: int) -> Iterator[bytes]:
        for at in range(0, count * ROOT_SIZE, 1 << 16):
            block = os.pread(self._roots, min(1 << 16, count * ROOT_SIZE - at), at)
            for start in range(0, len(block), ROOT_SIZE):
                yield block[start : start + ROOT_SIZE]


def usual_lanes(kernel: Kernel) -> int:
    """A thread for each processor that this process may use; one for hashlib's slow code."""
    if kernel is PLAIN:
        return 1
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    return min(count, _LANES_MAX)


def known_size(stem: bytes) -> int:
    """How many bytes of a piece need not be made again."""
    try:
        return os.stat(stem + b".roots").st_size // ROOT_SIZE * GROUP
    except FileNotFoundError:
        return 0
