"""Progress on standard error: one line, rewritten; or a plain line now and then."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TextIO

from .text import clock, number, printable, size, size_of

LIVE_EVERY_S = 0.1
PLAIN_EVERY_S = 30.0
MAKE_ROOM_S = 0.02
"""After the line was wiped for somebody else's, it stays away so long."""
WINDOW_S = 10.0


@dataclass(slots=True)
class Meter:
    """How far a verb is, and how fast it was during the last ten seconds. No I/O, no clock."""

    label: str
    total_files: int | None = None
    total_bytes: int | None = None
    files: int = 0
    size: int = 0
    remark: str = ""
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def sample(self, now: float) -> None:
        """Remember where we are, for the rate."""
        self._samples.append((now, self.size))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()

    def rate(self, now: float) -> float:
        """Bytes a second."""
        if not self._samples:
            return 0.0
        then, size_then = self._samples[0]
        return max(self.size - size_then, 0) / (now - then) if now > then else 0.0

    def line(self, now: float, width: int) -> str:
        """The progress line, at most ``width`` columns."""
        parts = [self.label, self._bytes(), self._files()]
        if rate := self.rate(now):
            parts.append(f"{size(rate)}/s")
            if self.total_bytes is not None and self.total_bytes > self.size:
                parts.append(f"ETA {clock((self.total_bytes - self.size) / rate)}")
        parts.append(printable(self.remark))
        text = "  ".join(part for part in parts if part)
        return text if len(text) <= width else text[: width - 1] + "…"

    def _bytes(self) -> str:
        if self.total_bytes:
            return size_of(self.size, self.total_bytes)
        return size(self.size) if self.size else ""

    def _files(self) -> str:
        if self.total_files:
            return f"{number(self.files)}/{number(self.total_files)} files"
        return f"{number(self.files)} files" if self.files else ""


class Teller:
    """What live and plain progress share: a meter behind a lock, and when to speak next."""

    def __init__(
        self, label: str, stream: TextIO, now: Callable[[], float], *, width: int, every_s: float
    ) -> None:
        self._meter = Meter(label)
        self._stream = stream
        self._now = now
        self._width = width
        self._every_s = every_s
        self._next = now() + every_s
        self._lock = Lock()
        self._started = False

    def start(self, total_files: int | None, total_bytes: int | None) -> None:
        """Work begins, or its size became known."""
        with self._lock:
            self._meter.total_files = total_files
            self._meter.total_bytes = total_bytes
            if not self._started:
                self._started = True
                self._meter.sample(self._now())

    def advance(self, files: int, size: int) -> None:
        """So much more is done."""
        with self._lock:
            self._meter.files += files
            self._meter.size += size
            now = self._now()
            if now >= self._next:
                self._speak(now)

    def note(self, text: str) -> None:
        """A remark for the end of the line."""
        with self._lock:
            self._meter.remark = text
            now = self._now()
            if now >= self._next:
                self._speak(now)

    def stop(self) -> None:
        """The work has ended."""
        with self._lock:
            self._wipe()
            self._next = float("inf")

    def clear(self) -> None:
        """Make room for a line of somebody else, who writes it at once."""
        with self._lock:
            self._wipe()
            self._next = max(self._next, self._now() + MAKE_ROOM_S)

    def _speak(self, now: float) -> None:
        self._next = now + self._every_s
        self._meter.sample(now)
        self._write(self._meter.line(now, self._width))

    def _write(self, line: str) -> None:
        raise NotImplementedError

    def _wipe(self) -> None:
        raise NotImplementedError


class LiveProgress(Teller):
    """One line on a terminal, rewritten at most ten times a second."""

    def __init__(self, label: str, stream: TextIO, now: Callable[[], float], width: int) -> None:
        super().__init__(label, stream, now, width=width - 1, every_s=LIVE_EVERY_S)
        self._shown = False

    def _write(self, line: str) -> None:
        self._stream.write(f"\r{line}\x1b[K")
        self._stream.flush()
        self._shown = True

    def _wipe(self) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False


class PlainProgress(Teller):
    """A line of text every thirty seconds, for logs."""

    def __init__(self, label: str, stream: TextIO, now: Callable[[], float]) -> None:
        super().__init__(label, stream, now, width=1000, every_s=PLAIN_EVERY_S)

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def _wipe(self) -> None:
        """Nothing to wipe: what was written stays."""
