"""A git-annex repository on another machine, by ssh and git-annex-shell.

Questions and small files are asked for ahead, within a window, so that thousands of them cost a
few round trips. Each GET is closed with the client's SUCCESS or FAILURE; ahead of the content
we say SUCCESS. That word is about the transfer, not about the bytes: git-annex-shell uses it to
tidy its note of running uploads, and records no location from it (checked by experiment). What
we hold is recorded only by us, after `receive` has checked it.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice

from ..core import faults
from ..core.abilities import Answer, Stream
from ..core.errors import HoldError, NotFoundError
from ..core.key import Key
from ..core.place import Place, PlaceId, Presence
from ..wire import p2p
from .p2p_connection import P2pConnection, last_words, start_process, translated
from .ssh_command import parse_ssh_address, ssh_argv

NOBODY = PlaceId("00000000-0000-0000-0000-000000000000")
"""Who we say we are when this clone has no UUID."""

WINDOW = 14_000
"""Bytes of requests that may be unanswered: less than the smallest pipe holds, so that we never
wait to write while the other side waits to write."""

WINDOW_CONTENT = 64 << 20
"""Bytes of content that may be asked for ahead."""

_SMALL = 1 << 16


class SshAnnex:
    """Content of a repository that git-annex-shell serves; as many connections as threads use."""

    def __init__(
        self,
        place: Place,
        url: str = "",
        *,
        here: PlaceId | None = None,
        ssh_command: str | None = None,
        ssh_program: str = "ssh",
        cost: float = 200.0,
        command: Sequence[str] | None = None,
        path: str | None = None,
        connect_s: float = 30.0,
        stall_s: float = 20.0,
    ) -> None:
        """Nothing is started yet.

        ``command`` is what to call instead of ssh and git-annex-shell, with the ``path`` of the
        repository: ``["git-annex-shell"]`` for one on this machine.
        """
        self.place = place
        self.cost = cost
        self._here = here or NOBODY
        self._times = connect_s, stall_s
        self._idle: list[P2pConnection] = []
        self._all: set[P2pConnection] = set()
        self._lock = threading.Lock()
        if command is not None:
            assert path is not None, "a command needs a path"
            self._path = path
            self._argv: Callable[[list[str]], list[str]] = lambda words: [*command, *words]
        else:
            address = parse_ssh_address(url)
            self._path = address.path
            self._argv = lambda words: ssh_argv(
                address,
                ["git-annex-shell", *words],
                shell_command=ssh_command,
                program=ssh_program,
            )

    # finding out

    def discover(self) -> str | None:
        """The repository's UUID; None when it has no annex.

        Raises:
            PlaceUnavailableError: It cannot be reached, or has no git-annex-shell.
        """
        with tempfile.TemporaryFile() as log:
            process = start_process(self.place.label, self._argv(["configlist", self._path]), log)
            try:
                said, _ = process.communicate(timeout=self._times[0])
            except subprocess.TimeoutExpired:
                raise faults.STALLED(
                    place=self.place.label, waited_s=f"{self._times[0]:g}"
                ) from None
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            if process.returncode:
                raise translated(self.place.label, last_words(log), process.returncode)
        for line in said.decode("utf-8", "replace").splitlines():
            if line.startswith("annex.uuid="):
                return line.partition("=")[2] or None
        return None

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look, for each key, many in one round trip."""
        answers: list[Answer] = []
        try:
            with self._connection() as connection:
                questions = (p2p.CheckPresent(key) for key in keys)
                for reply in _replies(connection, questions):
                    answers.append(_presence(reply))
        except HoldError as error:
            remark = f"{error.what} ({error.why})" if error.why else error.what
            answers += [Answer(Presence.UNKNOWN, remark)] * (len(keys) - len(answers))
        return answers

    @contextmanager
    def lock_content(self, key: Key) -> Iterator[Answer]:
        """Hold a copy there until the block ends; the server keeps it ten minutes if we vanish."""
        try:
            connection = self._take()
        except HoldError as error:
            yield Answer(Presence.UNKNOWN, error.what)
            return
        try:
            connection.send(connection.session.ask(p2p.LockContent(key)))
            reply = connection.next()
            assert isinstance(reply, p2p.Reply)
            answer = _presence(reply)
        except HoldError as error:
            answer = Answer(Presence.UNKNOWN, error.what)
        try:
            yield answer
        finally:
            # Without the word it would stay locked for ten minutes.
            if answer.presence is Presence.PRESENT and not connection.broken:
                with suppress(HoldError):
                    connection.send(p2p.encode(p2p.UnlockContent()))
            self._give_back(connection)

    # reading

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from a byte offset.

        Raises:
            NotFoundError: It is not there.
        """
        with self._connection() as connection:
            connection.send(connection.session.ask(p2p.Get(offset, b"", key)))
            reading = _Reading(self.place, connection, key)
            yield Stream(offset, reading.begin(offset), reading.chunks())
            reading.pass_over(_SMALL)
            connection.send(connection.session.close_get(success=True))

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream each key's content from its start; GETs are sent ahead within a window.

        When the connection is lost, every key that was taken is answered with that.
        """
        source = iter(keys)
        try:
            connection = self._take()
        except HoldError as error:
            yield from ((key, error) for key in islice(source, 1))
            return
        ahead = _Ahead(connection, source)
        try:
            while (key := ahead.next()) is not None:
                reading = _Reading(self.place, connection, key)
                yield key, reading.stream_or_error()
                reading.pass_over(None)
        except HoldError as error:
            yield from ((key, error) for key in ahead.unanswered())
        except BaseException:
            connection.broken = True
            raise
        finally:
            if ahead.waiting:
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
            connection.close()
            connection.release()

    # connections

    @contextmanager
    def _connection(self) -> Iterator[P2pConnection]:
        connection = self._take()
        try:
            yield connection
        except BaseException:
            connection.broken = True
            raise
        finally:
            self._give_back(connection)

    def _take(self) -> P2pConnection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        words = ["p2pstdio", self._path, self._here]
        if self.place.id:
            words += ["--uuid", self.place.id]
        connect_s, stall_s = self._times
        connection = P2pConnection(
            self.place.label, self._argv(words), connect_s=connect_s, stall_s=stall_s
        )
        if self.place.id not in ("", connection.uuid):
            connection.kill()
            connection.release()
            detail = f"it is another repository now, {connection.uuid}"
            next_step = "look whether the remote's address is right"
            raise faults.REFUSED(place=self.place.label, detail=detail, next=next_step)
        with self._lock:
            self._all.add(connection)
        return connection

    def _give_back(self, connection: P2pConnection) -> None:
        with self._lock:
            if not connection.broken and connection in self._all:
                self._idle.append(connection)
                return
            self._all.discard(connection)
        connection.kill()
        connection.release()


class _Reading:
    """The answer to one GET, as far as it has come."""

    def __init__(self, place: Place, connection: P2pConnection, key: Key) -> None:
        self._place = place
        self._connection = connection
        self._key = key
        self._left = 0
        self._done = False

    def begin(self, offset: int) -> int:
        """Wait for the answer; the size of the whole content.

        Raises:
            NotFoundError: It is not there.
        """
        event = self._connection.next()
        assert isinstance(event, p2p.ContentBegins)
        assert event.request.key == self._key
        self._left = event.size
        if not event.size:
            valid = self._end(self._connection.next())
            if not valid or self._key.size not in (None, offset):
                raise faults.NOT_THERE(
                    place=self._place.label, key=self._key.text, detail="it sends nothing of it"
                )
        return offset + event.size

    def stream_or_error(self) -> Stream | HoldError:
        """The stream from the start, or that it is not there; a lost connection is raised."""
        try:
            return Stream(0, self.begin(0), self.chunks())
        except NotFoundError as error:
            return error

    def chunks(self) -> Iterator[bytes]:
        """The bytes.

        Raises:
            IntegrityError: The server says afterwards that they are not the content.
        """
        while not self._done:
            event = self._connection.next()
            if isinstance(event, p2p.ContentBytes):
                self._left -= len(event.data)
                yield event.data
            elif not self._end(event):
                raise faults.WRONG_CONTENT(
                    source=self._place.label,
                    key=self._key.text,
                    detail="it says itself that what it sent is not valid; it may have changed",
                    next="git annex fsck there",
                )

    def pass_over(self, left_max: int | None) -> None:
        """Read what the consumer left; if that is too much the connection is given up."""
        if left_max is not None and self._left > left_max:
            self._connection.broken = True
        while not self._done and not self._connection.broken:
            event = self._connection.next()
            if isinstance(event, p2p.ContentEnds):
                self._end(event)
        if not self._done:
            raise faults.UNREACHABLE(place=self._place.label, detail="the connection was lost")

    def _end(self, event: p2p.Event) -> bool:
        assert isinstance(event, p2p.ContentEnds)
        self._done, self._left = True, 0
        return event.valid


class _Ahead:
    """Sends GETs ahead, as many as the window allows."""

    def __init__(self, connection: P2pConnection, keys: Iterator[Key]) -> None:
        self.waiting: deque[tuple[Key, int]] = deque()
        self._connection = connection
        self._keys = keys
        self._requests = 0
        self._content = 0
        self._unsent: list[Key] = []

    def next(self) -> Key | None:
        """The key whose answer comes next; None when all are answered."""
        self._fill()
        if not self.waiting:
            return None
        key, size = self.waiting[0]
        self._requests -= size
        self._content -= key.size or 0
        self.waiting.popleft()
        return key

    def unanswered(self) -> Iterator[Key]:
        """The keys that were taken and will have no answer."""
        while self.waiting:
            yield self.waiting.popleft()[0]

    def _fill(self) -> None:
        # Refilled by halves: each write to the pipe wakes the other side, which costs.
        if self._requests > WINDOW // 2 and self.waiting:
            return
        session, batch = self._connection.session, []
        while self._requests < WINDOW and self._content < WINDOW_CONTENT:
            key = next(self._keys, None)
            if key is None:
                break
            line = session.ask(p2p.Get(0, b"", key)) + session.close_get(success=True)
            batch.append(line)
            self.waiting.append((key, len(line)))
            self._requests += len(line)
            self._content += key.size or 0
        if batch:
            self._connection.send(b"".join(batch))


def _replies(
    connection: P2pConnection, questions: Iterable[p2p.CheckPresent]
) -> Iterator[p2p.Reply]:
    """The replies to questions, in order, that are sent ahead within the window."""
    source = iter(questions)
    sizes: deque[int] = deque()
    while True:
        batch, total = [], sum(sizes)
        while total < WINDOW and (question := next(source, None)) is not None:
            batch.append(connection.session.ask(question))
            sizes.append(len(batch[-1]))
            total += len(batch[-1])
        if batch:
            connection.send(b"".join(batch))
        if not sizes:
            return
        for _ in range((len(sizes) + 1) // 2):
            sizes.popleft()
            reply = connection.next()
            assert isinstance(reply, p2p.Reply)
            yield reply


def _presence(reply: p2p.Reply) -> Answer:
    if isinstance(reply.message, p2p.Success):
        return Answer(Presence.PRESENT)
    if isinstance(reply.message, p2p.Error):
        return Answer(Presence.UNKNOWN, reply.message.text)
    return Answer(Presence.ABSENT)
