"""Content in chunks, as git-annex cuts it: wraps any place.

Each chunk is kept under a key of its own (``…-S<size>-C<number>--…``, counted from 1); the chunk
log says how a place holds a key. A content may be there in chunks of several sizes, or whole:
every way that is recorded is tried. Chunks that an earlier try brought are not sent again.
Format: docs/formats/annex.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from typing import NamedTuple

from ..core import faults
from ..core.abilities import (
    Answer,
    BulkSendable,
    Content,
    OnBytes,
    Pace,
    Store,
    Stream,
    pace_of,
)
from ..core.clock import Moment
from ..core.errors import HoldError, NotFoundError
from ..core.key import Key
from ..core.place import Place, Presence
from ..core.policy import DropProof, Waiver
from ..core.sizes import parse_size
from ..wire.branch_paths import chunk_log
from ..wire.logs import Chunking, parse_chunks, set_chunks
from .lanes import LANES, iter_fetched, iter_sent
from .special import KeyNotes, SpecialRemote

_BLOCK = 1000
_READ = 1 << 20


def chunk_size_of(remote: SpecialRemote) -> int | None:
    """The size of new chunks by a place's configuration; None to send content whole.

    Raises:
        PlaceUnavailableError: The configuration makes no sense.
    """
    given = remote.config.get("chunk") or remote.config.get("chunksize") or "0"
    size = parse_size(given)
    if size is None or size < 0:
        raise faults.NO_WAY(place=remote.place.label, kind=f"special remote with chunk={given}")
    return size or None


def count_of(size: int, chunk_size: int) -> int:
    """How many chunks a content has; an empty one still has one."""
    return max(1, -(-size // chunk_size))


def chunk_keys(key: Key, chunking: Chunking) -> Iterator[Key]:
    """The keys of all chunks, in order."""
    for number in range(1, chunking.chunks + 1):
        yield Key.make(
            key.backend, key.name, size=key.size, mtime=key.mtime,
            chunk_size=chunking.size, chunk_number=number,
        )  # fmt: skip


class Chunked:
    """A place whose contents are in chunks, or were once."""

    def __init__(
        self, inner: Store, notes: KeyNotes, size: int | None, *, now: Moment | None = None
    ) -> None:
        """``size`` is that of new chunks; ``now``, for tests, what to write down as the time."""
        self._inner = inner
        self._notes = notes
        self._size = size
        self._now = now

    @property
    def place(self) -> Place:
        """Which place this is."""
        return self._inner.place

    @property
    def cost(self) -> float:
        """That of the place itself."""
        return self._inner.cost

    def close(self) -> None:
        """Let go of the place itself."""
        self._inner.close()

    # reading

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look for each key, in each way it may be there; a way counts when all its chunks do."""
        ways = self._ways(keys)
        found: dict[Key, Answer] = {}
        left = list(dict.fromkeys(keys))
        for turn in range(max((len(way) for way in ways.values()), default=0)):
            left = [key for key in left if key not in found and turn < len(ways[key])]
            answers = self._ask_one_way({key: ways[key][turn] for key in left})
            for key, answer in answers.items():
                unsure = answer.presence is Presence.UNKNOWN
                if answer.presence is Presence.PRESENT or unsure or turn == len(ways[key]) - 1:
                    found[key] = answer
        return [found[key] for key in keys]

    def _ask_one_way(self, ways: dict[Key, Chunking | None]) -> dict[Key, Answer]:
        names = ((key, name) for key, way in ways.items() for name in _names(key, way))
        told: dict[Key, Answer] = {}
        while block := list(islice(names, _BLOCK)):
            answers = self._inner.ask([name for _, name in block])
            for (key, _), answer in zip(block, answers, strict=True):
                if key not in told or told[key].presence is Presence.PRESENT:
                    told[key] = answer
        return told

    def _ways(self, keys: Sequence[Key]) -> dict[Key, list[Chunking | None]]:
        """How each key may be there: as recorded, as we would send it, whole (None)."""
        logs = self._notes.read(chunk_log, keys)
        return {key: self._ways_of(key, logs.get(key, b"")) for key in keys}

    def _ways_of(self, key: Key, log: bytes) -> list[Chunking | None]:
        recorded = parse_chunks(log).get(self.place.id, [])
        # A run that was killed may have sent all chunks, and told nobody.
        usual = (
            [Chunking(self._size, count_of(key.size, self._size))]
            if self._size and key.size is not None
            else []
        )
        ways: list[Chunking | None] = [*sorted(recorded, key=self._unlike_usual), *usual]
        return [*dict.fromkeys(ways), None]

    def _unlike_usual(self, chunking: Chunking) -> bool:
        return chunking.size != self._size

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from an offset, out of the first way that the place has.

        Raises:
            NotFoundError: It is there in no way.
        """
        missing: HoldError | None = None
        for way in self._ways([key])[key]:
            with ExitStack() as stack:
                try:
                    stream = self._open_way(stack, key, way, offset)
                except NotFoundError as error:
                    missing = missing or error
                    continue
                yield stream
                return
        assert missing is not None, "there is always one way to try"
        raise missing

    def _open_way(self, stack: ExitStack, key: Key, way: Chunking | None, offset: int) -> Stream:
        if way is None:
            return stack.enter_context(self._inner.open_content(key, offset))
        # At the very end there is nothing to read; the last chunk tells that it is there.
        first = min(offset // way.size, way.chunks - 1)
        names = list(islice(chunk_keys(key, way), first, None))
        begun = stack.enter_context(_opened(self._inner, names[0], offset - first * way.size))
        return Stream(offset, key.size, self._iter_bytes(begun, names[1:]))

    def _iter_bytes(self, begun: Iterator[bytes], names: Sequence[Key]) -> Iterator[bytes]:
        yield from begun
        for name in names:
            with _opened(self._inner, name, 0) as chunks:
                yield from chunks

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream many, small ones fetched ahead."""
        return iter_fetched(self, keys)

    # sending and removing

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Put content there in chunks, those that it lacks; the chunk log is told when all are.

        Content of several chunks is checked whole before the first one goes.
        """
        _need(self._inner, "send")
        if self._size is None:
            self._inner.send(key, content, progress)
            return
        chunking = Chunking(self._size, count_of(content.size, self._size))
        if chunking.chunks == 1:
            self._inner.send(next(chunk_keys(key, chunking)), content, progress)
        else:
            self._send_chunks(key, content, chunking, progress)
        self._note(key, chunking)

    def _send_chunks(
        self, key: Key, content: Content, chunking: Chunking, progress: OnBytes
    ) -> None:
        # Chunks are seen one by one: none of wrong content may go, a later run would keep it.
        whole = Whole(content.path(), content.size, pace_of(content))
        for answer in self._iter_sent_chunks(key, whole, chunking, progress):
            if answer is not None:
                raise answer

    def _iter_sent_chunks(
        self, key: Key, whole: Whole, chunking: Chunking, progress: OnBytes
    ) -> Iterator[HoldError | None]:
        numbered = enumerate(chunk_keys(key, chunking))
        while block := list(islice(numbered, _BLOCK)):
            there = self._inner.ask([name for _, name in block])
            missing = []
            for (number, name), answer in zip(block, there, strict=True):
                piece = Piece(whole, number * chunking.size, chunking.size)
                if answer.presence is Presence.PRESENT:
                    progress(piece.size)
                else:
                    missing.append((name, piece))
            send = partial(_send_piece, self._inner, progress)
            yield from (error for _, error in iter_sent(send, missing, lanes=_CHUNK_LANES))

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Put many contents there; those of one chunk go as the place itself takes many."""
        if self._size is None or not isinstance(self._inner, BulkSendable):
            send = self.send
            yield from iter_sent(lambda key, content: send(key, content, progress), items)
            return
        names: dict[Key, Key] = {}
        large: list[tuple[Key, HoldError | None]] = []
        small = self._iter_small(items, names, large, progress)
        for name, error in self._inner.iter_send(small, progress):
            key = names.pop(name)
            if error is None:
                self._note(key, Chunking(self._size, 1))
            yield key, error
            yield from large
            large.clear()
        yield from large

    def _iter_small(
        self,
        items: Iterable[tuple[Key, Content]],
        names: dict[Key, Key],
        large: list[tuple[Key, HoldError | None]],
        progress: OnBytes,
    ) -> Iterator[tuple[Key, Content]]:
        assert self._size is not None
        for key, content in items:
            if content.size <= self._size:
                name = next(chunk_keys(key, Chunking(self._size, 1)))
                names[name] = key
                yield name, content
                continue
            try:
                self.send(key, content, progress)
                large.append((key, None))
            except HoldError as error:
                large.append((key, error))

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Remove all chunks of all ways that it may be there in, and what is there whole."""
        _need(self._inner, "remove")
        for way in self._ways([key])[key]:
            for name in _names(key, way):
                self._inner.remove(name, leave._replace(key=name))
            if way is not None:
                self._note(key, Chunking(way.size, 0))

    def _note(self, key: Key, chunking: Chunking) -> None:
        place, now = self.place.id, self._now or _now()

        def edit(old: bytes) -> bytes:
            known = {found.size: found.chunks for found in parse_chunks(old).get(place, [])}
            if known.get(chunking.size, 0) == chunking.chunks:
                return old
            return set_chunks(old, place, chunking, now)

        self._notes.edit(chunk_log, key, edit)


_CHUNK_LANES = max(1, LANES // 4)


class Whole(NamedTuple):
    """Content that lies, checked, in a file, and how fast its bytes may go."""

    path: bytes
    size: int
    pace: Pace


class Piece:
    """One chunk of content; see `core.abilities.Content`."""

    def __init__(self, whole: Whole, start: int, size_max: int) -> None:
        self._whole = whole
        self._start = start
        self.size = max(0, min(size_max, whole.size - start))
        self._copy: tempfile._TemporaryFileWrapper[bytes] | None = None

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """Its bytes from an offset; a file that became shorter breaks off with an error."""
        return self._whole.pace(self._iter_chunks(offset))

    def _iter_chunks(self, offset: int) -> Iterator[bytes]:
        left = self.size - offset
        with open(self._whole.path, "rb", buffering=0) as file:
            file.seek(self._start + offset)
            while left > 0:
                chunk = file.read(min(_READ, left))
                if not chunk:
                    raise faults.UNREACHABLE(place="here", detail="the content became shorter")
                left -= len(chunk)
                yield chunk

    def path(self) -> bytes:
        """A copy of just these bytes, which lives as long as this object."""
        if self._copy is None:
            self._copy = tempfile.NamedTemporaryFile(prefix="chunk-")  # noqa: SIM115
            self._copy.writelines(self.chunks())
            self._copy.flush()
        return self._copy.name.encode()


def _send_piece(inner: Store, progress: OnBytes, name: Key, piece: Content) -> None:
    inner.send(name, piece, progress)


def _names(key: Key, way: Chunking | None) -> Iterator[Key]:
    return iter((key,)) if way is None else chunk_keys(key, way)


@contextmanager
def _opened(inner: Store, name: Key, offset: int) -> Iterator[Iterator[bytes]]:
    """The bytes of one chunk from an offset, also where the place starts at the beginning."""
    with inner.open_content(name, offset) as stream:
        if stream.offset > offset:
            detail = f"asked for byte {offset} it starts at {stream.offset}"
            raise faults.BAD_ANSWER(place=inner.place.label, detail=detail)
        yield _without(stream.chunks, offset - stream.offset)


def _without(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    for chunk in chunks:
        if count < len(chunk):
            yield chunk[count:]
        count = max(0, count - len(chunk))


def _need(inner: Store, ability: str) -> None:
    """Some places, web servers say, can only be read.

    Raises:
        PlaceUnavailableError: It is one.
    """
    if not hasattr(inner, ability):
        raise faults.NO_WAY(place=inner.place.label, kind="special remote that can only be read")


def _now() -> Moment:
    import os
    import time

    from ..core.clock import SECOND, parse_moment

    given = parse_moment(os.environ.get("GIT_ANNEX_VECTOR_CLOCK", "").encode())
    return given if given is not None else Moment(int(time.time()) * SECOND)
