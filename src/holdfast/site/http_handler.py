"""One connection of the HTTP server: who asks, what for, and the answer's form."""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, cast

from ..api.served import Rights
from ..core import faults
from ..core.errors import AccessError, HoldError
from ..version import __version__
from ..wire.p2phttp import PREFIX, REALM, BadCall
from . import git_http, http_p2p, http_plain
from .http_body import Body, Cut

if TYPE_CHECKING:
    from .http_server import HttpServer, Server

IDLE_S = 60.0
TEXT = "text/plain; charset=utf-8"


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class NeedsLogin(Exception):
    """Who asks may not do that without a login."""


class BaseHandler(BaseHTTPRequestHandler):
    """Answers requests until the client hangs up or is silent for long."""

    protocol_version = "HTTP/1.1"
    server_version = f"holdfast/{__version__}"
    sys_version = ""
    timeout = IDLE_S
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: Server

    def do_GET(self) -> None:
        """Answer."""
        self._answer()

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _answer(self) -> None:
        self.body = Body(self.rfile, self.headers)  # type: ignore[arg-type]
        self.rights, self.user = self.server.access.rights(self.headers.get("Authorization"))
        self._began = False
        try:
            if not self.body.is_understood:
                raise BadCall(400, "a body of this kind is not understood")
            self._check_origin()
            self.route()
            self.wfile.flush()
        except (Cut, ConnectionError, TimeoutError):
            self.close_connection = True
        except NeedsLogin:
            self.refuse(401, "a login is needed", {"WWW-Authenticate": f'Basic realm="{REALM}"'})
        except BadCall as error:
            self.refuse(error.status, str(error))
        except AccessError as error:
            self.refuse(403, error.what)
        except HoldError as error:
            self.refuse(self.status_of(error), error.what)
        if not self.body.ended:
            self._pass_over_rest()

    def route(self) -> None:
        """Hand the request to whom it concerns."""
        raise NotImplementedError

    def status_of(self, error: HoldError) -> int:
        """What HTTP has for an error of ours."""
        return 500

    def _check_origin(self) -> None:
        """Refuse what a page in somebody's browser asks of a server that is for programs.

        A page of another site could send words here, or, by a name that leads to this machine,
        read what is meant for nobody but those who are on it.
        """
        host = re.sub(r":[0-9]+$", "", self.headers.get("Host") or "localhost")
        if self.server.is_private and not is_loopback(host):
            raise BadCall(421, "this server is for this machine alone")
        if self.command == "POST" and self.headers.get("Origin") is not None:
            raise BadCall(403, "not for web pages")

    def need(self, rights: Rights) -> None:
        """Refuse who may not do so much.

        Raises:
            NeedsLogin: With a login it might be allowed.
            AccessError: It is allowed to nobody, or not with this login.
        """
        if self.rights is not None and self.rights >= rights:
            return
        access = self.server.access
        if self.user is None and access.highest >= rights and (access.logins or access.token):
            raise NeedsLogin
        if self.rights is None:
            raise NeedsLogin
        raise faults.APPEND_ONLY_SERVER() if self.rights else faults.READ_ONLY_SERVER()

    # answering

    def begin(self, status: int, kind: str, headers: Mapping[str, str]) -> None:
        """Send the head of an answer."""
        self._began = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def reply(
        self, status: int, body: bytes, kind: str = TEXT, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a whole answer."""
        self.begin(status, kind, {"Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, what: str, headers: Mapping[str, str] | None = None) -> None:
        """Say no; when an answer has begun already, it can only be broken off."""
        if self._began:
            self.close_connection = True
            return
        with suppress(OSError):
            self.reply(status, what.encode(), headers=headers)
            self.wfile.flush()

    def reset(self) -> None:
        """Break off an answer that ends with its connection: closed as ever, it would look whole.

        A proxy may ask so, and give it on as one that has an end.
        """
        self.close_connection = True
        with suppress(OSError):
            at_once = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self.connection.close()  # when all who hold it have let go

    def send_view(self, view: memoryview) -> None:
        """Send bytes; a client may be slow, but not take none for long.

        The system waits, not Python: that takes half the time where bytes go fast.
        """
        self.wfile.flush()
        self.connection.settimeout(None)
        try:
            while view:
                view = view[self.connection.send(view) :]
        except BlockingIOError:
            raise Cut from None
        finally:
            self.connection.settimeout(IDLE_S)

    def setup(self) -> None:
        """Begin with a connection."""
        super().setup()
        limit = struct.pack("ll", int(IDLE_S), 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def send_file(self, file: int, offset: int, size: int) -> None:
        """Send a part of a file, without taking it into our hands where the system can."""
        if not size:
            return
        self.wfile.flush()
        with open(file, "rb", buffering=0, closefd=False) as source:
            sent = cast(socket.socket, self.connection).sendfile(source, offset, size)
        if sent < size:
            raise Cut

    def _pass_over_rest(self) -> None:
        """What a client still sends of a request that was answered: a little is read, not more."""
        left = 1 << 20
        try:
            for data in self.body.chunks():
                left -= len(data)
                if left < 0:
                    break
        except (Cut, OSError):
            pass
        if not self.body.ended:
            self.close_connection = True

    def log_message(self, format: str, *values: object) -> None:
        """One line for each answer, when that is wanted; never what comes after a ``?``."""
        if self.server.log is not None:
            path = self.path.partition("?")[0] if hasattr(self, "path") else ""
            status = values[1] if len(values) > 1 else ""
            command = getattr(self, "command", None) or "-"
            who = getattr(self, "user", None) or "-"
            line = f"{self.client_address[0]} {who} {command} {path} {status}"
            self.server.log("".join(sign if sign.isprintable() else "?" for sign in line))


class Handler(BaseHandler):
    """Answers for one data set."""

    server: HttpServer

    def route(self) -> None:
        """Hand the request to whom it concerns."""
        # A remote's URL that ends in a slash gets a second one from git-annex.
        self.path = "/" + self.path.lstrip("/")
        path = self.path.partition("?")[0]
        if path.startswith(PREFIX):
            http_p2p.answer(self)
        elif http_plain.answer(self, path):
            return
        elif git_http.concerns(path):
            git_http.answer(self)
        else:
            raise BadCall(404, "not found")
