"""One large object of a bucket, sent in parts: nothing is seen of it before all parts are there.

Sending goes on with the parts that a killed or failed sender left there: those of which the server
says the hash that ours have. What waits in vain for that costs room in the bucket until a rule of
the bucket removes it, as for every sender in parts.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

from ..core.abilities import Content, OnBytes
from ..core.errors import HoldError, NotFoundError, PlaceFullError
from .buffers import Buffers
from .s3_client import S3Client

_Parts = Mapping[int, tuple[int, str]]
"""Size and ETag of parts that are there, by their number."""

PARTS_ON_WAY = 16
_AGAIN = 3
"""The exit code of failures after which the same command, run again, may succeed."""


class PartSender:
    """Sends contents in parts, some parts of each at a time; threads may share it."""

    def __init__(self, client: S3Client, buffers: Buffers, prefix: bytes = b"") -> None:
        """``prefix`` is how the names of all objects begin."""
        self._client = client
        self._buffers = buffers
        self._prefix = prefix
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="part")
        self._lock = threading.Lock()
        self._left: dict[bytes, str] | None = None

    def close(self) -> None:
        """Send no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def send(
        self,
        name: bytes,
        content: Content,
        part: int,
        headers: Mapping[str, str],
        progress: OnBytes,
    ) -> str:
        """Send an object in parts of so many bytes; gives its version."""
        left = self._take_left(name)
        if left is not None:
            gone = 0

            def count(size: int) -> None:
                nonlocal gone
                gone += size
                progress(size)

            try:
                return self._send(name, content, part, *left, count, is_ours=False)
            except (NotFoundError, _OtherError):  # somebody ended it meanwhile, or it is of no use
                progress(-gone)
        upload = self._client.begin(name, headers)
        return self._send(name, content, part, upload, {}, progress, is_ours=True)

    def _send(
        self,
        name: bytes,
        content: Content,
        part: int,
        upload: str,
        there: _Parts,
        progress: OnBytes,
        *,
        is_ours: bool,
    ) -> str:
        client = self._client
        on_way: list[Future[str]] = []
        try:
            for data in self._iter_parts(content, part):
                number, size = len(on_way) + 1, len(data)
                if there.get(number) == (size, _etag(data) if number in there else ""):
                    sent = _done(there[number][1])
                elif number == 1 and not is_ours:
                    self._buffers.give_back(part)
                    raise _OtherError
                else:
                    sent = self._pool.submit(client.put_part, name, upload, number, data)
                sent.add_done_callback(lambda done: self._buffers.give_back(part))
                on_way.append(sent)
                del data
                if number > PARTS_ON_WAY:
                    on_way[-PARTS_ON_WAY].result()  # one that failed ends all
                progress(size)
            etags = [future.result() for future in on_way]
            return client.complete(name, upload, etags, content.size)
        except BaseException as error:
            for future in on_way:
                future.cancel()
            wait(on_way)
            # One that we did not begin may be somebody else's, who is still at it.
            if is_ours and not _goes_on(error):
                with suppress(HoldError):
                    client.abort(name, upload)
            raise

    def _take_left(self, name: bytes) -> tuple[str, _Parts] | None:
        """The upload of an object that was begun and not ended, and its parts; once.

        A bucket need not let us look: then all is sent.
        """
        with self._lock:
            if self._left is None:
                self._left = {}
                with suppress(HoldError):
                    self._left = self._client.uploads(self._prefix)
            upload = self._left.pop(name, None)
        if upload is not None:
            with suppress(HoldError):
                return upload, self._client.parts(name, upload)
        return None

    def _iter_parts(self, content: Content, part: int) -> Iterator[bytearray]:
        """The parts; each comes with leave to hold it in memory, to be given back."""
        kept: bytearray | None = None
        try:
            for chunk in content.chunks():
                at = 0
                while at < len(chunk):
                    if kept is None:
                        self._buffers.take(part)
                        kept = bytearray()
                    piece = chunk[at : at + part - len(kept)]
                    at += len(piece)
                    kept += piece
                    if len(kept) == part:
                        whole, kept = kept, None
                        yield whole
            if kept is not None:
                whole, kept = kept, None
                yield whole
        finally:
            if kept is not None:
                self._buffers.give_back(part)


class _OtherError(Exception):
    """What was begun has other bytes: it was encrypted anew, say."""


def _goes_on(error: BaseException) -> bool:
    """Whether what is there is of use to who runs the same again."""
    if isinstance(error, HoldError):
        return error.exit_code == _AGAIN and not isinstance(error, PlaceFullError)
    return not isinstance(error, Exception)  # a person stopped it


def _etag(data: bytearray) -> str:
    """What a server calls a part that it keeps as it is."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _done(etag: str) -> Future[str]:
    future: Future[str] = Future()
    future.set_result(etag)
    return future
