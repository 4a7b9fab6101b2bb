"""Connections to one repository over ssh: which program is asked for there, and who uses which.

git-annex-shell is what is there as a rule. Where content is to be sent, one command asks for hold's
own program and, where it is not installed, for git-annex-shell, in a single login. Where that
command is refused (a forced command, a login shell of its own), git-annex-shell is asked for as
git-annex would.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..core import faults
from ..core.errors import HoldError, PlaceUnavailableError, RemoteProtocolError
from ..core.place import Place, PlaceId
from .p2p_connection import P2pConnection
from .program import SSH_FAILED

Argv = Callable[[list[str]], list[str]]
"""The call that has the words after it carried out there."""


class Connections:
    """As many as threads use. Each that was taken is to be given back."""

    def __init__(
        self, path: str, here: PlaceId, usual: Argv, quick: Argv | None, times: tuple[float, float]
    ) -> None:
        """Nothing is started yet.

        ``quick`` may reach what takes content quicker; ``times`` are for how long to wait for the
        greeting, and then for each answer.
        """
        self._path = path
        self._here = here
        self._usual = usual
        self._quick = quick
        self._times = times
        self._lock = threading.Lock()
        self._finding = threading.Lock()
        self._way: Argv | None = usual if quick is None else None
        self._is_sending = False
        self._is_cut_off = False
        """Whether ssh itself failed last, or nothing was said: another call would fare alike."""
        self._begun: P2pConnection | None = None
        self._idle: list[P2pConnection] = []
        self._all: set[P2pConnection] = set()

    def begin(self, place: Place) -> None:
        """Content is going to be sent: log in meanwhile. What comes of it is told by `take`."""
        with self._finding:
            self._is_sending = True
            if self._begun is None and not self._all:
                way = self._way or self._quick or self._usual
                try:
                    self._begun = self._start(place, way)
                except HoldError:
                    return

    def take(self, place: Place, *, sending: bool = False) -> P2pConnection:
        """One that nobody else uses.

        Raises:
            PlaceUnavailableError: It cannot be reached.
            AccessError: It does not let us in, or is another place now.
        """
        with self._lock:
            self._is_sending = self._is_sending or sending
            if self._idle:
                return self._idle.pop()
        with self._finding:
            begun, self._begun = self._begun, None
            if self._way is None and self._is_sending:
                return self._find(place, begun)
            way = self._way or self._usual
        return self._greeted(place, begun or self._start(place, way))

    def ask_uuid(self, place: Place) -> str | None:
        """Which repository is there; None when no program there serves it by the protocol.

        Raises:
            PlaceUnavailableError, AccessError: It cannot be reached.
        """
        try:
            with self.one(place, sending=True) as connection:
                return connection.uuid
        except (PlaceUnavailableError, RemoteProtocolError):
            if self._is_cut_off:
                raise
            return None

    def give_back(self, connection: P2pConnection) -> None:
        """Somebody else may use it, unless it broke."""
        with self._lock:
            if not connection.broken and connection in self._all:
                self._idle.append(connection)
                return
            self._all.discard(connection)
        connection.kill()
        connection.release()

    @contextmanager
    def one(self, place: Place, *, sending: bool = False) -> Iterator[P2pConnection]:
        """One for the length of a block; it is not used again after an error."""
        connection = self.take(place, sending=sending)
        try:
            yield connection
        except BaseException:
            connection.broken = True
            raise
        finally:
            self.give_back(connection)

    def close(self) -> None:
        """End all processes; what they were sending ends with an error."""
        with self._lock:
            idle, self._idle = self._idle, []
            busy = self._all - set(idle)
            self._all -= set(idle)
            begun, self._begun = self._begun, None
        for connection in busy:
            connection.kill()
        for connection in idle:
            # All hear it first: each may still have to tell its ledger.
            connection.hang_up()
        for connection in idle:
            connection.close()
            connection.release()
        if begun is not None:
            begun.kill()
            begun.release()

    # making them

    def _find(self, place: Place, begun: P2pConnection | None) -> P2pConnection:
        """The first to send by: it shows which way there is."""
        assert self._quick is not None
        connection = begun or self._start(place, self._quick)
        try:
            found = self._greeted(place, connection)
        except (PlaceUnavailableError, RemoteProtocolError):
            if self._is_cut_off:
                raise
            found = self._greeted(place, self._start(place, self._usual))
            self._way = self._usual
        else:
            self._way = self._quick
        return found

    def _start(self, place: Place, way: Argv) -> P2pConnection:
        words = ["p2pstdio", self._path, self._here]
        if place.id:
            words += ["--uuid", place.id]
        connect_s, stall_s = self._times
        return P2pConnection(place.label, way(words), connect_s=connect_s, stall_s=stall_s)

    def _greeted(self, place: Place, connection: P2pConnection) -> P2pConnection:
        try:
            connection.greet()
        except HoldError as error:
            was_silent = error.code == faults.STALLED.code
            self._is_cut_off = was_silent or connection.code == SSH_FAILED
            raise
        if place.id not in ("", connection.uuid):
            connection.kill()
            connection.release()
            detail = f"it is another repository now, {connection.uuid}"
            next_step = "look whether the remote's address is right"
            raise faults.REFUSED(place=place.label, detail=detail, next=next_step)
        with self._lock:
            self._all.add(connection)
        return connection
