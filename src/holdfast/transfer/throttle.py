"""Content that moves no faster than a limit: whatever passes waits until it may have passed.

A meter is of one place and direction, or of a whole call, and shared by all that move content.
A throttle is what one transfer heeds of them: it can be stopped, and then nobody waits any more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from ..core.abilities import Answer, BulkReadable, Content, ManyWays, Readable, Stream
from ..core.errors import HoldError
from ..core.key import Key
from ..core.rates import BURST_S, Bucket, Rate

_PIECE_MIN = 4096


class Meter:
    """One limit, for any number of threads."""

    def __init__(self, rate: Rate, now: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._bucket = Bucket(rate)
        self._now = now
        self._lock = threading.Lock()

    def owed(self, size: int) -> float:
        """How many seconds it takes until so many more bytes may have passed."""
        with self._lock:
            now = self._now()
            return self._bucket.take(size, now) - now


class Throttle:
    """The limits that one transfer heeds."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        assert meters
        self._meters = meters
        self._stopped = threading.Event()
        rate = min(meter.rate for meter in meters)
        self._piece = max(_PIECE_MIN, int(rate * BURST_S))

    def wait(self, size: int) -> None:
        """Wait until so many more bytes may have passed, or all is stopped."""
        owed = max(meter.owed(size) for meter in self._meters)
        if owed > 0:
            self._stopped.wait(owed)

    def stop(self) -> None:
        """Wake all that wait, for good."""
        self._stopped.set()

    def pieces(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same bytes, each piece when it may pass: small ones, where the limit is low."""
        for chunk in chunks:
            for start in range(0, len(chunk), self._piece):
                piece = chunk[start : start + self._piece]
                self.wait(len(piece))
                yield piece


class ThrottledContent:
    """Content that is sent no faster than a limit; see `core.abilities.Content`.

    Its file, for programs that want one, is as it was: those move it as they like.
    """

    def __init__(self, content: Content, throttle: Throttle) -> None:
        self._content = content
        self._throttle = throttle

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self._content.size

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from an offset, when they may pass."""
        return self.paced(self._content.chunks(offset))

    def paced(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Bytes that are read from its file by somebody else, when they may pass."""
        return self._throttle.pieces(chunks)

    def path(self) -> bytes:
        """A file with just these bytes."""
        return self._content.path()


class Throttled:
    """A place that is read from no faster than a limit; see `core.abilities.Readable`."""

    def __init__(self, source: Readable, throttle: Throttle) -> None:
        self.place = source.place
        self.cost = source.cost
        self._source = source
        self._throttle = throttle

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look, for each key."""
        return self._source.ask(keys)

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content; its bytes come when they may pass."""
        with self._source.open_content(key, offset) as stream:
            yield self._throttled(stream)

    def close(self) -> None:
        """Let go of connections, and wake who waits."""
        self._throttle.stop()
        self._source.close()

    def _throttled(self, stream: Stream) -> Stream:
        stream.chunks = self._throttle.pieces(stream.chunks)
        return stream


class ThrottledBulk(Throttled):
    """The same for one that streams many keys; see `core.abilities.BulkReadable`."""

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream each key's content; its bytes come when they may pass."""
        assert isinstance(self._source, BulkReadable)
        for key, found in self._source.iter_contents(keys):
            yield key, found if isinstance(found, HoldError) else self._throttled(found)


class ThrottledWays(Throttled):
    """The same for one that has several ways to a key; see `core.abilities.ManyWays`."""

    def ways(self, key: Key) -> Sequence[Readable]:
        """The place by each of its ways."""
        assert isinstance(self._source, ManyWays)
        return [Throttled(way, self._throttle) for way in self._source.ways(key)]


def throttled(source: Readable, throttle: Throttle) -> Readable:
    """A place that is read from no faster than a limit."""
    if isinstance(source, BulkReadable):
        assert not isinstance(source, ManyWays), "no place is both, yet"
        return ThrottledBulk(source, throttle)
    kind = ThrottledWays if isinstance(source, ManyWays) else Throttled
    return kind(source, throttle)
