"""What is packed of an archive, given to others: ranges of its pieces, and blocks by their CIDs.

Nothing of it is stored: it is made from the data set, or the folder, while it is asked for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass

from ..archive.archive_folder import ArchiveFolder
from ..archive.images import ImageReader, SnapshotImage
from ..archive.source_leaves import Verified
from ..core import faults
from ..core.errors import HoldError, NotFoundError
from ..core.progress import Progress, Silence
from ..wire import piece_cid
from ..wire.cid import Cid, cid_text, parse_cid
from ..wire.multihash import SHA2_256
from .archive import Archive

RETRY_S = 5.0
"""How long a snapshot that could not be opened is left alone: to try goes once over its plan."""


@dataclass(frozen=True)
class ServedPiece:
    """A piece: its PieceCID, how long it is, and which piece of which snapshot it is."""

    cid: bytes
    size: int
    image: SnapshotImage
    number: int

    @property
    def text(self) -> str:
        """Its PieceCID, version 2, as text."""
        return cid_text(self.cid)


class ServedArchive:
    """All snapshots of an archive that are packed. For many threads."""

    def __init__(self, archive: Archive, progress: Progress | None = None) -> None:
        """Look at all snapshots; of each that was never served its plan is gone through once.

        Raises:
            ConflictError: What is noted of a snapshot is not what was packed.
            NotFoundError: Nothing is packed.
        """
        self._archive = archive
        self._verified = Verified()
        self._guard = threading.Lock()
        self._images: list[SnapshotImage] = []
        self._looked_at = 0
        self._pieces: dict[bytes, ServedPiece] = {}
        self._listed: list[ServedPiece] = []
        self._seen: object = None
        self._trouble: HoldError | None = None
        self._tried = 0.0
        self._refresh(progress or Silence())
        if not self._images:
            raise faults.ARCHIVE_NOTHING(path=os.fsdecode(archive.folder.folder))

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return len(self._listed)

    def pieces(self) -> list[ServedPiece]:
        """All of them, oldest first."""
        return list(self._listed)

    @property
    def roots(self) -> list[Cid]:
        """The root of each snapshot, the newest last."""
        return [image.root for image in self._images]

    def refresh(self) -> None:
        """Take in what was packed meanwhile; what cannot be opened now is tried again later."""
        if self._look() == self._seen:
            return
        if self._trouble is not None and time.monotonic() < self._tried + RETRY_S:
            return
        try:
            self._refresh(Silence())
        except HoldError as error:
            self._trouble = faults.ARCHIVE_UNOPENED(detail=f"{error.what} ({error.why})")
            self._tried = time.monotonic()

    def _look(self) -> object:
        try:
            seen = os.stat(self._archive.folder.folder + b"/snapshots")
        except FileNotFoundError:
            return None
        return seen.st_ino, seen.st_mtime_ns, seen.st_size

    def _refresh(self, progress: Progress) -> None:
        with self._guard:
            seen = self._look()
            if seen == self._seen:
                return
            folder = ArchiveFolder(self._archive.folder.folder)
            new = folder.snapshots[self._looked_at :]
            progress.start(len(new), None)
            try:
                for snapshot in new:
                    # One packed elsewhere has no plan: what its pieces are made of is not known.
                    if folder.has_plan(snapshot.number):
                        name = folder.folder + b"/snapshot-%d" % snapshot.number
                        image = SnapshotImage(
                            name, Cid(bytes.fromhex(snapshot.root)),
                            folder.pieces_of(snapshot.number), self._archive.source.sources(name),
                        )  # fmt: skip
                        self._add(image)
                    self._looked_at += 1
                    progress.advance(1, 0)
            finally:
                progress.stop()
            self._seen, self._trouble = seen, None

    def _add(self, image: SnapshotImage) -> None:
        for number, piece in enumerate(image.pieces):
            served = ServedPiece(piece.cid, piece.size, image, number)
            self._listed.append(served)
            root = piece_cid.read(piece.cid).root
            self._pieces[piece.cid] = self._pieces[piece_cid.write_v1(root)] = served
        self._images.append(image)

    def find_piece(self, cid: bytes) -> ServedPiece | None:
        """The piece of a PieceCID of either version; None when it is none of ours.

        Raises:
            PlaceUnavailableError: It may be of a snapshot that cannot be opened now.
        """
        piece = self._pieces.get(cid)
        if piece is None and self._trouble is not None:
            raise self._trouble
        return piece

    def chunks(
        self, piece: ServedPiece, start: int, stop: int
    ) -> Generator[memoryview, None, None]:
        """The bytes of a piece from ``start`` to before ``stop``; see `ImageReader.chunks`.

        Raises:
            PlaceUnavailableError: A source is not what was packed; nothing of it was given.
        """
        with piece.image.open(self._verified) as reader:
            yield from reader.chunks(piece.number, start, stop)

    def open_blocks(self) -> Blocks:
        """Blocks by their CIDs; for one thread."""
        return Blocks(self._images, self._verified, self._trouble)


class Blocks:
    """The blocks of all snapshots, newest first. Close it."""

    def __init__(
        self, images: list[SnapshotImage], verified: Verified, trouble: HoldError | None = None
    ) -> None:
        """``trouble`` is why there may be more than these images have."""
        self._images = list(images)
        self._verified = verified
        self._trouble = trouble
        self._stack = ExitStack()
        self._readers: dict[int, ImageReader] = {}
        self._last = len(self._images) - 1

    def get(self, cid: Cid) -> bytes:
        """The block of a CID, checked.

        Raises:
            NotFoundError: It is in no snapshot.
            PlaceUnavailableError: Its source is not what was packed; or it may be in a snapshot
                that cannot be opened now.
        """
        hashed = parse_cid(cid).multihash
        if hashed.code == SHA2_256:
            # What is near each other is mostly of one snapshot.
            others = (n for n in reversed(range(len(self._images))) if n != self._last)
            for number in (self._last, *others):
                block = self._reader(number).find(hashed.digest)
                if block is not None:
                    self._last = number
                    return block
        if self._trouble is not None:
            raise self._trouble
        raise NotFoundError(f"{cid_text(cid)} is not here")

    def _reader(self, number: int) -> ImageReader:
        reader = self._readers.get(number)
        if reader is None:
            reader = self._images[number].open(self._verified)
            self._readers[number] = self._stack.enter_context(reader)
        return reader

    def __enter__(self) -> Blocks:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
