"""Pieces over HTTP, whole or a range of one: ``/piece/PIECECID``, of version 1 or 2."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from ..core.errors import HoldError, ProtocolError
from ..wire import piece_cid
from ..wire.cid import parse_cid_text
from ..wire.p2phttp import BadCall
from .ahead import iter_ahead
from .http_plain import wanted_range

if TYPE_CHECKING:
    from ..api.archive_serving import ServedPiece
    from .archive_server import ArchiveHandler

PIECES = "/piece/"
KIND = "application/piece"
_ALONE_MAX = 2 << 20
"""For so much no thread is worth its while."""


def answer_piece(handler: ArchiveHandler, text: str) -> bool:
    """Answer a request for a piece; whether bytes of it were sent.

    Raises:
        BadCall: That is no PieceCID, or of no piece that is here.
        PlaceUnavailableError: The first bytes cannot be given.
    """
    piece = handler.server.served.find_piece(_read_cid(text))
    if piece is None:
        raise BadCall(404, "there is no such piece here")
    size, tag = piece.size, f'"{piece.text}"'
    headers = {"ETag": tag, **lasting(handler), "X-Content-Type-Options": "nosniff"}
    if is_known(handler, tag):
        handler.begin(304, KIND, headers)
        return False
    headers |= {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="{piece.text}.car"',
    }
    wanted = wanted_range(handler, size, tag)
    first, last = wanted or (0, size - 1)
    if first > last:
        more = {"Content-Range": f"bytes */{size}"}
        handler.reply(416, b"", headers=more)
        return False
    status = 200
    if wanted is not None:
        status, headers["Content-Range"] = 206, f"bytes {first}-{last}/{size}"
    headers["Content-Length"] = str(last + 1 - first)
    if handler.command == "HEAD":
        handler.begin(status, KIND, headers)
        return False
    _send(handler, piece, first, last + 1, status, headers)
    return True


def _send(
    handler: ArchiveHandler,
    piece: ServedPiece,
    start: int,
    stop: int,
    status: int,
    headers: dict[str, str],
) -> None:
    """The head goes when the first bytes are there; what fails later cuts the answer."""
    chunks = handler.server.served.chunks(piece, start, stop)
    with closing(iter_ahead(chunks) if stop - start > _ALONE_MAX else chunks) as ready:
        first = next(ready)
        handler.begin(status, KIND, headers)
        handler.send_view(first)
        for view in ready:
            handler.send_view(view)


def _read_cid(text: str) -> bytes:
    try:
        cid = parse_cid_text(text.removesuffix(".car"))
        piece_cid.read(cid)
    except (ProtocolError, HoldError) as error:
        raise BadCall(400, f"that is no PieceCID: {error}") from None
    return cid


def lasting(handler: ArchiveHandler) -> dict[str, str]:
    """What is named by its bytes may be kept; by the client alone where a login is needed."""
    whose = "private" if handler.server.access.anybody is None else "public"
    return {"Cache-Control": f"{whose}, max-age=29030400, immutable"}


def is_known(handler: ArchiveHandler, tag: str) -> bool:
    """Whether the client has it already."""
    known = handler.headers.get("If-None-Match") or ""
    return known.strip() == "*" or tag in [
        one.strip().removeprefix("W/") for one in known.split(",")
    ]
