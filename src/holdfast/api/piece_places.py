"""Places that pieces are sent to and read from: a folder, or a special remote of named files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ..archive.pieces import OpenedPiece
from ..archive.placed_pieces import BroughtPiece, PlacedPiece, key_of
from ..core import faults
from ..core.abilities import Content, Readable, TreeStore
from ..core.errors import HoldError, NotFoundError
from ..core.key import Key
from ..core.place import Place, PlaceId, Trust
from ..core.system_errors import as_fault
from ..dataset.key_notes import KeyNotes
from ..stores.directory_tree import DirectoryTree
from ..stores.special import SpecialRemote, kind_named, kind_of, tree_of_kind
from ..transfer.outgoing import FileContent, MemoryContent
from ..wire.piece_list import LIST_MAX, LIST_NAME, Listed, read_list, write_list
from .datasets import Dataset
from .special import config_of, special_remote

FOLDER = b"hold-archive/"
"""Where pieces are in a special remote, whose top may hold a tree of files."""

_WITH_RANGES = ("S3", "directory", "rclone", "webdav")
_OF_PATH = PlaceId("2d3b0a34-6b7e-5b0e-8a53-5f0d5c7a9f61")


@dataclass
class PiecePlace:
    """An opened place: files are put by ``tree``, below ``prefix``, and read by ``store``."""

    tree: TreeStore
    store: Readable
    prefix: bytes
    paths: dict[Key, bytes]
    has_ranges: bool
    folder: bytes = b""
    """Its path, if it was named by that."""

    @property
    def label(self) -> str:
        """What people call it."""
        return self.tree.place.label

    def listed(self) -> list[Listed]:
        """The pieces that its list names; none where there is no list.

        Raises:
            HoldError: It cannot be read.
        """
        path = self.prefix + LIST_NAME
        [size] = self.tree.sizes([path])
        if size is None or size > LIST_MAX:
            return []
        key = key_of(path)
        self.paths[key] = path
        with self.store.open_content(key) as stream:
            return read_list(b"".join(stream.chunks))

    def write_list(self, pieces: Sequence[Listed]) -> None:
        """Add pieces to its list.

        Raises:
            HoldError: It could not be written.
        """
        old = self.listed()
        known = {one.name for one in old}
        new = [one for one in pieces if one.name not in known]
        if new:
            self._put(self.prefix + LIST_NAME, MemoryContent(write_list([*old, *new])))

    def open_piece(self, name: str, size: int, scratch: bytes) -> OpenedPiece:
        """A piece there, to be read; nothing is asked yet."""
        path = self.prefix + os.fsencode(name)
        self.paths[key_of(path, size)] = path
        if self.has_ranges:
            return PlacedPiece(self.store, path, size)
        return BroughtPiece(self.store, path, size, scratch)

    def put_file(self, path: bytes) -> None:
        """Send a file, under its own name.

        Raises:
            HoldError: It could not be sent.
        """
        self._put(self.prefix + os.path.basename(path), FileContent(path))

    def _put(self, path: bytes, content: Content) -> None:
        for _, error in self.tree.iter_put([(path, content)], lambda _: None):
            if error is not None:
                raise error


class PiecesAt:
    """A `PieceSource`: all pieces that the list of a place names."""

    def __init__(self, place: PiecePlace, *, only_parity: bool = False) -> None:
        self._place = place
        self._only_parity = only_parity

    def iter_opened(self, scratch: bytes) -> Iterator[tuple[OpenedPiece | HoldError, bool]]:
        """See `PieceSource`; what is listed and not there is left out."""
        found = [one for one in self._place.listed() if one.is_parity or not self._only_parity]
        prefix = self._place.prefix
        sizes = self._place.tree.sizes([prefix + one.name.encode() for one in found])
        for one, size in zip(found, sizes, strict=True):
            if size is not None:
                yield self._place.open_piece(one.name, size, scratch), False


@contextmanager
def open_piece_place(name: str, dataset: Dataset | None) -> Iterator[PiecePlace]:
    """The place of a name: a folder, by its path, or a special remote of the data set.

    A name is that of a folder where there is no data set; or no such remote, and a folder.

    Raises:
        NotFoundError: There is no such place.
        PolicyError: It holds no files of any names, encrypts, or was not approved.
        PlaceUnavailableError: It is not to be reached from here.
    """
    if dataset is None or is_path(name) or (os.path.isdir(name) and not _called(name, dataset)):
        place = _folder(name)
    else:
        place = _special(name, dataset)
    try:
        yield place
    finally:
        place.tree.close()
        place.store.close()


def is_path(name: str) -> bool:
    """Whether a place is named by the path of a folder."""
    return "/" in name or name in (".", "..")


def _folder(name: str) -> PiecePlace:
    folder = os.path.abspath(os.fsencode(name))
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise as_fault(error, name) from error
    place = Place(_OF_PATH, name)
    paths: dict[Key, bytes] = {}
    remote = SpecialRemote(
        place, {"type": "directory"}, {"annex-directory": os.fsdecode(folder)}, b"", _NoNotes(),
        paths_of=lambda key: [paths[key]],
    )  # fmt: skip
    store = kind_named("directory", name).open_store(remote)
    tree = DirectoryTree(place, folder)
    return PiecePlace(tree, store, b"", paths, has_ranges=True, folder=folder)


def _special(name: str, dataset: Dataset) -> PiecePlace:
    local, place = _remote(name, dataset)
    state = local.get("annex-verified", "verified")
    if state != "verified":
        raise faults.PLACE_UNVERIFIED(place=place.name, state=state)
    config = config_of(dataset, local, place)
    kind = kind_of(config)
    if config.get("encryption", "none") != "none":
        detail = "what is there is encrypted, and pieces would not be"
        raise faults.HOLDS_NO_TREE(place=place.label, detail=detail)
    paths: dict[Key, bytes] = {}
    config = {**config, "exporttree": "yes"}  # files by their paths, whatever else is there
    notes = KeyNotes(dataset.repository, dataset.ledger)
    remote = special_remote(dataset, place, config, local, notes)
    tree = tree_of_kind(remote)
    reading = replace(remote, paths_of=lambda key: [paths[key]])
    store = kind_named(kind, place.label).open_store(reading)
    return PiecePlace(tree, store, FOLDER, paths, has_ranges=kind in _WITH_RANGES)


def _called(name: str, dataset: Dataset) -> bool:
    """Whether a remote of the data set is called so, or has that UUID."""
    remotes = dataset.repository.config.sections("remote")
    return name in remotes or any(one.get("annex-uuid") == name for one in remotes.values())


def _remote(name: str, dataset: Dataset) -> tuple[Mapping[str, str], Place]:
    """The settings of a remote that is called so, or has that UUID."""
    remotes = dataset.repository.config.sections("remote")
    called = {s["annex-uuid"]: n for n, s in remotes.items() if s.get("annex-uuid")}
    found = name if name in called.values() else called.get(name)
    if found is None:
        known = ", ".join(sorted(called.values())) or "none"
        raise faults.NO_SUCH_PLACE(place=name, known=known)
    local = remotes[found]
    uuid = PlaceId(local["annex-uuid"])
    return local, Place(uuid, found, dataset.ledger.trust.get(uuid, Trust.SEMITRUSTED))


class _NoNotes:
    """A place of which no ledger keeps anything."""

    def read(self, log: object, keys: Sequence[Key]) -> dict[Key, bytes]:
        """Nothing."""
        return {}

    def edit(self, log: object, key: Key, edit: object) -> None:
        """Nothing is ever noted."""
        raise NotFoundError("no ledger")
