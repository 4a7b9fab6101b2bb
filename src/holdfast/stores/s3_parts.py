"""One large object of a bucket, sent in parts: nothing is seen of it before all parts are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

from ..core.abilities import Content, OnBytes
from ..core.errors import HoldError
from .buffers import Buffers
from .s3_client import S3Client

PARTS_ON_WAY = 16


class PartSender:
    """Sends contents in parts, some parts of each at a time; threads may share it."""

    def __init__(self, client: S3Client, buffers: Buffers) -> None:
        self._client = client
        self._buffers = buffers
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="part")

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
        client = self._client
        upload = client.begin(name, headers)
        on_way: list[Future[str]] = []
        try:
            for data in self._iter_parts(content, part):
                number = len(on_way) + 1
                sent = self._pool.submit(client.put_part, name, upload, number, data)
                sent.add_done_callback(lambda done: self._buffers.give_back(part))
                on_way.append(sent)
                size = len(data)
                del data
                if number > PARTS_ON_WAY:
                    on_way[-PARTS_ON_WAY].result()  # one that failed ends all
                progress(size)
            etags = [future.result() for future in on_way]
            return client.complete(name, upload, etags, content.size)
        except BaseException:
            for future in on_way:
                future.cancel()
            wait(on_way)
            with suppress(HoldError):
                client.abort(name, upload)
            raise

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
