"""Opened pieces: files and URLs that are read by ranges. Their names say nothing that is believed.

What is read is checked by who reads it: blocks by their CIDs (`piece_blocks`), and a piece that is
read whole by its PieceCID (`check_whole`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from ..core import faults
from ..core.errors import HoldError, PlaceUnavailableError, ProtocolError
from ..core.system_errors import as_fault
from ..wire.piece import PLAIN, Kernel, Piece, PieceHasher, read_piece

if TYPE_CHECKING:
    from ..stores.http import HttpClient

CHUNK = 1 << 20
TRIES_MAX = 3
"""So often in a row a server may break off without having sent a byte."""

UNFINISHED = b".hold-parity-"
_CAR_START = b"\x3a\xa2\x65roots"
_SUFFIX = ".car"


class OpenedPiece(Protocol):
    """A piece that ranges are read of. Any thread may read."""

    @property
    def name(self) -> str:
        """What people know it by."""

    @property
    def size(self) -> int:
        """How many bytes it has."""

    def iter_range(self, offset: int, length: int) -> Iterator[bytes]:
        """These bytes, in parts. They are not checked.

        Raises:
            HoldError: They cannot be read, or there are fewer.
        """


class FilePiece:
    """A piece in a file, which is open only while it is read."""

    def __init__(self, path: bytes) -> None:
        """Look how large the file is.

        Raises:
            HoldError: There is no such file.
        """
        self._path = path
        self.name = os.fsdecode(path)
        self.size = os.stat(path).st_size

    def is_at(self, path: bytes) -> bool:
        """Whether a path leads to the file."""
        try:
            return os.path.samefile(self._path, path)
        except OSError:
            return False

    def follow(self, path: bytes) -> None:
        """Read the file by another name, which it was given."""
        self._path, self.name = path, os.fsdecode(path)

    def iter_range(self, offset: int, length: int) -> Iterator[bytes]:
        """See `OpenedPiece`."""
        _check_range(self, offset, length)
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise gone(self.name) from None
        except OSError as error:
            raise as_fault(error, self.name, reading=True) from error
        try:
            end = offset + length
            while offset < end:
                try:
                    chunk = os.pread(file, min(CHUNK, end - offset), offset)
                except OSError as error:
                    raise as_fault(error, self.name, reading=True) from error
                if not chunk:
                    raise damaged(self.name, offset, "it ends there")
                yield chunk
                offset += len(chunk)
        finally:
            os.close(file)

    def check_size(self) -> None:
        """Look whether the file is there, and as long as it was.

        Raises:
            IncompleteError: It is gone.
            IntegrityError: It has another size.
        """
        try:
            size = os.stat(self._path).st_size
        except FileNotFoundError:
            raise gone(self.name) from None
        except OSError as error:
            raise as_fault(error, self.name, reading=True) from error
        if size != self.size:
            detail = f"it has {size} bytes, and had {self.size}"
            raise damaged(self.name, min(size, self.size), detail)


class UrlPiece:
    """A piece at a URL whose server gives ranges. A connection that breaks is gone on with."""

    def __init__(self, client: HttpClient, url: str) -> None:
        """Find out how large it is: from a PieceCID at the end of the URL, or by asking.

        Raises:
            HoldError: The server does not tell.
        """
        from ..stores.http_urls import safe_url

        self._client = client
        self._url = url
        self.name = safe_url(url)
        expected = named_piece(unquote(urlsplit(url).path))
        self.size = self._asked_size() if expected is None else expected.size

    def _asked_size(self) -> int:
        from ..stores.http import raise_for_status

        answer = self._client.head(self._url)
        raise_for_status(answer)
        if answer.size is None:
            raise unreadable(self.name, "its server does not tell how large it is")
        return answer.size

    def iter_range(self, offset: int, length: int) -> Iterator[bytes]:
        """See `OpenedPiece`."""
        _check_range(self, offset, length)
        return iter_patiently(self.name, offset, length, self._open)

    @contextmanager
    def _open(self, offset: int, length: int) -> Iterator[Iterator[bytes]]:
        try:
            with self._client.open_range(self._url, offset, length) as answer:
                if answer.size not in (None, self.size):
                    detail = f"its server has {answer.size} bytes there instead of {self.size}"
                    raise unreadable(self.name, detail)
                yield answer.chunks
        except ProtocolError as error:
            raise faults.BAD_ANSWER(place=self.name, detail=error.why or error.what) from error


def iter_patiently(
    name: str,
    offset: int,
    length: int,
    open_range: Callable[[int, int], AbstractContextManager[Iterator[bytes]]],
) -> Iterator[bytes]:
    """The bytes of a range, asked for again from where they end too early.

    Raises:
        PlaceUnavailableError: Nothing came so many times in a row.
    """
    end, failures = offset + length, 0
    while offset < end:
        before = offset
        try:
            with open_range(offset, end - offset) as chunks:
                for chunk in chunks:
                    offset += len(chunk)
                    yield chunk
            if offset < end:
                raise faults.UNREACHABLE(place=name, detail="it broke off")
        except PlaceUnavailableError:
            failures = failures + 1 if offset == before else 0
            if failures >= TRIES_MAX:
                raise


class KeptPiece:
    """A piece of which one range was read, and is kept in a file for those who read it again."""

    def __init__(self, piece: OpenedPiece, offset: int, length: int, path: bytes) -> None:
        """Read the range now.

        Raises:
            HoldError: It cannot be read, or kept.
        """
        self.name, self.size = piece.name, piece.size
        self._piece = piece
        self._from, self._to = offset, offset + length
        with open(path, "wb") as file:
            for chunk in piece.iter_range(offset, length):
                file.write(chunk)
        self._kept = FilePiece(path)

    def iter_range(self, offset: int, length: int) -> Iterator[bytes]:
        """See `OpenedPiece`."""
        if self._from <= offset and offset + length <= self._to:
            return self._kept.iter_range(offset - self._from, length)
        return self._piece.iter_range(offset, length)


def read(piece: OpenedPiece, offset: int, length: int) -> bytes:
    """A range as a whole; ask for what fits into memory only."""
    return b"".join(piece.iter_range(offset, length))


def _check_range(piece: OpenedPiece, offset: int, length: int) -> None:
    """Refuse what leads out of a piece: offsets may come from anybody."""
    if offset + length > piece.size:
        detail = f"{length} bytes should be there, and it has {piece.size} in all"
        raise damaged(piece.name, offset, detail)


def named_piece(name: str) -> Piece | None:
    """The piece that a file or URL is named after; None when it is named otherwise."""
    text = name.rpartition("/")[2].removesuffix(_SUFFIX)
    if not text.startswith("bafkzcib"):
        return None
    try:
        return read_piece(text)
    except HoldError:
        return None


def looks_like_piece(piece: OpenedPiece) -> bool:
    """Whether it begins as our CARs do."""
    try:
        return piece.size >= len(_CAR_START) and read(piece, 0, len(_CAR_START)) == _CAR_START
    except HoldError:
        return False


def check_whole(piece: OpenedPiece, expected: Piece, kernel: Kernel = PLAIN) -> None:
    """Read a piece from start to end and hold it against its PieceCID.

    Raises:
        IntegrityError: It is another piece.
        HoldError: It cannot be read.
    """
    hasher = PieceHasher(kernel)
    if piece.size == expected.size:
        for chunk in piece.iter_range(0, piece.size):
            hasher.update(chunk)
        if hasher.digest() == expected:
            return
    raise unreadable(piece.name, f"all of its bytes together are not {expected.v2}")


def iter_files(folder: bytes) -> Iterator[bytes]:
    """All files below a folder that may be pieces, in order.

    Left out is what git keeps for itself, and what is unfinished where parity is computed.
    """
    for above, folders, names in os.walk(folder):
        folders[:] = sorted(n for n in folders if n != b".git" and not n.startswith(UNFINISHED))
        for name in sorted(n for n in names if not n.startswith(UNFINISHED)):
            path = above + b"/" + name
            if os.path.isfile(path):
                yield path


def open_all(
    names: Sequence[str], client: HttpClient | None
) -> Iterator[tuple[OpenedPiece | HoldError, bool]]:
    """Open what people named: files, folders of files, URLs. True for what was named itself.

    What cannot be opened is given as the error.
    """
    for name in names:
        if name.lower().startswith(("http://", "https://")):
            assert client is not None, "who names URLs has a client"
            try:
                yield UrlPiece(client, name), True
            except HoldError as error:
                yield error, True
            continue
        path = os.fsencode(name).rstrip(b"/") or b"/"
        inside = os.path.isdir(path)
        for one in iter_files(path) if inside else [path]:
            try:
                yield FilePiece(one), not inside
            except OSError as error:
                yield unreadable(os.fsdecode(one), (error.strerror or "").lower()), True


def damaged(piece: str, offset: int, detail: str) -> HoldError:
    """The error that says where a piece is not what it should be."""
    return faults.PIECE_DAMAGED(piece=piece, offset=offset, detail=detail)


def gone(piece: str) -> HoldError:
    """The error that says that the file of a piece is not there any more."""
    return faults.PIECE_MISSING(piece=piece, detail="its file is gone")


def unreadable(piece: str, detail: str) -> HoldError:
    """The error that says why something is no piece that can be used."""
    return faults.PIECE_UNREADABLE(piece=piece, detail=detail)
