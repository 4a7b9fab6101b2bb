"""Leaves to be read to where they will stand and hashed: what a thread of the packer does at once.

One leaf of a large file, or a great number of small files; the bytes of the piece that came before
are committed to in the same breath, which for a large leaf costs less than one after the other.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Sequence
from itertools import compress

from ..kernel.many import md5_many, read_files
from ..wire.piece import Kernel
from .contents import Content

DIGEST_SIZE = 32
MD5_SIZE = 16


class LeafJob:
    """Fills in by `run` what `read` and `add` asked for; who made it waits for that by `wait`."""

    def __init__(self, buffer: bytearray | memoryview) -> None:
        self.buffer = memoryview(buffer)
        self.digests = b""
        """The sha2-256 of every leaf, one after the other."""
        self.md5 = b""
        self.wrong: set[int] = set()
        """The numbers of files that could not be read as they should be."""
        self._places = array("Q")
        self._sizes = array("Q")
        self._paths: list[bytes] = []
        self._read_all = True
        self._by_md5 = array("Q"), array("Q")
        self._leaf: memoryview | None = None
        self._content: Content | None = None
        self._error: BaseException | None = None
        self._is_done = threading.Event()

    def __len__(self) -> int:
        return len(self._places)

    def add_files(
        self, paths: Sequence[bytes], places: Sequence[int], sizes: Sequence[int],
        by_md5: Sequence[bool],
    ) -> int:  # fmt: skip
        """Files that are one leaf each; gives the number of the first.

        What has no path is put in its place by who made the job.
        """
        first = len(self._places)
        if not all(paths):
            self._read_all = False
        self._paths += paths
        self._places.extend(places)
        self._sizes.extend(sizes)
        if any(by_md5):
            self._by_md5[0].extend(compress(places, by_md5))
            self._by_md5[1].extend(compress(sizes, by_md5))
        return first

    def add_leaf(self, place: int, size: int) -> None:
        """A leaf that was read already."""
        self._places.append(place)
        self._sizes.append(size)
        self._leaf = self.buffer[place : place + size]

    def set_leaf(self, content: Content, offset: int, place: int, size: int) -> None:
        """A leaf of a larger file, and the only one of this job."""
        self.add_leaf(place, size)
        self._content, self._offset = content, offset

    def run(self, kernel: Kernel, before: memoryview | bytes) -> bytes:
        """Do it, in any thread; gives the roots of the units in ``before``."""
        roots = None
        try:
            if self._leaf is not None:
                roots, self.digests = self._run_leaf(kernel, before, self._leaf)
            elif self._paths:
                roots = self._run_files(kernel, before)
        except BaseException as error:  # told to the thread that waits
            self._error = error
        finally:
            self._is_done.set()
        return kernel.roots(before) if roots is None else roots

    def _run_leaf(
        self, kernel: Kernel, before: memoryview | bytes, leaf: memoryview
    ) -> tuple[bytes, bytes]:
        """The roots, and the digest of the leaf, once it is read; its file's hash goes along."""
        content = self._content
        if content is None:
            return kernel.roots_beside(before, leaf)
        content.read(leaf, self._offset)
        whole = content.whole
        running = None if whole is None else whole.next(self._offset, len(leaf))
        return kernel.roots_beside(before, leaf, running)

    def _run_files(self, kernel: Kernel, before: memoryview | bytes) -> bytes:
        """The roots; files are read, and the digest of each goes along."""
        places, sizes = self._places, self._sizes
        numbers: Sequence[int] = range(len(places))
        paths, to, counts = self._paths, places, sizes
        if not self._read_all:
            numbers = [number for number, path in enumerate(paths) if path]
            paths = [paths[number] for number in numbers]
            to = array("Q", [places[number] for number in numbers])
            counts = array("Q", [sizes[number] for number in numbers])
        wrong = read_files(kernel, paths, self.buffer, to, counts)
        self.wrong = set(compress(numbers, wrong)) if any(wrong) else set()
        roots, self.digests = kernel.roots_beside_each(before, self.buffer, places, sizes)
        if self._by_md5[0]:
            self.md5 = md5_many(kernel, self.buffer, *self._by_md5)
        return roots

    def wait(self) -> None:
        """Wait until it is done.

        Raises:
            SourceFault: The file of a leaf is not what was planned.
        """
        self._is_done.wait()
        if self._error is not None:
            raise self._error
