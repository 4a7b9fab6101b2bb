"""Files written over an SFTP connection: many at once, in steps that each cost one round trip.

A file is written under a name of ours and gets its own by a rename when it is whole: written,
write-protected and, where the server can, on its disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from posixpath import dirname

from ..core import faults
from ..core.abilities import Content, OnBytes
from ..core.errors import HoldError, RemoteProtocolError
from ..core.system_errors import as_fault
from ..wire import sftp, sftp_writing
from .sftp_connection import SftpConnection

WINDOW = 4 << 20
"""Bytes that were sent and not yet acknowledged."""


def _pass() -> None:
    """Do nothing."""


class Outgoing:
    """A file to be written under a name of ours, and to be renamed then; how it went."""

    def __init__(self, path: bytes, final: bytes, content: Content) -> None:
        self.path = path
        self.final = final
        self.content = content
        self.handle: bytes | None = None
        self.came = 0
        self.error: HoldError | None = None
        self.refused: sftp.Status | None = None


class SftpWriter:
    """Writes by one connection; ``label`` is what the place is called in errors."""

    def __init__(self, connection: SftpConnection, label: str) -> None:
        self._connection = connection
        self._label = label
        self.folder_mode: int | None = None
        """The mode that folders made by us get; what the server likes, if it is None."""
        self._folders: set[bytes] = set()
        self._unanswered = 0

    # content

    def stage(self, files: Sequence[Outgoing], progress: OnBytes) -> None:
        """Write new files, side by side; what is wrong with one is its ``error``, and it is gone.

        Raises:
            PlaceUnavailableError: The connection is lost.
        """
        for file in files:
            self._connection.ask(partial(_take_open, file), partial(_open_request, file.path))
            self._unanswered += 1
        waiting = list(files)
        while waiting := [file for file in waiting if not (file.handle or file.refused)]:
            self._connection.pump()
        self._unanswered -= len(files)
        for file in files:
            if file.handle is not None:
                self._write_all(file, file.handle, progress)
        self.settle()
        failed = [file for file in files if file.error or file.refused]
        for file in failed:
            progress(-file.came)
            if file.error is None and file.refused is not None:
                file.error = self._fault(file.path, file.refused)
        self.remove([file.path for file in failed if file.handle is not None])

    def _write_all(self, file: Outgoing, handle: bytes, progress: OnBytes) -> None:
        """Send its bytes, protect it, and bring it to the disk; then close it."""
        try:
            for chunk in file.content.chunks():
                self._write(file, handle, chunk)
                file.came += len(chunk)
                progress(len(chunk))
                if file.refused is not None:
                    break
        except OSError as error:
            file.error = as_fault(error, "content here", reading=True)
        except HoldError as error:
            if self._connection.failure is not None:
                raise
            file.error = error
        if file.error is None:
            self._ask(file, 0, lambda n: sftp_writing.set_open_mode(n, handle, 0o444))
            if sftp_writing.FSYNC in self._connection.extensions:
                self._ask(file, 0, lambda n: sftp_writing.sync(n, handle))
        self._ask(file, 0, lambda n: sftp.close(n, handle))

    def _write(self, file: Outgoing, handle: bytes, chunk: bytes) -> None:
        for start in range(0, len(chunk), sftp_writing.WRITE_SAFE):
            part = chunk[start : start + sftp_writing.WRITE_SAFE]
            offset = file.came + start
            self._ask(file, len(part), partial(_write_request, handle, offset, part))
            while self._unanswered > WINDOW:
                self._connection.pump()

    # names

    def name(self, files: Sequence[Outgoing]) -> None:
        """Give files their names; what is wrong with one is its ``error``, and it stays."""
        self.make_folders({dirname(file.final) for file in files}, depth=3)
        posix = sftp_writing.POSIX_RENAME in self._connection.extensions
        for file in files:
            self._ask(file, 0, partial(_rename_request, file, posix=posix))
        self.settle()
        for file in files:
            if file.refused is not None:
                file.error = self._fault(file.final, file.refused)

    def make_folders(self, folders: Iterable[bytes], *, depth: int) -> None:
        """Make folders, and so many above them; those that are there are no failure."""
        wanted = [set(folders)]
        for _ in range(depth - 1):
            wanted.append({dirname(folder) for folder in wanted[-1]})
        for level in reversed(wanted):
            fresh: list[bytes] = []
            for folder in sorted(level - self._folders):
                self._ask_any(partial(_folder_request, folder), partial(fresh.append, folder))
            self._folders |= level
            self.settle()
            mode = self.folder_mode
            if mode is not None:
                for folder in fresh:
                    self._ask_any(partial(_mode_request, folder, mode))

    def remove(self, paths: Iterable[bytes]) -> list[sftp.Status]:
        """Remove files, and say how each went."""
        answers: list[sftp.Answer] = []
        asked = 0
        for path in paths:
            self._connection.ask(answers.append, partial(_remove_request, path))
            asked += 1
        while len(answers) < asked:
            self._connection.pump()
        return [answer for answer in answers if isinstance(answer, sftp.Status)]

    def remove_folders(self, paths: Iterable[bytes]) -> None:
        """Remove folders that are empty."""
        for path in paths:
            self._ask_any(partial(_remove_folder_request, path))
        self.settle()

    def settle(self) -> None:
        """Wait until all was answered."""
        while self._unanswered:
            self._connection.pump()

    # answers

    def _ask(self, file: Outgoing, size: int, request: Callable[[int], bytes]) -> None:
        self._unanswered += size + 1
        self._connection.ask(partial(self._take, file, size), request)

    def _ask_any(self, request: Callable[[int], bytes], done: Callable[[], None] = _pass) -> None:
        """Ask for what may fail; ``done`` is called when it did not."""
        self._unanswered += 1
        self._connection.ask(partial(self._take_any, done), request)

    def _take(self, file: Outgoing, size: int, answer: sftp.Answer) -> None:
        self._unanswered -= size + 1
        if _status(answer) != sftp.OK and file.refused is None:
            assert isinstance(answer, sftp.Status)
            file.refused = answer

    def _take_any(self, done: Callable[[], None], answer: sftp.Answer) -> None:
        self._unanswered -= 1
        if _status(answer) == sftp.OK:
            done()

    def _fault(self, path: bytes, said: sftp.Status) -> HoldError:
        name = path.decode("utf-8", "replace")
        detail = f"{name} cannot be written there: {said.message or f'code {said.code}'}"
        if said.code == sftp.PERMISSION_DENIED:
            next_step = "ask its owner to let your account there write in the store"
            return faults.REFUSED(place=self._label, detail=detail, next=next_step)
        return faults.UNREACHABLE(place=self._label, detail=detail)


def _status(answer: sftp.Answer) -> int:
    if not isinstance(answer, sftp.Status):
        raise RemoteProtocolError(f"writing gives {answer!r:.100}")
    return answer.code


def _take_open(file: Outgoing, answer: sftp.Answer) -> None:
    if isinstance(answer, sftp.Handle):
        file.handle = answer.handle
    elif isinstance(answer, sftp.Status) and answer.code != sftp.OK:
        file.refused = answer
    else:
        raise RemoteProtocolError(f"opening a file gives {answer!r:.100}")


def _open_request(path: bytes, number: int) -> bytes:
    return sftp_writing.open_new(number, path)


def _write_request(handle: bytes, offset: int, part: bytes, number: int) -> bytes:
    return sftp_writing.write(number, handle, offset, part)


def _rename_request(file: Outgoing, number: int, *, posix: bool) -> bytes:
    return sftp_writing.rename(number, file.path, file.final, posix=posix)


def _mode_request(folder: bytes, mode: int, number: int) -> bytes:
    return sftp_writing.set_mode(number, folder, mode)


def _folder_request(folder: bytes, number: int) -> bytes:
    return sftp_writing.make_folder(number, folder)


def _remove_request(path: bytes, number: int) -> bytes:
    return sftp_writing.remove(number, path)


def _remove_folder_request(path: bytes, number: int) -> bytes:
    return sftp_writing.remove_folder(number, path)
