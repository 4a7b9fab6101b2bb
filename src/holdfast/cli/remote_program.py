"""`git-annex-remote-holdfast`: our stores for plain git-annex, as one of its external programs.

The host's lines are read by one thread; each job of the host (ASYNC), or the one there is, has a
thread of its own. Nothing but the protocol goes to standard output.
"""

from __future__ import annotations

import os
import sys
import threading
from queue import SimpleQueue
from typing import BinaryIO

from ..core.errors import ProtocolError
from ..wire.external_remote import Message, encode, extensions_in, from_host, one_line, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..api.remote_program import Service

OURS = (b"INFO", b"GETGITREMOTENAME", b"ASYNC")
"""What we can do beyond the plain protocol."""

_ANSWERS = frozenset(("VALUE", "CREDS"))


def run() -> int:
    """Serve the host at standard input until it hangs up."""
    if len(sys.argv) > 1 or sys.stdin.isatty():
        sys.stderr.write(
            "git-annex runs this program; say\n  git annex initremote NAME type=external "
            "externaltype=holdfast encryption=none store=KIND ...\n"
        )
        return 2
    output = _own_output()
    program = _Program(output)
    code = program.serve(sys.stdin.buffer)
    program.close()
    return code


def _own_output() -> BinaryIO:
    """Standard output for us alone: what anything else prints goes to standard error."""
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return output


class _Program:
    """The conversation with one host."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._speaking = threading.Lock()
        self._jobs: dict[int | None, _Job] = {}
        self._service: Service | None = None
        self._extensions: frozenset[str] = frozenset()
        self._opening = threading.Lock()

    def serve(self, lines: BinaryIO) -> int:
        """Read and hand on each line, until there are no more."""
        self.say(say("VERSION", b"1"))
        for line in lines:
            try:
                message = from_host(line.removesuffix(b"\n"))
            except ProtocolError as error:
                self.say(say("ERROR", one_line(str(error))))
                return 1
            if message.name == "ERROR":
                sys.stderr.write(f"the host gives up: {message.text()}\n")
                return 1
            if message.name == "EXTENSIONS":
                self._extensions = extensions_in(message)
                ours = [word for word in OURS if word.decode() in self._extensions]
                self.say(say("EXTENSIONS", b" ".join(ours)))
            else:
                self._job(message.job).heard.put(message)
        return 0

    def say(self, message: Message) -> None:
        """Say one line, whole; without a host there is nothing left to do."""
        data = encode(message)
        with self._speaking:
            try:
                while data:
                    data = data[self._output.write(data) :]
            except BrokenPipeError:
                os._exit(1)

    def service(self) -> Service:
        """What does the work; made when it is first asked for something."""
        with self._opening:
            if self._service is None:
                from ..api.remote_program import Service, settings_of

                self._service = Service(os.environ, settings_of)
                self._service.host_extensions = self._extensions
            return self._service

    def close(self) -> None:
        """Let go of what the place had open."""
        if self._service is not None:
            self._service.close()

    def _job(self, number: int | None) -> _Job:
        found = self._jobs.get(number)
        if found is None:
            found = self._jobs[number] = _Job(self, number)
        return found


class _Job:
    """One line of requests, one after the other."""

    def __init__(self, program: _Program, number: int | None) -> None:
        self.heard: SimpleQueue[Message] = SimpleQueue()
        self._program = program
        self._number = number
        threading.Thread(target=self._work, name=f"job {number}", daemon=True).start()

    def say(self, message: Message) -> None:
        """Say something to the host, as this job."""
        self._program.say(message._replace(job=self._number))

    def ask(self, question: Message) -> Message:
        """Ask the host; its answer."""
        self.say(question)
        answer = self.heard.get()
        if answer.name not in _ANSWERS:
            raise ProtocolError(f"asked for {question.name}, the host says {answer.name}")
        return answer

    def _work(self) -> None:
        try:
            while True:
                request = self.heard.get()
                self._program.service().carry_out(request, self)
        except BaseException as error:
            # A bug, or a host that talks nonsense: it has to be told, and nothing more be done.
            import traceback

            traceback.print_exc()
            self._program.say(say("ERROR", one_line(f"{type(error).__name__}: {error}")))
            os._exit(1)
