"""Leaves to be read to where they will stand and hashed: what a thread of the packer does at once.

One leaf of a large file, or a great number of small files; the bytes of the piece that came before
are committed to in the same breath, which for a large leaf costs less than one after the other.
"""

from __future__ import annotations

import threading
from array import array

from ..kernel.many import md5_many, read_files
from ..wire.piece import Kernel
from .contents import Content

DIGEST_SIZE = 32
MD5_SIZE = 16


class LeafJob:
    """Fills in by `run` what `read` and `add` asked for; who made it waits for that by `wait`."""

    def __init__(self, buffer: bytearray) -> None:
        self.buffer = buffer
        self.digests = b""
        """The sha2-256 of every leaf, one after the other."""
        self.md5 = b""
        self.wrong = b""
        """A byte for each file, 1 for one that could not be read as it should be."""
        self._places = array("Q")
        self._sizes = array("Q")
        self._paths: list[bytes] = []
        self._by_md5 = array("Q"), array("Q")
        self._leaf: memoryview | None = None
        self._content: Content | None = None
        self._error: BaseException | None = None
        self._is_done = threading.Event()

    def __len__(self) -> int:
        return len(self._places)

    def add_file(self, path: bytes, place: int, size: int, *, by_md5: bool) -> int:
        """A file that is one leaf; gives its number."""
        self._paths.append(path)
        self._places.append(place)
        self._sizes.append(size)
        if by_md5:
            self._by_md5[0].append(place)
            self._by_md5[1].append(size)
        return len(self._paths) - 1

    def add_leaf(self, place: int, size: int) -> None:
        """A leaf that was read already."""
        self._places.append(place)
        self._sizes.append(size)
        self._leaf = memoryview(self.buffer)[place : place + size]

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
                self._run_files(kernel)
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
        whole = None if content is None else content.whole
        try:
            if content is not None:
                content.read(leaf, self._offset)
            if whole is None:
                return kernel.roots_beside(before, leaf)
            with whole.turn(self._offset, len(leaf)) as running:
                return kernel.roots_beside(before, leaf, running)
        except BaseException:
            if whole is not None:
                whole.give_up()
            raise

    def _run_files(self, kernel: Kernel) -> None:
        places, sizes = self._places, self._sizes
        self.wrong = read_files(kernel, self._paths, self.buffer, places, sizes)
        self.digests = kernel.sha256_each(self.buffer, places, sizes)
        if self._by_md5[0]:
            self.md5 = md5_many(kernel, self.buffer, *self._by_md5)

    def wait(self) -> None:
        """Wait until it is done.

        Raises:
            SourceFault: The file of a leaf is not what was planned.
        """
        self._is_done.wait()
        if self._error is not None:
            raise self._error
