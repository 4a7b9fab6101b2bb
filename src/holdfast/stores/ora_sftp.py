"""A data set in a RIA store on another machine, by SFTP alone: no program of ours is needed there.

Files come into ``ora-remote-UUID/transfer`` first, where DataLad has its own too, in a folder of
this run; they are renamed when they are whole.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from posixpath import dirname

from ..core import faults
from ..core.abilities import Content, OnBytes
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place, Presence
from ..wire import ria, sftp
from .ora_folder import check_writable
from .runs import iter_dead, running
from .sftp import SftpAnnex
from .sftp_connection import NotSpokenError, SftpConnection
from .sftp_file import Allowance, File
from .sftp_repository import Objects
from .sftp_writer import Outgoing, SftpWriter
from .unpacking import ReadRange

BATCH_FILES = 48
BATCH_BYTES = 8 << 20
"""What is on its way together; each such batch takes a few round trips."""
ASKED_MAX = 256


class OraSftp(SftpAnnex):
    """The files of one data set; as many connections as threads use."""

    def __init__(
        self,
        place: Place,
        argv: Sequence[str],
        store: str,
        identity: str,
        *,
        here: str,
        cost: float,
        runs: bytes,
        force: bool = False,
    ) -> None:
        """Nothing is started yet. ``argv`` starts a program that speaks SFTP.

        ``store`` is the folder there, ``/~/x`` in the home folder; ``runs`` is a folder here, for
        notes of what is being written there. Other words as for `OraFolder`.
        """
        folder = store.removeprefix("/~/") if store.startswith("/~/") else store
        super().__init__(place, argv, f"{folder}/{ria.dataset_path(identity)}", cost=cost)
        self._store = folder.encode("utf-8", "surrogateescape")
        self._top = self._path.encode("utf-8", "surrogateescape")
        self._here = here
        self._force = force
        self._runs = runs, str(place.id)
        self._layouts: tuple[ria.Layout | None, ria.Layout] | None = None

    def can_read(self) -> bool:
        """Whether the data set is there.

        Raises:
            PlaceUnavailableError: It is not, or the machine cannot be reached.
        """
        with self._finding:
            if self._objects is None:
                self._objects = self._find()
        return True

    def _find(self) -> Objects:
        try:
            connection = self._connect()
        except NotSpokenError as error:
            raise faults.BAD_ANSWER(place=self.place.label, detail=str(error)) from error
        try:
            names = [self._store, self._top]
            texts = [read_small(connection, b"%b/ria-layout-version" % name) for name in names]
        finally:
            self._give_back(connection)
        if texts[1] is None:
            where = f"{self._path}/{ria.VERSION_FILE}"
            detail = f"{where} is not there: the store has no such data set, or is elsewhere"
            raise faults.UNREACHABLE(place=self.place.label, detail=detail)
        store = None if texts[0] is None else ria.parse_layout(texts[0])
        objects = ria.parse_layout(texts[1])
        self._layouts = store, objects
        count = len(ria.object_paths(objects, Key(b"X--x")))
        paths = [partial(_nth_path, objects, number) for number in range(count)]
        return Objects(self._top + b"/annex/objects/", paths)

    @contextmanager
    def open_archive(self) -> Iterator[ReadRange | None]:
        """The archive, if there is one."""
        path = b"%b/%b" % (self._top, ria.ARCHIVE.encode())
        with self._connection() as (connection, _):
            answers: list[sftp.Answer] = []
            connection.ask(answers.append, lambda number: sftp.stat(number, path))
            while not answers:
                connection.pump()
            said = answers[0]
            if isinstance(said, sftp.Status):
                if said.code != sftp.NO_SUCH_FILE:
                    detail = f"the archive cannot be read: {said.message}"
                    raise faults.UNREACHABLE(place=self.place.label, detail=detail)
                yield None
                return
            yield partial(self._iter_range, connection, path)

    def _iter_range(
        self, connection: SftpConnection, path: bytes, offset: int, size: int
    ) -> Iterator[bytes]:
        file = File(connection, [path], offset + size, Allowance(), offset)
        try:
            yield from file.chunks()
            if file.error is not None:
                detail = f"the archive cannot be read: {file.error.message}"
                raise faults.UNREACHABLE(place=self.place.label, detail=detail)
        finally:
            file.abandon()

    # writing

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Put contents there, some at a time; each step of a batch takes one round trip."""
        try:
            self._check_writable()
        except HoldError as error:
            for key, _ in items:
                yield key, error
            return
        yield from self._iter_send(iter(items), progress)

    def _iter_send(
        self, source: Iterator[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        with self._connection() as (connection, objects), running(*self._runs) as run:
            writer = SftpWriter(connection, self.place.label)
            for dead in iter_dead(*self._runs):
                _clean(writer, self._scratch(dead))
            writer.folder_mode = _group_mode(connection, objects.root)
            scratch = self._scratch(run.name)
            writer.make_folders([scratch], depth=3)
            while taken := list(islice(source, ASKED_MAX)):
                missing = yield from self._not_there(taken)
                for batch in _batches(missing):
                    files = [
                        (key, Outgoing(b"%b/%d" % (scratch, n), _path(objects, key), content))
                        for n, (key, content) in enumerate(batch)
                    ]
                    yield from self._send(writer, files, progress)
                if connection.failure is not None:
                    return
            _clean(writer, scratch)
            run.is_clean = True

    def _scratch(self, run: bytes) -> bytes:
        """Where a run's files are on their way; never more than a batch of them."""
        return b"%b/ora-remote-%b/transfer/hold-%b" % (self._top, self._here.encode(), run)

    def _not_there(
        self, items: list[tuple[Key, Content]]
    ) -> Generator[tuple[Key, HoldError | None], None, list[tuple[Key, Content]]]:
        """Answer for what is there already; returns the others."""
        answers = self.ask([key for key, _ in items])
        missing = []
        for (key, content), answer in zip(items, answers, strict=True):
            if answer.presence is Presence.PRESENT and key.size is not None:
                yield key, None
            else:
                missing.append((key, content))
        return missing

    def _send(
        self, writer: SftpWriter, files: Sequence[tuple[Key, Outgoing]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """One batch; when the connection is lost, all of it is answered with that."""
        lost: HoldError | None = None
        try:
            writer.stage([file for _, file in files], progress)
            writer.name([file for _, file in files if file.error is None])
            writer.remove([file.path for _, file in files if file.refused is not None])
        except HoldError as error:
            lost = error
        yield from ((key, file.error or lost) for key, file in files)

    def unlink(self, key: Key) -> None:
        """Remove the file of a key, and its folder.

        Raises:
            AccessError: The server does not let us.
        """
        self._check_writable()
        with self._connection() as (connection, objects):
            writer = SftpWriter(connection, self.place.label)
            paths = list(objects.paths(key))
            for said in writer.remove(paths):
                if said.code not in (sftp.OK, sftp.NO_SUCH_FILE):
                    raise faults.REFUSED(
                        place=self.place.label,
                        detail=f"{key.text} cannot be removed there: {said.message}",
                        next="ask its owner to let your account there write in the store",
                    )
            writer.remove_folders([dirname(path) for path in paths])

    def _check_writable(self) -> None:
        self.can_read()
        assert self._layouts is not None
        store, objects = self._layouts
        check_writable(self.place, store or ria.Layout("unknown"), objects, forced=self._force)


def _clean(writer: SftpWriter, scratch: bytes) -> None:
    """Remove a folder of files on their way, whatever of them is there."""
    writer.remove(b"%b/%d" % (scratch, number) for number in range(BATCH_FILES))
    writer.remove_folders([scratch])


def _nth_path(objects: ria.Layout, number: int, key: Key) -> bytes:
    return ria.object_paths(objects, key)[number]


def _path(objects: Objects, key: Key) -> bytes:
    return next(objects.paths(key))


def _group_mode(connection: SftpConnection, folder: bytes) -> int | None:
    """The mode of a folder where a group may write: what is made in it is to be as open."""
    answers: list[sftp.Answer] = []
    connection.ask(answers.append, lambda number: sftp.stat(number, folder))
    while not answers:
        connection.pump()
    found = answers[0]
    mode = found.mode if isinstance(found, sftp.Attributes) else None
    return mode & 0o7777 if mode is not None and mode & 0o020 else None


def _batches(items: Sequence[tuple[Key, Content]]) -> Iterator[list[tuple[Key, Content]]]:
    batch: list[tuple[Key, Content]] = []
    size = 0
    for key, content in items:
        if batch and (len(batch) == BATCH_FILES or size + content.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((key, content))
        size += content.size
    if batch:
        yield batch


def read_small(connection: SftpConnection, path: bytes) -> bytes | None:
    """A small file; None when it is not there."""
    file = File(connection, [path], None, Allowance(1))
    text = b"".join(islice(file.chunks(), 4))
    is_there = file.is_open and file.error is None
    file.abandon()
    return text if is_there else None
