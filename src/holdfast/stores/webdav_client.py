"""A client of WebDAV servers: our HTTP client, with who we are and the verbs that change things.

User and password go to the server of the place alone, as a header; no URL or error holds them.
Format: RFC 4918 (WebDAV), RFC 7617 (Basic).
"""

from __future__ import annotations

import http.client
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import SplitResult, urlsplit, urlunsplit

from ..core import faults
from ..core.errors import HoldError
from .http import _BUSY, USER_AGENT, HttpAnswer, HttpClient, raise_for_status, wanted_pause
from .http_connection import Connection, Limits
from .http_urls import bare_url, host_of, origin_of, safe_url
from .special import Credentials

LIMITS = Limits(stall_s=120.0)
"""A server may think long about a large file that it has to move."""

_BODY_MAX = 4 << 20
_NOTICE_S = 10.0
_FULL = frozenset((413, 507))


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent with a request; ``chunks`` may be asked for again when it has to go again."""

    size: int
    chunks: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class DavAnswer:
    """A short answer, read whole."""

    status: int
    text: bytes


class DavClient(HttpClient):
    """Safe to share between threads; each has connections of its own."""

    def __init__(
        self, base: str, credentials: Callable[[], Credentials | None], *,
        allowed_addresses: str = "", limits: Limits = LIMITS,
        proxies: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """``credentials`` is asked when the first request goes to the server of ``base``."""
        super().__init__(allowed_addresses=allowed_addresses, limits=limits, proxies=proxies)
        self._origin = origin_of(urlsplit(base))
        self._credentials = credentials
        self._idle: dict[str, list[Connection]] = {}

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> DavAnswer:  # fmt: skip
        """Do one thing and give the answer, whatever its status; a busy server is asked again.

        Raises:
            PlaceUnavailableError: The server cannot be reached, or went away.
            RemoteProtocolError: It speaks something else.
        """
        for attempt in range(1, self._limits.tries_max + 1):
            answer, pause_s = self._ask(method, url, headers or {}, body, attempt)
            last = attempt == self._limits.tries_max or pause_s > self._limits.retry_after_max_s
            if answer.status not in _BUSY or last:
                break
            self._sleep(pause_s)
        return answer

    def check(self, answer: DavAnswer, url: str) -> None:
        """Turn an answer that is no success into an error.

        Raises:
            AccessError: The server refuses, or asks who we are.
            PlaceFullError: It has no room.
            PlaceUnavailableError: It is in trouble.
            RemoteProtocolError: Anything else.
        """
        if 200 <= answer.status < 300:
            return
        if answer.status in _FULL:
            detail = f"the server answers {answer.status}"
            raise faults.PLACE_FULL(place=host_of(url), detail=detail)
        if answer.status == 401 and self._login is None:
            raise no_login(url)
        raise_for_status(HttpAnswer(answer.status, url, 0, None, 0, "", iter(())))

    def close(self) -> None:
        """End all connections, of all threads."""
        with self._lock:
            self._idle.clear()
        super().close()

    # Threads come and go with each batch: what one leaves is used by the next.

    def _connection(self, parts: SplitResult) -> tuple[Connection, bool]:
        with self._lock:
            idle = self._idle.get(origin_of(parts))
            if idle:
                return idle.pop(), False
        connection = self._connect(parts)
        with self._lock:
            self._all.add(connection)
        return connection, True

    def _keep(self, connection: Connection) -> None:
        with self._lock:
            self._idle.setdefault(connection.origin, []).append(connection)

    @cached_property
    def _login(self) -> str | None:
        found = self._credentials()
        if found is None:
            return None
        return "Basic " + b64encode(f"{found[0]}:{found[1]}".encode()).decode()

    def _known(self, parts: SplitResult) -> dict[str, str]:
        """The header that says who we are, for our server alone."""
        if origin_of(parts) != self._origin or self._login is None:
            return {}
        return {"Authorization": self._login}

    def _once(
        self, method: str, url: str, parts: SplitResult, headers: Mapping[str, str]
    ) -> tuple[Connection, http.client.HTTPResponse]:
        return super()._once(method, url, parts, {**headers, **self._known(parts)})

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None, attempt: int
    ) -> tuple[DavAnswer, float]:
        parts = self._checked(url)
        connection, fresh = self._connection(parts)
        sent = {"User-Agent": USER_AGENT, **headers, **self._known(parts)}
        sent["Content-Length"] = str(body.size if body else 0)
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        if connection.wants_whole_url:
            target = bare_url(parts)
        try:
            response = _exchange(connection, method, target, sent, body)
            text = response.read(_BODY_MAX)
            pause_s = wanted_pause(response, attempt)
        except HoldError:
            # Our own content failed. The server may not yet have begun the file that is to go now.
            connection.hang_up(_NOTICE_S)
            self._forget(connection)
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._forget(connection)
            if fresh or isinstance(error, TimeoutError):
                raise self._translated(error, url) from error
            # The server had closed the connection that we kept; that is its right.
            return self._ask(method, url, headers, body, attempt)
        if response.isclosed() and not connection.ended:
            self._keep(connection)
        else:
            self._forget(connection)
        return DavAnswer(response.status, text), pause_s


def _exchange(
    connection: Connection, method: str, target: str, headers: Mapping[str, str], body: Body | None
) -> http.client.HTTPResponse:
    try:
        connection.request(method, target, body.chunks() if body else None, headers)
    except ConnectionError:
        # A server that wants none of it says so and hangs up while we still send.
        with suppress(OSError, http.client.HTTPException):
            return connection.getresponse()
        raise
    return connection.getresponse()


def no_login(url: str) -> HoldError:
    """The error of a server that asks who we are when we have nothing to say."""
    return faults.NO_CREDENTIALS(
        place=safe_url(url),
        looked="user and password",
        variables="WEBDAV_USERNAME and WEBDAV_PASSWORD",
    )
