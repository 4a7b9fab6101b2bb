"""Blocks over HTTP, as a trustless gateway gives them: one raw, or many as a CAR."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from ..core.errors import NotFoundError
from ..wire.car import encode_header, encode_section
from ..wire.dag_walk import iter_scope
from ..wire.file_layout import Block
from ..wire.gateway import Form, Wish, read_wish
from ..wire.p2phttp import BadCall
from ..wire.unixfs_reading import load
from .archive_pieces import is_known, lasting

if TYPE_CHECKING:
    from ..api.archive_serving import Blocks
    from .archive_server import ArchiveHandler

_CHUNK = 1 << 20


def answer_blocks(handler: ArchiveHandler) -> bool:
    """Answer a request for blocks; whether some were sent.

    Raises:
        BadCall: It is not understood, or what it is for is not here.
        PlaceUnavailableError: The first block cannot be given.
    """
    wish = read_wish(handler.path, handler.headers.get("Accept"))
    with handler.server.served.open_blocks() as blocks:
        try:
            if wish.form is Form.RAW:
                return _send_raw(handler, wish, blocks)
            return _send_car(handler, wish, blocks)
        except NotFoundError as error:
            only_cached = "only-if-cached" in (handler.headers.get("Cache-Control") or "").lower()
            raise BadCall(412 if only_cached else 404, error.what) from None


def _send_raw(handler: ArchiveHandler, wish: Wish, blocks: Blocks) -> bool:
    block = load(wish.root, blocks.get).data
    headers = _headers(handler, wish)
    if is_known(handler, wish.tag):
        handler.begin(304, wish.kind, headers)
        return False
    handler.reply(200, block, wish.kind, headers)
    return handler.command != "HEAD"


def _send_car(handler: ArchiveHandler, wish: Wish, blocks: Blocks) -> bool:
    found = iter_scope(
        wish.root, wish.names, blocks.get, wish.scope, wish.byte_range, repeats=wish.repeats
    )
    # The path is followed before the head goes; what fails later can only cut the answer.
    first = next(found, None)
    headers = _headers(handler, wish)
    if is_known(handler, wish.tag):
        handler.begin(304, wish.kind, headers)
        return False
    is_chunked = handler.request_version not in ("HTTP/0.9", "HTTP/1.0")
    if is_chunked:
        headers["Transfer-Encoding"] = "chunked"
    else:
        handler.close_connection = True
    handler.begin(200, wish.kind, headers)
    if handler.command == "HEAD":
        return False
    given = found if first is None else chain((first,), found)
    try:
        for data in _joined(encode_header([wish.root]), given):
            part = b"%x\r\n%b\r\n" % (len(data), data) if is_chunked else data
            handler.send_view(memoryview(part))
    except BaseException:
        if not is_chunked:
            handler.reset()
        raise
    if is_chunked:
        handler.send_view(memoryview(b"0\r\n\r\n"))
    return True


def _joined(header: bytes, blocks: Iterator[Block]) -> Iterator[bytes]:
    """The bytes of a CAR, many small blocks at once."""
    parts, size = [header], len(header)
    for cid, block in blocks:
        section = encode_section(cid, block)
        if size + len(section) > _CHUNK and parts:
            yield b"".join(parts)
            parts, size = [], 0
        parts.append(section)
        size += len(section)
    yield b"".join(parts)


def _headers(handler: ArchiveHandler, wish: Wish) -> dict[str, str]:
    return {
        "ETag": wish.tag,
        **lasting(handler),
        "Content-Disposition": f'attachment; filename="{wish.file_name}"',
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept",
    }
