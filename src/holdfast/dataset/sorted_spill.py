"""A set of byte strings that may be larger than memory: taken in any order, read back sorted."""

from __future__ import annotations

import marshal
import os
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from types import TracebackType
from typing import IO

_RUN = 65_536
"""So many are sorted in memory; a run of them is then spilled."""

_BLOCK = 2048
_LENGTH = 8


class SortedSpill:
    """Takes byte strings, gives each once, in order, as often as asked.

    Memory is that of one run and, when read, of one block of each. What is spilled has no name on
    the disk, so nothing is left of it whatever happens.
    """

    def __init__(self, folder: bytes) -> None:
        """Spill to the file system of ``folder``, which has to exist once there is much."""
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._runs: list[tuple[int, int]] = []
        self._open: list[bytes] = []

    def __bool__(self) -> bool:
        return bool(self._open or self._runs)

    def add(self, item: bytes) -> None:
        """Take one."""
        self._open.append(item)
        if len(self._open) == _RUN:
            self._spill()

    def update(self, items: Iterable[bytes]) -> None:
        """Take many."""
        rest = iter(items)
        while some := list(islice(rest, _RUN - len(self._open))):
            self._open += some
            if len(self._open) == _RUN:
                self._spill()

    def _spill(self) -> None:
        if self._file is None:
            import tempfile  # late: it costs start-up time, and most sets are small

            self._file = tempfile.TemporaryFile(dir=os.fsdecode(self._folder))  # noqa: SIM115
        self._open.sort()
        start = self._file.seek(0, os.SEEK_END)
        for first in range(0, len(self._open), _BLOCK):
            block = marshal.dumps(self._open[first : first + _BLOCK])
            self._file.write(len(block).to_bytes(_LENGTH, "big") + block)
        self._runs.append((start, self._file.tell()))
        self._open = []

    def _iter_run(self, start: int, end: int) -> Iterator[bytes]:
        assert self._file is not None
        while start < end:
            self._file.seek(start)
            length = int.from_bytes(self._file.read(_LENGTH), "big")
            start += _LENGTH + length
            yield from marshal.loads(self._file.read(length))

    def __iter__(self) -> Iterator[bytes]:
        items = sorted(set(self._open))
        if not self._runs:
            return iter(items)
        runs = [self._iter_run(start, end) for start, end in self._runs]
        return map(itemgetter(0), groupby(merge(*runs, items)))

    def __enter__(self) -> SortedSpill:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
