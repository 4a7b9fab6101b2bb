"""A running git-annex-shell that we talk to: a process, its pipes, and our patience."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from ..core import faults
from ..core.errors import HoldError, RemoteProtocolError
from ..wire import p2p

READ_SIZE = 1 << 18
_TAIL = 600
_GRACE_S = 2.0


class P2pConnection:
    """One session with one process. For one thread at a time; any thread may `kill` it."""

    def __init__(self, name: str, argv: Sequence[str], *, connect_s: float, stall_s: float) -> None:
        """Start the process and greet it.

        Raises:
            PlaceUnavailableError: It does not start, or does not answer.
            RemoteProtocolError: It speaks something else.
        """
        self.name = name
        self.session = p2p.Session()
        self.broken = False
        self.failure: HoldError | None = None
        self._stall_s = connect_s
        self._events: deque[p2p.Event] = deque()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as we)
        self._process = start_process(name, argv, self._log)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input = self._process.stdin.fileno()
        self._output = self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN | select.POLLHUP)
        try:
            with suppress(HoldError):  # one that has ended already may have said why
                self.send(self.session.start())
            ready = self.next()
            assert isinstance(ready, p2p.Ready)
            self.uuid = ready.uuid
        except BaseException:
            self.kill()
            raise
        self._stall_s = stall_s

    def send(self, data: bytes) -> None:
        """Write to it; few bytes at a time, so that neither side waits for the other for ever.

        Raises:
            PlaceUnavailableError: It has gone.
        """
        try:
            while data:
                data = data[os.write(self._input, data) :]
        except OSError as error:
            raise self._gone() from error

    def next(self) -> p2p.Event:
        """The next event.

        Raises:
            PlaceUnavailableError: It has gone, or says nothing for too long.
            RemoteProtocolError: It says something that makes no sense.
        """
        try:
            while not self._events:
                self._read()
        except HoldError as error:
            self.failure = error
            raise
        return self._events.popleft()

    def close(self) -> None:
        """Let it end by itself; it is killed when it does not."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        self.kill()

    def kill(self) -> None:
        """End it at once; a thread that reads from it gets an error."""
        self.broken = True
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def release(self) -> None:
        """Give the pipes back; only the thread that uses the connection may."""
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _read(self) -> None:
        if not self._poll.poll(self._stall_s * 1000):
            self.broken = True
            raise faults.STALLED(place=self.name, waited_s=f"{self._stall_s:g}")
        data = os.read(self._output, READ_SIZE)
        if not data:
            raise self._gone()
        try:
            self._events.extend(self.session.feed(data))
        except RemoteProtocolError as error:
            self.broken = True
            raise faults.BAD_ANSWER(place=self.name, detail=str(error)) from error

    def _gone(self) -> HoldError:
        self.broken = True
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        return translated(self.name, last_words(self._log), self._process.returncode)


def start_process(name: str, argv: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program whose talk to people goes to a file.

    Raises:
        PlaceUnavailableError: There is no such program.
    """
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,
        )
    except OSError as error:
        detail = f"{argv[0]} cannot be started: {(error.strerror or str(error)).lower()}"
        raise faults.UNREACHABLE(place=name, detail=detail) from error


def last_words(log: IO[bytes]) -> str:
    """The end of what a program told people, on one line."""
    size = os.fstat(log.fileno()).st_size
    said = os.pread(log.fileno(), _TAIL, max(0, size - _TAIL))
    return "; ".join(line.strip() for line in said.decode("utf-8", "replace").splitlines() if line)


def translated(name: str, said: str, code: int | None) -> HoldError:
    """Why a program ended, from its last words."""
    if "expected repository UUID" in said:
        next_step = "look whether the remote's address still leads to the same repository"
        return faults.REFUSED(place=name, detail=said, next=next_step)
    if "Permission denied" in said or "Host key verification failed" in said:
        next_step = "try ssh to that host by hand; add your key there, or its key here"
        return faults.REFUSED(place=name, detail=said, next=next_step)
    return faults.UNREACHABLE(place=name, detail=said or f"its program ended with code {code}")
