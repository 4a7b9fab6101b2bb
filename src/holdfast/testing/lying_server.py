"""An HTTP server for tests that does all that bad servers do, as the first folder of a path says.

``/truncate/x`` is the content of ``x``, cut short; ``/honest/x`` is as it should be. What holds
for one path only is put into the table `LyingServer.lies`.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

PAGE = b"<!doctype html><title>Sorry</title><p>The page you look for has moved.</p>"


class Lie(StrEnum):
    """What a server may do to us."""

    HONEST = "honest"
    TRUNCATE = "truncate"
    """Says the whole length, sends half, hangs up."""
    FLIP = "flip"
    """One bit is another."""
    HTML = "html"
    """An error page with status 200."""
    HTML_CHUNKED = "html-chunked"
    """The same, without a length."""
    HANG = "hang"
    """Half of the content, then nothing for ever."""
    MUTE = "mute"
    """No answer at all."""
    SLOW = "slow"
    """All of it, in eight pieces with pauses."""
    ERROR = "error"
    """500."""
    BUSY = "busy"
    """503 with Retry-After, every time."""
    BUSY_ONCE = "busy-once"
    """429 with Retry-After: 1, then the content."""
    LOOP = "loop"
    """Redirects in a circle."""
    AWAY = "away"
    """Redirects to `LyingServer.elsewhere`."""
    NO_RANGE = "no-range"
    """Answers 200 from the start to a range."""
    WRONG_RANGE = "wrong-range"
    """Says and sends another range than was asked for."""
    LONG = "long"
    """More bytes than there are, with the length to match."""
    ENDLESS = "endless"
    """Bytes without end or length."""
    SHORT = "short"
    """Fewer bytes than there are, with the length to match."""
    CHUNKED = "chunked"
    """In chunks, with a length for HEAD alone, as of some proxies."""
    LONG_CHUNKED = "long-chunked"
    """In chunks, and more than it says."""
    NO_HEAD = "no-head"
    """405 to HEAD."""
    GZIP = "gzip"
    """Says that it is encoded."""
    FORBIDDEN = "forbidden"
    """403."""
    DIGITS = "digits"
    """Says lengths of more digits than Python makes a number of."""
    NONSENSE = "nonsense"
    """No HTTP."""


_IN_CHUNKS = (Lie.CHUNKED, Lie.LONG_CHUNKED)


class LyingServer:
    """A server on a loopback port; use it in a ``with`` block."""

    def __init__(self, contents: Mapping[str, bytes], *, pause_s: float = 0.05) -> None:
        """``contents`` by path without the first folder; ``pause_s`` is for slow answers."""
        self.contents = dict(contents)
        self.lies: dict[str, Lie] = {}
        self.tags: dict[str, str] = {}
        """The ETag of each content that has one."""
        self.elsewhere = ""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.pause_s = pause_s
        self.ending = threading.Event()
        self.connections: set[socket.socket] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        # Who still waits for another request of a client that keeps its connection ends, too.
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def lie_for(self, path: str) -> tuple[Lie, str]:
        """What to do for a path, and which content it is about."""
        first, _, rest = path.lstrip("/").partition("/")
        known = first in [str(lie) for lie in Lie]
        lie = self.lies.get(path.partition("?")[0], Lie(first) if known else Lie.HONEST)
        return lie, (rest if known else path.lstrip("/")).partition("?")[0]


def _handler(server: LyingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        owner = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    owner: LyingServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.owner.connections.add(self.connection)

    def finish(self) -> None:
        self.owner.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Tests are silent."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        owner = self.owner
        owner.requests.append((self.command, self.path, dict(self.headers.items())))
        lie, name = owner.lie_for(self.path)
        if self._answer_without_content(lie):
            return
        content = owner.contents.get(name)
        if content is None:
            self._whole(404, b"not here\n", "text/plain")
        elif lie in (Lie.HTML, Lie.HTML_CHUNKED):
            self._page(lie)
        else:
            self._content(lie, _changed(lie, content), owner.tags.get(name))

    def _answer_without_content(self, lie: Lie) -> bool:
        owner = self.owner
        before = [request for request in owner.requests if request[1] == self.path]
        if lie is Lie.ERROR:
            self._whole(500, b"oops\n", "text/plain")
        elif lie is Lie.FORBIDDEN:
            self._whole(403, b"no\n", "text/plain")
        elif lie is Lie.BUSY or (lie is Lie.BUSY_ONCE and len(before) < 2):
            self._whole(503 if lie is Lie.BUSY else 429, b"", "text/plain", ("Retry-After", "1"))
        elif lie is Lie.NO_HEAD and self.command == "HEAD":
            self._whole(405, b"", "text/plain")
        elif lie is Lie.LOOP:
            target = "/loop/b" if self.path == "/loop/a" else "/loop/a"
            self._whole(302, b"", "text/plain", ("Location", target))
        elif lie is Lie.AWAY:
            self._whole(302, b"", "text/plain", ("Location", owner.elsewhere))
        elif lie is Lie.MUTE:
            owner.ending.wait()
            self.close_connection = True
        elif lie is Lie.NONSENSE:
            self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
            self.close_connection = True
        else:
            return False
        return True

    def _page(self, lie: Lie) -> None:
        if lie is Lie.HTML:
            self._whole(200, PAGE, "text/html; charset=utf-8")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command != "HEAD":
            self._chunk(PAGE)
            self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _whole(self, status: int, body: bytes, kind: str, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _content(self, lie: Lie, content: bytes, tag: str | None) -> None:
        wanted = None if lie in (Lie.NO_RANGE, Lie.ENDLESS) else self._wanted(len(content))
        start, end = wanted or (0, len(content))
        if start >= len(content) and wanted:
            self._whole(416, b"", "text/plain", ("Content-Range", f"bytes */{len(content)}"))
            return
        if lie is Lie.WRONG_RANGE and wanted:
            start -= 1
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Type", "application/octet-stream")
        if tag:
            self.send_header("ETag", f'"{tag}"')
        many = "9" * 5000 if lie is Lie.DIGITS else ""
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{many or len(content)}")
        if lie is Lie.GZIP:
            self.send_header("Content-Encoding", "gzip")
        if lie is Lie.ENDLESS:
            self.close_connection = True
        elif lie in _IN_CHUNKS and self.command != "HEAD":
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", many or str(end - start))
        self.end_headers()
        if self.command != "HEAD":
            self._body(lie, content[start:end])

    def _wanted(self, size: int) -> tuple[int, int] | None:
        found = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", self.headers.get("Range", ""))
        if found is None:
            return None
        return int(found[1]), min(size, int(found[2]) + 1) if found[2] else size

    def _body(self, lie: Lie, part: bytes) -> None:
        half = len(part) // 2
        if lie in (Lie.TRUNCATE, Lie.HANG):
            self.wfile.write(part[:half])
            self.wfile.flush()
            if lie is Lie.HANG:
                self.owner.ending.wait()
            self.close_connection = True
        elif lie is Lie.SLOW:
            step = max(1, len(part) // 8)
            for at in range(0, len(part), step):
                self.wfile.write(part[at : at + step])
                self.wfile.flush()
                time.sleep(self.owner.pause_s)
        elif lie in _IN_CHUNKS:
            self._chunk(part[:half])
            self._chunk(part[half:] + b"more" * (lie is Lie.LONG_CHUNKED))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(part)
        while lie is Lie.ENDLESS and not self.owner.ending.is_set():
            self.wfile.write(part or b"x" * 1000)

    def handle(self) -> None:
        """A client that hangs up is no news."""
        try:
            super().handle()
        except OSError:
            self.close_connection = True


def _changed(lie: Lie, content: bytes) -> bytes:
    if lie is Lie.FLIP and content:
        middle = len(content) // 2
        return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    if lie is Lie.LONG:
        return content + b"more"
    if lie is Lie.SHORT:
        return content[:-4]
    return content
