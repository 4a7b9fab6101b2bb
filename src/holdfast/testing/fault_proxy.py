"""A proxy between us and an HTTP server, or any server, that makes the network's faults.

It reads requests and answers as they pass and harms them as its ``trouble`` says, which may be
changed at any time. Troubles of bodies concern those of some size, in whichever direction they
go; the others concern every request. With certificates it speaks TLS to us and none to the server.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Self

BODY_MIN = 4096
"""From this size on a body is one to harm."""

PASSES = 20_000
"""So many bytes of a body pass before it is cut or stalls."""

SLOW_PIECE, SLOW_PAUSE_S = 8_000, 0.02

_REASONS = {
    302: "Found", 401: "Unauthorized", 403: "Forbidden", 429: "Too Many", 500: "Broken",
    502: "Bad Gateway", 503: "Busy", 504: "Late Gateway",
}  # fmt: skip


class Trouble(StrEnum):
    """What goes wrong on the way."""

    NONE = "nothing"
    SLOW = "slow"
    """Bodies pass in pieces, with pauses."""
    CUT = "cut"
    """The connection is reset in the middle of a body, each time."""
    CUT_ONCE = "cut once"
    """The same, the first time."""
    STALL = "stall"
    """Bodies stop in the middle, and the connection stays open."""
    FLIP = "bit flip"
    """One bit of the first body is another."""
    LENGTH = "wrong length"
    """Content-Length says less than there was, and so much comes."""
    BUSY_ONCE = "429 once, with Retry-After"
    ERROR_ONCE = "503 once"
    ERROR = "503"
    BROKEN = "500"
    BAD_GATEWAY = "502"
    LATE_GATEWAY = "504"
    EXPIRED = "401"
    """Whoever was known is not any more."""
    FORBIDDEN = "403"
    LOOP = "redirect loop"
    """Every answer leads to the same URL again."""
    UNTRUSTED = "TLS error"
    """The certificate is one that nobody trusts."""


_ALWAYS = frozenset(
    (
        Trouble.ERROR, Trouble.BROKEN, Trouble.BAD_GATEWAY, Trouble.LATE_GATEWAY, Trouble.EXPIRED,
        Trouble.FORBIDDEN, Trouble.LOOP,
    )
)  # fmt: skip
"""Troubles in which the proxy answers every request itself."""


@dataclass(frozen=True)
class Tls:
    """What the proxy shows as its own: a certificate to trust, and one that is not the same."""

    trusted: ssl.SSLContext
    untrusted: ssl.SSLContext
    authorities: Path
    """The file to trust the first by, as SSL_CERT_FILE."""


def make_tls(folder: Path) -> Tls:
    """Two certificates of their own for 127.0.0.1.

    Raises:
        FileNotFoundError: The program ``openssl``, which makes them, is not there.
    """
    contexts: list[ssl.SSLContext] = []
    for name in ("trusted", "untrusted"):
        words = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
            "subjectAltName=IP:127.0.0.1", "-keyout", f"{folder}/{name}.key",
            "-out", f"{folder}/{name}.pem",
        ]  # fmt: skip
        subprocess.run(words, check=True, capture_output=True, timeout=60)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        contexts.append(context)
    return Tls(contexts[0], contexts[1], folder / "trusted.pem")


class _Hung(Exception):
    """One of both ends has gone, or is to go."""


@dataclass
class _Message:
    """The head of a request or an answer."""

    first: str
    headers: list[tuple[str, str]] = field(default_factory=list)

    def get(self, name: str) -> str:
        return next((value for n, value in self.headers if n.lower() == name), "")

    def replace(self, name: str, value: str) -> None:
        self.headers = [(n, value if n.lower() == name else v) for n, v in self.headers]

    @property
    def length(self) -> int | None:
        given = self.get("content-length")
        return int(given) if given.isdecimal() else None

    def bytes(self) -> bytes:
        lines = [self.first, *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")


class FaultProxy:
    """A proxy to a port of this machine, on a port of its own; use it in a ``with``."""

    def __init__(self, target: int, tls: Tls | None = None, *, raw: bool = False) -> None:
        """``raw`` is for servers of anything but HTTP: there, what they send is the body."""
        self.trouble = Trouble.NONE
        self.harmed = 0
        """How often the trouble was made since `begin`."""
        self._target = target
        self._tls = tls
        self._raw = raw
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listening.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="faults", daemon=True).start()
        return self

    def __exit__(self, *ended: object) -> None:
        self.begin(Trouble.NONE)
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def begin(self, trouble: Trouble) -> None:
        """From now on there is this trouble; connections that were open end."""
        with self._lock:
            self._over.set()
            self._over = threading.Event()
            self.trouble, self.harmed = trouble, 0
            ended, self._open = self._open, set()
        for connection in ended:
            _reset(connection)

    # connections

    def _accept(self) -> None:
        while True:
            try:
                client = self._listening.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = None
        try:
            with suppress(OSError, _Hung, ValueError):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client = self._shown(client)
                server = socket.create_connection(("127.0.0.1", self._target), 10)
                server.settimeout(None)
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._open |= {client, server}
                (self._pass_raw if self._raw else self._pass_http)(client, server)
        finally:
            for connection in (client, server):
                if connection is not None:
                    self._open.discard(connection)
                    _reset(connection)

    def _shown(self, client: socket.socket) -> socket.socket:
        if self._tls is None:
            return client
        untrusted = self.trouble is Trouble.UNTRUSTED
        self.harmed += untrusted
        context = self._tls.untrusted if untrusted else self._tls.trusted
        return context.wrap_socket(client, server_side=True)

    def _pass_http(self, client: socket.socket, server: socket.socket) -> None:
        from_client, from_server = client.makefile("rb"), server.makefile("rb")
        while True:
            request = _read_head(from_client)
            words = request.first.split()
            if self._answers_itself():
                _read_rest(from_client, request.length or 0)
                client.sendall(self._own_answer(words[1]))
                continue
            self._pass_body(from_client, server, request, request.length or 0)
            answer = _read_head(from_server)
            status = int(answer.first.split()[1])
            empty = words[0] == "HEAD" or status in (204, 304) or status < 200
            if empty:
                client.sendall(answer.bytes())
            elif answer.get("transfer-encoding").lower() == "chunked":
                client.sendall(answer.bytes())
                _pass_chunks(from_server, client)
            elif answer.length is None:
                client.sendall(answer.bytes())
                self._pass_until_end(server, from_server, client)
            else:
                self._pass_body(from_server, client, answer, answer.length)

    def _answers_itself(self) -> bool:
        once = self.trouble in (Trouble.BUSY_ONCE, Trouble.ERROR_ONCE)
        always = self.trouble in _ALWAYS
        with self._lock:
            if not always and not (once and not self.harmed):
                return False
            self.harmed += 1
            return True

    def _own_answer(self, target: str) -> bytes:
        status, more = {
            Trouble.BUSY_ONCE: (429, "Retry-After: 1\r\n"),
            Trouble.ERROR_ONCE: (503, ""),
            Trouble.ERROR: (503, ""),
            Trouble.BROKEN: (500, ""),
            Trouble.BAD_GATEWAY: (502, ""),
            Trouble.LATE_GATEWAY: (504, ""),
            Trouble.EXPIRED: (401, 'WWW-Authenticate: Basic realm="git-annex"\r\n'),
            Trouble.FORBIDDEN: (403, ""),
            Trouble.LOOP: (302, f"Location: {target}\r\n"),
        }[self.trouble]
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\n{more}Content-Length: 0\r\n\r\n"
        return head.encode("latin-1")

    # bodies

    def _pass_body(
        self, source: BinaryIO, sink: socket.socket, message: _Message, size: int
    ) -> None:
        trouble = self.trouble if size >= BODY_MIN else Trouble.NONE
        short = 7 if trouble is Trouble.LENGTH else 0
        if short:
            self.harmed += 1
            message.replace("content-length", str(size - short))
        sink.sendall(message.bytes())
        at = 0
        while at < size:
            chunk = source.read1(min(SLOW_PIECE, size - at))  # type: ignore[attr-defined]
            if not chunk:
                raise _Hung
            sink.sendall(self._harm(trouble, chunk, at)[: max(0, size - short - at)])
            at += len(chunk)

    def _pass_until_end(self, server: socket.socket, head: BinaryIO, sink: socket.socket) -> None:
        at = 0
        while chunk := head.read1(SLOW_PIECE):  # type: ignore[attr-defined]
            sink.sendall(self._harm(self.trouble, chunk, at))
            at += len(chunk)
        raise _Hung

    def _pass_raw(self, client: socket.socket, server: socket.socket) -> None:
        other = threading.Thread(target=self._pump, args=(client, server), daemon=True)
        other.start()
        self._pump(server, client)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        at = 0
        with suppress(OSError, _Hung):
            while chunk := source.recv(SLOW_PIECE):
                sink.sendall(self._harm(self.trouble, chunk, at))
                at += len(chunk)
        for connection in (source, sink):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _harm(self, trouble: Trouble, chunk: bytes, at: int) -> bytes:
        """What becomes of a piece of a body that begins at a byte."""
        if trouble is Trouble.SLOW:
            self.harmed += 1
            time.sleep(SLOW_PAUSE_S)
        if not at <= PASSES < at + len(chunk):
            return chunk
        if trouble is Trouble.FLIP and not self.harmed:
            self.harmed += 1
            where = PASSES - at
            return chunk[:where] + bytes([chunk[where] ^ 1]) + chunk[where + 1 :]
        if trouble is Trouble.CUT or (trouble is Trouble.CUT_ONCE and not self.harmed):
            self.harmed += 1
            raise _Hung
        if trouble is Trouble.STALL:
            self.harmed += 1
            self._over.wait()
            raise _Hung
        return chunk


def _read_head(source: BinaryIO) -> _Message:
    first = source.readline(1 << 16)
    if not first:
        raise _Hung
    message = _Message(first.decode("latin-1").rstrip("\r\n"))
    while (line := source.readline(1 << 16).decode("latin-1").rstrip("\r\n")) != "":
        found = re.fullmatch(r"([^:]+):\s*(.*)", line)
        assert found is not None, f"no header: {line!r}"
        message.headers.append((found[1], found[2]))
    return message


def _read_rest(source: BinaryIO, size: int) -> None:
    while size:
        chunk = source.read(min(size, 1 << 16))
        if not chunk:
            raise _Hung
        size -= len(chunk)


def _pass_chunks(source: BinaryIO, sink: socket.socket) -> None:
    size = -1
    while size:
        line = source.readline(100)
        size = int(line.partition(b";")[0], 16)
        sink.sendall(line + source.read(size) + source.readline(10))


def _reset(connection: socket.socket) -> None:
    """Close it at once, with what is on its way."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        connection.close()
