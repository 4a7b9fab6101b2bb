"""The index as git's filters see it: looked into for many files, one by one, while git works.

It is read anew only when its file has changed; blobs' sizes come from one long-lived process.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from functools import cached_property

from ..core.errors import ProtocolError
from ..wire.gitindex import IndexView
from .index_file import IndexState, index_state, read_index
from .repository import Repository

_LOW = 0xFFFFFFFF
_REGULAR = 0o10


class SeenIndex:
    """Answers about single paths; one that only git can read is asked of git, path by path."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._state: IndexState | None = None
        self._view: IndexView | None = None
        self._moved: Mapping[tuple[int, ...], bytes] | None = None
        self._unreadable = False

    def find(self, path: bytes) -> bytes | None:
        """The object at a path, as git prints its name; of a conflict our side, else theirs."""
        self._renew()
        if self._unreadable:
            return self._ask_git(path)
        view = self._view
        if view is None:
            return None
        found: dict[int, bytes] = {}
        position = view.bisect(path)
        while position < len(view) and view.path(position) == path:
            found[view.stage(position)] = view.row(position)[2].hex().encode()
            position += 1
        return found.get(0) or found.get(2) or found.get(3)

    def find_moved(self, status: os.stat_result) -> bytes | None:
        """The object of a regular file that was this one when git last looked, wherever it lay."""
        self._renew()
        if self._moved is None:
            self._moved = self._by_facts()
        seconds, rest = divmod(status.st_mtime_ns, 10**9)
        return self._moved.get((seconds & _LOW, rest, status.st_ino & _LOW, status.st_size & _LOW))

    def _by_facts(self) -> Mapping[tuple[int, ...], bytes]:
        if self._view is None:
            return {}
        return {
            (facts[2], facts[3], facts[5], facts[8]): oid.hex().encode()
            for _, mode, oid, facts, _ in self._view.iter_rows()
            if mode >> 12 == _REGULAR
        }

    def _renew(self) -> None:
        state = index_state(self._repository)
        if state is not None and state == self._state:
            return
        self._state, self._moved = state, None
        try:
            self._view = read_index(self._repository)
        except ProtocolError:
            self._view, self._unreadable = None, True

    def _ask_git(self, path: bytes) -> bytes | None:
        fields = self._repository.git.run("ls-files", "-s", "-z", "--", path).split(b"\0")
        found: dict[bytes, bytes] = {}
        for field in fields:
            facts, _, where = field.partition(b"\t")
            if where == path:
                _, oid, stage = facts.split(b" ")
                found[stage] = oid
        return found.get(b"0") or found.get(b"2") or found.get(b"3")


class Sizes:
    """The sizes of single blobs, without reading them."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    @cached_property
    def _process(self) -> subprocess.Popen[bytes]:
        return self._repository.git.start("cat-file", "--batch-check=%(objectsize)", reads=True)

    def of(self, oid: bytes) -> int | None:
        """Bytes of a blob; None when there is no such object."""
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None and sink is not None
        sink.write(oid + b"\n")
        sink.flush()
        answer = source.readline().strip()
        return int(answer) if answer.isdigit() else None

    def close(self) -> None:
        """End the process."""
        if "_process" in self.__dict__:
            self._process.communicate()
