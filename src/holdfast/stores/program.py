"""A running program that we talk to through its pipes, and our patience with it."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from ..core import faults
from ..core.errors import HoldError, RemoteProtocolError

SSH_FAILED = 255
"""What ssh ends with when it is not the program there that failed."""

READ_SIZE = 1 << 18
_PIPE_SIZE = 1 << 20
_TAIL = 600
_GRACE_S = 2.0


class Program:
    """A process and its pipes. For one thread at a time; any thread may `kill` it."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        patience_s: float,
        folder: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it, in a folder; ``name`` is what errors call it.

        Raises:
            PlaceUnavailableError: It does not start.
        """
        self.name = name
        self.broken = False
        self.failure: HoldError | None = None
        """Why it went away, once it did."""
        self.patience_s = patience_s
        """How long it may say nothing."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as we)
        self._process = start_process(name, argv, self._log, folder=folder, environment=environment)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input = self._process.stdin.fileno()
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._input, False)
        widen_pipe(self._input)
        widen_pipe(self._output)
        self._reading, self._writing, self._both = select.poll(), select.poll(), select.poll()
        for poll in (self._reading, self._both):
            poll.register(self._output, select.POLLIN)
        for poll in (self._writing, self._both):
            poll.register(self._input, select.POLLOUT)

    def send(self, data: bytes) -> None:
        """Write to it; few bytes at a time, so that neither side waits for the other for ever.

        Raises:
            PlaceUnavailableError: It has gone, or takes nothing for too long.
        """
        try:
            while data := self._write(data):
                self._wait(self._writing)
        except OSError as error:
            raise self._gone() from error

    def exchange(self, data: bytes = b"") -> tuple[bytes, bytes]:
        """Wait for what it says, writing meanwhile; gives what it said, what is still unwritten.

        Neither side waits for the other for ever, however much is written. One that takes no more
        is heard to its end first.

        Raises:
            PlaceUnavailableError: It has gone, or says nothing for too long.
        """
        while True:
            try:
                data = self._write(data)
            except OSError:
                data = b""
            for pipe, _ in self._wait(self._both if data else self._reading):
                if pipe == self._output:
                    return self._read(), data

    def talks_nonsense(self, error: RemoteProtocolError) -> HoldError:
        """The error to raise when what it says is not its protocol; it is not used again."""
        return self._failed(faults.BAD_ANSWER(place=self.name, detail=str(error)))

    def hang_up(self) -> None:
        """Tell it that no more will come."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def close(self) -> None:
        """Let it end by itself; it is killed when it does not."""
        self.hang_up()
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
        """Give the pipes back; only the thread that talks to it may."""
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    @property
    def code(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        """The end of what it told people, on one line."""
        return last_words(self._log)

    def _wait(self, poll: select.poll) -> list[tuple[int, int]]:
        events = poll.poll(self.patience_s * 1000)
        if not events:
            raise self._failed(faults.STALLED(place=self.name, waited_s=f"{self.patience_s:g}"))
        return events

    def _read(self) -> bytes:
        data = os.read(self._output, READ_SIZE)
        if not data:
            raise self._gone()
        return data

    def _write(self, data: bytes) -> bytes:
        """Write what the pipe takes; gives the rest."""
        if not data:
            return data
        try:
            return data[os.write(self._input, data) :]
        except BlockingIOError:
            return data

    def _gone(self) -> HoldError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        return self._failed(translated(self.name, self.last_words(), self._process.returncode))

    def _failed(self, error: HoldError) -> HoldError:
        self.broken, self.failure = True, error
        return error


def widen_pipe(pipe: int) -> None:
    """Let a pipe hold more, where the system can: fewer and larger reads."""
    setting = getattr(fcntl, "F_SETPIPE_SZ", None)
    if setting is not None:
        with suppress(OSError):
            fcntl.fcntl(pipe, setting, _PIPE_SIZE)


def start_process(
    name: str,
    argv: Sequence[str],
    log: IO[bytes],
    *,
    folder: bytes | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
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
            cwd=folder,
            env=environment,
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
