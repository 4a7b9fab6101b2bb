"""Restoring what is encrypted: with the keys that are at hand, and word of what stays locked."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from ..archive.chosen_paths import ChosenPaths
from ..archive.content_index import ContentIndex
from ..archive.finding import Finding, FoundSnapshot, iter_missing
from ..archive.folder_writer import FolderWriter
from ..archive.lost_contents import LostObjects
from ..archive.pieces_place import PiecesPlace
from ..archive.plain_tree import tree_of
from ..archive.scope_keys import DATASET_TAG, KeyFolder, named
from ..archive.seal_primitives import primitives
from ..archive.sealed_names import (
    AnnexedName,
    FolderName,
    GitName,
    LinkName,
    MissingName,
    Name,
)
from ..archive.together import Together
from ..archive.unsealing import (
    SealedIndex,
    SealedPlace,
    SealedSnapshot,
    Unsealer,
    locked,
    object_key,
    tell_history,
)
from ..core import faults
from ..core.backends import checker, is_verifiable
from ..core.errors import AccessError, HoldError, IntegrityError, PlaceFullError
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.progress import Progress
from ..wire.archive_rows import MissingRow
from ..wire.gitobjects import SHA1, SHA256, Hasher
from .archive_found import FoundArchive, Unlocked, failed, iter_wrong
from .archive_restore_folder import iter_named
from .key_place import KeyPlace

_BLOCK = 512
_READ = 1 << 20
_PLAIN = 0o100644
"""Of an annexed file that is a link in its data set."""

Tagged = tuple[str, Name]
"""A file of a list, and the scope that the list is of."""


def unlock(finding: Finding, keys: KeyPlace | None) -> Unlocked:
    """What opens an archive; its history is known afterwards, if a key for that is at hand.

    Raises:
        AccessError: Keys that were named cannot be used.
    """
    sealed = frozenset(one.number for one in finding.snapshots if one.manifest.is_sealed)
    if not sealed:
        return Unlocked()
    place = keys or KeyPlace()
    use = primitives()
    unsealer = Unsealer(place.identities(finding.dataset), use)
    gone = {
        record.get("tag", ""): f"{named(scope)} ({record.get('why')}, {record.get('time')})"
        for scope, record in KeyFolder(place.of(finding.dataset), use).destroyed().items()
    }
    tell_history(finding, unsealer)
    return Unlocked(sealed, unsealer, gone)


def open_place(
    found: FoundArchive, snapshot: FoundSnapshot
) -> tuple[PiecesPlace, ContentIndex | SealedIndex]:
    """The pieces as a place to get content of a snapshot from.

    Raises:
        AccessError: The list of its content is locked.
    """
    finding = found.finding
    objects = ContentIndex([*finding.pieces, *finding.loose], found.scratch)
    unsealer = found.unlocked.unsealer
    if unsealer is None or snapshot.number not in found.unlocked.sealed:
        return PiecesPlace(objects, "the pieces"), objects
    _look_for_lost(found, snapshot, objects)
    sealed = SealedSnapshot(finding, snapshot, unsealer)
    lists = sealed.lists(DATASET_TAG)
    index = SealedIndex(objects, sealed, lists, found.scratch)
    return SealedPlace(index, unsealer, "the pieces"), index


def _look_for_lost(found: FoundArchive, snapshot: FoundSnapshot, objects: ContentIndex) -> None:
    """Where something of the pieces is damaged, find what no row names by the tree."""
    tree = tree_of(found.finding, snapshot)
    if tree is not None and is_damaged(found, objects):
        objects.fallback = LostObjects(tree, found.scratch)


def is_damaged(found: FoundArchive, index: ContentIndex | SealedIndex) -> bool:
    """Whether rows of pieces that are here may be lost."""
    return bool(index.faults or found.finding.faults or found.finding.loose)


def missing_of(found: FoundArchive, index: ContentIndex | SealedIndex) -> Iterator[MissingRow]:
    """What the pieces say of content that is missing."""
    if isinstance(index, SealedIndex):
        yield from (name.row for name in index.missing)
        return
    for piece in found.finding.pieces:
        yield from iter_missing(piece, [])


def unseal_bundle(found: FoundArchive, snapshot: FoundSnapshot, path: bytes) -> None:
    """Decrypt a bundle that was written, if it is of an encrypted snapshot.

    Raises:
        AccessError: It is locked.
        IntegrityError: It is damaged.
    """
    unsealer = found.unlocked.unsealer
    if unsealer is None or snapshot.number not in found.unlocked.sealed:
        return
    with open(path, "rb") as sealed, open(path + b".plain", "wb") as plain:
        for chunk in unsealer.open_chunks(iter(lambda: sealed.read(_READ), b""), DATASET_TAG):
            plain.write(chunk)
    os.rename(path + b".plain", path)


class SealedFolder:
    """An encrypted snapshot without history, or whose history is locked: files by their lists."""

    def __init__(self, found: FoundArchive, snapshot: FoundSnapshot) -> None:
        finding, unsealer = found.finding, found.unlocked.unsealer
        assert unsealer is not None, "it was looked whether it is encrypted"
        self._unsealer = unsealer
        self._gone = found.unlocked.destroyed
        self._sealed = SealedSnapshot(finding, snapshot, unsealer)
        self.index = ContentIndex([*finding.pieces, *finding.loose], found.scratch)
        _look_for_lost(found, snapshot, self.index)
        self.locked: list[HoldError] = []
        """Scopes that no key opens, and lists that are damaged; known once all was gone through."""
        self.is_open = False
        """Whether anything could be read."""

    @property
    def faults(self) -> list[HoldError]:
        """What could not be read of rows and folders."""
        return [*self._sealed.faults, *self.index.faults]

    def walk(self, chosen: ChosenPaths) -> Iterator[Tagged]:
        """All files that are wanted and open."""
        for one in self._sealed.lists():
            try:
                for name in self._sealed.names(one):
                    self.is_open = True
                    path = name.row.path if isinstance(name, MissingName) else name.path
                    if chosen.has(path):
                        yield one.tag, name
            except AccessError:
                count = self._sealed.count(one.tag)
                detail = f"{count:,} contents of it are in this version; no key here opens them"
                if count == 1:
                    detail = "1 content of it is in this version; no key here opens it"
                if one.tag in self._gone:
                    detail += f": the key was destroyed here, of {self._gone[one.tag]}"
                self.locked.append(locked(one.tag, detail))
            except HoldError as error:
                self.locked.append(error)

    def restorer(self, writer: FolderWriter, progress: Progress) -> _Restorer:
        """Who writes them."""
        return _Restorer(self.index, self._unsealer, writer, progress)


def iter_restore_sealed(
    found: FoundArchive,
    snapshot: FoundSnapshot,
    target: bytes,
    chosen: ChosenPaths,
    progress: Progress,
) -> Iterator[Outcome]:
    """Restore what is wanted and open; what is there already and right is left.

    Scopes that stay locked are told, with how many contents they have.
    """
    folder = SealedFolder(found, snapshot)
    items = folder.walk(chosen)
    block = list(islice(items, _BLOCK))
    if block or folder.is_open:
        progress.start(None, None)
        try:
            with FolderWriter(target) as writer:
                restorer = folder.restorer(writer, progress)
                while block:
                    yield from restorer.iter_block(block)
                    block = list(islice(items, _BLOCK))
                yield from restorer.iter_flushed()
        finally:
            progress.stop()
    for error in folder.locked:
        yield failed("restore", error.what.removesuffix(" is locked"), error)
    yield from iter_wrong("restore", folder.faults)


class _Restorer:
    """Writes files of lists, block by block; each is held against its key or git object."""

    def __init__(
        self, index: ContentIndex, unsealer: Unsealer, writer: FolderWriter, progress: Progress
    ) -> None:
        self._index = index
        self._unsealer = unsealer
        self._writer = writer
        self._progress = progress
        self._together = Together()

    def iter_block(self, block: list[Tagged]) -> Iterator[Outcome]:
        """Write these, and tell of each that is done or failed."""
        todo = []
        for tag, name in block:
            if isinstance(name, MissingName):
                yield _told_missing(name)
                continue
            path = os.fsdecode(name.path)
            try:
                if isinstance(name, FolderName):
                    self._writer.make_folder(name.path)
                elif isinstance(name, LinkName):
                    is_new = self._writer.put_link(name.path, name.target)
                    status = Status.OK if is_new else Status.NOT_NEEDED
                    yield Outcome("restore", status, path)
                elif self._writer.holds(name.path, name.size, _checked(name)):
                    yield Outcome("restore", Status.NOT_NEEDED, path)
                else:
                    file = self._index.find(_object(name))
                    if file is not None:
                        self._together.expect(_object(name), file)
                    todo.append((tag, name))
            except HoldError as error:
                yield failed("restore", path, error)
        for tag, one in todo:
            yield from self._iter_one(tag, one)

    def iter_flushed(self) -> Iterator[Outcome]:
        """Give what waits its names, and tell of it."""
        return iter_named(self._writer, self._progress)

    def _iter_one(self, tag: str, name: AnnexedName | GitName) -> Iterator[Outcome]:
        path = os.fsdecode(name.path)
        try:
            file = self._index.find(_object(name))
            if file is None:
                detail = "the piece that has it is not here, or damaged"
                step = "find the missing pieces; then run the same command again"
                raise faults.CONTENT_LOST(path=path, detail=detail, next=step)
            file = self._together.use(_object(name), file)
            _, chunks = self._unsealer.open(file, tag)
            mode = name.mode if stat.S_ISREG(name.mode) else _PLAIN
            self._writer.put_file(name.path, mode, self._passed(name, chunks))
        except PlaceFullError:
            raise
        except HoldError as error:
            yield failed("restore", path, error)
        if self._writer.is_full:
            yield from self.iter_flushed()

    def _passed(self, name: AnnexedName | GitName, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks of a file, which has to be the one that its list says."""
        check = _Check(name)
        for chunk in chunks:
            check.feed(chunk)
            self._progress.advance(0, len(chunk))
            yield chunk
        check.finish()


class _Check:
    """Holds content against its annex key, or the name of its git object."""

    def __init__(self, name: AnnexedName | GitName) -> None:
        self._name = name
        self._left = name.size
        self._git: Hasher | None = None
        if isinstance(name, GitName):
            kind = SHA1 if len(name.oid) == 2 * SHA1.digest_size else SHA256
            self._git = kind.hasher(b"blob %d\0" % name.size)
        else:
            self._annex = checker(name.key) if is_verifiable(name.key.backend) else None

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        self._left -= len(chunk)
        if self._git is not None:
            self._git.update(chunk)
        elif self._annex is not None:
            self._annex.feed(chunk)

    def finish(self) -> None:
        """All was read.

        Raises:
            IntegrityError: It is another content.
        """
        is_right = not self._left
        if isinstance(self._name, GitName):
            assert self._git is not None
            is_right = is_right and self._git.digest().hex() == self._name.oid
        elif self._annex is not None:
            self._annex.finish()
        if not is_right:
            path = os.fsdecode(self._name.path)
            raise faults.SEALED_DAMAGED(path=path, detail="another content is in its place")


def _checked(name: AnnexedName | GitName) -> Callable[[Iterable[bytes]], bool]:
    """Says whether bytes are those of a file; of a key without a hash their number has to do."""

    def is_it(chunks: Iterable[bytes]) -> bool:
        check = _Check(name)
        try:
            for chunk in chunks:
                check.feed(chunk)
            check.finish()
        except IntegrityError:
            return False
        return True

    return is_it


def _object(name: AnnexedName | GitName) -> Key:
    return object_key(name.object.rpartition("/")[2])


def _told_missing(name: MissingName) -> Outcome:
    row = name.row
    path, key = os.fsdecode(row.path), Key(row.key)
    detail, step = f"it was not packed: {row.reason}", "look where it was last known to be"
    error = faults.CONTENT_LOST(path=path, detail=detail, next=step)
    return Outcome(
        "restore", Status.IMPOSSIBLE, path, key, key.size, error.why, error=error,
        facts={"urls": list(row.urls)},
    )  # fmt: skip
