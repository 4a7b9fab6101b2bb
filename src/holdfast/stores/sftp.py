"""Content of a git-annex repository that is read as plain files over SFTP.

Quicker by far than git-annex-shell for many small files: the server does no more than open, read
and close. Content files are immutable and are checked at our door, so reading needs no lock. What
needs one, a promise to keep a copy, is not to be had here: `ask` tells what there is now, and is no
evidence for a drop.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from ..core import faults
from ..core.abilities import Answer, Stream
from ..core.errors import HoldError, PlaceUnavailableError, RemoteProtocolError
from ..core.key import Key
from ..core.place import Place, Presence
from ..wire import sftp
from .sftp_ahead import Ahead, Lookup
from .sftp_connection import NotSpokenError, SftpConnection
from .sftp_file import Allowance, File
from .sftp_repository import Objects, find_objects

BREAKS_MAX = 2
"""After so many connections that failed or broke before they gave a byte, this is no way more."""


class SftpAnnex:
    """The files of a repository; as many connections as threads use."""

    def __init__(
        self,
        place: Place,
        argv: Sequence[str],
        path: str,
        *,
        cost: float = 200.0,
        connect_s: float = 30.0,
        stall_s: float = 20.0,
    ) -> None:
        """Nothing is started yet. ``argv`` starts a program that speaks SFTP."""
        self.place = place
        self.cost = cost
        self._argv = argv
        self._path = path
        self._times = connect_s, stall_s
        self._idle: list[SftpConnection] = []
        self._all: set[SftpConnection] = set()
        self._lock = threading.Lock()
        self._finding = threading.Lock()
        self._objects: Objects | None = None
        self._is_elsewhere = False
        self._breaks = 0

    def can_read(self) -> bool:
        """Whether SFTP leads to the content; found out once, unless it broke off meanwhile.

        Raises:
            AccessError: The other end does not let us in.
        """
        with self._finding:
            if self._objects is None and not self._is_elsewhere and self._breaks < BREAKS_MAX:
                try:
                    self._objects = self._find()
                    self._is_elsewhere = self._objects is None
                except RemoteProtocolError:
                    self._is_elsewhere = True
                except PlaceUnavailableError:
                    # Perhaps the place has gone; another way to it will tell.
                    return False
            return self._objects is not None and self._breaks < BREAKS_MAX

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look, for each key, many in one round trip; a file of another size is no copy."""
        answers: list[Answer] = []
        try:
            with self._connection() as (connection, objects):
                lookups: deque[Lookup] = deque()
                waiting = iter(keys)
                while len(answers) < len(keys):
                    room = connection.handles_max - len(lookups)
                    for key in islice(waiting, room):
                        lookups.append(Lookup(connection, objects.paths(key)))
                    found = lookups.popleft().result()
                    answers.append(_presence(keys[len(answers)], found))
        except HoldError as error:
            remark = f"{error.what} ({error.why})" if error.why else error.what
            answers += [Answer(Presence.UNKNOWN, remark)] * (len(keys) - len(answers))
        return answers

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from a byte offset.

        Raises:
            NotFoundError: It is not there.
        """
        with self._connection() as (connection, objects):
            file = File(connection, objects.paths(key), key.size, Allowance(), offset)
            try:
                file.wait_until_open()
                if not file.is_open:
                    raise self._fault(key, file)
                yield Stream(offset, key.size, self._chunks(connection, key, file))
            finally:
                file.abandon()

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream each key's content from its start; files are opened and read ahead.

        When the connection is lost, every key that was taken is answered with that.
        """
        source = iter(keys)
        try:
            connection, objects = self._take()
        except HoldError as error:
            yield from ((key, error) for key in islice(source, 1))
            return
        ahead = Ahead(connection, objects, source)
        try:
            while (item := ahead.next()) is not None:
                key, file = item
                found = self._stream_or_error(connection, key, file)
                if file.misses and file.is_open:
                    objects.learn(key, file.path)
                yield key, found
                file.abandon()
                if connection.failure is not None:
                    break
            if connection.failure is not None:
                yield from ((key, connection.failure) for key in ahead.unanswered())
        except BaseException:
            connection.broken = True
            raise
        finally:
            if ahead.files:
                connection.broken = True
            self._give_back(connection)

    def close(self) -> None:
        """End all processes; what they were sending ends with an error."""
        with self._lock:
            idle, self._idle = self._idle, []
            busy = self._all - set(idle)
            self._all -= set(idle)
        for connection in busy:
            connection.kill()
        for connection in idle:
            connection.hang_up()
        for connection in idle:
            connection.close()
            connection.release()

    # files

    def _stream_or_error(
        self, connection: SftpConnection, key: Key, file: File
    ) -> Stream | HoldError:
        """The stream from the start, or why there is none; a lost connection too."""
        try:
            if file.is_small:
                chunks = iter(file.whole())
                connection.was_of_use = True
            else:
                file.wait_until_open()
                chunks = self._chunks(connection, key, file)
        except HoldError as error:
            return error
        if not file.is_open or (file.is_small and file.error is not None):
            return self._fault(key, file)
        return Stream(0, key.size, chunks)

    def _chunks(self, connection: SftpConnection, key: Key, file: File) -> Iterator[bytes]:
        for chunk in file.chunks():
            connection.was_of_use = True
            yield chunk
        if file.error is not None:
            raise self._fault(key, file)

    def _fault(self, key: Key, file: File) -> HoldError:
        """What the server said of a file, as one of our errors."""
        said = file.error
        assert said is not None
        if said.code == sftp.NO_SUCH_FILE:
            return faults.NOT_THERE(
                place=self.place.label, key=key.text, detail="there is no file of it there"
            )
        if said.code == sftp.PERMISSION_DENIED:
            return faults.REFUSED(
                place=self.place.label,
                detail=f"the content of {key.text} may not be read there",
                next="ask its owner to let your account there read the repository",
            )
        detail = f"reading {key.text} fails there: {said.message or f'code {said.code}'}"
        return faults.UNREACHABLE(place=self.place.label, detail=detail)

    # connections

    def _find(self) -> Objects | None:
        """Where the content is; None when SFTP does not lead there."""
        connection = self._connect()
        try:
            return find_objects(connection, self._path, self.place.id)
        finally:
            self._give_back(connection)

    @contextmanager
    def _connection(self) -> Iterator[tuple[SftpConnection, Objects]]:
        connection, objects = self._take()
        try:
            yield connection, objects
        except Exception:
            raise
        except BaseException:
            # Ctrl-C may have come between an answer's arrival and its being taken in.
            connection.broken = True
            raise
        finally:
            self._give_back(connection)

    def _take(self) -> tuple[SftpConnection, Objects]:
        if not self.can_read():
            detail = "it offers no SFTP that leads to this repository"
            raise faults.BAD_ANSWER(place=self.place.label, detail=detail)
        assert self._objects is not None
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if connection.code is None:
                    return connection, self._objects
                # The server hung up while nobody asked for anything; that is its right.
                self._all.discard(connection)
                connection.release()
        try:
            return self._connect(), self._objects
        except NotSpokenError as error:
            raise faults.BAD_ANSWER(place=self.place.label, detail=str(error)) from error

    def _connect(self) -> SftpConnection:
        connect_s, stall_s = self._times
        try:
            connection = SftpConnection(
                self.place.label, self._argv, connect_s=connect_s, stall_s=stall_s
            )
        except PlaceUnavailableError:
            self._breaks += 1
            raise
        with self._lock:
            self._all.add(connection)
        return connection

    def _give_back(self, connection: SftpConnection) -> None:
        with self._lock:
            self._breaks += connection.failure is not None and not connection.was_of_use
            if not connection.broken and connection in self._all:
                self._idle.append(connection)
                return
            self._all.discard(connection)
        connection.kill()
        connection.release()


def _presence(key: Key, found: sftp.Attributes | sftp.Status) -> Answer:
    if isinstance(found, sftp.Status):
        if found.code == sftp.NO_SUCH_FILE:
            return Answer(Presence.ABSENT)
        return Answer(Presence.UNKNOWN, found.message or f"code {found.code}")
    if None not in (key.size, found.size) and key.size != found.size:
        return Answer(Presence.ABSENT, f"{found.size} bytes there instead of {key.size}")
    return Answer(Presence.PRESENT)
