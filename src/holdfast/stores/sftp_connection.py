"""A running SFTP server that we talk to: requests go ahead, answers find whom they are for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core import faults
from ..core.errors import HoldError, RemoteProtocolError
from ..wire import sftp
from .program import SSH_FAILED, Program

_NO_SUBSYSTEM = "subsystem request failed"
_READ_MAX = 255 << 10
"""OpenSSH's largest READ; larger ones make nothing quicker."""
_HANDLES_MAX = 512
_HANDLES_SAFE = 64
"""How many files may be open at once, the second where a server does not tell its limits. Each
takes two round trips, so over a long way it is their number that counts."""

Take = Callable[[sftp.Answer], None]
"""What is to be done with an answer."""


class NotSpokenError(RemoteProtocolError):
    """The other side can be reached, and does not speak SFTP."""


class SftpConnection(Program):
    """One session with one process. For one thread at a time; any thread may `kill` it."""

    def __init__(self, name: str, argv: Sequence[str], *, connect_s: float, stall_s: float) -> None:
        """Start the process and greet it.

        Raises:
            NotSpokenError: There is no SFTP at the other end.
            PlaceUnavailableError, AccessError: The other end cannot be reached.
        """
        super().__init__(name, argv, patience_s=connect_s)
        self.read_max = sftp.READ_SAFE
        """How many bytes to ask for in one READ."""
        self.handles_max = _HANDLES_SAFE
        """How many files may be open at once."""
        self.extensions: frozenset[bytes] = frozenset()
        """What it offers beyond the protocol."""
        self.was_of_use = False
        """Whether any content came over it."""
        self._decoder = sftp.Decoder()
        self._number = 0
        self._waiting: dict[int, Take] = {}
        self._unsent: list[bytes] = []
        try:
            self._greet()
        except BaseException:
            self.kill()
            self.release()
            raise
        self.patience_s = stall_s

    # asking

    def ask(self, take: Take, request: Callable[[int], bytes]) -> None:
        """Ask for something; ``request`` makes the bytes, given a number. Sent by `pump`."""
        self._unsent.append(request(self._expect(take)))

    def open(self, take: Take, path: bytes) -> None:
        """Ask for a file to be opened."""
        self._unsent.append(sftp.open_to_read(self._expect(take), path))

    def read(self, take: Take, handle: bytes, offset: int, size: int) -> None:
        """Ask for bytes of an open file."""
        self._unsent.append(sftp.read(self._expect(take), handle, offset, size))

    def forget(self, handle: bytes) -> None:
        """Close an open file, whatever comes of it."""
        self._unsent.append(sftp.close(self._expect(_ignore), handle))

    def _expect(self, take: Take) -> int:
        """The number of the next request, whose answer is for ``take``."""
        number = self._number = (self._number + 1) & 0xFFFFFFFF
        self._waiting[number] = take
        return number

    def cap_reads(self, came: int) -> None:
        """Ask for less at a time from now on: a READ was answered with so few bytes."""
        self.read_max = min(self.read_max, max(came, sftp.READ_SAFE))

    def pump(self) -> None:
        """Send what was asked for, and hand out the answers that come; waits for some.

        Raises:
            PlaceUnavailableError: It has gone, or says nothing for too long.
            RemoteProtocolError: It says something that makes no sense.
        """
        if self.failure is not None:
            raise self.failure
        unsent = b"".join(self._unsent)
        self._unsent.clear()
        data, unsent = self.exchange(unsent)
        if unsent:
            self._unsent.append(unsent)
        waiting = self._waiting
        try:
            for answer in self._decoder.feed(data):
                if isinstance(answer, sftp.Version):
                    raise RemoteProtocolError("a second greeting")
                take = waiting.pop(answer.number, None)
                if take is None:
                    raise RemoteProtocolError(f"an answer to nothing: {answer!r:.100}")
                take(answer)
        except RemoteProtocolError as error:
            raise self.talks_nonsense(error) from error

    # greeting

    def _greet(self) -> None:
        try:
            version, *more = self._first_answers()
        except RemoteProtocolError as error:
            raise NotSpokenError(str(error)) from error
        except HoldError as error:
            if self._is_reachable(error):
                raise NotSpokenError(error.why) from error
            raise
        if not isinstance(version, sftp.Version) or version.version != sftp.VERSION or more:
            raise NotSpokenError(f"it greets with {version!r:.100}")
        self.extensions = frozenset(version.extensions)
        if sftp.LIMITS in self.extensions:
            self.ask(self._take_limits, sftp.ask_limits)

    def _first_answers(self) -> list[sftp.Answer | sftp.Version]:
        unsent = sftp.greeting()
        while True:
            data, unsent = self.exchange(unsent)
            if answers := self._decoder.feed(data):
                return answers

    def _is_reachable(self, error: HoldError) -> bool:
        """Whether the other end was there, and it is SFTP alone that is missing.

        One that says nothing may be a program of another kind that waits for us.
        """
        if error.code == faults.STALLED.code:
            return True
        return self.code != SSH_FAILED or _NO_SUBSYSTEM in self.last_words()

    def _take_limits(self, answer: sftp.Answer) -> None:
        if isinstance(answer, sftp.Extended):
            limits = sftp.parse_limits(answer.data)
            if limits.read_max:
                self.read_max = max(1, min(limits.read_max, _READ_MAX))
            if limits.handles_max:
                # Some of them the server may need for itself.
                self.handles_max = max(1, min(limits.handles_max // 2, _HANDLES_MAX))


def _ignore(answer: sftp.Answer) -> None:
    """What comes of closing a file that was only read does not matter."""
