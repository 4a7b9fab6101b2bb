"""HTTP exchanges with one server of git-annex's: connections kept by thread, logins, small answers.

A login is asked for when the server wants one, and sent to that server alone, in a header. Texts
of errors hold neither it nor what follows the ``?`` of an address.
"""

from __future__ import annotations

import base64
import http.client
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from ..core import faults
from ..core.errors import HoldError
from .http_connection import USUAL_LIMITS, Connection, Limits
from .http_urls import bare_url, host_of, login_of

if TYPE_CHECKING:
    from .http import HttpClient

_ANSWER_MAX = 1 << 16
_BUSY = frozenset((429, 503))


class Logins(Protocol):
    """Where logins come from: git's credential helpers, say."""

    def find(self, url: str) -> tuple[str, str] | None:
        """Name and password for a server; None when there are none."""

    def was_right(self, url: str, login: tuple[str, str], *, right: bool) -> None:
        """Whether the server took them; so that they are kept, or forgotten."""


class NoLogins:
    """There are none."""

    def find(self, url: str) -> None:
        """None."""

    def was_right(self, url: str, login: tuple[str, str], *, right: bool) -> None:
        """Nothing is kept."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask. A body is made by a call, since it may have to be sent again."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Iterator[bytes]] | None = None
    patience_s: float = 0.0
    """How much longer than usual the answer may take."""
    again: bool = True
    """Whether to send it once more over a new connection, when one that was kept has ended."""


class HttpCalls:
    """The way to one server. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        logins: Logins | None = None,
        *,
        limits: Limits = USUAL_LIMITS,
        allowed_addresses: str = "all",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``url`` is the server's http address, perhaps with a login in it. Nothing is opened."""
        parts = urlsplit(url)
        self._given = login_of(parts)
        self._url = bare_url(parts).rstrip("/")
        self._path = urlsplit(self._url).path
        self._host = host_of(self._url)
        self._logins = logins or NoLogins()
        self._limits = limits
        self._sleep = sleep
        self._allowed_addresses = allowed_addresses
        self._client: HttpClient | None = None
        self._header = self._given
        self._mine = threading.local()
        self._all: set[Connection] = set()
        self._lock = threading.Lock()
        self._login = threading.Lock()
        """Held by who looks for a login."""

    def ask(self, request: Request) -> tuple[int, bytes]:
        """Exchange a request for a short answer: its status and body.

        Raises:
            PlaceUnavailableError: The server cannot be reached, or went away.
            AccessError: It wants a login that we do not have, or refuses the one we have.
            RemoteProtocolError: What comes is not the protocol.
        """
        with self.open(request) as response:
            with self._translated():
                body = response.read(_ANSWER_MAX)
            if not response.isclosed() and response.read(1):
                raise faults.BAD_ANSWER(place=self._host, detail="its answer is too long")
            return response.status, body

    @contextmanager
    def open(self, request: Request) -> Iterator[http.client.HTTPResponse]:
        """Exchange a request for an answer whose body is still to be read."""
        connection, response = self._patient(request)
        usable = False
        try:
            yield response
            usable = response.isclosed() or response.length == 0
        finally:
            with suppress(OSError):
                response.close()
            self._keep(connection) if usable and not connection.ended else self._forget(connection)

    def close(self) -> None:
        """End all connections, of all threads."""
        with self._lock:
            connections, self._all = self._all, set()
        self._mine = threading.local()
        for connection in connections:
            connection.abort()

    def chunks(self, response: http.client.HTTPResponse, size: int) -> Iterator[bytes]:
        """A body piece by piece.

        Raises:
            PlaceUnavailableError: It is cut off.
        """
        with self._translated():
            while chunk := response.read1(size):
                yield chunk

    # a busy server

    def _patient(self, request: Request) -> tuple[Connection, http.client.HTTPResponse]:
        """Ask until the server is not busy any more, within limits."""
        for attempt in range(1, self._limits.tries_max + 1):
            connection, response = self._with_login(request)
            if response.status not in _BUSY or attempt == self._limits.tries_max:
                break
            from .http import wanted_pause

            wait_s = wanted_pause(response, attempt)
            if wait_s > self._limits.retry_after_max_s:
                break
            self._forget(connection)
            self._sleep(wait_s)
        return connection, response

    # logins

    def _with_login(self, request: Request) -> tuple[Connection, http.client.HTTPResponse]:
        asked_with = self._header
        connection, response = self._send(request)
        if response.status != 401:
            return connection, response
        self._forget(connection)
        with self._login:
            # Another thread may have found it meanwhile: then it is tried, and nobody asked again.
            if self._header == asked_with:
                return self._find_login(request)
        connection, response = self._send(request)
        if response.status == 401:
            self._forget(connection)
            raise self._refused("it does not take the login we have")
        return connection, response

    def _find_login(self, request: Request) -> tuple[Connection, http.client.HTTPResponse]:
        login = self._logins.find(self._url) if self._header in (None, self._given) else None
        if login is None:
            raise self._refused("it wants a login")
        before, self._header = self._header, _basic(login)
        connection, response = self._send(request)
        self._logins.was_right(self._url, login, right=response.status != 401)
        if response.status == 401:
            self._header = before
            self._forget(connection)
            raise self._refused("it does not take the login we have")
        return connection, response

    def _refused(self, detail: str) -> HoldError:
        next_step = f"git credential approve    (gives git a login for {self._host})"
        return faults.REFUSED(place=self._host, detail=detail, next=next_step)

    # one exchange

    def _send(self, request: Request) -> tuple[Connection, http.client.HTTPResponse]:
        kept = self._mine.__dict__.pop("kept", None)
        if kept is not None:
            try:
                return kept, self._exchange(kept, request)
            except (ConnectionError, http.client.BadStatusLine) as error:
                # The server had closed the connection that we kept; that is its right.
                self._forget(kept)
                if not request.again:
                    raise faults.UNREACHABLE(
                        place=self._host, detail="the connection was cut"
                    ) from error
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._forget(kept)
                with self._translated():
                    raise error
            except BaseException:
                self._forget(kept)
                raise
        connection = self._dial()
        try:
            with self._translated():
                return connection, self._exchange(connection, request)
        except BaseException:
            self._forget(connection)
            raise

    def _exchange(self, connection: Connection, request: Request) -> http.client.HTTPResponse:
        headers = {"Accept-Encoding": "identity", **request.headers}
        if self._header is not None:
            headers["Authorization"] = self._header
        path = self._path + request.target
        whole = connection.wants_whole_url
        connection.putrequest(
            request.method,
            self._url + request.target if whole else path,
            skip_accept_encoding=True,
        )
        for name, value in headers.items():
            connection.putheader(name, value)
        if request.method == "POST" and request.body is None:
            connection.putheader("Content-Length", "0")
        connection.endheaders()
        try:
            for chunk in request.body() if request.body is not None else ():
                connection.send(chunk)
        except ConnectionError:
            # A server that refuses hangs up in the middle; what it said is there to be read.
            with suppress(OSError, http.client.HTTPException):
                return connection.getresponse()
            raise
        if connection.sock is not None:
            connection.sock.settimeout(self._limits.stall_s + request.patience_s)
        response = connection.getresponse()
        if connection.sock is not None:
            connection.sock.settimeout(self._limits.stall_s)
        return response

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except HoldError:
            raise
        except TimeoutError as error:
            waited_s = f"{self._limits.stall_s:g}"
            raise faults.STALLED(place=self._host, waited_s=waited_s) from error
        except (http.client.IncompleteRead, http.client.BadStatusLine, ConnectionError) as error:
            detail = "the connection was cut"
            raise faults.UNREACHABLE(place=self._host, detail=detail) from error
        except (http.client.HTTPException, ValueError) as error:
            detail = type(error).__name__
            raise faults.BAD_ANSWER(place=self._host, detail=detail) from error
        except OSError as error:
            detail = str(error.args[-1] if error.args else error)
            raise faults.UNREACHABLE(place=self._host, detail=detail) from error

    # connections

    def _dial(self) -> Connection:
        from .http import HttpClient

        if self._client is None:
            self._client = HttpClient(
                allowed_addresses=self._allowed_addresses, limits=self._limits
            )
        connection = self._client.dial(self._url)
        with self._lock:
            self._all.add(connection)
        return connection

    def _keep(self, connection: Connection) -> None:
        earlier = self._mine.__dict__.pop("kept", None)
        if earlier is not None:
            self._forget(earlier)
        self._mine.kept = connection

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            self._all.discard(connection)
        connection.close()


def _basic(login: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(login).encode()).decode("ascii")
