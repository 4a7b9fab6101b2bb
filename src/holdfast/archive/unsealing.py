"""Reading encrypted snapshots: lists of names, history, contents; with keys that are at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..core import faults
from ..core.abilities import Stream
from ..core.errors import HoldError, IntegrityError, ProtocolError
from ..core.key import Key
from ..dataset.sorted_spill import SortedSpill
from ..wire.age_header import Primitives, unwrap
from ..wire.age_payload import (
    CHUNK,
    NONCE_SIZE,
    SEALED_CHUNK,
    TAG,
    Payload,
    iter_opened,
    read_header,
)
from ..wire.archive_manifest import BundleRef
from ..wire.cid import RAW_SHA256, Cid
from ..wire.tree_layout import tree_order
from .chosen_paths import ChosenPaths
from .content_index import ContentIndex
from .contents import FILES
from .entries import key_identity
from .finding import Finding, FoundSnapshot
from .known_index import KnownIndex, KnownRow, encode_row
from .piece_blocks import FileAt, iter_content
from .piece_rows import PieceRows
from .pieces_place import PiecesPlace
from .plain_tree import tree_of
from .scope_keys import DATASET_TAG, Identity
from .sealed_names import (
    AnnexedName,
    History,
    MissingName,
    Name,
    ScopeHead,
    decode_head,
    decode_name,
    iter_lines,
)
from .stored_blocks import StoredBlocks

_LOST = b".lost.age"
_BUNDLES = FILES + b"git/"
_ID = 16
_NAMES_IN_PATH = 4


@dataclass(frozen=True)
class SealedList:
    """The list of names of a scope in a snapshot, and that of what was lost while it was packed."""

    tag: str
    file: FileAt
    lost: FileAt | None = None


class Unsealer:
    """Opens age files with the identities that are at hand."""

    def __init__(self, identities: Sequence[Identity], use: Primitives) -> None:
        self._use = use
        self._pairs = [(one, (one.secret, use.public(one.secret))) for one in identities]

    def open(self, file: FileAt, tag: str, start: int = 0) -> tuple[int, Iterator[bytes]]:
        """The size of what is in an age file, and its bytes from one on. Any key may without a tag.

        Raises:
            AccessError: No key that is at hand opens it.
            IntegrityError: It is damaged, or is none.
        """
        try:
            return self._open(file, tag, start)
        except ProtocolError as error:
            raise damaged(tag, error.what) from None

    def open_chunks(self, chunks: Iterator[bytes], tag: str) -> Iterator[bytes]:
        """What is in an age file of which these are all bytes.

        Raises:
            AccessError: No key that is at hand opens it.
            IntegrityError: It is damaged, or is none.
        """
        try:
            _, payload, rest = self._begin(chunks, tag)
        except ProtocolError as error:
            raise damaged(tag, error.what) from None
        yield from _told(tag, iter_opened(payload, rest))

    def _begin(self, chunks: Iterator[bytes], tag: str) -> tuple[int, Payload, Iterator[bytes]]:
        """Where the chunks begin, what opens them, and their bytes."""
        header, nonce, rest = read_header(chunks)
        pairs = [pair for one, pair in self._pairs if not tag or one.tag in ("", tag)]
        try:
            file_key = unwrap(header, pairs, self._use)
        except IntegrityError as error:
            raise damaged(tag, error.what) from None
        if file_key is None:
            raise locked(tag)
        return header.length + NONCE_SIZE, Payload(file_key, nonce, self._use), rest

    def _open(self, file: FileAt, tag: str, start: int) -> tuple[int, Iterator[bytes]]:
        begin, payload, rest = self._begin(iter_content(file), tag)
        sealed = file.size - begin
        size = sealed - TAG * max(1, -(-sealed // SEALED_CHUNK))
        if size < 0:
            raise ProtocolError("an age file is cut short")
        start = min(start, size)
        if not start:
            return size, _told(tag, iter_opened(payload, rest))
        first = start // CHUNK
        if first * CHUNK == size:
            first -= 1  # the last chunk is full
        later = iter_content(file, begin + first * SEALED_CHUNK)
        opened = iter_opened(payload, later, first)
        return size, _told(tag, _without(opened, start - first * CHUNK))


class SealedSnapshot:
    """What an encrypted snapshot says of itself, to whom has keys."""

    def __init__(
        self, finding: Finding, snapshot: FoundSnapshot, unsealer: Unsealer,
        stored: StoredBlocks | None = None,
    ) -> None:  # fmt: skip
        """``stored`` are the blocks of all pieces, where several snapshots share these."""
        self.faults: list[HoldError] = []
        self._snapshot = snapshot
        self._unsealer = unsealer
        self._tree = tree_of(finding, snapshot, stored)

    def lists(self, tag: str = "") -> list[SealedList]:
        """The lists of all scopes, or of one, in order."""
        found: dict[bytes, FileAt] = {}
        globs = [b"names/" + tag.encode() + b".age", b"names/" + tag.encode() + _LOST]
        for item in self._walk(ChosenPaths(globs if tag else [b"names"])):
            found[item[0].removeprefix(b"names/")] = item[1]
        return [
            SealedList(_tag_of(name), file, found.get(name.removesuffix(b".age") + _LOST))
            for name, file in sorted(found.items())
            if not name.endswith(_LOST)
        ]

    def count(self, tag: str) -> int:
        """How many contents of a scope there are, locked or not."""
        return sum(1 for _ in self._walk(ChosenPaths([b"data/" + tag.encode()])))

    def contents(self) -> Iterator[tuple[str, bytes, FileAt]]:
        """All contents, whoever can open them: the tag of the scope, the name, where it is."""
        for path, file in self._walk(ChosenPaths([b"data"])):
            names = path.split(b"/")
            if len(names) == _NAMES_IN_PATH:  # all that we write
                yield names[1].decode("utf-8", "replace"), names[-1].removesuffix(b".age"), file

    def bundle(self, name: str) -> FileAt | None:
        """A bundle of git's that the root names, if it is here, found by its blocks."""
        if self._tree is None:
            return None
        try:
            cid = self._tree.listing(_BUNDLES.rstrip(b"/")).get(name.encode())
            return None if cid is None else self._tree.file_of(cid)
        except HoldError as error:
            self.faults.append(error)
            return None

    def _walk(self, chosen: ChosenPaths) -> Iterator[tuple[bytes, FileAt]]:
        if self._tree is None:
            yield from self._by_rows(chosen)
            return
        for item in self._tree.walk(chosen):
            if isinstance(item, HoldError):
                self.faults.append(item)
            elif item.file is not None:
                yield item.path, item.file
        self.faults += self._tree.faults
        self._tree.faults.clear()

    def _by_rows(self, chosen: ChosenPaths) -> Iterator[tuple[bytes, FileAt]]:
        """Where the piece with the root is missing: what this snapshot itself brought."""
        from .finding import iter_rows
        from .piece_blocks import FilePart

        for piece in self._snapshot.in_order:
            for row in iter_rows(piece, self.faults):
                path = row.path[len(FILES) :]
                if row.path.startswith(FILES) and row.cid and not row.start and chosen.has(path):
                    part = FilePart(piece.copies, row.offset, row.length)
                    yield path, FileAt(row.size, row.cid, [part])

    def head(self, one: SealedList) -> ScopeHead:
        """What a list begins with.

        Raises:
            AccessError: It is locked.
            IntegrityError: It is damaged, or none.
        """
        try:
            return decode_head(next(self._lines(one.tag, one.file), b""))
        except ProtocolError as error:
            raise damaged(one.tag, error.what) from None

    def names(self, one: SealedList) -> Iterator[Name]:
        """The files of a scope; what was lost while it was packed is missing.

        Raises:
            AccessError: It is locked.
            IntegrityError: It is damaged, or none.
        """
        lost: dict[bytes, MissingName] = {}
        try:
            if one.lost is not None:
                for name in self._names(one.tag, one.lost):
                    if isinstance(name, MissingName):
                        lost[bytes(name.row.key)] = name
            for name in self._names(one.tag, one.file):
                if isinstance(name, AnnexedName) and (gone := lost.get(bytes(name.key))):
                    yield MissingName(gone.row._replace(path=name.path))
                else:
                    yield name
        except ProtocolError as error:
            raise damaged(one.tag, error.what) from None

    def _names(self, tag: str, file: FileAt) -> Iterator[Name]:
        lines = self._lines(tag, file)
        decode_head(next(lines, b""))
        for line in lines:
            yield decode_name(line)

    def _lines(self, tag: str, file: FileAt) -> Iterator[bytes]:
        yield from iter_lines(self._unsealer.open(file, tag)[1])


class SealedIndex:
    """Finds the age files of annex keys: like `ContentIndex`, by the lists of a snapshot."""

    def __init__(
        self, objects: ContentIndex, snapshot: SealedSnapshot, lists: Sequence[SealedList],
        scratch: bytes,
    ) -> None:  # fmt: skip
        self.missing: list[MissingName] = []
        self._objects = objects
        self._tags = [one.tag for one in lists]
        # The same sorted file of rows, with the name of an object in the place of a digest.
        self._known = KnownIndex(os.path.join(scratch, b"sealed"))
        with SortedSpill(scratch) as rows:
            for number, one in enumerate(lists):
                for name in snapshot.names(one):
                    if isinstance(name, AnnexedName):
                        found = bytes.fromhex(name.object.rpartition("/")[2])
                        cid = Cid(RAW_SHA256 + found + bytes(32 - len(found)))
                        identity = key_identity(name.key)
                        rows.add(encode_row(KnownRow(identity, cid, name.size, number, 0, 0, 0)))
                    elif isinstance(name, MissingName):
                        self.missing.append(name)
            self._known.add(rows)

    @property
    def faults(self) -> list[HoldError]:
        """Parts of pieces that could not be read."""
        return self._objects.faults

    def find(self, key: Key) -> FileAt | None:
        """The age file that has the content of a key; None when it is in no piece that is here."""
        row = self._known.find(key_identity(key))
        if row is None:
            return None
        return self._objects.find(object_key(row.cid[4 : 4 + _ID].hex()))

    def tag_of(self, key: Key) -> str:
        """The scope it is in."""
        row = self._known.find(key_identity(key))
        return self._tags[row.snapshot] if row is not None else ""


class SealedPlace(PiecesPlace):
    """Encrypted pieces as a place that content can be read from."""

    def __init__(self, index: SealedIndex, unsealer: Unsealer, label: str) -> None:
        super().__init__(index, label)
        self._sealed = index
        self._unsealer = unsealer

    def _open(self, key: Key, offset: int) -> Stream:
        file = self._sealed.find(key)
        if file is None:
            raise faults.NOT_THERE(place=self.place.label, key=key.text, detail="no row names it")
        file = self._together.use(key, file)
        size, chunks = self._unsealer.open(file, self._sealed.tag_of(key), offset)
        return Stream(min(offset, size), size, chunks)


def object_key(name: str) -> Key:
    """What rows of pieces call an age file."""
    return Key(name.encode())


def tell_history(finding: Finding, unsealer: Unsealer) -> None:
    """Write what the lists say of history into the manifests that were read, where they open."""
    told = set[str]()
    for snapshot in finding.snapshots:
        if not snapshot.manifest.is_sealed:
            continue
        sealed = SealedSnapshot(finding, snapshot, unsealer)
        for one in sealed.lists(DATASET_TAG):
            try:
                head = sealed.head(one)
            except HoldError:
                continue  # whoever restores it is told
            if head.history is not None:
                _tell(snapshot, head.history, sealed, told)


def _tell(
    snapshot: FoundSnapshot, history: History, sealed: SealedSnapshot, told: set[str]
) -> None:
    """Say where bundles are; in ``told`` are the names of all of which that was said."""
    for piece in snapshot.in_order:
        rows, refs = PieceRows(piece, []), []
        for bundle in history.bundles:
            row = rows.find(tree_order(_BUNDLES + bundle.name.encode()))
            if row is not None and row.cid is not None:
                place = row.cid, row.size, row.offset, row.length
                refs.append(BundleRef(bundle.needs, bundle.version, bundle.annex, *place))
                told.add(bundle.name)
        if piece.manifest.is_last:
            # Of what is not told by now rows are lost, or it is in no piece that is here.
            for bundle in history.bundles:
                file = sealed.bundle(bundle.name) if bundle.name not in told else None
                if file is not None:
                    place = file.cid, file.size, 0, 0
                    refs.append(BundleRef(bundle.needs, bundle.version, bundle.annex, *place))
                    told.add(bundle.name)
        piece.manifest = piece.manifest._replace(
            version=history.version, branch=history.branch, annex=history.annex,
            bundles=tuple(refs),
        )  # fmt: skip


def locked(tag: str, detail: str = "") -> HoldError:
    """The error that says that no key opens a scope."""
    scope = "the archive" if tag == DATASET_TAG else f"scope {tag}"
    return faults.ARCHIVE_LOCKED(scope=scope, detail=detail or "no key that is here opens it")


def damaged(tag: str, detail: str) -> HoldError:
    """The error that says that an age file cannot be opened, though there is a key."""
    return faults.SEALED_DAMAGED(path=f"a file of scope {tag}", detail=detail)


def _told(tag: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except IntegrityError as error:
        raise error if error.code else damaged(tag, error.what) from None


def _without(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    for chunk in chunks:
        if count < len(chunk):
            yield chunk[count:]
        count = max(0, count - len(chunk))


def _tag_of(name: bytes) -> str:
    return name.decode("utf-8", "replace").removesuffix(".age")
