"""A git-annex repository that is served by git-annex's protocol over HTTP (``annex+http://``).

Served by ``git annex p2phttp`` or ``hold serve``. Format and deviations: docs/formats/annex.md,
"P2P over HTTP". A body that is not as long as was announced is of no use; a missing key may come
as a content of no length.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from ..core import faults
from ..core.abilities import Answer, Content, OnBytes, Stream
from ..core.errors import HoldError, IntegrityError, PlaceUnavailableError, RemoteProtocolError
from ..core.key import Key
from ..core.place import Place, PlaceId, Presence
from ..core.policy import DropProof, Waiver
from ..wire.p2phttp import (
    FIRST_VERSION,
    SIZE_HEADER,
    VERSION_MAX,
    Name,
    read_answer,
    write_call,
)
from .http_connection import USUAL_LIMITS, Limits
from .p2p_http_calls import HttpCalls, Logins, Request
from .p2p_http_lock import kept_locked
from .ssh_sending import FILL_MAX, HASHED_PER_S, MARGIN_S

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

ASKERS = 6
CHUNK = 1 << 18
SMALL = 1 << 16
"""Up to this size it is not asked first what an earlier try left there."""

PROMISE_S = 600.0
NOBODY = PlaceId("00000000-0000-0000-0000-000000000000")


class P2pHttp:
    """Content of a repository behind a server. Safe to share between threads."""

    sees_removal = False
    """git-annex's server says yes while content is locked to be removed."""

    def __init__(
        self,
        place: Place,
        url: str,
        *,
        here: PlaceId | None = None,
        logins: Logins | None = None,
        cost: float = 200.0,
        limits: Limits = USUAL_LIMITS,
        allowed_addresses: str = "all",
    ) -> None:
        """``url`` is the server's http address (`wire.p2phttp.read_address`). Nothing is opened.

        ``allowed_addresses`` is annex.security.allowed-ip-addresses; whoever adds a remote by hand
        chose its address, be it a private one.
        """
        self.place = place
        self.cost = cost
        self.calls = HttpCalls(url, logins, limits=limits, allowed_addresses=allowed_addresses)
        self.version = VERSION_MAX
        self._here = here or NOBODY
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    # asking

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look, for each key, some at a time."""
        if len(keys) < 2:
            return [self._ask(key) for key in keys]
        return list(self._askers().map(self._ask, keys))

    def _ask(self, key: Key) -> Answer:
        try:
            there = self._told(Name.CHECK, "present", bool, key=key)
        except HoldError as error:
            return Answer(Presence.UNKNOWN, f"{error.what} ({error.why})")
        return Answer(Presence.PRESENT if there else Presence.ABSENT)

    @contextmanager
    def lock_content(self, key: Key) -> Iterator[Answer]:
        """Hold a copy there until the block ends; the server keeps it ten minutes if we vanish."""
        until = time.monotonic() + PROMISE_S
        name = ""
        try:
            answer = self._posted(Name.LOCK, key=key)
            if read_answer(answer, "locked", bool):
                name = cast(str, read_answer(answer, "lockid", str))
        except HoldError as error:
            yield Answer(Presence.UNKNOWN, error.what)
            return
        if not name:
            # It is not there, or somebody removes it: not the same, but the answer is.
            yield Answer(Presence.ABSENT)
            return
        target = self.target(Name.KEEP, lockid=name.encode())
        with kept_locked(self.calls, target):
            yield Answer(Presence.PRESENT, until=until)

    # reading

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from a byte offset.

        Raises:
            NotFoundError: It is not there.
        """
        target = self._settled(lambda: self.target(Name.KEY, key=key, offset=b"%d" % offset))
        with self.calls.open(Request("GET", target)) as response:
            left = self._length(key, offset, response)
            yield Stream(offset, offset + left, self._chunks(response, left))

    def _length(self, key: Key, offset: int, response: http.client.HTTPResponse) -> int:
        if response.status == 404:
            raise self._not_there(key, "it answers 404")
        self._check(response.status, b"")
        given = response.getheader(SIZE_HEADER) or ""
        if not given.isdecimal():
            raise faults.BAD_ANSWER(place=self.place.label, detail=f"no {SIZE_HEADER}")
        left = int(given)
        if not left and key.size != offset:
            response.read()
            raise self._not_there(key, "it sends nothing of it")
        return left

    def _chunks(self, response: http.client.HTTPResponse, left: int) -> Iterator[bytes]:
        for chunk in self.calls.chunks(response, CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
        if left:
            detail = "it sent fewer or more bytes than it said"
            raise faults.UNREACHABLE(place=self.place.label, detail=detail)

    def _not_there(self, key: Key, detail: str) -> HoldError:
        return faults.NOT_THERE(place=self.place.label, key=key.text, detail=detail)

    # sending and removing

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Put content there; what an earlier try left there is gone on with.

        Raises:
            IntegrityError: The content here is not what the key names; nothing stays there.
            PlaceUnavailableError: It did not take it, or went away.
            AccessError: It refuses.
        """
        offset = self._offset(key, content)
        if offset is None or self._put(key, content, offset, progress):
            if offset is None:
                progress(content.size)
            return
        # What an earlier try left may have been wrong; the server found out, and threw it away.
        if not offset or not self._put(key, content, 0, progress):
            detail = "it says that it did not store it"
            raise faults.NOT_TAKEN(place=self.place.label, key=key.text, detail=detail)

    def _offset(self, key: Key, content: Content) -> int | None:
        """From which byte on it wants content; None when it has it."""
        if self.version < FIRST_VERSION[Name.OFFSET]:
            return None if self._told(Name.CHECK, "present", bool, key=key) else 0
        if content.size <= SMALL:
            return 0
        answer = self._posted(Name.OFFSET, key=key)
        if b"alreadyhave" in answer and read_answer(answer, "alreadyhave", bool):
            return None
        offset = cast(int, read_answer(answer, "offset", int))
        return offset if 0 <= offset <= content.size else 0

    def _put(self, key: Key, content: Content, offset: int, progress: OnBytes) -> bool:
        """Send content from an offset; whether it is there now."""
        sending = _Sending(content, offset, progress)
        parameters = {"key": bytes(key), "offset": b"%d" % offset}
        if self.version < FIRST_VERSION[Name.OFFSET]:
            parameters.pop("offset")
        size = str(content.size - offset)
        headers = {
            "Content-Type": "application/octet-stream", "Content-Length": size, SIZE_HEADER: size,
        }  # fmt: skip
        patience_s = content.size / HASHED_PER_S

        def request() -> Request:
            target = self.target(Name.PUT, **parameters)
            again = content.size - offset <= SMALL
            return Request("POST", target, headers, sending.chunks, patience_s, again)

        try:
            stored = read_answer(self._exchanged(request), "stored", bool)
        except RemoteProtocolError as error:
            sending.take_back()
            raise self._nonsense(error) from error
        except BaseException:
            sending.take_back()
            raise
        if sending.failure is not None or not stored:
            sending.take_back()
        if sending.failure is not None:
            raise sending.failure
        return bool(stored)

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Remove a copy there; before promises of other places, that it rests on, run out.

        Raises:
            PolicyError: It is kept there, or there is no time left.
            AccessError: It refuses.
        """
        assert leave.key == key and leave.place == self.place.id, "leave is for one copy"
        until = leave.until if isinstance(leave, DropProof) else None
        try:
            if until is None:
                removed = bool(self._told(Name.REMOVE, "removed", bool, key=key))
            else:
                removed = self._remove_before(key, until)
        except _InternalError:
            # What git-annex's server says where content is locked, too.
            removed = False
        if not removed:
            raise faults.KEPT_THERE(place=self.place.label, key=key.text)

    def _remove_before(self, key: Key, until: float) -> bool:
        left_s = int(until - time.monotonic()) - MARGIN_S
        if left_s <= 0:
            raise faults.PROMISES_RAN_OUT(key=key.text)
        # Which version the server speaks is not known before it was asked for something.
        self._ask(key)
        if self.version < FIRST_VERSION[Name.REMOVE_BEFORE]:
            return bool(self._told(Name.REMOVE, "removed", bool, key=key))
        clock = cast(int, self._told(Name.TIMESTAMP, "timestamp", int))
        timestamp = b"%d" % (clock + left_s)
        return bool(self._told(Name.REMOVE_BEFORE, "removed", bool, timestamp=timestamp, key=key))

    def close(self) -> None:
        """End connections; streams that are still read end with an error."""
        self.calls.close()
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    # calls

    def target(self, name: Name, **parameters: bytes) -> str:
        """The path of a call in the version that is spoken."""
        given = {**parameters, "clientuuid": self._here.encode()}
        return write_call(self.place.id, self.version, name, given)

    def _told(
        self, name: Name, field: str, kind: type[bool] | type[int], **parameters: bytes
    ) -> object:
        try:
            return read_answer(self._posted(name, **parameters), field, kind)
        except RemoteProtocolError as error:
            raise self._nonsense(error) from error

    def _posted(self, name: Name, **parameters: bytes) -> bytes:
        return self._exchanged(lambda: Request("POST", self.target(name, **parameters)))

    def _exchanged(self, request: Callable[[], Request]) -> bytes:
        """The answer to a call; a lower version is spoken when the server does not know ours."""
        while True:
            status, body = self.calls.ask(request())
            if status == 400 and b"version" in body and self.version > 0:
                self.version -= 1
                continue
            self._check(status, body)
            return body

    def _settled(self, target: Callable[[], str]) -> str:
        """A target in a version that the server is known to speak."""
        if self.version == VERSION_MAX and not self._is_settled:
            self._posted(Name.CHECK, key=_PROBE)
            self._is_settled = True
        return target()

    _is_settled = False

    def _check(self, status: int, body: bytes) -> None:
        if status == 200:
            return
        said = body[:200].decode("utf-8", "replace").strip()
        detail = f"it answers {status} {http.client.responses.get(status, '')} {said}".rstrip()
        if status == 400 and b"version" in body:
            raise faults.NO_COMMON_VERSION(place=self.place.label, detail=said)
        if status in (401, 403):
            next_step = "ask its owner for the right to do this, or use another place"
            raise faults.REFUSED(place=self.place.label, detail=detail, next=next_step)
        if status == 500:
            error = faults.UNREACHABLE(place=self.place.label, detail=detail)
            raise _InternalError(
                error.what, why=error.why, safe=error.safe, hint=error.hint, code=error.code
            )
        if status > 500 or status in (404, 408, 429):
            raise faults.UNREACHABLE(place=self.place.label, detail=detail)
        raise faults.BAD_ANSWER(place=self.place.label, detail=detail)

    def _nonsense(self, error: RemoteProtocolError) -> HoldError:
        return error if error.code else faults.BAD_ANSWER(place=self.place.label, detail=str(error))

    def _askers(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor

        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(ASKERS, thread_name_prefix="ask")
            return self._pool


class _InternalError(PlaceUnavailableError):
    """The server says 500."""


_PROBE = Key(b"WORM-s0--hold")
"""A key to ask for when only the version is of interest."""


class _Sending:
    """A body made of content, and how far it has gone."""

    def __init__(self, content: Content, offset: int, progress: OnBytes) -> None:
        self.failure: IntegrityError | None = None
        self._content = content
        self._offset = offset
        self._progress = progress
        self._told = 0

    def chunks(self) -> Iterator[bytes]:
        """The bytes. Where they turn out wrong, others of the same number follow."""
        self.take_back()
        self._tell(self._offset)
        left = self._content.size - self._offset
        try:
            for whole in self._content.chunks(self._offset):
                chunk = whole[:left]
                for at in range(0, len(chunk), CHUNK):
                    yield chunk[at : at + CHUNK]
                left -= len(chunk)
                self._tell(len(chunk))
        except IntegrityError as error:
            self.failure = error
        if left > FILL_MAX:
            raise self.failure or faults.DAMAGED_HERE(key="it", detail="it became shorter")
        if left:
            yield bytes(left)
            self._tell(left)

    def take_back(self) -> None:
        """What went has to go again, or did not arrive."""
        self._tell(-self._told)

    def _tell(self, size: int) -> None:
        self._told += size
        self._progress(size)
