"""Conversations with the programs of one place: started late, used again, ended cleanly."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from ..core import faults
from ..core.errors import HoldError, RemoteProtocolError
from ..wire.external_remote import Exchange, Message, Said, say
from .external_program import ASYNC, Call, ExternalProgram, Line, SharedProgram, SignOfLife

OnProgress = Callable[[int], None]
"""Told how many bytes of a file have gone so far."""


class Questions(Protocol):
    """Who answers what a program asks."""

    def answer(self, question: Message) -> list[Message]:
        """What to say to a question."""

    def take(self, told: Message) -> None:
        """Something that it only tells."""


class NoAnswers:
    """For requests that need nothing of a data set."""

    def answer(self, question: Message) -> list[Message]:
        """That nothing is known."""
        if question.name == "GETCREDS":
            return [say("CREDS", b"", b"")]
        return [say("VALUE", b"")]

    def take(self, told: Message) -> None:
        """Nobody wants to know."""


class Lanes:
    """As many programs as there are threads at work, or one that works for all (ASYNC)."""

    def __init__(self, call: Call, questions: Questions, prepare: Callable[[Line], None]) -> None:
        """Nothing is started yet; ``prepare`` makes a new program ready for its first request."""
        self.call = call
        self._questions = questions
        self._prepare = prepare
        self._idle: list[Line] = []
        self._all: set[ExternalProgram] = set()
        self._shared: SharedProgram | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._starting = threading.Lock()

    def carry_out(
        self,
        request: Message,
        on_progress: OnProgress = lambda _: None,
        *,
        sign_of_life: SignOfLife = lambda: None,
        before_retry: Callable[[], None] = lambda: None,
    ) -> list[Message]:
        """Carry a request out; when its program dies, once more with a new one. The end is last.

        Raises:
            PlaceUnavailableError: The program dies again, hangs, or cannot be started.
            RemoteProtocolError: It says what does not belong here.
        """
        for is_last in (False, True):
            try:
                with self._line() as line:
                    line.sign_of_life = sign_of_life
                    return carry_out(line, request, self._questions, on_progress)
            except HoldError as error:
                if is_last or self._closed or error.code != faults.EXTERNAL_DIED.code:
                    raise
            self._end_idle()
            before_retry()
        raise AssertionError("the second try ends, or raises")

    def close(self) -> None:
        """Let the programs end by themselves; those at work are killed. May be called twice."""
        self._closed = True
        with self._lock:
            idle, self._idle = self._idle, []
            busy = self._all - {line for line in idle if isinstance(line, ExternalProgram)}
            shared, self._shared = self._shared, None
        for program in busy - ({shared.program} if shared is not None else set()):
            program.kill()
        for line in idle:
            self._end(line)
        if shared is not None:
            self._end_shared(shared)

    @contextmanager
    def _line(self) -> Iterator[Line]:
        """A conversation for one request; one that broke off is not used again."""
        line = self._take_idle() or self._start()
        finished = False
        try:
            yield line
            finished = True
        finally:
            line.sign_of_life = lambda: None
            if finished and not line.broken:
                with self._lock:
                    self._idle.append(line)
            else:
                line.broken = True
                self._end(line)

    def _take_idle(self) -> Line | None:
        """One that is ready; those whose program has ended meanwhile are put away."""
        while True:
            with self._lock:
                line = self._idle.pop() if self._idle else None
            if line is None or not line.has_ended:
                return line
            line.broken = True
            self._end(line)

    def _end_idle(self) -> None:
        """Where one died, none that waits is counted on: whatever ended it may have ended them.

        The system tells of a death late: what it still calls alive may be gone all the same.
        """
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            self._end(line)

    def _start(self) -> Line:
        # One at a time: whether one program does for all is known only when the first said so.
        with self._starting:
            if self._shared is not None:
                if not self._shared.has_ended:
                    return self._shared.open_job()
                self._end_shared(self._shared)
                self._shared = None
            program = ExternalProgram(self.call)
            with self._lock:
                self._all.add(program)
            if ASYNC not in program.extensions:
                return self._ready(program)
            shared = SharedProgram(program, self.call.patience.work_s)
            try:
                line = self._ready(shared.open_job())
            except BaseException:
                self._end_shared(shared)
                raise
            self._shared = shared
            return line

    def _ready(self, line: Line) -> Line:
        try:
            self._prepare(line)
        except BaseException:
            line.broken = True
            self._end(line)
            raise
        return line

    def _end_shared(self, shared: SharedProgram) -> None:
        shared.close()
        with self._lock:
            self._all.discard(shared.program)

    def _end(self, line: Line) -> None:
        if isinstance(line, ExternalProgram):
            if line.broken:
                line.kill()
            line.close()
            line.release()
            with self._lock:
                self._all.discard(line)
        else:
            line.close()


@contextmanager
def fresh_line(call: Call) -> Iterator[Line]:
    """A conversation with a program of its own, which is not told to prepare itself."""
    program = ExternalProgram(call)
    if ASYNC not in program.extensions:
        try:
            yield program
        finally:
            program.close()
            program.release()
        return
    shared = SharedProgram(program, call.patience.work_s)
    try:
        yield shared.open_job()
    finally:
        shared.close()


def carry_out(
    line: Line,
    request: Message,
    questions: Questions,
    on_progress: OnProgress = lambda _: None,
) -> list[Message]:
    """Say a request and answer what is asked until it has ended; its answer is last.

    Raises:
        PlaceUnavailableError: The program has gone, or is silent for too long.
        RemoteProtocolError: It says what does not belong here.
    """
    exchange = Exchange(request)
    heard: list[Message] = []
    line.say(request)
    while True:
        message = line.hear()
        try:
            said = exchange.take(message)
            replies = questions.answer(message) if said is Said.QUESTION else []
        except RemoteProtocolError as error:
            line.broken = True
            raise faults.BAD_ANSWER(place=line.name, detail=str(error)) from error
        for reply in replies:
            line.say(reply)
        if message.name == "PROGRESS":
            on_progress(int(message.last))
        elif said is Said.TOLD:
            questions.take(message)
        elif said is not Said.QUESTION:
            heard.append(message)
        if said is Said.END:
            return heard
