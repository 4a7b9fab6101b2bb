"""Where the pieces of a place are: a folder, a URL, a bucket. Each lists and opens them.

Names are those of files, URLs or objects. A stamp is another when what has the name may be another
piece; an empty one says nothing, so that the piece is looked at each time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urljoin, urlsplit

from ..core import faults
from ..core.system_errors import as_fault
from .pieces import (
    FilePiece,
    OpenedPiece,
    UrlPiece,
    gone,
    iter_files,
    iter_patiently,
    named_piece,
    unreadable,
)

if TYPE_CHECKING:
    from ..stores.http import HttpClient
    from ..stores.s3 import S3
    from ..stores.s3_client import S3Client

PAGE_MAX = 16 << 20
"""No page that lists pieces is longer."""

_NAMED = re.compile(rb"(?:/piece/)?bafkzcib[a-z2-7]{50,120}(?:\.car)?")
_LASTING = "named by its bytes"


class PieceSource(Protocol):
    """Somewhere that pieces are."""

    @property
    def where(self) -> str:
        """What people know it by; it differs where something else may be there."""

    @property
    def is_local(self) -> bool:
        """Whether its pieces are files here."""

    def listed(self) -> dict[str, str]:
        """The pieces there, or what may be some, by name: the stamp of each.

        Raises:
            PlaceUnavailableError: It is not there now.
            HoldError: It cannot be listed.
        """

    def open(self, name: str) -> OpenedPiece:
        """Open one.

        Raises:
            HoldError: It is gone, or cannot be read.
        """

    def name_of(self, cid: str) -> str | None:
        """Where a piece would be that another one names by its PieceCID; None if lists tell all."""

    def close(self) -> None:
        """Let go of connections."""


class FolderSource:
    """Pieces in a folder, or below it."""

    is_local = True

    def __init__(self, folder: bytes) -> None:
        self.where = os.fsdecode(folder)
        self._folder = folder

    def listed(self) -> dict[str, str]:
        """See `PieceSource`."""
        if not os.path.isdir(self._folder):
            raise faults.UNREACHABLE(place=self.where, detail="there is no such folder")
        found = {}
        for path in iter_files(self._folder):
            try:
                seen = os.stat(path)
            except OSError:
                continue  # it went, or may not be looked at: it is no piece that is here
            found[os.fsdecode(path)] = f"{seen.st_size}-{seen.st_mtime_ns}-{seen.st_ino}"
        return found

    def open(self, name: str) -> OpenedPiece:
        """See `PieceSource`."""
        try:
            return FilePiece(os.fsencode(name))
        except FileNotFoundError:
            raise gone(name) from None
        except OSError as error:
            raise as_fault(error, name, reading=True) from error

    def name_of(self, cid: str) -> str | None:
        """See `PieceSource`."""
        return None

    def close(self) -> None:
        """See `PieceSource`."""


class UrlSource:
    """Pieces on a web server: all that a page names, or one and all that it leads to beside it.

    A page may be one that a server makes of a folder, or that of ``hold archive serve``.
    """

    is_local = False

    def __init__(self, url: str, client: HttpClient) -> None:
        from ..stores.http_urls import safe_url

        path = urlsplit(url).path
        self._is_page = named_piece(unquote(path)) is None and not path.endswith(".car")
        self._url = url + "/" if self._is_page and not path else url
        self.where = safe_url(self._url)
        self._client = client

    def listed(self) -> dict[str, str]:
        """See `PieceSource`."""
        if not self._is_page:
            return {self._url: self._stamp(self._url)}
        page = self._read_page()
        if not page:
            raise unreadable(self.where, "nothing is there, and a page should name the pieces")
        names = dict.fromkeys(found.decode() for found in _NAMED.findall(page))
        urls = [urljoin(self._url, name) for name in names if named_piece(name) is not None]
        return {url: self._stamp(url) for url in urls}

    def _read_page(self) -> bytes:
        page = bytearray()
        with self._client.open(self._url) as answer:
            self._url = answer.url  # a folder's has a slash at the end
            for chunk in answer.chunks:
                page += chunk
                if len(page) > PAGE_MAX:
                    detail = f"it is longer than {PAGE_MAX} bytes, and no page that names pieces"
                    raise unreadable(self.where, detail)
        return bytes(page)

    @staticmethod
    def _stamp(url: str) -> str:
        return _LASTING if named_piece(unquote(urlsplit(url).path)) is not None else ""

    def open(self, name: str) -> OpenedPiece:
        """See `PieceSource`."""
        return UrlPiece(self._client, name)

    def name_of(self, cid: str) -> str | None:
        """See `PieceSource`."""
        if self._is_page:
            return None
        suffix = ".car" if urlsplit(self._url).path.endswith(".car") else ""
        return urljoin(self._url, cid + suffix)

    def close(self) -> None:
        """See `PieceSource`."""
        self._client.close()


class BucketSource:
    """Pieces that are objects of a bucket: all whose names begin with a prefix."""

    is_local = False

    def __init__(self, top: str, prefix: bytes, store: S3) -> None:
        """``store`` makes the requests; ``top`` is what people know the bucket by."""
        self.where = f"{top}/{os.fsdecode(prefix)}"
        self._top = top
        self._prefix = prefix
        self._store = store
        self._sizes: dict[str, int] = {}

    def listed(self) -> dict[str, str]:
        """See `PieceSource`."""
        found, token, client = {}, "", self._store.client
        while True:
            page = client.list_page(self._prefix, token)
            for raw, size, tag in page.objects:
                name = os.fsdecode(raw)
                found[name], self._sizes[name] = f"{size}-{tag}", size
            if not page.token or page.token == token:
                return found
            token = page.token

    def open(self, name: str) -> OpenedPiece:
        """See `PieceSource`."""
        return BucketPiece(self._store.client, f"{self._top}/{name}", name, self._sizes[name])

    def name_of(self, cid: str) -> str | None:
        """See `PieceSource`."""
        return None

    def close(self) -> None:
        """See `PieceSource`."""
        self._store.close()


class BucketPiece:
    """A piece that is an object of a bucket."""

    def __init__(self, client: S3Client, label: str, name: str, size: int) -> None:
        self.name, self.size = label, size
        self._client = client
        self._object = os.fsencode(name)

    def iter_range(self, offset: int, length: int) -> Iterator[bytes]:
        """See `OpenedPiece`."""
        if offset + length > self.size:
            raise unreadable(self.name, f"it ends at byte {self.size}, before {offset + length}")
        return iter_patiently(self.name, offset, length, self._open)

    @contextmanager
    def _open(self, offset: int, length: int) -> Iterator[Iterator[bytes]]:
        with self._client.open(self._object, offset, None, length) as stream:
            if stream.size not in (None, self.size):
                detail = f"{stream.size} bytes are there now instead of {self.size}"
                raise unreadable(self.name, detail)
            if stream.offset != offset:
                detail = f"asked for byte {offset} it sends from byte {stream.offset}"
                raise faults.BAD_ANSWER(place=self.name, detail=detail)
            yield _no_more(self.name, offset, length, stream.chunks)


def _no_more(name: str, offset: int, length: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks, unless they are more than was asked for."""
    left = length
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            detail = f"asked for {length} bytes from byte {offset} it sends more"
            raise faults.BAD_ANSWER(place=name, detail=detail)
        yield chunk
