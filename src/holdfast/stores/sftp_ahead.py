"""What is asked for ahead over an SFTP connection, so that many keys cost a few round trips."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from ..core.errors import RemoteProtocolError
from ..core.key import Key
from ..wire import sftp
from .sftp_connection import SftpConnection
from .sftp_file import Allowance, File
from .sftp_repository import Objects

CONTENT_AHEAD = 16 << 20
"""Bytes of content whose files are opened ahead; lanes share what is wanted."""


class Ahead:
    """Opens files ahead, as many as the server bears and the lanes should share."""

    def __init__(self, connection: SftpConnection, objects: Objects, keys: Iterator[Key]) -> None:
        self.files: deque[tuple[Key, File]] = deque()
        self._connection = connection
        self._objects = objects
        self._keys = keys
        self._allowance = Allowance()
        self._content = 0

    def next(self) -> tuple[Key, File] | None:
        """The key whose answer comes next, and its file; None when all are answered."""
        files = self.files
        if len(files) <= self._connection.handles_max // 2:
            self._fill()
        if not files:
            return None
        key, file = files.popleft()
        self._content -= key.size or 0
        return key, file

    def unanswered(self) -> Iterator[Key]:
        """The keys that were taken and will have no answer."""
        while self.files:
            yield self.files.popleft()[0]

    def _fill(self) -> None:
        while len(self.files) < self._connection.handles_max and self._content < CONTENT_AHEAD:
            key = next(self._keys, None)
            if key is None:
                break
            size = key.size
            file = File(self._connection, self._objects.paths(key), size, self._allowance)
            self.files.append((key, file))
            self._content += size or 0


class Lookup:
    """A look whether one of some paths is there."""

    def __init__(self, connection: SftpConnection, paths: Iterable[bytes]) -> None:
        """Ask for the first."""
        self._connection = connection
        self._paths = iter(paths)
        self._found: sftp.Attributes | sftp.Status | None = None
        self._try_next()

    def result(self) -> sftp.Attributes | sftp.Status:
        """Pump until it is known."""
        while self._found is None:
            self._connection.pump()
        return self._found

    def _try_next(self) -> bool:
        path = next(self._paths, None)
        if path is not None:
            self._connection.ask(self._take, lambda number: sftp.stat(number, path))
        return path is not None

    def _take(self, answer: sftp.Answer) -> None:
        if not isinstance(answer, sftp.Attributes | sftp.Status):
            raise RemoteProtocolError(f"a look at a file gives {answer!r:.100}")
        is_missing = isinstance(answer, sftp.Status) and answer.code == sftp.NO_SUCH_FILE
        if not (is_missing and self._try_next()):
            self._found = answer
