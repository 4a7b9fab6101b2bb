"""One HTTP client for all stores that speak it: kept connections, ranges, patience, caution.

Connections belong to the thread that opened them. Addresses are checked before we connect, on
each redirect too, so that no URL in a data set can make us talk to machines of our own network.
Texts of errors never hold a password or what follows the ``?`` of a URL.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

from ..core import faults
from ..core.errors import HoldError
from ..version import VERSION

if TYPE_CHECKING:
    import ssl

CONNECT_S = 15.0
STALL_S = 20.0
REDIRECTS_MAX = 10
TRIES_MAX = 3
RETRY_AFTER_MAX_S = 30.0
CHUNK = 1 << 18
SCHEMES = frozenset(("http", "https"))
USER_AGENT = f"holdfast/{VERSION}"

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_BUSY = frozenset((429, 503))
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]+)-([0-9]+)|\*)/([0-9]+|\*)")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, how often to try, in seconds and times."""

    connect_s: float = CONNECT_S
    stall_s: float = STALL_S
    retry_after_max_s: float = RETRY_AFTER_MAX_S
    tries_max: int = TRIES_MAX
    redirects_max: int = REDIRECTS_MAX


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


class HttpClient:
    """GET and HEAD with kept connections, one set per thread. Safe to share between threads."""

    def __init__(
        self,
        *,
        allowed_addresses: str = "",
        schemes: Collection[str] = SCHEMES,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
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
        self._all: set[_Connection] = set()
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
            _raise_for_status(answer)
            _check_range(answer, offset)
            yield answer

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
        whole = False
        try:
            answer = _answer(response, final, wanted, lambda: self._chunks(response, final))
            yield answer
            whole = response.isclosed()
        finally:
            if whole and not connection.must_close:
                self._keep(connection)
            else:
                self._forget(connection)

    def _patient(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> tuple[_Connection, http.client.HTTPResponse, str]:
        """Ask until the server is not busy any more, within limits."""
        for attempt in range(1, self._limits.tries_max + 1):
            connection, response, final = self._follow(method, url, headers)
            wait_s = _wanted_pause(response, attempt)
            if response.status not in _BUSY or attempt == self._limits.tries_max:
                break
            if wait_s > self._limits.retry_after_max_s:
                self._forget(connection)
                detail = f"{safe_url(final)} is busy and asks to wait {wait_s:g} s"
                raise faults.UNREACHABLE(place=_host(final), detail=detail)
            self._forget(connection)
            self._sleep(wait_s)
        return connection, response, final

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> tuple[_Connection, http.client.HTTPResponse, str]:
        seen: set[str] = set()
        login_for = _origin(urlsplit(url)), _login(urlsplit(url))
        while True:
            parts = self._checked(url)
            if url in seen or len(seen) > self._limits.redirects_max:
                detail = f"it redirects in a loop or too often, last to {safe_url(url)}"
                raise faults.BAD_ANSWER(place=_host(url), detail=detail)
            seen.add(url)
            login = _login(parts) or (login_for[1] if _origin(parts) == login_for[0] else None)
            sent = {**headers, **({"Authorization": login} if login else {})}
            connection, response = self._once(method, url, parts, sent)
            target = response.getheader("Location")
            if response.status not in _REDIRECTS or not target:
                return connection, response, url
            self._forget(connection)
            url = urljoin(_bare(parts), target)

    def _once(
        self, method: str, url: str, parts: SplitResult, headers: Mapping[str, str]
    ) -> tuple[_Connection, http.client.HTTPResponse]:
        connection, fresh = self._connection(parts)
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        if connection.through_proxy and parts.scheme == "http":
            target = _bare(parts)
        try:
            connection.request(method, target, headers=headers)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._forget(connection)
            if fresh or isinstance(error, TimeoutError):
                raise self._translated(error, url) from error
        # The server had closed the connection that we kept; that is its right.
        return self._once(method, url, parts, headers)

    def _chunks(self, response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
        left = response.length
        try:
            while chunk := response.read1(CHUNK):
                if left is not None:
                    left -= len(chunk)
                yield chunk
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._translated(error, url) from error
        if left:
            detail = f"the connection ended {left} bytes too early"
            raise faults.UNREACHABLE(place=_host(url), detail=detail)

    def _translated(self, error: Exception, url: str) -> HoldError:
        if isinstance(error, TimeoutError):
            return faults.STALLED(place=_host(url), waited_s=f"{self._limits.stall_s:g}")
        if isinstance(error, http.client.IncompleteRead | ConnectionError):
            return faults.UNREACHABLE(place=_host(url), detail="the connection was cut")
        if isinstance(error, http.client.HTTPException | ValueError):
            detail = f"{type(error).__name__} at {safe_url(url)}"
            return faults.BAD_ANSWER(place=_host(url), detail=detail)
        return faults.UNREACHABLE(place=_host(url), detail=str(error.args[-1] if error.args else error))

    # connections

    def _checked(self, url: str) -> SplitResult:
        if re.search(r"[\x00-\x20\x7f]", url):
            raise faults.BAD_URL(url=safe_url(url), detail="it holds a space or control character")
        try:
            parts = urlsplit(url)
            known = parts.hostname and (parts.port or True)
        except ValueError:
            raise faults.BAD_URL(url=safe_url(url), detail="it is no URL") from None
        if parts.scheme.lower() not in self._schemes or parts.scheme.lower() not in _PORTS:
            detail = f"only {' and '.join(sorted(self._schemes))} may be used"
            raise faults.BAD_URL(url=safe_url(url), detail=detail)
        if not known:
            raise faults.BAD_URL(url=safe_url(url), detail="it names no host")
        return parts

    def _connection(self, parts: SplitResult) -> tuple[_Connection, bool]:
        kept: dict[str, _Connection] = self._mine.__dict__.setdefault("kept", {})
        found = kept.pop(_origin(parts), None)
        if found is not None:
            return found, False
        connection = self._connect(parts)
        with self._lock:
            self._all.add(connection)
        return connection, True

    def _connect(self, parts: SplitResult) -> _Connection:
        host = parts.hostname or ""
        port = parts.port or _PORTS[parts.scheme]
        proxy = self._proxy(parts.scheme, host)
        if proxy is not None:
            self._rule.check_behind_proxy(host, port, safe_url(parts.geturl()))
        dial = Dial(self._rule if proxy is None else AddressRule("all"), self._limits)
        make = _secure if parts.scheme == "https" else _plain
        connection = make(host, port, dial, proxy)
        connection.origin = _origin(parts)
        return connection

    def _proxy(self, scheme: str, host: str) -> SplitResult | None:
        if self._proxies is None:
            from urllib.request import getproxies, proxy_bypass  # slow to import

            self._proxies = getproxies()
            self._bypass = proxy_bypass
        url = self._proxies.get(scheme)
        if not url or getattr(self, "_bypass", lambda _: False)(host):
            return None
        return urlsplit(url if "://" in url else f"http://{url}")

    def _keep(self, connection: _Connection) -> None:
        kept: dict[str, _Connection] = self._mine.__dict__.setdefault("kept", {})
        earlier = kept.pop(connection.origin, None)
        if earlier is not None:
            self._forget(earlier)
        kept[connection.origin] = connection

    def _forget(self, connection: _Connection) -> None:
        with self._lock:
            self._all.discard(connection)
        connection.close()


# what an answer says


def _answer(
    response: http.client.HTTPResponse,
    url: str,
    wanted: tuple[int, int | None] | None,
    chunks: Callable[[], Iterator[bytes]],
) -> HttpAnswer:
    encoding = (response.getheader("Content-Encoding") or "identity").lower()
    if encoding != "identity" and response.status < 400:
        detail = f"it sends {encoding[:20]}-encoded bytes, which were not asked for"
        raise faults.BAD_ANSWER(place=_host(url), detail=detail)
    offset, size = 0, _length(response)
    if response.status in (206, 416):
        found = _CONTENT_RANGE.fullmatch(response.getheader("Content-Range") or "")
        if found is None and response.status == 206:
            raise faults.BAD_ANSWER(place=_host(url), detail="a part without Content-Range")
        size = int(found[3]) if found and found[3] != "*" else None
        offset = int(found[1]) if found and found[1] else (wanted or (0, None))[0]
    kind = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    return HttpAnswer(response.status, url, offset, size, response.length, kind, chunks())


def _length(response: http.client.HTTPResponse) -> int | None:
    given = response.getheader("Content-Length") or ""
    return int(given) if given.isascii() and given.isdecimal() else None


def _check_range(answer: HttpAnswer, offset: int) -> None:
    if answer.status == 206 and answer.offset != offset:
        detail = f"asked for byte {offset} it sends from byte {answer.offset}"
        raise faults.BAD_ANSWER(place=_host(answer.url), detail=detail)


def _raise_for_status(answer: HttpAnswer) -> None:
    status, host = answer.status, _host(answer.url)
    detail = f"{safe_url(answer.url)} answers {status} {http.client.responses.get(status, '')}".rstrip()
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


def _wanted_pause(response: http.client.HTTPResponse, attempt: int) -> float:
    """Retry-After in seconds; dates are not read, they depend on two clocks."""
    given = (response.getheader("Retry-After") or "").strip()
    return float(given) if re.fullmatch(r"[0-9]{1,6}", given) else float(attempt)


# URLs


def safe_url(url: str) -> str:
    """A URL for people: no user, no password, no query."""
    try:
        parts = urlsplit(url)
        query = "…" if parts.query else ""
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))
    except ValueError:
        return "the URL"


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _bare(parts: SplitResult) -> str:
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))


def _origin(parts: SplitResult) -> str:
    try:
        port = parts.port
    except ValueError:
        port = None
    scheme = parts.scheme.lower()
    return f"{scheme}://{parts.hostname}:{port or _PORTS.get(scheme)}"


def _login(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + b64encode(pair.encode()).decode()


# addresses


class AddressRule:
    """Which addresses may be connected to: all public ones, and those that are listed.

    The list has addresses, networks (``10.1.0.0/16``), and addresses with a port (``[::1]:8080``),
    between spaces; ``all`` allows everything.
    """

    def __init__(self, allowed: str) -> None:
        words = allowed.split()
        self._all = "all" in words
        self._allowed: list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, int | None]] = []
        for word in words:
            found = re.fullmatch(r"\[([^]]+)\](?::([0-9]+))?", word)
            address, port = (found[1], found[2]) if found else (word, None)
            try:
                network = ipaddress.ip_network(address, strict=False)
            except ValueError:
                continue
            self._allowed.append((network, int(port) if port else None))

    def allows(self, address: str, port: int) -> bool:
        """Whether one numeric address may be connected to."""
        if self._all:
            return True
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if all(_is_public(real) for real in _meant(found)):
            return True
        return any(
            real in network and wanted in (None, port)
            for real in _meant(found)
            for network, wanted in self._allowed
            if real.version == network.version
        )

    def check_behind_proxy(self, host: str, port: int, shown: str) -> None:
        """A proxy will connect for us: refuse hosts that are private as far as we can see.

        Raises:
            PolicyError: The host may not be connected to.
        """
        if self._all:
            return
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return
        for *_, address in found:
            if not self.allows(str(address[0]), port):
                raise _private(shown, str(address[0]))


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _meant(address: _Address) -> list[_Address]:
    """An address, or the IPv4 address that an IPv6 one carries to."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    return [address] if inner is None else [inner]


def _is_public(address: _Address) -> bool:
    return address.is_global and not address.is_multicast


def _private(url: str, address: str) -> HoldError:
    detail = f"{address} is an address of a private network or of this machine"
    return faults.BAD_URL(url=url, detail=detail)


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
            raise _private(host, str(found[0][4][0]))
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


class _Connection(http.client.HTTPConnection):
    """A connection that dials as it is told, perhaps by way of a proxy."""

    origin = ""
    tls: ssl.SSLContext | None = None

    def __init__(self, host: str, port: int, dial: Dial, proxy: SplitResult | None) -> None:
        super().__init__(host, port)
        self.default_port = -1 if (self.tls is None) != (port == 80) else 80
        self._dial = dial
        self._proxy = proxy

    @property
    def through_proxy(self) -> bool:
        return self._proxy is not None

    @property
    def must_close(self) -> bool:
        return self.sock is None

    def connect(self) -> None:
        name = self.host.strip("[]")
        if self._proxy is None:
            self.sock = self._dial.connect(name, self.port)
        else:
            self.sock = self._dial.connect(self._proxy.hostname or "", self._proxy.port or 3128)
            if self.tls is not None:
                self._open_tunnel()
        if self.tls is not None:
            self.sock = self.tls.wrap_socket(self.sock, server_hostname=name)

    def _open_tunnel(self) -> None:
        assert self._proxy is not None
        login = _login(self._proxy)
        lines = [f"CONNECT {self.host}:{self.port} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"Proxy-Authorization: {login}"] if login else []
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        said = b""
        while not said.endswith(b"\r\n\r\n"):
            # One byte at a time: what follows the empty line is not ours to read.
            byte = self.sock.recv(1)
            said += byte
            if not byte or len(said) > 1 << 16:
                raise faults.UNREACHABLE(place=self._proxy.hostname, detail="the proxy hung up")
        if not re.match(rb"HTTP/1\.[01] 200\b", said):
            detail = f"the proxy says {said[:60].partition(chr(13).encode())[0].decode('latin-1')}"
            raise faults.UNREACHABLE(place=self._proxy.hostname, detail=detail)

    def abort(self) -> None:
        """Wake a thread that reads from it, then let go."""
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def _plain(host: str, port: int, dial: Dial, proxy: SplitResult | None) -> _Connection:
    return _Connection(host, port, dial, proxy)


def _secure(host: str, port: int, dial: Dial, proxy: SplitResult | None) -> _Connection:
    import ssl  # costly, and plain HTTP needs none of it

    class Secure(_Connection):
        tls = ssl.create_default_context()
        default_port = 443

    return Secure(host, port, dial, proxy)
