"""One connection to an HTTP server: dialled with care, perhaps by way of a proxy."""

from __future__ import annotations

import http.client
import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult

from ..core import faults
from .addresses import AddressRule, refusal
from .http_urls import login_of, origin_of

if TYPE_CHECKING:
    import ssl

_HEAD_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, how often to try, in seconds and times."""

    connect_s: float = 15.0
    stall_s: float = 20.0
    retry_after_max_s: float = 30.0
    tries_max: int = 3
    redirects_max: int = 10


USUAL_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Dial:
    """How sockets are opened: to allowed addresses only, each tried in turn."""

    rule: AddressRule
    limits: Limits

    def connect(self, host: str, port: int) -> socket.socket:
        """A connected socket.

        Raises:
            PolicyError: The host has only addresses that may not be used.
            PlaceUnavailableError: None of them answers.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise faults.UNREACHABLE(place=host, detail="no host of this name is known") from None
        allowed = [entry for entry in found if self.rule.allows(str(entry[4][0]), port)]
        if found and not allowed:
            raise refusal(host, str(found[0][4][0]))
        why = "it has no address"
        for family, kind, protocol, _, address in allowed:
            opened = socket.socket(family, kind, protocol)
            try:
                opened.settimeout(self.limits.connect_s)
                opened.connect(address)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.settimeout(self.limits.stall_s)
                return opened
            except TimeoutError:
                opened.close()
                why = f"no connection within {self.limits.connect_s:g} s"
            except OSError as error:
                opened.close()
                why = (error.strerror or str(error)).lower()
        raise faults.UNREACHABLE(place=f"{host}:{port}", detail=why)


class Connection(http.client.HTTPConnection):
    """A connection that dials as it is told, perhaps by way of a proxy."""

    def __init__(self, parts: SplitResult, dial: Dial, proxy: SplitResult | None) -> None:
        """Nothing is opened before the first request."""
        self.tls = tls_context() if parts.scheme == "https" else None
        self.default_port = 80 if self.tls is None else 443
        super().__init__(parts.hostname or "", parts.port or self.default_port)
        self.origin = origin_of(parts)
        self._dial = dial
        self._proxy = proxy
        self._live: socket.socket | None = None

    @property
    def wants_whole_url(self) -> bool:
        """Whether a proxy has to be told where to go by each request."""
        return self._proxy is not None and self.tls is None

    @property
    def ended(self) -> bool:
        """Whether no further request can go over it."""
        return self.sock is None

    def connect(self) -> None:
        """Dial; called by the base class when it is needed."""
        name = self.host.strip("[]")
        if self._proxy is None:
            self.sock = self._dial.connect(name, self.port)
        else:
            self.sock = self._dial.connect(self._proxy.hostname or "", self._proxy.port or 3128)
            if self.tls is not None:
                self._open_tunnel(self._proxy)
        self._live = self.sock
        if self.tls is not None:
            self.sock = self._live = _secured(self.tls, self.sock, name, self.port)

    def abort(self) -> None:
        """Wake the thread that reads from it; what it reads ends there."""
        if self._live is not None:
            with suppress(OSError):
                self._live.shutdown(socket.SHUT_RDWR)

    def hang_up(self, wait_s: float) -> None:
        """Say that no more comes, and wait so long for the server to have taken note of it.

        What it made of a request cut short is there then, and not made later.
        """
        if self._live is None:
            return
        with suppress(OSError):
            self._live.shutdown(socket.SHUT_WR)
            end = time.monotonic() + wait_s
            while (left_s := end - time.monotonic()) > 0:
                self._live.settimeout(left_s)
                if not self._live.recv(_HEAD_MAX):
                    break

    def _open_tunnel(self, proxy: SplitResult) -> None:
        where = f"{self.host}:{self.port}"
        login = login_of(proxy)
        lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
        lines += [f"Proxy-Authorization: {login}"] if login else []
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        said = b""
        while not said.endswith(b"\r\n\r\n"):
            # One byte at a time: what follows the empty line is not ours to read.
            byte = self.sock.recv(1)
            said += byte
            if not byte or len(said) > _HEAD_MAX:
                raise faults.UNREACHABLE(place=proxy.hostname, detail="the proxy hung up")
        if not re.match(rb"HTTP/1\.[01] 200\b", said):
            first = said.partition(b"\r")[0][:60].decode("latin-1")
            raise faults.UNREACHABLE(place=proxy.hostname, detail=f"the proxy says {first}")


def _secured(context: ssl.SSLContext, plain: socket.socket, name: str, port: int) -> socket.socket:
    """Speak TLS over a connection, which ends if that cannot be.

    Raises:
        AccessError: The other side's certificate is not to be trusted.
        PlaceUnavailableError: It speaks something else.
        OSError: The connection ended, or nothing came.
    """
    import ssl

    try:
        return context.wrap_socket(plain, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        plain.close()
        raise faults.UNTRUSTED(place=f"{name}:{port}", detail=error.verify_message) from error
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        plain.close()
        raise ConnectionResetError("the connection ended") from None
    except ssl.SSLError as error:
        plain.close()
        detail = (error.reason or "unknown").lower().replace("_", " ")
        raise faults.NO_TLS(place=f"{name}:{port}", detail=detail) from error


@cache
def tls_context() -> ssl.SSLContext:
    """The one context of this process: it takes long to make, and plain HTTP needs none."""
    import ssl

    return ssl.create_default_context()
