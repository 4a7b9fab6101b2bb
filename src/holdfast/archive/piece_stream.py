"""One piece while it is made: bytes go in once, in order, and come out as a commitment and a file.

Content is read straight to where it stands in the CAR; full segments go to a second thread, which
writes them and computes roots. What is known of a piece so far is in two files, so that a run that
was stopped goes on: ``roots`` (32 bytes for each group of 65,024) and ``first`` (the first group,
whose root has to wait, since the header names the root of the archive).
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator

from ..wire.car import BLOCK_MAX, HEADER_SIZE, encode_head, encode_header
from ..wire.cid import RAW_SHA256, Cid
from ..wire.file_layout import head_size
from ..wire.piece import Kernel
from .commitment import GROUP, ROOT_SIZE, piece_cid

SEGMENT = GROUP * 64
"""So much goes to the second thread at once."""

_SEGMENTS = 3
_SLACK = BLOCK_MAX + 64
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

    def finish(self, size: int, name: bytes) -> None:
        """Cut it there, sync it and give it its name."""
        os.ftruncate(self._file, size)
        os.fsync(self._file)
        self.close()
        os.rename(self.path, name)
        folder = os.open(os.path.dirname(name), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Leave it as it is."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _reserve(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.ftruncate(file, size)


class PieceStream:
    """Takes the sections of a piece in order."""

    def __init__(
        self,
        kernel: Kernel,
        stem: bytes,
        file: CarFile | None,
        note: Callable[[], None],
        start: int = 0,
        offset: int = HEADER_SIZE,
    ) -> None:
        """Begin; with ``start``, what is before it is known already and passed over.

        Sections come from ``offset`` on, which is not after it. ``stem`` begins the names of the
        files in which it is noted what is known; ``note`` is called before more becomes known.
        """
        self._note = note
        self._kernel = kernel
        self._stem = stem
        self._file = file
        self._start = start
        self._roots = os.open(stem + b".roots", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.ftruncate(self._roots, start // GROUP * ROOT_SIZE)
        self._base = start
        self._passed = 0
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        for _ in range(_SEGMENTS):
            self._free.put(bytearray(SEGMENT + _SLACK))
        self._work: queue.Queue[tuple[bytearray, int, int] | None] = queue.Queue(1)
        self._error: BaseException | None = None
        self._segment = self._free.get()
        self._view = memoryview(self._segment)
        self._at = 0
        self._tail = b""
        self._worker = threading.Thread(target=self._process, name="piece", daemon=True)
        self._worker.start()
        if start:
            assert offset <= start, "more is passed over than is known"
            self._passed = offset
        else:
            assert offset == HEADER_SIZE, "a piece begins with its header"
            self._put(bytes(HEADER_SIZE))

    @property
    def offset(self) -> int:
        """Where the next section will begin."""
        return self._base + self._at if self._passed >= self._start else self._passed

    def emit(self, cid: Cid, block: bytes) -> None:
        """Take a block."""
        self._put(encode_head(cid, len(block)))
        self._put(block)
        if self._at >= SEGMENT:
            self._hand_over()

    def leaf_view(self, size: int) -> memoryview:
        """Where the bytes of the next leaf are to be read to; `take_leaf` has to follow."""
        if self._passed < self._start:
            return memoryview(bytearray(size))
        start = self._at + head_size(size)
        return self._view[start : start + size]

    def take_leaf(self, view: memoryview, digest: bytes) -> None:
        """Take the leaf that was read, whose sha2-256 that is."""
        size = len(view)
        head = encode_head(Cid(RAW_SHA256 + digest), size)
        self._put(head)
        if view.obj is self._segment:
            self._at += size
        else:
            self._put(view)
        if self._at >= SEGMENT:
            self._hand_over()

    def finish(self, root: Cid, size: int) -> bytes:
        """End the piece, its header naming that root; gives its PieceCID.

        Raises:
            OSError: It could not be written.
        """
        assert self.offset == size, "a piece has not the size that was planned"
        if self._at:
            self._submit(self._at)
        self._join()
        header = encode_header([root])
        assert len(header) == HEADER_SIZE
        if size >= GROUP:
            first = header + self._read_first()[HEADER_SIZE:]
            os.pwrite(self._roots, self._kernel.roots(first), 0)
        else:
            self._tail = header + self._tail[HEADER_SIZE:]
        if self._file is not None:
            self._file.write(memoryview(header), 0)
        return piece_cid(self._iter_roots(size // GROUP), self._tail, size, self._kernel)

    def close(self) -> None:
        """Stop; what was taken in stays known."""
        if self._worker.is_alive():
            self._work.put(None)
            self._worker.join()
        os.close(self._roots)

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        if self._passed < self._start:
            data = self._pass_over(data)
        at, size = self._at, len(data)
        self._view[at : at + size] = data
        self._at = at + size

    def _pass_over(self, data: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
        """What of these bytes is not known yet."""
        known = min(len(data), self._start - self._passed)
        self._passed += known
        return data[known:]

    def _hand_over(self) -> None:
        self._note()
        over = bytes(self._view[SEGMENT : self._at])
        self._submit(SEGMENT)
        self._base += SEGMENT
        self._segment = self._free.get()
        self._view = memoryview(self._segment)
        self._view[: len(over)] = over
        self._at = len(over)

    def _submit(self, size: int) -> None:
        if self._error is not None:
            raise self._error
        self._work.put((self._segment, size, self._base))

    def _join(self) -> None:
        self._work.put(None)
        self._worker.join()
        if self._error is not None:
            raise self._error

    def _process(self) -> None:
        while (item := self._work.get()) is not None:
            segment, size, base = item
            try:
                if self._error is None:
                    self._commit(memoryview(segment)[:size], base)
            except BaseException as error:  # told to the other thread
                self._error = error
            self._free.put(segment)

    def _commit(self, view: memoryview, base: int) -> None:
        if self._file is not None:
            self._file.write(view, base)
        whole = len(view) // GROUP * GROUP
        self._tail = bytes(view[whole:])
        if not whole:
            return
        if base:
            roots = self._kernel.roots(view[:whole])
        else:
            self._write_first(view[:GROUP])
            roots = bytes(ROOT_SIZE) + self._kernel.roots(view[GROUP:whole])
        os.pwrite(self._roots, roots, base // GROUP * ROOT_SIZE)

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


def known_size(stem: bytes) -> int:
    """How many bytes of a piece need not be made again."""
    try:
        return os.stat(stem + b".roots").st_size // ROOT_SIZE * GROUP
    except FileNotFoundError:
        return 0
