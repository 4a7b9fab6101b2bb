"""One bucket over HTTP: the few requests we need, signed, with patience and bounds.

Connections are kept and shared by all threads. Bodies are in memory, so that any request can be
made again: all of them come to the same when they are made twice. Texts of errors hold what a
server calls the fault, never what was signed or sent.
"""

from __future__ import annotations

import http.client
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from ..core import faults
from ..core.abilities import Stream
from ..core.errors import HoldError
from ..version import __version__
from ..wire import s3
from ..wire.http1 import request_head
from .addresses import AddressRule
from .http_connection import USUAL_LIMITS, Connection, Dial, Limits
from .lanes import LANES
from .many_requests import Answered, ManyRequests, Request
from .s3_calls import VERSION_HEADER, Call, Data, get, head, with_data
from .s3_reply import BUSY, Reply, Where, check, read_reply, size_told, translated

CHUNK = 1 << 18
ANSWER_MAX = 1 << 20
"""What is longer than that is no answer to one of many requests."""

_USER_AGENT = f"holdfast/{__version__}"
_IDLE_MAX = 64
_PAGES_MAX = 10
"""Of a list of uploads or of parts, 1,000 each: there are no more parts."""

_RANGE = re.compile(r"bytes (?:([0-9]+)-([0-9]+)|\*)/([0-9]+|\*)")


Item = TypeVar("Item")


@dataclass(frozen=True)
class Patience:
    """How often a request is made, and how long is waited between, in times and seconds."""

    tries_max: int = 5
    wait_s: float = 0.3
    wait_max_s: float = 30.0
    limits: Limits = USUAL_LIMITS


class S3Client:
    """Requests to one bucket; threads may share it."""

    def __init__(
        self,
        bucket: s3.Bucket,
        signer: s3.Signer | None,
        *,
        place: str,
        allowed_addresses: str = "",
        patience: Patience = Patience(),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is opened yet. Without a ``signer`` requests are anonymous."""
        self._bucket = bucket
        self._signer = signer
        self._place = place
        self._where = Where(place, bucket.name, bucket.host_header, patience.limits.stall_s)
        self._rule = AddressRule(allowed_addresses)
        self._dial = Dial(self._rule, patience.limits)
        self._patience = patience
        self._sleep = sleep
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._many: ManyRequests | None = None
        self.is_closed = False
        self._lock = threading.Lock()

    # many objects

    def open_many(self) -> ManyRequests:
        """The connections for many small requests side by side, which `request_of` makes.

        What is not answered plainly there is to be asked by one of the functions below.
        """
        with self._lock:
            if self._many is None or self._many.is_closed:
                stall_s = self._patience.limits.stall_s
                self._many = ManyRequests(
                    self._dial_one, lanes=LANES, stall_s=stall_s, body_max=ANSWER_MAX
                )
            return self._many

    def heed(self, answer: Answered | None) -> None:
        """Wait, if that is what one of many answers asks for, before it is asked again.

        Raises:
            PlaceUnavailableError: It asks for too long.
        """
        if answer is not None and answer.status in BUSY:
            self._wait(answer.headers.get("retry-after", ""), 1)

    def request_of(self, call: Call) -> Request:
        """A request as it goes over a connection, signed now."""
        target, headers = self._signed(call, whole_url=self._wants_whole_url)
        return Request(call.method, request_head(call.method, target, headers.items()), call.data)

    @cached_property
    def _wants_whole_url(self) -> bool:
        return self._connect().wants_whole_url

    def _dial_one(self) -> socket.socket:
        connection = self._connect()
        connection.connect()
        return connection.sock

    # objects

    def size_of(self, name: bytes, version: str | None = None) -> int | None:
        """How many bytes an object has; None when there is none."""
        reply = self._request(head(name, version))
        if reply.status in (404, 405):
            return None
        check(reply, self._where)
        return size_told(reply.headers)

    def read(self, name: bytes) -> bytes | None:
        """A small object, None when there is none."""
        reply = self._request(get(name, None, {}))
        if reply.status == 404:
            return None
        check(reply, self._where)
        return reply.body

    def put_new(self, call: Call) -> bool:
        """Store an object unless there is one of that name; whether it was stored.

        Servers that do not know of this condition store it all the same.
        """
        reply = self._request(replace(call, headers={**call.headers, "if-none-match": "*"}))
        if reply.status in (409, 412):
            return False
        if reply.status == 501 or reply.code == "NotImplemented":
            reply = self._request(call)
        check(reply, self._where)
        return True

    def put(self, call: Call) -> str:
        """Store an object; gives its version, empty where the bucket keeps none."""
        reply = self._request(call)
        check(reply, self._where)
        return reply.headers.get(VERSION_HEADER, "")

    def delete(self, name: bytes) -> None:
        """Remove an object; what is not there is success."""
        reply = self._request(Call("DELETE", name))
        if reply.status != 404:
            check(reply, self._where)

    # objects in parts

    def begin(self, name: bytes, headers: Mapping[str, str]) -> str:
        """Begin an object in parts: nothing of it is seen before it is completed."""
        reply = self._request(Call("POST", name, {"uploads": ""}, b"", headers))
        check(reply, self._where)
        return s3.word_of(reply.body, "UploadId")

    def uploads(self, prefix: bytes) -> dict[bytes, str]:
        """Objects that begin so and whose upload was begun and not ended: the last one of each."""
        query = {"uploads": "", "prefix": _text(prefix), "encoding-type": "url"}
        return dict(self._listed(b"", query, s3.read_uploads))

    def parts(self, name: bytes, upload: str) -> dict[int, tuple[int, str]]:
        """Parts of an upload that are there: size and ETag of each."""
        found = self._listed(name, {"uploadId": upload}, s3.read_parts)
        return {number: (size, etag) for number, size, etag in found}

    def _listed(
        self, name: bytes, query: dict[str, str], read: Callable[[bytes], s3.Page[Item] | None]
    ) -> list[Item]:
        """All of a list, up to a bound."""
        found: list[Item] = []
        markers: dict[str, str] = {}
        for _ in range(_PAGES_MAX):
            reply = self._request(Call("GET", name, query | markers))
            check(reply, self._where)
            page = read(reply.body)
            if page is None:
                raise faults.BAD_ANSWER(place=self._place, detail="its list of uploads is none")
            found += page.items
            markers = page.markers
            if not markers:
                break
        return found

    def put_part(self, name: bytes, upload: str, number: int, data: Data) -> str:
        """Store one part; gives what names it when the object is completed."""
        query = {"partNumber": str(number), "uploadId": upload}
        reply = self._request(with_data("PUT", name, query, data, {}))
        check(reply, self._where)
        return reply.headers.get("etag", "")

    def complete(self, name: bytes, upload: str, etags: list[str], size: int) -> str:
        """Make the object of its parts, so many bytes in all; gives its version."""
        parts = s3.parts_document(etags)
        reply = self._request(with_data("POST", name, {"uploadId": upload}, parts, {}))
        if reply.status == 404:
            # Asked twice, as the first answer was lost: the parts are gone, the object is there.
            found = self._request(head(name, None))
            if found.status == 200 and size_told(found.headers) == size:
                return found.headers.get(VERSION_HEADER, "")
        check(reply, self._where)
        if b"<Error" in reply.body:  # an answer that began with 200 may end badly
            detail = f"the server says {reply.code[:60]}"
            raise faults.UNREACHABLE(place=self._place, detail=detail)
        return reply.headers.get(VERSION_HEADER, "")

    def abort(self, name: bytes, upload: str) -> None:
        """Throw the parts away."""
        self._request(Call("DELETE", name, {"uploadId": upload}))

    # the bucket

    def bucket_exists(self) -> bool:
        """Whether the bucket is there and ours to use.

        Raises:
            AccessError: It is somebody else's.
        """
        reply = self._request(Call("GET", b"", {"location": ""}))
        if reply.status == 404:
            return False
        check(reply, self._where)
        return True

    def create_bucket(self, region: str, headers: Mapping[str, str]) -> None:
        """Make the bucket."""
        document = s3.bucket_document(region)
        reply = self._request(with_data("PUT", b"", {}, document, headers))
        if reply.code != "BucketAlreadyOwnedByYou":
            check(reply, self._where)

    def keep_versions(self) -> None:
        """Let the bucket keep every version of its objects."""
        reply = self._request(with_data("PUT", b"", {"versioning": ""}, s3.VERSIONED, {}))
        check(reply, self._where)

    # reading

    def list_page(self, prefix: bytes, after: str = "") -> s3.ObjectPage:
        """Some of the objects whose names begin so, by name; the rest begins ``after`` its token.

        Raises:
            RemoteProtocolError: The answer is no such list.
        """
        query = {"list-type": "2", "prefix": _text(prefix)}
        query |= {"encoding-type": "url"} | ({"continuation-token": after} if after else {})
        reply = self._request(Call("GET", b"", query))
        check(reply, self._where)
        page = s3.read_page(reply.body)
        if page is None:
            raise faults.BAD_ANSWER(place=self._place, detail="its list of objects is none")
        return page

    @contextmanager
    def open(
        self, name: bytes, offset: int = 0, version: str | None = None, length: int | None = None
    ) -> Iterator[Stream]:
        """Read an object from an offset; the stream says where it really starts.

        With ``length`` so many bytes are asked for, and a server may send others all the same.

        Raises:
            NotFoundError: There is none.
            AccessError, PlaceUnavailableError, RemoteProtocolError: As for any place.
        """
        last = "" if length is None else offset + length - 1
        headers = {"range": f"bytes={offset}-{last}"} if offset or length is not None else {}
        connection, response = self._ask(get(name, version, headers))
        used_up = False
        try:
            if response.status not in (200, 206):
                reply = read_reply(response)
                used_up = response.isclosed()
                check(reply, self._where)
                raise faults.BAD_ANSWER(place=self._place, detail=f"status {response.status}")
            yield self._stream(response, offset)
            used_up = response.isclosed() or response.length == 0
        finally:
            self._give_back(connection, response, used_up=used_up)

    def _stream(self, response: http.client.HTTPResponse, wanted: int) -> Stream:
        length = response.getheader("Content-Length") or ""
        size = int(length) if length.isdecimal() else None
        said = response.getheader("Content-Range")
        # Some servers send a part under status 200: what counts is what it says it is.
        if said is None and response.status == 200:
            return Stream(0, size, self._iter_body(response))
        found = _RANGE.fullmatch(said or "")
        if found is None or not found[1] or int(found[1]) != wanted:
            detail = f"asked for byte {wanted} it sends another part"
            raise faults.BAD_ANSWER(place=self._place, detail=detail)
        whole = int(found[3]) if found[3] != "*" else None
        return Stream(wanted, whole, self._iter_body(response))

    def _iter_body(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        left = response.length
        try:
            while chunk := response.read1(CHUNK):
                if left is not None:
                    left -= len(chunk)
                yield chunk
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise translated(error, self._where) from error
        if left:
            detail = f"the connection ended {left} bytes too early"
            raise faults.UNREACHABLE(place=self._place, detail=detail)

    # requests

    def _request(self, call: Call) -> Reply:
        connection, response = self._ask(call)
        reusable = False
        try:
            reply = read_reply(response)
            reusable = response.isclosed()
            return reply
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise translated(error, self._where) from error
        finally:
            self._give_back(connection, response, used_up=reusable)

    def _ask(self, call: Call) -> tuple[Connection, http.client.HTTPResponse]:
        """Ask until the server has an answer that counts, within bounds."""
        moved = False
        for attempt in range(1, self._patience.tries_max + 1):
            is_last = attempt == self._patience.tries_max
            try:
                connection, response = self._once(call)
            except HoldError as error:
                if is_last or error.exit_code != 3:
                    raise
                self._sleep(self._pause(attempt))
                continue
            movable = response.status in (301, 307, 400) and not (moved or is_last)
            if movable and self._move(response):
                moved = True
                self._give_back(connection, response, used_up=False)
                continue
            if response.status not in BUSY or is_last:
                break
            wanted = response.getheader("Retry-After") or ""
            self._give_back(connection, response, used_up=False)
            self._wait(wanted, attempt)
        return connection, response

    def _once(self, call: Call) -> tuple[Connection, http.client.HTTPResponse]:
        connection, fresh = self._connection()
        try:
            target, sent = self._signed(call, whole_url=connection.wants_whole_url)
            return connection, _sent(connection, call, target, sent)
        except HoldError:
            self._forget(connection)
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._forget(connection)
            if fresh or isinstance(error, TimeoutError):
                raise translated(error, self._where) from error
        # The server had closed the connection that we kept; that is its right.
        return self._once(call)

    def _signed(self, call: Call, *, whole_url: bool) -> tuple[str, dict[str, str]]:
        """What a request asks for, and its headers."""
        path = self._bucket.path(call.name)
        target = f"{path}?{s3.query_of(call.query)}" if call.query else path
        if whole_url:
            target = f"{self._bucket.scheme}://{self._bucket.host_header}{target}"
        return target, self._headers(call, path)

    def _headers(self, call: Call, path: str) -> dict[str, str]:
        common = {"host": self._bucket.host_header, **call.headers}
        if self._signer is not None:
            moment = _moment_of(int(time.time()))
            common = self._signer.headers(
                call.method, path, call.query, common, call.sha256, moment
            )
        if call.method in ("PUT", "POST"):
            common["content-length"] = str(len(call.data))
        common["user-agent"] = _USER_AGENT
        common["accept-encoding"] = "identity"
        return common

    def _move(self, response: http.client.HTTPResponse) -> bool:
        """Learn from an answer that the bucket is in another region; False when it says none."""
        region = response.getheader("x-amz-bucket-region") or ""
        if not region or self._signer is None or region == self._signer.region:
            return False
        if not re.fullmatch(r"[a-z0-9-]{1,40}", region):
            return False
        self._signer = replace(self._signer, region=region)
        if self._bucket.host.endswith(".amazonaws.com"):
            self._bucket = replace(self._bucket, host=f"s3.{region}.amazonaws.com")
            self._end_connections()
        return True

    def _pause(self, attempt: int) -> float:
        usual = self._patience.wait_s * float(2 ** (attempt - 1))
        return min(self._patience.wait_max_s, usual * random.uniform(0.5, 1.5))

    def _wait(self, wanted: str, attempt: int) -> None:
        """Wait as long as a busy server wants us to, or as is usual when it does not say."""
        wanted = wanted.strip()
        told = re.fullmatch(r"[0-9]{1,6}", wanted) is not None
        wait_s = float(wanted) if told else self._pause(attempt)
        if wait_s > self._patience.wait_max_s:
            detail = f"it is busy and asks to wait {wait_s:g} s"
            raise faults.UNREACHABLE(place=self._place, detail=detail)
        self._sleep(wait_s)

    # connections

    def _connection(self) -> tuple[Connection, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), False
        connection = self._connect()
        with self._lock:
            self._all.add(connection)
        return connection, True

    def _connect(self) -> Connection:
        bucket = self._bucket
        parts = urlsplit(f"{bucket.scheme}://{bucket.host_header}/")
        proxy = _proxy_for(bucket.scheme, parts.hostname or "")
        if proxy is None:
            return Connection(parts, self._dial, None)
        self._rule.check_behind_proxy(parts.hostname or "", bucket.port, bucket.host_header)
        return Connection(parts, Dial(AddressRule("all"), self._dial.limits), proxy)

    def _give_back(
        self, connection: Connection, response: http.client.HTTPResponse, *, used_up: bool
    ) -> None:
        response.close()
        with self._lock:
            usable = used_up and not response.will_close and connection in self._all
            if usable and len(self._idle) < _IDLE_MAX:
                self._idle.append(connection)
                return
        self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            self._all.discard(connection)
        connection.close()

    def close(self) -> None:
        """End all connections; what they were reading ends with an error."""
        self.is_closed = True
        self._end_connections()

    def _end_connections(self) -> None:
        with self._lock:
            ended, self._all = self._all, set()
            self._idle.clear()
            many = self._many
        for connection in ended:
            connection.abort()
        if many is not None:
            many.close()


def _sent(
    connection: Connection, call: Call, target: str, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    """Send a request, a small one as one piece: two would be twice the work."""
    if connection.sock is None:
        connection.connect()
    first = request_head(call.method, target, headers.items())
    small = call.data if len(call.data) <= CHUNK else b""
    connection.sock.sendall(first + small)
    if call.data and not small:
        connection.sock.sendall(call.data)
    response = http.client.HTTPResponse(connection.sock, method=call.method)
    try:
        response.begin()
    except BaseException:
        response.close()
        raise
    return response


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


@lru_cache(1)
def _moment_of(second: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))


def _proxy_for(scheme: str, host: str) -> SplitResult | None:
    from urllib.request import getproxies, proxy_bypass  # slow to import

    url = getproxies().get(scheme)
    if not url or proxy_bypass(host):
        return None
    return urlsplit(url if "://" in url else f"http://{url}")
