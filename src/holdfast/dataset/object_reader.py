"""Reading git objects by name, through one ``git cat-file`` that is kept."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import IO, TYPE_CHECKING

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


class ObjectReader:
    """Reads git objects by name. Any number of threads and of unfinished readings may use it.

    The process that is kept serves one of them at a time; the others have one for themselves.
    """

    def __init__(self, git: Git) -> None:
        self._git = git
        self._process: subprocess.Popen[bytes] | None = None
        self._free = threading.Lock()

    def read(self, name: bytes) -> Answer | None:
        """The object a name stands for now, or None when there is none; costs a round trip."""
        [answer] = self._iter_few([name])
        return answer

    def iter_read(self, names: Iterable[bytes]) -> Iterator[Answer | None]:
        """Many objects, in order, None for each that is missing."""
        rest = iter(names)
        first = list(islice(rest, _FEW + 1))
        return self._iter_few(first) if len(first) <= _FEW else self._iter_many(chain(first, rest))

    def iter_sizes(self, names: Collection[bytes]) -> Iterator[tuple[bytes, int]]:
        """Names and sizes in bytes of many objects, in order; those missing are left out."""
        if not names:
            return
        output = self._git.run(
            "cat-file", "--batch-check=%(objectsize)", "--buffer", data=b"\n".join(names) + b"\n"
        )
        for name, size in zip(names, output.splitlines(), strict=True):
            if size.isdigit():
                yield name, int(size)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _iter_few(self, names: Sequence[bytes]) -> Iterator[Answer | None]:
        if not self._free.acquire(blocking=False):
            yield from self._iter_many(names)
            return
        whole = False
        try:
            if self._process is None:
                self._process = self._git.start("cat-file", "--batch", reads=True)
            yield from _iter_answers(self._process, names)
            whole = True
        finally:
            if not whole and self._process is not None:
                # It has answers left that nobody wants.
                self._process.kill()
                self.close()
            self._free.release()

    def _iter_many(self, names: Iterable[bytes]) -> Iterator[Answer | None]:
        process = self._git.start("cat-file", "--batch", "--buffer", reads=True)
        assert process.stdin is not None and process.stdout is not None
        count = 0
        asked: list[int] = []
        feeder = threading.Thread(
            target=_feed, args=(process.stdin, names, asked), name="cat-file feeder", daemon=True
        )
        feeder.start()
        try:
            while (answer := _next_answer(process.stdout)) is not _END:
                count += 1
                yield answer  # type: ignore[misc]
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


_END = object()


def _iter_answers(
    process: subprocess.Popen[bytes], names: Sequence[bytes]
) -> Iterator[Answer | None]:
    """Ask for a block while git answers the one before."""
    sink, source = process.stdin, process.stdout
    assert sink is not None and source is not None
    waiting, in_flight = 0, 0
    for count, question in _iter_questions(names):
        if in_flight + len(question) > _IN_FLIGHT:
            # Only a very long name does not fit beside the block before it.
            yield from _iter_next(process, source, waiting)
            waiting = 0
        try:
            sink.write(question)
            sink.flush()
        except BrokenPipeError:
            raise _ended(process) from None
        yield from _iter_next(process, source, waiting)
        waiting, in_flight = count, len(question)
    yield from _iter_next(process, source, waiting)


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


def _iter_next(
    process: subprocess.Popen[bytes], source: IO[bytes], count: int
) -> Iterator[Answer | None]:
    for _ in range(count):
        answer = _next_answer(source)
        if answer is _END:
            raise _ended(process)
        yield answer  # type: ignore[misc]


def _ended(process: subprocess.Popen[bytes]) -> Exception:
    assert process.stderr is not None
    process.kill()
    process.wait()
    return git_failed(("cat-file",), process.stderr.read())


def _next_answer(source: IO[bytes]) -> object:
    header = source.readline()
    if not header:
        return _END
    if header.endswith((b" missing\n", b" ambiguous\n")):
        return None
    oid, kind, size = header.split(b" ")
    content = source.read(int(size) + 1)
    return kind, content[:-1], oid


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
