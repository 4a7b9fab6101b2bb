"""The git repository over HTTP, smart and plain: each request is answered by git's own server."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from ..api.served import Rights
from ..dataset.http_backend import start_http_backend
from ..wire.p2phttp import BadCall
from .http_body import Cut

if TYPE_CHECKING:
    from .http_handler import Handler

_PATHS = re.compile(
    r"/(HEAD|info/refs|objects/[0-9a-f]{2}/[0-9a-f]{38,62}|objects/info/[a-z0-9/-]+"
    r"|objects/pack/pack-[0-9a-f]{40,64}\.(pack|idx)|git-upload-pack|git-receive-pack)"
)
_READ = 1 << 18
_HEAD_MAX = 1 << 14
_PASSED_ON = {
    "Content-Type": "CONTENT_TYPE",
    "Content-Length": "CONTENT_LENGTH",
    "Content-Encoding": "HTTP_CONTENT_ENCODING",
    "Git-Protocol": "GIT_PROTOCOL",
    "Accept-Encoding": "HTTP_ACCEPT_ENCODING",
}


def concerns(path: str) -> bool:
    """Whether a path is one that git asks for."""
    return _PATHS.fullmatch(path.removeprefix("/.git")) is not None


def answer(handler: Handler) -> None:
    """Let git answer.

    Raises:
        AccessError, NeedsLogin: Who asks may not.
    """
    path, _, query = handler.path.partition("?")
    path = path.removeprefix("/.git")
    pushes = path == "/git-receive-pack" or "service=git-receive-pack" in query
    handler.need(Rights.APPEND if pushes else Rights.READ)
    request = {
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_METHOD": handler.command,
        "REMOTE_ADDR": str(handler.client_address[0]),
        "REMOTE_USER": handler.user or "",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    for name, variable in _PASSED_ON.items():
        if handler.headers.get(name):
            request[variable] = handler.headers[name]
    repository = handler.server.served.dataset.repository
    process = start_http_backend(repository, request, may_push=pushes)
    try:
        _converse(handler, process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _converse(handler: Handler, process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None and process.stdout is not None
    feeder = threading.Thread(target=_feed, args=(handler, process.stdin), daemon=True)
    feeder.start()
    status, headers = _read_head(process.stdout)
    kind = headers.pop("Content-Type", "application/octet-stream")
    pieces = iter(lambda: process.stdout.read1(_READ), b"")  # type: ignore[union-attr, attr-defined]
    if "Content-Length" not in headers:
        headers["Transfer-Encoding"] = "chunked"
        pieces = _in_chunks(pieces)
    handler.begin(status, kind, headers)
    for piece in pieces:
        handler.wfile.write(piece)
    feeder.join(handler.timeout)
    if feeder.is_alive():
        handler.close_connection = True


def _feed(handler: Handler, pipe: IO[bytes]) -> None:
    """Pass the body on; git may end before it has read all of it."""
    with suppress(OSError, Cut):
        for data in handler.body.chunks():
            pipe.write(data)
    with suppress(OSError):
        pipe.close()


def _read_head(pipe: IO[bytes]) -> tuple[int, dict[str, str]]:
    status, headers, size = 200, {}, 0
    while (line := pipe.readline(_HEAD_MAX)).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip()] = value.strip()
        size += len(line)
        if size > _HEAD_MAX:
            break
    if not headers:
        raise BadCall(500, "git did not answer")
    if "Status" in headers:
        status = int(headers.pop("Status").split()[0])
    return status, headers


def _in_chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
