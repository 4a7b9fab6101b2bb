"""Many small objects of a bucket side by side: sent, read and looked for by one thread.

What is large, and what is not answered plainly, is left to the functions for a single object, in
threads: they wait for a busy server, follow a bucket to its region, and tell what is wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

from ..core import faults
from ..core.abilities import Answer, Content, OnBytes, Readable, Stream
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Presence
from ..wire.remote_urls import S3Version
from .lanes import AHEAD, Leftovers
from .many_requests import Answered, Request
from .s3_calls import Call, get, head
from .s3_client import S3Client
from .s3_reply import size_told
from .url_store import tell

SEND_MAX = 1 << 18
"""What is larger is sent by threads: hashing it lets others run."""

FETCH_MAX = 1 << 20
"""What is larger is not fetched ahead: it is streamed when its turn comes."""

_SEND_LANES = 8
"""So many of those threads: each holds a content in memory."""

_AHEAD_BYTES = 16 << 20
_BLOCK = 32

Tag = TypeVar("Tag")


class Objects(Readable, Protocol):
    """What is used of a bucket."""

    @property
    def client(self) -> S3Client:
        """Requests to it."""

    def objects_of(self, keys: Sequence[Key]) -> list[S3Version | None]:
        """The object that holds each key; None when none is known."""

    def put_call(self, name: bytes, content: Content) -> Call:
        """The call that sends a small content whole; it is checked for this."""

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Send a single content, with patience."""

    def answer_of(self, key: Key, size: int | None) -> Answer:
        """What it means that an object of such a size is there, or none."""


# ---------------------------------------------------------------- sending


@dataclass(slots=True)
class _Outgoing:
    key: Key
    content: Content
    error: HoldError | None = None
    answer: Answered | None = None


def iter_send(
    bucket: Objects, items: Iterable[tuple[Key, Content]], progress: OnBytes
) -> Iterator[tuple[Key, HoldError | None]]:
    """Put contents there, and say of each how it ended, in any order."""

    def send(item: _Outgoing) -> HoldError | None:
        try:
            _need_open(client, bucket)
            client.heed(item.answer)
            bucket.send(item.key, item.content, progress)
        except HoldError as error:
            return error
        return None

    try:
        client = bucket.client
    except HoldError as error:
        yield from ((key, error) for key, _ in items)
        return
    with Leftovers(send, lanes=_SEND_LANES) as left:
        for item, answer in _iter_answers(client, _put_requests(bucket, client, items)):
            if item.error is not None:
                yield item.key, item.error
            elif answer is not None and answer.status == 200:
                progress(item.content.size)
                yield item.key, None
            else:
                item.answer = answer
                left.put(item)
            yield from ((done.key, error) for done, error in left.ended())
        yield from ((done.key, error) for done, error in left.rest())


def _put_requests(
    bucket: Objects, client: S3Client, items: Iterable[tuple[Key, Content]]
) -> Iterator[tuple[_Outgoing, Request | None]]:
    for key, content in items:
        item, request = _Outgoing(key, content), None
        try:
            if content.size <= SEND_MAX:
                request = client.request_of(bucket.put_call(key, content))
        except HoldError as error:
            item.error = error
        yield item, request


# ---------------------------------------------------------------- reading


@dataclass(slots=True)
class _Wanted:
    """A key whose turn comes; ``found`` is there as soon as its turn may be."""

    key: Key
    size: int | None
    object: S3Version | None
    answer: Answered | None = None
    found: bytes | HoldError | Future[bytes | HoldError] | None = None
    is_streamed: bool = False


def iter_contents(bucket: Objects, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
    """Stream contents in order, small ones fetched some way ahead."""
    try:
        client = bucket.client
    except HoldError as error:
        yield from ((key, error) for key in keys)
        return

    def fetch(wanted: _Wanted) -> bytes | HoldError:
        try:
            _need_open(client, bucket)
            client.heed(wanted.answer)
            with bucket.open_content(wanted.key) as stream:
                return b"".join(stream.chunks)
        except HoldError as error:
            return error

    ahead = _Ahead(bucket, client, iter(keys))
    with Leftovers(fetch) as left:
        while ahead.has_more():
            for wanted, answer in _iter_answers(client, ahead.iter_requests()):
                if answer is not None and answer.status == 200:
                    wanted.found = answer.body
                else:
                    wanted.answer = answer
                    wanted.found = left.put(wanted)
                left.forget_ended()
                yield from ahead.iter_ready()
            yield from ahead.iter_ready()


class _Ahead:
    """Keys that were taken and not given yet, in their order."""

    def __init__(self, bucket: Objects, client: S3Client, keys: Iterator[Key]) -> None:
        self._bucket = bucket
        self._client = client
        self._keys = keys
        self._taken: deque[_Wanted] = deque()
        self._order: deque[_Wanted] = deque()
        self._bytes = 0

    def has_more(self) -> bool:
        """Whether there is a key to be given."""
        return bool(self._order) or self._take()

    def iter_requests(self) -> Iterator[tuple[_Wanted, Request | None] | None]:
        """What to ask for next; None while enough is on its way."""
        while self._take():
            if self._order and (len(self._order) >= AHEAD or self._bytes >= _AHEAD_BYTES):
                yield None
                continue
            wanted = self._taken.popleft()
            self._order.append(wanted)
            self._bytes += wanted.size or 0
            if wanted.found is None and not wanted.is_streamed:
                yield wanted, self._request(wanted)

    def iter_ready(self) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Those whose turn it is."""
        while self._order and (self._order[0].is_streamed or self._order[0].found is not None):
            wanted = self._order.popleft()
            self._bytes -= wanted.size or 0
            yield from self._give(wanted)

    def _take(self) -> bool:
        """Make sure that a key is taken; False when there is none."""
        if not self._taken:
            block = list(islice(self._keys, _BLOCK))
            for key, found in zip(block, self._bucket.objects_of(block), strict=True):
                wanted = _Wanted(key, key.stored_size, found)
                wanted.is_streamed = wanted.size is None or wanted.size > FETCH_MAX
                if found is None:
                    wanted.found = nothing_recorded(self._bucket, key)
                self._taken.append(wanted)
        return bool(self._taken)

    def _request(self, wanted: _Wanted) -> Request | None:
        assert wanted.object is not None
        call = get(wanted.object.object_name, wanted.object.id or None, {})
        return _request_of(self._client, call)

    def _give(self, wanted: _Wanted) -> Iterator[tuple[Key, Stream | HoldError]]:
        found = wanted.found.result() if isinstance(wanted.found, Future) else wanted.found
        if isinstance(found, bytes):
            yield wanted.key, Stream(0, len(found), iter((found,)))
            return
        if found is not None:
            yield wanted.key, found
            return
        with ExitStack() as stack:
            answer: Stream | HoldError
            try:
                answer = stack.enter_context(self._bucket.open_content(wanted.key))
            except HoldError as error:
                answer = error
            yield wanted.key, answer


def nothing_recorded(bucket: Objects, key: Key) -> HoldError:
    """The error that says that nobody wrote down which object holds a key."""
    detail = "no object is recorded for it"
    return faults.NOT_THERE(place=bucket.place.label, key=key.text, detail=detail)


# ---------------------------------------------------------------- asking


def ask(
    bucket: Objects,
    keys: Sequence[Key],
    ask_one: Callable[[tuple[Key, S3Version]], Answer],
) -> Iterator[tuple[Key, Answer]]:
    """Look for each key that an object is known for, in any order."""
    client = bucket.client

    def requests() -> Iterator[tuple[tuple[Key, S3Version], Request | None]]:
        for key, found in zip(keys, bucket.objects_of(keys), strict=True):
            if found is not None:
                call = head(found.object_name, found.id or None)
                yield (key, found), _request_of(client, call)

    def ask_again(item: tuple[tuple[Key, S3Version], Answered | None]) -> Answer:
        asked, answer = item
        try:
            client.heed(answer)
        except HoldError as error:
            return Answer(Presence.UNKNOWN, tell(error))
        return ask_one(asked)

    with Leftovers(ask_again) as left:
        for asked, answer in _iter_answers(client, requests()):
            if answer is not None and answer.status in (200, 404):
                there = size_told(answer.headers) if answer.status == 200 else None
                yield asked[0], bucket.answer_of(asked[0], there)
            else:
                left.put((asked, answer))
        yield from ((asked[0], told) for (asked, _), told in left.rest())


# ---------------------------------------------------------------- of all


def _iter_answers(
    client: S3Client, requests: Iterator[tuple[Tag, Request | None] | None]
) -> Iterator[tuple[Tag, Answered | None]]:
    """Make requests; on new connections, when a bucket turns out to be in another region."""
    while not client.is_closed:
        many = client.open_many()
        yield from many.iter_answers(requests)
        if not many.is_closed:
            return
    for item in requests:
        if item is None:
            return
        yield item[0], None


def _request_of(client: S3Client, call: Call) -> Request | None:
    """None where we may not ask in this way; who asks in the other is told why."""
    try:
        return client.request_of(call)
    except HoldError:
        return None


def _need_open(client: S3Client, bucket: Objects) -> None:
    """Nothing is asked again for somebody who ended all connections."""
    if client.is_closed:
        raise faults.UNREACHABLE(place=bucket.place.label, detail="the connection was cut")
