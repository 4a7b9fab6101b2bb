"""Reading git objects by name, through one ``git cat-file`` that is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import IO, TYPE_CHECKING, Generic, TypeVar

from .git import git_failed

if TYPE_CHECKING:
    import subprocess

    from .git import Git

Answer = tuple[bytes, bytes, bytes]
"""The kind of an object, its content, its name in hex."""

_FEW = 4096
"""For more objects than that, a process of their own that answers in blocks is quicker."""

_IN_FLIGHT = 4096
"""Bytes of names that are asked for before an answer is read.

A pipe holds as much on every system, even when memory is short. So git may wait for us to read
what it answers, and we never wait for it to read what we ask.
"""


One = TypeVar("One")


class ObjectReader:
    """Reads git objects by name. Any number of threads and of unfinished readings may use it."""

    def __init__(self, git: Git) -> None:
        self._contents = _Channel(git, "--batch", _next_answer)
        self._sizes = _Channel(git, "--batch-check=%(objectsize)", _next_size)

    def read(self, name: bytes) -> Answer | None:
        """The object a name stands for now, or None when there is none; costs a round trip."""
        [answer] = self._contents.iter_answers([name])
        return answer

    def iter_read(self, names: Iterable[bytes]) -> Iterator[Answer | None]:
        """Many objects, in order, None for each that is missing."""
        return self._contents.iter_answers(names)

    def iter_sizes(self, names: Collection[bytes]) -> Iterator[tuple[bytes, int]]:
        """Names and sizes in bytes of many objects, in order; those missing are left out."""
        for name, size in zip(names, self._sizes.iter_answers(names), strict=True):
            if size is not None:
                yield name, size

    def close(self) -> None:
        """End the processes."""
        self._contents.close()
        self._sizes.close()


class _Channel(Generic[One]):
    """One kind of question to ``git cat-file``.

    The process that is kept serves one reading at a time; the others have one for themselves.
    """

    def __init__(
        self, git: Git, mode: str, next_one: Callable[[IO[bytes]], One | _End | None]
    ) -> None:
        self._git = git
        self._mode = mode
        self._next_one = next_one
        self._free = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def iter_answers(self, names: Iterable[bytes]) -> Iterator[One | None]:
        """An answer for each name, in order, None for what is missing."""
        rest = iter(names)
        first = list(islice(rest, _FEW + 1))
        if not first:
            return iter(())
        return self._iter_few(first) if len(first) <= _FEW else self._iter_many(chain(first, rest))

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _iter_few(self, names: Sequence[bytes]) -> Iterator[One | None]:
        if not self._free.acquire(blocking=False):
            yield from self._iter_many(names)
            return
        whole = False
        try:
            if self._process is None:
                self._process = self._git.start("cat-file", self._mode, reads=True)
            yield from self._iter_in_turns(self._process, names)
            whole = True
        finally:
            if not whole and self._process is not None:
                # It has answers left that nobody wants.
                self._process.kill()
                self.close()
            self._free.release()

    def _iter_many(self, names: Iterable[bytes]) -> Iterator[One | None]:
        process = self._git.start("cat-file", self._mode, "--buffer", reads=True)
        assert process.stdin is not None and process.stdout is not None
        count = 0
        asked: list[int] = []
        feeder = threading.Thread(
            target=_feed, args=(process.stdin, names, asked), name="cat-file feeder", daemon=True
        )
        feeder.start()
        try:
            while not isinstance(answer := self._next_one(process.stdout), _End):
                count += 1
                yield answer
            feeder.join()
            if process.wait() or not asked or asked[0] != count:
                assert process.stderr is not None
                raise git_failed(("cat-file",), process.stderr.read())
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()
            if process.stderr is not None:
                process.stderr.close()

    def _iter_in_turns(
        self, process: subprocess.Popen[bytes], names: Sequence[bytes]
    ) -> Iterator[One | None]:
        """Ask for a block while git answers the one before."""
        sink = process.stdin
        assert sink is not None
        waiting, in_flight = 0, 0
        for count, question in _iter_questions(names):
            if in_flight + len(question) > _IN_FLIGHT:
                # Only a very long name does not fit beside the block before it.
                yield from self._iter_next(process, waiting)
                waiting = 0
            try:
                sink.write(question)
                sink.flush()
            except BrokenPipeError:
                raise _ended(process) from None
            yield from self._iter_next(process, waiting)
            waiting, in_flight = count, len(question)
        yield from self._iter_next(process, waiting)

    def _iter_next(self, process: subprocess.Popen[bytes], count: int) -> Iterator[One | None]:
        source, next_one = process.stdout, self._next_one
        assert source is not None
        for _ in range(count):
            answer = next_one(source)
            if isinstance(answer, _End):
                raise _ended(process)
            yield answer


class _End:
    """git has no more to say."""


_END = _End()


def _iter_questions(names: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """How many names, and what asks for them: blocks of half of what may be in flight."""
    block: list[bytes] = []
    size = 0
    for name in names:
        if block and size + len(name) >= _IN_FLIGHT // 2:
            yield len(block), b"\n".join(block) + b"\n"
            block, size = [], 0
        block.append(name)
        size += len(name) + 1
    if block:
        yield len(block), b"\n".join(block) + b"\n"


def _ended(process: subprocess.Popen[bytes]) -> Exception:
    assert process.stderr is not None
    process.kill()
    process.wait()
    return git_failed(("cat-file",), process.stderr.read())


def _next_answer(source: IO[bytes]) -> Answer | _End | None:
    header = source.readline()
    if not header:
        return _END
    if header.endswith(_NOTHING):
        return None
    oid, kind, size = header.split(b" ")
    content = source.read(int(size) + 1)
    return kind, content[:-1], oid


def _next_size(source: IO[bytes]) -> int | _End | None:
    line = source.readline()
    if not line:
        return _END
    return None if line.endswith(_NOTHING) else int(line)


_NOTHING = (b" missing\n", b" ambiguous\n")


def _feed(sink: IO[bytes], names: Iterable[bytes], asked: list[int]) -> None:
    count = 0
    try:
        block: list[bytes] = []
        for name in names:
            block.append(name)
            count += 1
            if len(block) == 1024:
                sink.write(b"\n".join(block) + b"\n")
                block.clear()
        if block:
            sink.write(b"\n".join(block) + b"\n")
        asked.append(count)
        sink.close()
    except BrokenPipeError:
        asked.append(-1)
