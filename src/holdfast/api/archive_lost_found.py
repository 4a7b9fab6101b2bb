"""What is whole in pieces though nothing proves its name, put aside where it is asked for.

Of an encrypted archive it is decrypted, where a key is at hand; else it is an age file, `….age`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from hashlib import sha256
from itertools import chain, islice

from ..archive.folder_writer import FolderWriter
from ..archive.piece_blocks import FileAt, iter_content
from ..archive.plain_tree import TreeFile
from ..archive.seal_primitives import primitives
from ..archive.unlisted import Unlisted
from ..archive.unnamed import FOLDER, Unnamed, UnnamedFile
from ..archive.unsealing import Unsealer
from ..core.errors import AccessError, HoldError, IntegrityError, PlaceFullError
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.progress import Progress
from ..wire.age_header import is_age
from .archive_found import FoundArchive, failed, iter_wrong
from .archive_restore_folder import Restorer, is_link
from .key_place import KeyPlace

_BLOCK = 512
_MODE = 0o100644
_ENDING = b".age"
_OPENED = "decrypted with a key that is here"
_LOCKED = "encrypted: no key that is here opens it"
_CUT = "encrypted, and not whole: age gives what there is of it"


def iter_lost_found(
    found: FoundArchive, target: bytes, has: Callable[[Key], bool], progress: Progress,
    keys: KeyPlace | None = None,
) -> Iterator[Outcome]:  # fmt: skip
    """Write what no name leads to into a folder of the target, under its CIDs.

    An outcome for each; nothing that is there is replaced. ``has`` says of which keys the content
    was restored; ``keys`` where those of an encrypted archive are that does not say what it is.
    """
    unlisted = _unlisted(found)
    if unlisted is not None:
        has = unlisted.is_listed
    unnamed = Unnamed(found.finding, found.by_key, has)
    items = chain(unnamed, unlisted or ())
    count = 0
    progress.start(None, None)
    try:
        with FolderWriter(target) as writer:
            giver = _Giver(
                writer, progress, _unsealer(found, keys),
                may_be_sealed=bool(found.unlocked.sealed) or not found.finding.snapshots,
            )  # fmt: skip
            while block := list(islice(items, _BLOCK)):
                for outcome in giver.iter_block(block):
                    count += outcome.path != "pieces"
                    yield outcome
    finally:
        progress.stop()
    yield from iter_wrong("restore", unnamed.faults)
    if not count:
        note = "nothing is whole in these pieces that has no name"
        yield Outcome("restore", Status.NOT_NEEDED, os.fsdecode(FOLDER), note=note)


def _unlisted(found: FoundArchive) -> Unlisted | None:
    sealed, unsealer = found.unlocked.sealed, found.unlocked.unsealer
    return None if unsealer is None else Unlisted(found.finding, sealed, unsealer)


def _unsealer(found: FoundArchive, keys: KeyPlace | None) -> Unsealer | None:
    """What opens age files, if there is anything.

    Pieces that do not say what they are of may be encrypted: keys that were named are tried.
    """
    if found.finding.snapshots or keys is None or keys.path is None:
        return found.unlocked.unsealer
    return Unsealer(keys.identities(""), primitives())


class _Giver:
    """Writes it, block by block."""

    def __init__(
        self, writer: FolderWriter, progress: Progress, unsealer: Unsealer | None, *,
        may_be_sealed: bool,
    ) -> None:  # fmt: skip
        """In archives in the clear, age files are files as others are."""
        self._writer = writer
        self._restorer = Restorer(writer, progress)
        self._progress = progress
        self._unsealer = unsealer
        self._may_be_sealed = may_be_sealed
        self._notes: dict[str, str] = {}

    def iter_block(self, block: list[UnnamedFile | HoldError]) -> Iterator[Outcome]:
        """Write these, and tell of each that is done or failed."""
        for outcome in self._iter_block(block):
            note = self._notes.pop(outcome.path, "")
            yield outcome._replace(note=note) if note and outcome.good else outcome

    def _iter_block(self, block: list[UnnamedFile | HoldError]) -> Iterator[Outcome]:
        as_they_are: list[TreeFile | HoldError] = []
        for one in block:
            if isinstance(one, HoldError):
                as_they_are.append(one)
            elif not self._may_be_sealed or not _is_sealed(one.item):
                as_they_are.append(self._noted(one.item, one.note))
            else:
                why = yield from self._iter_opened(one)
                if why and not (why == _LOCKED and one.is_told_if_locked):
                    path = one.item.path.removesuffix(_ENDING) + _ENDING
                    item = one.item._replace(path=path)
                    as_they_are.append(self._noted(item, f"{one.note}; {why}"))
        yield from self._restorer.iter_block(as_they_are)
        yield from self._restorer.iter_flushed()

    def _iter_opened(self, one: UnnamedFile) -> Generator[Outcome, None, str]:
        """Write what is in an age file; gives why it cannot be opened, or nothing."""
        item = one.item._replace(path=one.item.path.removesuffix(_ENDING))
        file, name = item.file, os.fsdecode(item.path)
        if self._unsealer is None or file is None:
            return _LOCKED
        try:
            size, chunks = self._unsealer.open(file, "")
        except AccessError:
            return _LOCKED
        except IntegrityError:
            return _CUT
        try:
            if self._writer.holds(item.path, size, partial(_is_it, self._unsealer, file)):
                yield Outcome("restore", Status.NOT_NEEDED, name)
                return ""
            self._writer.put_file(item.path, _MODE, self._counted(chunks))
            self._noted(item, f"{one.note}; {_OPENED}")
        except PlaceFullError:
            raise
        except IntegrityError:
            return _CUT
        except HoldError as error:
            yield failed("restore", name, error)
        if self._writer.is_full:
            yield from self._restorer.iter_flushed()
        return ""

    def _noted(self, item: TreeFile, note: str) -> TreeFile:
        self._notes[os.fsdecode(item.path)] = note
        return item

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._progress.advance(0, len(chunk))
            yield chunk


def _is_sealed(item: TreeFile) -> bool:
    """Whether it begins as an age file does."""
    if item.file is None or is_link(item):
        return False
    try:
        return is_age(next(iter_content(item.file), b""))
    except HoldError:
        return False  # whoever reads all of it is told


def _is_it(unsealer: Unsealer, file: FileAt, there: Iterable[bytes]) -> bool:
    """Whether bytes are those in an age file."""
    return _digest(there) == _digest(unsealer.open(file, "")[1])


def _digest(chunks: Iterable[bytes]) -> bytes:
    hasher = sha256()
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.digest()
