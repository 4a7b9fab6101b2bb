"""A data set's content in a RIA store, whichever way it is reached: files first, then the archive.

The ways (`ora_folder`, `ora_sftp`, `ora_http`) know how files are looked at, read and written;
this knows what a RIA store is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol

from ..core import faults
from ..core.abilities import Answer, BulkReadable, Content, OnBytes, Readable, Stream
from ..core.errors import HoldError, NotFoundError
from ..core.key import Key
from ..core.place import Presence
from ..core.policy import DropProof, Waiver
from .ora_archive import OraArchive
from .unpacking import ReadRange


class OraFiles(Readable, Protocol):
    """A way to the files of a data set in a store."""

    def open_archive(self) -> AbstractContextManager[ReadRange | None]:
        """The archive, for reading of ranges; None when there is none."""

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """As `BulkSendable` has it.

        Raises:
            AccessError: It can only be read.
        """

    def unlink(self, key: Key) -> None:
        """Remove the file of a key, if it is there."""


class OraStore:
    """The place; `core.abilities.Store`, and `BulkSendable`."""

    def __init__(self, files: OraFiles) -> None:
        """Nothing is looked at yet."""
        self.place = files.place
        self.cost = files.cost
        self._files = files
        self._archive = OraArchive(files.place, files.open_archive)

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look for each key's file, then in the archive."""
        answers = self._files.ask(keys)
        for number, answer in enumerate(answers):
            if answer.presence is Presence.ABSENT:
                answers[number] = self._ask_archive(keys[number], answer)
        return answers

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from an offset, from its file or out of the archive.

        Raises:
            NotFoundError: It is in neither.
        """
        with ExitStack() as stack:
            try:
                stream = stack.enter_context(self._files.open_content(key, offset))
            except NotFoundError:
                stream = stack.enter_context(self._archive.open_content(key, offset))
            yield stream

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Put one content there."""
        for error in [error for _, error in self.iter_send([(key, content)], progress)]:
            if error is not None:
                raise error

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Put contents there; they get their names when they are whole and checked."""
        yield from self._files.iter_send(items, progress)

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Remove the file of a key.

        Raises:
            PolicyError: It is in the archive too, and stays there.
        """
        assert leave.key == key and leave.place == self.place.id
        self._files.unlink(key)
        if self._archive.find(key) is not None:
            raise faults.IN_ARCHIVE(key=key.text, place=self.place.label)

    def close(self) -> None:
        """End connections."""
        self._files.close()

    def _ask_archive(self, key: Key, answer: Answer) -> Answer:
        try:
            member = self._archive.find(key)
        except HoldError as error:
            return Answer(Presence.UNKNOWN, error.why or error.what)
        if member is None:
            return answer
        if key.size not in (None, member.size):
            return Answer(
                Presence.ABSENT, f"the archive has {member.size} bytes of it, not {key.size}"
            )
        return Answer(Presence.PRESENT, "in the archive")


class BulkOraStore(OraStore):
    """One whose way streams many keys without a round trip for each."""

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream each key's content from its start, in order."""
        files = self._files
        assert isinstance(files, BulkReadable)
        for key, found in files.iter_contents(keys):
            if isinstance(found, NotFoundError):
                yield from self._from_archive(key)
            else:
                yield key, found

    def _from_archive(self, key: Key) -> Iterator[tuple[Key, Stream | HoldError]]:
        with ExitStack() as stack:
            try:
                found: Stream | HoldError = stack.enter_context(self._archive.open_content(key))
            except HoldError as error:
                found = error
            yield key, found


class TwoWayStore(OraStore):
    """A store that is read at one address and written to at another (``push-url``)."""

    def __init__(self, files: OraFiles, writing: OraFiles) -> None:
        """Nothing is looked at yet."""
        super().__init__(files)
        self._writing = OraStore(writing)

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Put contents there, by the way for writing."""
        yield from self._writing.iter_send(items, progress)

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Remove a copy, by the way for writing."""
        self._writing.remove(key, leave)

    def close(self) -> None:
        """End connections."""
        super().close()
        self._writing.close()
