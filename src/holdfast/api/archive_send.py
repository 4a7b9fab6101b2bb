"""Sending an archive's pieces to a place, and parity beside them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from ..archive.archive_folder import ArchiveFolder
from ..archive.images import SnapshotImage
from ..archive.piece_sending import ImagePiece, PieceSender, Sent
from ..archive.pieces import OpenedPiece, check_whole
from ..archive.snapshot_state import DonePiece
from ..archive.snapshots import Source
from ..archive.source_leaves import Verified
from ..core.errors import HoldError
from ..core.outcome import Outcome, Status
from ..core.progress import Progress
from ..core.system_errors import as_fault
from ..wire.cid import Cid, cid_text
from ..wire.piece import Kernel, read_piece
from ..wire.piece_list import Listed
from .archive_found import Pieces
from .archive_parity import ParityPlan, iter_archive_parity
from .piece_places import PiecePlace, PiecesAt

SEND = "send"


@dataclass(frozen=True)
class Destination:
    """Where pieces go; ``verify`` has each read back; ``parity`` is what is made beside them."""

    place: PiecePlace
    verify: bool = False
    parity: ParityPlan | None = None


class Delivery:
    """Brings the pieces of all snapshots of an archive to one place."""

    def __init__(
        self, archive: ArchiveFolder, source: Source, to: Destination, kernel: Kernel,
        progress: Progress,
    ) -> None:  # fmt: skip
        """Nothing is asked yet; ``scratch`` files are below the archive's folder."""
        self._archive = archive
        self._source = source
        self._to = to
        self._kernel = kernel
        self._progress = progress
        self._scratch = archive.folder + b"/sending"
        self._sender = PieceSender(
            to.place.tree, to.place.prefix, self._scratch, self._moved,
            self._read_back if to.verify else None,
        )  # fmt: skip

    def __enter__(self) -> Delivery:
        """Have an empty scratch folder; who calls holds the archive's lock."""
        try:
            shutil.rmtree(self._scratch, ignore_errors=True)  # what a killed run left
            os.makedirs(self._scratch)
        except OSError as error:
            raise as_fault(error, os.fsdecode(self._scratch)) from error
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def iter_earlier(self) -> Iterator[Outcome]:
        """Send what the place lacks of snapshots that are finished."""
        for image in self._images():
            if not self._to.verify and not self._sender.lacking(image.pieces):
                continue
            for sent in self._send(image, strict=False):
                yield self.told(sent)

    def deliver(self, image: SnapshotImage) -> Generator[Sent, None, bool]:
        """Send a snapshot that is being finished; see `PieceSender.send`."""
        return (yield from self._send(image, strict=True))

    def told(self, sent: Sent) -> Outcome:
        """The outcome of a piece."""
        facts = {
            "piece": sent.number, "place": self._to.place.label,
            "checked": "read back" if self._to.verify else "by the place",
        }  # fmt: skip
        name, size = cid_text(sent.piece.cid), sent.piece.size
        if sent.error is not None:
            note = f"{sent.error.what}: {sent.error.why}"
            return Outcome(SEND, Status.ERROR, name, size=size, note=note, error=sent.error)
        if sent.was_there:
            return Outcome(
                SEND, Status.NOT_NEEDED, name, size=size, note="it is there", facts=facts
            )
        return Outcome(SEND, Status.OK, name, size=size, facts=facts)

    def finish(self) -> Iterator[Outcome]:
        """Make parity, if that is wished, and have the place list all that is there.

        Raises:
            HoldError: The place does not take it.
        """
        there: list[Listed] = []
        for snapshot in self._archive.snapshots:
            pieces = self._archive.pieces_of(snapshot.number)
            lacking = set(self._sender.lacking(pieces))
            there += [
                Listed(cid_text(piece.cid) + ".car", piece.size, is_parity=False)
                for number, piece in enumerate(pieces)
                if number not in lacking
            ]
        self._to.place.write_list(there)
        if self._to.parity is not None:
            yield from self._with_parity(self._to.parity)

    # parts

    def _send(self, image: SnapshotImage, *, strict: bool) -> Generator[Sent, None, bool]:
        lacking = self._sender.lacking(image.pieces)
        self._progress.start(len(lacking), sum(image.pieces[n].size for n in lacking))
        try:
            return (yield from self._sender.send(image, strict=strict))
        finally:
            self._progress.stop()

    def _moved(self, size: int) -> None:
        self._progress.advance(0, size)

    def _read_back(self, piece: DonePiece) -> HoldError | None:
        name = cid_text(piece.cid)
        opened = self._to.place.open_piece(name + ".car", piece.size, self._scratch)
        try:
            check_whole(opened, read_piece(name), self._kernel)
        except HoldError as error:
            return error
        return None

    def _images(self) -> Iterator[SnapshotImage]:
        for snapshot in self._archive.snapshots:
            folder = self._archive.folder + b"/snapshot-%d" % snapshot.number
            yield SnapshotImage(
                folder, Cid(bytes.fromhex(snapshot.root)),
                self._archive.pieces_of(snapshot.number), self._source.sources(folder),
            )  # fmt: skip

    def _with_parity(self, plan: ParityPlan) -> Iterator[Outcome]:
        """Parity is made of the sources again, here, a group at a time, then sent and removed."""
        place = self._to.place
        sources: Pieces = [_Images(list(self._images())), PiecesAt(place, only_parity=True)]
        made = self._scratch + b"/parity"
        for outcome in iter_archive_parity(
            sources, made, plan, kernel=self._kernel, progress=self._progress
        ):
            file = outcome.facts.get("file")
            if not isinstance(file, str):
                yield outcome
                continue
            path = os.fsencode(file)
            place.put_file(path)
            size = os.stat(path).st_size
            os.unlink(path)
            place.write_list([Listed(os.path.basename(file), size, is_parity=True)])
            facts = {name: fact for name, fact in outcome.facts.items() if name != "file"}
            yield outcome._replace(facts={**facts, "place": place.label})


class _Images:
    """A `PieceSource`: pieces made from what they were packed from."""

    def __init__(self, images: list[SnapshotImage]) -> None:
        self._images = images

    def iter_opened(self, scratch: bytes) -> Iterator[tuple[OpenedPiece | HoldError, bool]]:
        """See `PieceSource`."""
        verified = Verified()
        for image in self._images:
            for number in range(len(image.pieces)):
                yield ImagePiece(image, number, verified), False
