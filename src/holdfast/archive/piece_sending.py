"""Packed pieces sent to a place that holds named files, made from their sources while they go.

Nothing of a piece is written here, but for places whose programs want a file. A place gives a piece
its name when it is whole there; each leaf was held against its digest before it went.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from ..core.abilities import Content, OnBytes, TreeStore
from ..core.errors import HoldError
from ..core.system_errors import as_fault
from ..wire.cid import cid_text
from .contents import SourceFault
from .images import SnapshotImage
from .snapshot_state import DonePiece
from .source_leaves import Verified


@dataclass(frozen=True)
class Sent:
    """What became of a piece at the place; ``was_there`` when it had not to be sent."""

    number: int
    piece: DonePiece
    was_there: bool = False
    error: HoldError | None = None


def file_name(cid: bytes) -> bytes:
    """What the file of a piece is called."""
    return cid_text(cid).encode() + b".car"


class ImagePiece:
    """An `OpenedPiece` that is stored nowhere: made from its sources as it is read."""

    def __init__(self, image: SnapshotImage, number: int, verified: Verified) -> None:
        piece = image.pieces[number]
        self.name = os.fsdecode(file_name(piece.cid))
        self.size = piece.size
        self._image = image
        self._number = number
        self._verified = verified

    def iter_range(self, offset: int, length: int) -> Iterator[bytes]:
        """See `OpenedPiece`.

        Raises:
            PlaceUnavailableError: A source is not what was packed, its cause is a `SourceFault`.
        """
        stop = min(self.size, offset + length)
        with self._image.open(self._verified) as reader:
            for view in reader.chunks(self._number, offset, stop):
                yield bytes(view)


class PieceContent:
    """A piece as `Content`. ``on_fault`` is told of a source that is not what was packed."""

    def __init__(
        self, piece: ImagePiece, scratch: bytes, on_fault: Callable[[SourceFault], None]
    ) -> None:
        """``scratch`` is a folder for places whose programs want a file."""
        self.size = piece.size
        self._piece = piece
        self._scratch = scratch
        self._on_fault = on_fault
        self._path = b""

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from an offset to the end; none that is not right is given."""
        try:
            yield from self._piece.iter_range(offset, self.size - offset)
        except HoldError as error:
            if isinstance(error.__cause__, SourceFault):
                self._on_fault(error.__cause__)
            raise

    def path(self) -> bytes:
        """A file with them, as long as this is kept."""
        if not self._path:
            descriptor, path = tempfile.mkstemp(prefix=b"sending-", dir=self._scratch)
            self._path = path
            weakref.finalize(self, os.unlink, path)
            try:
                with open(descriptor, "wb", buffering=0) as file:
                    for chunk in self.chunks():
                        file.write(chunk)
            except OSError as error:
                raise as_fault(error, os.fsdecode(path)) from error
        return self._path


class PieceSender:
    """Sends the pieces of snapshots to one place, those that are not whole there."""

    def __init__(
        self, tree: TreeStore, prefix: bytes, scratch: bytes, progress: OnBytes,
        check: Callable[[DonePiece], HoldError | None] | None = None,
    ) -> None:  # fmt: skip
        """Pieces go below ``prefix``. ``check`` reads one back and says what is wrong with it."""
        self._tree = tree
        self._prefix = prefix
        self._scratch = scratch
        self._progress = progress
        self._check = check
        self._verified = Verified()

    def lacking(self, pieces: Sequence[DonePiece]) -> list[int]:
        """The numbers of pieces that the place does not show whole."""
        sizes = self._tree.sizes([self._path(piece) for piece in pieces])
        there = zip(pieces, sizes, strict=True)
        return [number for number, (piece, size) in enumerate(there) if size != piece.size]

    def send(self, image: SnapshotImage, *, strict: bool) -> Generator[Sent, None, bool]:
        """Send what the place lacks of a snapshot; tells of each piece, then whether all are there.

        With ``strict``, a source that is not what was packed is raised, once nothing is at the
        place that was made of pieces from that one on in this call. Without, it costs its piece.

        Raises:
            SourceFault: As said.
            HoldError: The place does not say what it has.
        """
        pieces = list(image.pieces)
        lacking = self.lacking(pieces)
        good = True
        for number in sorted(set(range(len(pieces))) - set(lacking)):
            error = self._check(pieces[number]) if self._check else None
            if error is None:
                yield Sent(number, pieces[number], was_there=True)
            else:
                lacking.append(number)
        found: dict[int, SourceFault] = {}
        came: list[int] = []
        for number, error in self._put(image, pieces, sorted(lacking), found, strict=strict):
            if number in found and strict:
                continue
            if error is None and self._check is not None:
                error = self._check(pieces[number])
            if error is None:
                came.append(number)
            good = good and error is None
            yield Sent(number, pieces[number], error=error)
        if found and strict:
            first = min(found)
            later = [self._path(pieces[number]) for number in came if number > first]
            self._tree.remove_files(later)  # they will be other pieces
            raise found[first]
        return good

    def _put(
        self, image: SnapshotImage, pieces: list[DonePiece], wanted: list[int],
        found: dict[int, SourceFault], *, strict: bool,
    ) -> Iterator[tuple[int, HoldError | None]]:  # fmt: skip
        by_path = {self._path(pieces[number]): number for number in wanted}

        def items() -> Iterator[tuple[bytes, Content]]:
            for path, number in by_path.items():
                if found and strict:
                    return  # what comes after it may become another piece
                note = _noter(found, number)
                yield (
                    path,
                    PieceContent(ImagePiece(image, number, self._verified), self._scratch, note),
                )

        for path, error in self._tree.iter_put(items(), self._progress):
            yield by_path[path], error

    def _path(self, piece: DonePiece) -> bytes:
        return self._prefix + file_name(piece.cid)


def _noter(found: dict[int, SourceFault], number: int) -> Callable[[SourceFault], None]:
    def note(fault: SourceFault) -> None:
        found.setdefault(number, fault)

    return note
