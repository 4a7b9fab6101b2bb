"""A running `git-annex-remote-…` program: what it says, line by line, and our patience with it."""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from select import poll
from typing import Protocol

from ..core import faults
from ..core.errors import HoldError, ProtocolError, RemoteProtocolError
from ..wire.external_remote import (
    PROGRAM_PREFIX,
    VERSIONS,
    Exchange,
    Lines,
    Message,
    Said,
    encode,
    extensions_in,
    from_program,
    say,
)
from .program import Program

EXTENSIONS = b"INFO GETGITREMOTENAME UNAVAILABLERESPONSE TRANSFER-RETRIEVE-URL CHECKPRESENT-URL"
ASYNC = "ASYNC"
_FOR_EVER_S = 1e6

SignOfLife = Callable[[], object]
"""Something that is another value after the program has worked: the size of its file, say."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a program may be silent: when it starts, and at work, in seconds.

    An hour at work: a tape has to be mounted first, and many programs tell of no progress.
    """

    start_s: float = 60.0
    work_s: float = 3600.0


@dataclass(frozen=True)
class Call:
    """How to start a program: what errors call its place and itself, and where it runs."""

    place: str
    argv: Sequence[str]
    folder: bytes | None = None
    environment: Mapping[str, str] | None = None
    patience: Patience = Patience()
    masked: Callable[[str], str] = str
    """Takes secrets out of what is told to people."""

    @property
    def program(self) -> str:
        """The program's name."""
        return self.argv[0].rpartition("/")[2]


def find_program(place: str, kind: str, path: str | None = None) -> list[str]:
    """The command of the program for an external type; ``path`` is where to look (PATH).

    Raises:
        PlaceUnavailableError: There is none.
    """
    name = PROGRAM_PREFIX + kind
    if not kind or "/" in kind:
        detail = f"{kind!r} names no program"
        raise faults.EXTERNAL_MISSING(place=place, program=name, detail=detail)
    found = shutil.which(name, path=path)
    if found is None:
        raise faults.EXTERNAL_MISSING(place=place, program=name, detail="it is not on PATH")
    return [found]


class Line(Protocol):
    """One side of a conversation with a program: alone with it, or as one of several jobs."""

    name: str
    """What errors call its place."""
    broken: bool
    sign_of_life: SignOfLife

    @property
    def has_ended(self) -> bool:
        """Whether the program is gone, or cannot be used any more."""

    def say(self, message: Message) -> None:
        """Say something to it."""

    def hear(self) -> Message:
        """The next thing it says."""

    def close(self) -> None:
        """End the conversation."""


class ExternalProgram(Program):
    """A program that has been greeted. For one thread at a time; any thread may `kill` it."""

    def __init__(self, call: Call) -> None:
        """Start it and agree on extensions.

        Raises:
            PlaceUnavailableError: It does not start, or does not answer.
            RemoteProtocolError: It speaks something else.
        """
        self.call = call
        self._lines = Lines()
        self._heard: deque[Message] = deque()
        self.sign_of_life: SignOfLife = lambda: None
        super().__init__(
            call.place,
            call.argv,
            patience_s=call.patience.start_s,
            folder=call.folder,
            environment=call.environment,
        )
        try:
            self.extensions = self._greet()
        except BaseException:
            self.kill()
            self.release()
            raise
        self.patience_s = call.patience.work_s

    def say(self, message: Message) -> None:
        """Say something to it.

        Raises:
            LocalProtocolError: It would not be understood.
            PlaceUnavailableError: It has gone.
        """
        self.send(encode(message))

    def hear(self) -> Message:
        """The next thing it says.

        Raises:
            PlaceUnavailableError: It has gone, gives up, or is silent for too long.
            RemoteProtocolError: It makes no sense.
        """
        while not self._heard:
            data, _ = self.exchange()
            try:
                self._heard.extend(from_program(line) for line in self._lines.feed(data))
            except RemoteProtocolError as error:
                raise self.talks_nonsense(error) from error
        message = self._heard.popleft()
        if message.name == "ERROR":
            raise self._failed(self._fault(faults.EXTERNAL_GAVE_UP, message.text()))
        return message

    @property
    def has_ended(self) -> bool:
        """Whether it is gone, or cannot be used any more."""
        return self.broken or self.code is not None

    def last_words(self) -> str:
        """The end of what it told people, without secrets."""
        return self.call.masked(super().last_words())

    def _greet(self) -> frozenset[str]:
        first = self.hear()
        if first.name != "VERSION" or first.last not in VERSIONS:
            spoken = RemoteProtocolError(
                f"its first word is {first.name} {b' '.join(first.parts)!r}"
            )
            raise self.talks_nonsense(spoken)
        request = say("EXTENSIONS", EXTENSIONS + b" " + ASYNC.encode())
        self.say(request)
        exchange = Exchange(request)
        while exchange.take(answer := self.hear()) is not Said.END:
            pass
        return extensions_in(answer) if answer.name == "EXTENSIONS" else frozenset()

    def _wait(self, poll: poll) -> list[tuple[int, int]]:
        seen = self.sign_of_life()
        while not (events := poll.poll(self.patience_s * 1000)):
            before, seen = seen, self.sign_of_life()
            if before == seen:
                waited = f"{self.patience_s:g}"
                raise self._failed(
                    faults.EXTERNAL_HANGS(
                        program=self.call.program, place=self.name, waited_s=waited
                    )
                )
        return events

    def _gone(self) -> HoldError:
        with suppress(Exception):
            self._process.wait(2.0)
        code = self.code
        ended = (
            f"signal {-code} ended it" if code is not None and code < 0 else f"its code is {code}"
        )
        said = self.last_words()
        return self._failed(
            self._fault(faults.EXTERNAL_DIED, f"{said}; {ended}" if said else ended)
        )

    def _fault(self, fault: faults.Fault, detail: str) -> HoldError:
        return fault(program=self.call.program, place=self.name, detail=self.call.masked(detail))


class SharedProgram:
    """A program that does several jobs at a time (ASYNC): a thread reads what it says to all."""

    def __init__(self, program: ExternalProgram, patience_s: float) -> None:
        """Take over a program that speaks so."""
        program.patience_s = _FOR_EVER_S
        self.program = program
        self.patience_s = patience_s
        self._lock = threading.Lock()
        self._speaking = threading.Lock()
        self._jobs: dict[int, SimpleQueue[Message | HoldError]] = {}
        self._free: list[int] = []
        self._reader = threading.Thread(target=self._read, name="external", daemon=True)
        self._reader.start()

    @property
    def has_ended(self) -> bool:
        """Whether it is gone, or cannot be used any more."""
        return self.program.has_ended

    def open_job(self) -> Job:
        """A conversation of its own."""
        with self._lock:
            number = self._free.pop() if self._free else len(self._jobs) + 1
            heard: SimpleQueue[Message | HoldError] = SimpleQueue()
            self._jobs[number] = heard
        return Job(self, number, heard)

    def end_job(self, number: int) -> None:
        """Nothing more is said under this number until it is given out again."""
        with self._lock:
            self._free.append(number)

    def say(self, message: Message) -> None:
        """Say something; one thread at a time."""
        # Not the lock of the reader: while it reads, what we write finds room in the pipe.
        with self._speaking:
            if self.program.failure is not None:
                raise self.program.failure
            self.program.say(message)

    def close(self) -> None:
        """Let the program end, and the thread that reads from it."""
        self.program.close()
        self._reader.join(2.0)
        self.program.release()

    def _read(self) -> None:
        try:
            while True:
                message = self.program.hear()
                with self._lock:
                    heard = self._jobs.get(message.job or 0)
                if heard is None:
                    told = RemoteProtocolError(f"it speaks of job {message.job}, which is none")
                    raise self.program.talks_nonsense(told)
                heard.put(message)
        except HoldError as error:
            self.program.kill()
            with self._lock:
                for heard in self._jobs.values():
                    heard.put(error)


class Job:
    """A conversation with a program that has others at the same time."""

    def __init__(
        self, shared: SharedProgram, number: int, heard: SimpleQueue[Message | HoldError]
    ) -> None:
        """Made by `SharedProgram.open_job`."""
        self.name = shared.program.name
        self.broken = False
        self.sign_of_life: SignOfLife = lambda: None
        self._shared = shared
        self._number = number
        self._heard = heard

    @property
    def has_ended(self) -> bool:
        """Whether its program is gone, or it cannot be gone on with."""
        return self.broken or self._shared.has_ended

    def say(self, message: Message) -> None:
        """Say something to it, as this job."""
        try:
            self._shared.say(message._replace(job=self._number))
        except ProtocolError:
            raise
        except HoldError:
            self.broken = True
            raise

    def hear(self) -> Message:
        """The next thing it says to this job."""
        seen = self.sign_of_life()
        while True:
            try:
                heard = self._heard.get(timeout=self._shared.patience_s)
            except Empty:
                before, seen = seen, self.sign_of_life()
                if before != seen:
                    continue
                raise self._hangs() from None
            if isinstance(heard, HoldError):
                self.broken = True
                raise heard
            return heard

    def close(self) -> None:
        """Its number may be used by another; one that broke off is given to nobody."""
        if not self.broken:
            self._shared.end_job(self._number)

    def _hangs(self) -> HoldError:
        self.broken = True
        self._shared.program.kill()
        call = self._shared.program.call
        return faults.EXTERNAL_HANGS(
            program=call.program, place=call.place, waited_s=f"{self._shared.patience_s:g}"
        )
