"""One HTTP client for all stores that speak it: kept connections, ranges, patience, caution.

Connections belong to the thread that opened them. Addresses are checked before we connect, on
each redirect too, so that no URL in a data set can make us talk to machines of our own network.
Texts of errors never hold a password or what follows the ``?`` of a URL.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from ..core import faults
from ..core.errors import HoldError
from ..version import __version__
from .addresses import AddressRule
from .http_connection import USUAL_LIMITS, Connection, Dial, Limits
from .http_urls import PORTS, bare_url, host_of, login_of, origin_of, safe_url

CHUNK = 1 << 18
SCHEMES = frozenset(PORTS)
USER_AGENT = f"holdfast/{__version__}"

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_BUSY = frozenset((429, 503))
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)")
_BODY_MAX = 1 << 16
"""The longest body of an error that is read, so that its connection can be used again."""


@dataclass(slots=True)
class HttpAnswer:
    """An answer whose body is still to be read: where it really starts and ends, if known.

    ``size`` is of the whole content, ``left`` of what is still to come in this answer.
    """

    status: int
    url: str
    offset: int
    size: int | None
    left: int | None
    content_type: str
    chunks: Iterator[bytes]
    validator: str = ""
    """What the server calls this state of the content: a strong ETag, else date and size."""


class HttpClient:
    """GET and HEAD with kept connections, one set per thread. Safe to share between threads."""

    def __init__(
        self,
        *,
        allowed_addresses: str = "",
        schemes: Collection[str] = SCHEMES,
        limits: Limits = USUAL_LIMITS,
        proxies: Mapping[str, str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is opened yet.

        ``allowed_addresses`` is git-annex's annex.security.allowed-ip-addresses: private
        addresses that may be used all the same, or ``all``. ``proxies`` are URLs by scheme;
        without them the system's are used.
        """
        self._rule = AddressRule(allowed_addresses)
        self._schemes = schemes
        self._limits = limits
        self._proxies = proxies
        self._sleep = sleep
        self._mine = threading.local()
        self._all: set[Connection] = set()
        self._lock = threading.Lock()

    def head(self, url: str) -> HttpAnswer:
        """What a server tells of a URL, by HEAD, or by a GET of one byte where HEAD is no use.

        Raises as `open`, but an error status is an answer here.
        """
        with self._exchange("HEAD", url, None) as answer:
            pass
        if answer.status in (400, 403, 405, 501) or (answer.status == 200 and answer.size is None):
            with self._exchange("GET", url, (0, 0)) as answer:
                pass
        return answer

    @contextmanager
    def open(self, url: str, offset: int = 0) -> Iterator[HttpAnswer]:
        """Read a URL from a byte offset; the answer says where it really starts.

        Raises:
            NotFoundError: It is not there.
            AccessError: The server refuses.
            PlaceUnavailableError: The server cannot be reached, is busy, or went away.
            RemoteProtocolError: What comes is not the protocol.
            PolicyError: The URL, or one it leads to, may not be opened.
        """
        with self._exchange("GET", url, (offset, None) if offset else None) as answer:
            if answer.status == 416:
                # Nothing at that offset: what we have may be whole, or of some other content.
                yield HttpAnswer(416, answer.url, offset, answer.size, 0, "", iter(()))
                return
            raise_for_status(answer)
            _check_range(answer, offset)
            yield answer

    @contextmanager
    def open_range(self, url: str, offset: int, length: int) -> Iterator[HttpAnswer]:
        """Read so many bytes of a URL from an offset; nothing else comes.

        Raises:
            RemoteProtocolError: The server sends something else.
            HoldError: As `open`.
        """
        with self._exchange("GET", url, (offset, offset + length - 1)) as answer:
            raise_for_status(answer)
            _check_range(answer, offset)
            is_whole = not offset and answer.size == length
            if answer.left != length or (answer.status != 206 and not is_whole):
                detail = f"asked for {length} bytes from byte {offset} it sends others"
                raise faults.BAD_ANSWER(place=host_of(answer.url), detail=detail)
            yield answer

    def dial(self, url: str) -> Connection:
        """A connection of the caller's own to a URL's server, by the rules of all others.

        Raises:
            PolicyError: The URL may not be opened.
        """
        return self._connect(self._checked(url))

    def close(self) -> None:
        """End all connections, of all threads; what they were reading ends with an error."""
        with self._lock:
            connections, self._all = self._all, set()
        self._mine = threading.local()
        for connection in connections:
            connection.abort()

    # one exchange: tries, redirects

    @contextmanager
    def _exchange(
        self, method: str, url: str, wanted: tuple[int, int | None] | None
    ) -> Iterator[HttpAnswer]:
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Accept": "*/*"}
        if wanted is not None:
            last = "" if wanted[1] is None else wanted[1]
            headers["Range"] = f"bytes={wanted[0]}-{last}"
        connection, response, final = self._patient(method, url, headers)
        reusable = False
        try:
            yield _answer(response, final, wanted, self._chunks(response, final))
            reusable = _is_used_up(response) and not connection.ended
        finally:
            with suppress(OSError):
                response.close()
            if reusable:
                self._keep(connection)
            else:
                self._forget(connection)

    def _patient(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> tuple[Connection, http.client.HTTPResponse, str]:
        """Ask until the server is not busy any more, within limits."""
        for attempt in range(1, self._limits.tries_max + 1):
            connection, response, final = self._follow(method, url, headers)
            wait_s = wanted_pause(response, attempt)
            if response.status not in _BUSY or attempt == self._limits.tries_max:
                break
            if wait_s > self._limits.retry_after_max_s:
                self._forget(connection)
                detail = f"{safe_url(final)} is busy and asks to wait {wait_s:g} s"
                raise faults.UNREACHABLE(place=host_of(final), detail=detail)
            self._forget(connection)
            self._sleep(wait_s)
        return connection, response, final

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> tuple[Connection, http.client.HTTPResponse, str]:
        seen: set[str] = set()
        first = self._checked(url)
        login_for = origin_of(first), login_of(first)
        while True:
            parts = self._checked(url)
            if url in seen or len(seen) > self._limits.redirects_max:
                detail = f"it redirects in a loop or too often, last to {safe_url(url)}"
                raise faults.BAD_ANSWER(place=host_of(url), detail=detail)
            seen.add(url)
            login = login_of(parts) or (login_for[1] if origin_of(parts) == login_for[0] else None)
            sent = {**headers, **({"Authorization": login} if login else {})}
            connection, response = self._once(method, url, parts, sent)
            target = response.getheader("Location")
            if response.status not in _REDIRECTS or not target:
                return connection, response, url
            self._forget(connection)
            try:
                url = urljoin(bare_url(parts), target)
            except ValueError:
                detail = "it redirects to what is no URL"
                raise faults.BAD_ANSWER(place=host_of(url), detail=detail) from None

    def _once(
        self, method: str, url: str, parts: SplitResult, headers: Mapping[str, str]
    ) -> tuple[Connection, http.client.HTTPResponse]:
        connection, fresh = self._connection(parts)
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        if connection.wants_whole_url:
            target = bare_url(parts)
        try:
            connection.request(method, target, headers=headers)
            return connection, connection.getresponse()
        except HoldError:
            self._forget(connection)
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._forget(connection)
            if fresh or isinstance(error, TimeoutError):
                raise self._translated(error, url) from error
        # The server had closed the connection that we kept; that is its right.
        return self._once(method, url, parts, headers)

    def _chunks(self, response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
        try:
            while chunk := response.read1(CHUNK):
                yield chunk
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._translated(error, url) from error

    def _translated(self, error: Exception, url: str) -> HoldError:
        if isinstance(error, TimeoutError):
            return faults.STALLED(place=host_of(url), waited_s=f"{self._limits.stall_s:g}")
        if isinstance(error, http.client.IncompleteRead | ConnectionError):
            return faults.UNREACHABLE(place=host_of(url), detail="the connection was cut")
        if isinstance(error, http.client.HTTPException | ValueError):
            detail = f"{type(error).__name__} at {safe_url(url)}"
            return faults.BAD_ANSWER(place=host_of(url), detail=detail)
        detail = str(error.args[-1] if error.args else error)
        return faults.UNREACHABLE(place=host_of(url), detail=detail)

    # connections

    def _checked(self, url: str) -> SplitResult:
        if re.search(r"[\x00-\x20\x7f]", url):
            raise faults.BAD_URL(url=safe_url(url), detail="it holds a space or control character")
        try:
            parts = urlsplit(url)
            known = parts.hostname and (parts.port or True)
        except ValueError:
            raise faults.BAD_URL(url=safe_url(url), detail="it is no URL") from None
        if parts.scheme.lower() not in self._schemes or parts.scheme.lower() not in PORTS:
            detail = f"only {' and '.join(sorted(self._schemes))} may be used"
            raise faults.BAD_URL(url=safe_url(url), detail=detail)
        if not known:
            raise faults.BAD_URL(url=safe_url(url), detail="it names no host")
        return parts

    def _connection(self, parts: SplitResult) -> tuple[Connection, bool]:
        kept: dict[str, Connection] = self._mine.__dict__.setdefault("kept", {})
        found = kept.pop(origin_of(parts), None)
        if found is not None:
            return found, False
        connection = self._connect(parts)
        with self._lock:
            self._all.add(connection)
        return connection, True

    def _connect(self, parts: SplitResult) -> Connection:
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        proxy = self._proxy(parts.scheme, host)
        if proxy is not None:
            self._rule.check_behind_proxy(host, port, safe_url(parts.geturl()))
        rule = self._rule if proxy is None else AddressRule("all")
        return Connection(parts, Dial(rule, self._limits), proxy)

    def _proxy(self, scheme: str, host: str) -> SplitResult | None:
        if self._proxies is None:
            from urllib.request import getproxies, proxy_bypass  # slow to import

            self._proxies = getproxies()
            self._bypass = proxy_bypass
        url = self._proxies.get(scheme)
        if not url or getattr(self, "_bypass", lambda _: False)(host):
            return None
        return urlsplit(url if "://" in url else f"http://{url}")

    def _keep(self, connection: Connection) -> None:
        kept: dict[str, Connection] = self._mine.__dict__.setdefault("kept", {})
        earlier = kept.pop(connection.origin, None)
        if earlier is not None:
            self._forget(earlier)
        kept[connection.origin] = connection

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            self._all.discard(connection)
        connection.close()


# what an answer says


def _answer(
    response: http.client.HTTPResponse,
    url: str,
    wanted: tuple[int, int | None] | None,
    chunks: Iterator[bytes],
) -> HttpAnswer:
    encoding = (response.getheader("Content-Encoding") or "identity").lower()
    if encoding != "identity" and response.status < 400:
        detail = f"it sends {encoding[:20]}-encoded bytes, which were not asked for"
        raise faults.BAD_ANSWER(place=host_of(url), detail=detail)
    offset, size, left = 0, _length(response), response.length
    if response.status in (206, 416):
        found = _CONTENT_RANGE.fullmatch(response.getheader("Content-Range") or "")
        if found is None and response.status == 206:
            raise faults.BAD_ANSWER(place=host_of(url), detail="a part without Content-Range")
        size = int(found[3]) if found and found[3] != "*" else None
        offset = int(found[1]) if found and found[1] else (wanted or (0, None))[0]
        if response.status == 206 and left is None and found and found[2]:
            # A part in chunks, or one that ends with its connection: its range tells its length.
            left = max(0, int(found[2]) + 1 - offset)
    if left is not None:
        chunks = _exactly(left, chunks, url)
    kind = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    tag = (response.getheader("ETag") or "").strip()
    if not tag.startswith('"'):
        date = (response.getheader("Last-Modified") or "").strip()
        tag = f"{date} {size}" if date and size is not None else ""
    return HttpAnswer(response.status, url, offset, size, left, kind, chunks, tag)


def _exactly(length: int, chunks: Iterator[bytes], url: str) -> Iterator[bytes]:
    """Chunks that have to be so many bytes."""
    left = length
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            detail = f"it sends more than the {length} bytes it told of"
            raise faults.BAD_ANSWER(place=host_of(url), detail=detail)
        yield chunk
    if left:
        detail = f"the connection ended {left} bytes too early"
        raise faults.UNREACHABLE(place=host_of(url), detail=detail)


def _is_used_up(response: http.client.HTTPResponse) -> bool:
    """Whether the next answer can follow; what is left of a short error page is read for that."""
    if response.isclosed():
        return True
    if response.status >= 400 and response.length is not None and response.length <= _BODY_MAX:
        try:
            response.read()
        except (OSError, http.client.HTTPException):
            return False
    return response.length == 0


def _length(response: http.client.HTTPResponse) -> int | None:
    given = response.getheader("Content-Length") or ""
    return int(given) if re.fullmatch(r"[0-9]{1,18}", given) else None


def _check_range(answer: HttpAnswer, offset: int) -> None:
    if answer.status == 206 and answer.offset != offset:
        detail = f"asked for byte {offset} it sends from byte {answer.offset}"
        raise faults.BAD_ANSWER(place=host_of(answer.url), detail=detail)


def raise_for_status(answer: HttpAnswer) -> None:
    """Raise what a status other than success means; see `HttpClient.open`."""
    status, host = answer.status, host_of(answer.url)
    reason = http.client.responses.get(status, "")
    detail = f"{safe_url(answer.url)} answers {status} {reason}".rstrip()
    if status in (200, 206):
        return
    if status in (404, 410):
        raise faults.NOT_THERE(place=host, key="it", detail=detail)
    if status in (401, 402, 403, 407, 451):
        raise faults.REFUSED(
            place=host, detail=detail, next="ask its owner for access, or use another place"
        )
    if status >= 500 or status in (408, 425, 429):
        raise faults.UNREACHABLE(place=host, detail=detail)
    raise faults.BAD_ANSWER(place=host, detail=detail)


def wanted_pause(response: http.client.HTTPResponse, attempt: int) -> float:
    """Retry-After in seconds; dates are not read, they depend on two clocks."""
    given = (response.getheader("Retry-After") or "").strip()
    return float(given) if re.fullmatch(r"[0-9]{1,6}", given) else float(attempt)
