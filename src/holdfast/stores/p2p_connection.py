"""A running git-annex-shell that we talk to in the P2P protocol."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from ..core.errors import HoldError, RemoteProtocolError
from ..wire import p2p
from .program import Program


class P2pConnection(Program):
    """One session with one process. For one thread at a time; any thread may `kill` it."""

    def __init__(self, name: str, argv: Sequence[str], *, connect_s: float, stall_s: float) -> None:
        """Start the process, and say our greeting; `greet` waits for its own.

        Raises:
            PlaceUnavailableError: It does not start.
        """
        super().__init__(name, argv, patience_s=connect_s)
        self.session = p2p.Session()
        self.uuid = ""
        """Which repository it is."""
        self.is_hold: bool | None = None
        """Whether hold's own program is on the other side, once it was asked."""
        self._stall_s = stall_s
        self._events: deque[p2p.Event] = deque()
        with suppress(HoldError):  # one that has ended already may have said why
            self.send(self.session.start())

    def greet(self) -> None:
        """Wait until it lets us in; before anything else.

        Raises:
            PlaceUnavailableError: It does not answer.
            RemoteProtocolError: It speaks something else.
        """
        try:
            ready = self.next()
            assert isinstance(ready, p2p.Ready)
            self.uuid = ready.uuid
        except BaseException:
            self.kill()
            self.release()
            raise
        self.patience_s = self._stall_s

    def next(self) -> p2p.Event:
        """The next event.

        Raises:
            PlaceUnavailableError: It has gone, or says nothing for too long.
            RemoteProtocolError: It says something that makes no sense.
        """
        while not self._events:
            data, _ = self.exchange()
            try:
                self._events.extend(self.session.feed(data))
            except RemoteProtocolError as error:
                raise self.talks_nonsense(error) from error
        return self._events.popleft()
