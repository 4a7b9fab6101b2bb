"""A git-annex repository on another machine, by ssh: git-annex-shell, and SFTP for reading.

Content is read over SFTP where the server has it and it leads to the repository; that is many
times quicker for small files. Where it does not, and for all that is no reading, git-annex-shell
is asked: its word counts where a copy shall be kept or dropped, since locks there hold.

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
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, islice

from ..core import faults
from ..core.abilities import Answer, Content, OnBytes, Stream
from ..core.backends import is_verifiable
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place, PlaceId, Presence
from ..core.policy import DropProof, Waiver
from ..wire import p2p
from .p2p_reading import Ahead, Reading, iter_replies
from .program import last_words, start_process, translated
from .sftp import SftpAnnex
from .ssh_bulk import iter_send_ahead, iter_send_in_turn, speaks_hold
from .ssh_calls import SshCalls
from .ssh_command import parse_ssh_address
from .ssh_connections import Argv, Connections
from .ssh_sending import remove_one, send_one

NOBODY = PlaceId("00000000-0000-0000-0000-000000000000")
"""Who we say we are when this clone has no UUID."""

USUAL_SHELL = "git-annex-shell"

LANE_BYTES = 256 << 20
"""One connection moves so much in a second or two; only then does a further login pay."""

PROMISE_S = 600.0
"""How long a server keeps a copy that it promised to keep, when it hears no more of us."""


class SshAnnex:
    """Content of a repository that git-annex-shell serves; as many connections as threads use."""

    lane_bytes = LANE_BYTES

    sees_removal = False
    """Its CHECKPRESENT says yes while content is locked to be removed (checked by experiment)."""

    def __init__(
        self,
        place: Place,
        url: str = "",
        *,
        here: PlaceId | None = None,
        ssh_command: str | None = None,
        ssh_program: str = "ssh",
        ssh_options: Sequence[str] = (),
        quick_cipher: bool = True,
        shell: str = USUAL_SHELL,
        cost: float = 200.0,
        command: Sequence[str] | None = None,
        sftp_command: Sequence[str] | None = None,
        path: str | None = None,
        connect_s: float = 30.0,
        stall_s: float = 20.0,
    ) -> None:
        """Nothing is started yet.

        ``ssh_options`` are words for ssh that this place needs, ``shell`` what git-annex-shell is
        called there; without ``quick_cipher`` ssh's own order of ciphers stays.

        ``command`` is what to call instead of ssh and git-annex-shell, with the ``path`` of the
        repository: ``["git-annex-shell"]`` for one on this machine. ``sftp_command`` then is what
        speaks SFTP; without it, nothing does.
        """
        self.place = place
        self.cost = cost
        self._times = connect_s, stall_s
        quick: Argv | None = None
        self._ssh: SshCalls | None = None
        if command is not None:
            assert path is not None, "a command needs a path"
            self._path = path
            self._argv: Argv = lambda words: [*command, *words]
        else:
            address = parse_ssh_address(url)
            self._path = address.path
            ssh = self._ssh = SshCalls(
                address, ssh_options, shell_command=ssh_command, program=ssh_program,
                quick_cipher=quick_cipher,
            )  # fmt: skip
            self._argv = lambda words: ssh.usual([shell, *words])
            if shell == USUAL_SHELL:
                quick = ssh.either
        self._sftp_command = sftp_command
        self._connections = Connections(self._path, here or NOBODY, self._argv, quick, self._times)
        self._lock = threading.Lock()
        self._sftp: SftpAnnex | None = None

    # finding out

    def discover(self) -> str | None:
        """The repository's UUID; None when it has no annex.

        Raises:
            PlaceUnavailableError: It cannot be reached, or has no git-annex-shell.
        """
        # What greets us goes on to serve; one more call is needed only where there is no annex yet.
        return self._connections.ask_uuid(self.place) or self._listed_uuid()

    def _listed_uuid(self) -> str | None:
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
            with self._connections.one(self.place) as connection:
                questions = (p2p.CheckPresent(key) for key in keys)
                for reply in iter_replies(connection, questions):
                    answers.append(_presence(reply))
        except HoldError as error:
            remark = f"{error.what} ({error.why})" if error.why else error.what
            answers += [Answer(Presence.UNKNOWN, remark)] * (len(keys) - len(answers))
        return answers

    @contextmanager
    def lock_content(self, key: Key) -> Iterator[Answer]:
        """Hold a copy there until the block ends; the server keeps it ten minutes if we vanish."""
        try:
            connection = self._connections.take(self.place)
        except HoldError as error:
            yield Answer(Presence.UNKNOWN, error.what)
            return
        try:
            # From before it was asked: its ten minutes cannot have begun earlier.
            until = time.monotonic() + PROMISE_S
            connection.send(connection.session.ask(p2p.LockContent(key)))
            reply = connection.next()
            assert isinstance(reply, p2p.Reply)
            answer = _presence(reply)._replace(until=until)
        except HoldError as error:
            answer = Answer(Presence.UNKNOWN, error.what)
        try:
            yield answer
        finally:
            # Without the word it would stay locked for ten minutes.
            if answer.presence is Presence.PRESENT and not connection.broken:
                with suppress(HoldError):
                    connection.send(p2p.encode(p2p.UnlockContent()))
            self._connections.give_back(connection)

    # reading

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from a byte offset.

        Raises:
            NotFoundError: It is not there.
        """
        quick = self._quick_way() if is_verifiable(key.backend) else None
        way = self._open_by_p2p if quick is None else quick.open_content
        with way(key, offset) as stream:
            yield stream

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream each key's content from its start; requests are sent ahead within a window.

        When the connection is lost, every key that was taken is answered with that.
        """
        source = iter(keys)
        try:
            quick = self._quick_way()
        except HoldError as error:
            yield from ((key, error) for key in islice(source, 1))
            return
        if quick is None:
            yield from self._iter_by_p2p(source)
            return
        for key, found in quick.iter_contents(source):
            if is_verifiable(key.backend):
                yield key, found
            else:
                yield from self._one_by_p2p(key)

    def _quick_way(self) -> SftpAnnex | None:
        """The place by SFTP, where that leads to it; found out when content is first wanted."""
        with self._lock:
            argv = self._sftp_command
            if self._sftp is None and self._ssh is not None:
                argv = self._ssh.sftp()
            if self._sftp is None and argv is not None:
                connect_s, stall_s = self._times
                self._sftp = SftpAnnex(
                    self.place, argv, self._path, connect_s=connect_s, stall_s=stall_s
                )
            quick = self._sftp
        return quick if quick is not None and quick.can_read() else None

    @contextmanager
    def _open_by_p2p(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        with self._connections.one(self.place) as connection:
            connection.send(connection.session.ask(p2p.Get(offset, b"", key)))
            reading = Reading(self.place, connection, key)
            yield Stream(offset, reading.begin(offset), reading.chunks())
            if reading.is_nearly_done:
                reading.pass_over()
                connection.send(connection.session.close_get(success=True))
            else:
                connection.broken = True

    def _one_by_p2p(self, key: Key) -> Iterator[tuple[Key, Stream | HoldError]]:
        """One without a hash: only git-annex-shell can tell that it changed while it was sent."""
        with ExitStack() as stack:
            try:
                found: Stream | HoldError = stack.enter_context(self._open_by_p2p(key))
            except HoldError as error:
                found = error
            yield key, found

    def _iter_by_p2p(self, source: Iterator[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        try:
            connection = self._connections.take(self.place)
        except HoldError as error:
            yield from ((key, error) for key in islice(source, 1))
            return
        ahead = Ahead(connection, source)
        try:
            while (key := ahead.next()) is not None:
                reading = Reading(self.place, connection, key)
                yield key, reading.stream_or_error()
                reading.pass_over()
        except HoldError as error:
            yield from ((key, error) for key in ahead.unanswered())
        except BaseException:
            connection.broken = True
            raise
        finally:
            if ahead.waiting:
                connection.broken = True
            self._connections.give_back(connection)

    # sending and removing

    def get_ready(self) -> None:
        """Log in while the caller finds out what is to be sent; errors are told when it is."""
        self._connections.begin(self.place)

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Put content there; what an earlier try left there is gone on with.

        Raises:
            IntegrityError: The content here is not what the key names; nothing stays there.
            PlaceUnavailableError: It did not take it, or went away.
            AccessError: It refuses.
        """
        with self._connections.one(self.place, sending=True) as connection:
            send_one(self.place, connection, key, content, progress)

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Put contents there, and say of each how it ended, in any order.

        Where hold's own program answers, small ones go without waiting for each other.
        """
        source = iter(items)
        first = list(islice(source, 1))
        try:
            connection = self._connections.take(self.place, sending=True)
        except HoldError as error:
            yield from ((key, error) for key, _ in first)
            return
        try:
            way = iter_send_ahead if speaks_hold(connection) else iter_send_in_turn
            yield from way(self.place, connection, chain(first, source), progress)
        except HoldError as error:
            yield from ((key, error) for key, _ in first)
        finally:
            self._connections.give_back(connection)

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Remove a copy there; before promises of other places, that it rests on, run out.

        Raises:
            PolicyError: It is kept there.
            AccessError: It refuses.
        """
        assert leave.key == key and leave.place == self.place.id, "leave is for one copy"
        with self._connections.one(self.place) as connection:
            remove_one(self.place, connection, leave)

    def close(self) -> None:
        """End all processes; what they were sending ends with an error."""
        if self._sftp is not None:
            self._sftp.close()
        self._connections.close()


def _presence(reply: p2p.Reply) -> Answer:
    if isinstance(reply.message, p2p.Success):
        return Answer(Presence.PRESENT)
    if isinstance(reply.message, p2p.Error):
        return Answer(Presence.UNKNOWN, reply.message.text)
    return Answer(Presence.ABSENT)
