"""Content for anybody who can ask for a URL, with byte ranges; and what git-annex discovers by.

``/git-annex/UUID/key/K`` and, as in a git directory on a plain web server, ``/annex/objects/…/K``
give content; ``/config`` tells the UUID and the address of the P2P protocol, and nothing else of
the repository's own configuration, which may hold secrets.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from ..api.served import Offered, Rights
from ..core.errors import ProtocolError
from ..core.key import Key
from ..wire.p2phttp import SIZE_HEADER, BadCall

if TYPE_CHECKING:
    from .http_handler import BaseHandler, Handler

BYTES = "application/octet-stream"
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))")
_OBJECT = re.compile(r"(?:/\.git)?/annex/objects/[^/]+/[^/]+/([^/]+)/([^/]+)")


def answer(handler: Handler, path: str) -> bool:
    """Answer what is ours to answer; False when it is not."""
    if handler.command == "POST":
        return False
    if path in ("/config", "/.git/config"):
        handler.need(Rights.READ)
        handler.reply(200, _config(handler).encode())
        return True
    if path in ("", "/"):
        handler.need(Rights.READ)
        handler.reply(200, _welcome(handler).encode())
        return True
    found = _OBJECT.fullmatch(path)
    if found is None:
        return False
    if found[1] != found[2]:
        raise BadCall(404, "not found")
    try:
        key = Key.from_file_name(unquote_to_bytes(found[1]))
    except ProtocolError:
        raise BadCall(404, "not found") from None
    send_plain(handler, key)
    return True


def send_plain(handler: Handler, key: Key) -> None:
    """Send content, or the range of it that was asked for."""
    handler.need(Rights.READ)
    offered = handler.server.served.offer(key) if key.find(b"\0") < 0 else None
    if offered is None:
        raise BadCall(404, "not found")
    try:
        _send(handler, offered)
    finally:
        offered.close()


def send_from(handler: Handler, key: Key, offset: int) -> None:
    """Send content from an offset on, as the P2P protocol wants it."""
    handler.need(Rights.READ)
    offered = handler.server.served.offer(key)
    if offered is None or offset > offered.size:
        if offered is not None:
            offered.close()
        raise BadCall(404, "not found")
    try:
        left = offered.size - offset
        headers = {SIZE_HEADER: str(left), "Content-Length": str(left)}
        handler.begin(200, BYTES, headers)
        _send_bytes(handler, offered, offset, left)
    finally:
        offered.close()


def _send(handler: Handler, offered: Offered) -> None:
    size = offered.size
    wanted = wanted_range(handler, size, _tag(offered.key))
    headers = {"Accept-Ranges": "bytes", "ETag": _tag(offered.key)}
    if wanted is None:
        # git-annex reads the length of the whole from its own header.
        handler.begin(200, BYTES, {**headers, SIZE_HEADER: str(size), "Content-Length": str(size)})
        _send_bytes(handler, offered, 0, size)
        return
    first, last = wanted
    if first > last:
        handler.reply(416, b"", headers={"Content-Range": f"bytes */{size}"})
        return
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    handler.begin(206, BYTES, {**headers, "Content-Length": str(last - first + 1)})
    _send_bytes(handler, offered, first, last - first + 1)


def wanted_range(handler: BaseHandler, size: int, tag: str) -> tuple[int, int] | None:
    """The first and last byte that are wanted; None for all. An end before the start is none."""
    found = _RANGE.fullmatch(handler.headers.get("Range") or "")
    kept = handler.headers.get("If-Range")
    if found is None or (kept is not None and kept != tag):
        return None
    last = size - 1
    if found[3] is not None:
        length = min(int(found[3]), size)
        return size - length, last
    return int(found[1]), min(last, int(found[2]) if found[2] else last)


def _send_bytes(handler: Handler, offered: Offered, offset: int, size: int) -> None:
    if handler.command == "HEAD" or not size:
        return
    # The last byte goes when it is known that none changed: else the answer stays too short.
    handler.send_file(offered.file, offset, size - 1)
    if not offered.is_unchanged:
        handler.close_connection = True
        return
    handler.send_file(offered.file, offset + size - 1, 1)


def _tag(key: Key) -> str:
    """A key names just these bytes: its digest is as good a tag as any."""
    import hashlib

    return f'"{hashlib.sha256(key).hexdigest()[:32]}"'


def _config(handler: Handler) -> str:
    served = handler.server.served
    bare = "true" if served.dataset.repository.bare else "false"
    return (
        f"[core]\n\trepositoryformatversion = 0\n\tbare = {bare}\n"
        f"[annex]\n\tuuid = {served.uuid}\n\turl = annex+{_base(handler)}/git-annex/\n"
    )


def _base(handler: Handler) -> str:
    """How this client reaches us: as it says itself, unless we were told."""
    if handler.server.public_url is not None:
        return handler.server.url
    host = handler.headers.get("Host") or ""
    return f"http://{host}" if re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", host) else handler.server.url


def _welcome(handler: Handler) -> str:
    base = _base(handler)
    return (
        "A data set, served by hold.\n\n"
        f"  hold clone {base}/\n"
        f"  git clone {base}/ && git annex get .\n"
    )
