"""Contents of an encrypted snapshot as they are packed and served: age files, made on the way.

A record of one has the source of its plain bytes in its own ``source``, see `SealedFrom`; its size
is that of the age file, its key the opaque name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NamedTuple

from ..core.backends import is_verifiable
from ..core.errors import HoldError
from ..core.key import Key
from ..wire.age_payload import CHUNK, SEALED_CHUNK, count_chunks
from ..wire.archive_rows import RowKind
from .contents import (
    FILES,
    Blob,
    Content,
    File,
    SourceFault,
    Sources,
    is_sealed,
    is_sealed_run,
)
from .entries import OF_SEAL
from .large_blobs import is_large_blob
from .plan_records import FileRecord, RunRecord
from .seals import Head, Seal

_READ = 16 * CHUNK
_NO_LEAVES = -1
"""No file is one leaf, whose digest would be given: its bytes are held against its key."""


class SealedFrom(NamedTuple):
    """What is in an age file: the number of its scope; its annex key, or git object; its path.

    ``oid`` is of a plain folder's file what it looked like when it was hashed (`sealable`).
    ``digest`` is the sha2-256 of content whose key has no hash.
    """

    scope: int
    key: str
    oid: str
    digest: str
    path: str

    @property
    def source(self) -> str:
        """As a record keeps it."""
        return OF_SEAL + json.dumps(self)


def sealed_from(source: str) -> SealedFrom:
    """What a record's source says."""
    return SealedFrom._make(json.loads(source[len(OF_SEAL) :]))


class SealedSources:
    """Where the bytes of an encrypted snapshot come from."""

    def __init__(
        self, plain: Sources, seal: Seal, is_as_planned: Callable[[FileRecord], bool]
    ) -> None:
        """``is_as_planned`` says of a file, without reading it, whether it is what was hashed."""
        self.plain = plain
        self.seal = seal
        self._is_as_planned = is_as_planned

    def path_of(self, record: FileRecord) -> bytes | None:
        """The file in the snapshot's folder that has the bytes."""
        return self.plain.path_of(record)

    def usual_path_of(self, record: FileRecord) -> bytes:
        """Where that file is, if all is as usual; nothing for what is encrypted on the way."""
        return b"" if is_sealed(record) else self.plain.usual_path_of(record)

    def usual_paths(self, run: RunRecord) -> list[bytes]:
        """The same of a run."""
        return [b""] * len(run.names) if is_sealed_run(run) else self.plain.usual_paths(run)

    def iter_blobs(self, records: Iterator[FileRecord]) -> Iterator[bytes | None]:
        """There is nothing in the clear that git has."""
        return self.plain.iter_blobs(records)

    def open_blob(self, record: FileRecord) -> int:
        """There is nothing in the clear that git has."""
        return self.plain.open_blob(record)

    def plain_record(self, record: FileRecord) -> FileRecord:
        """The file that is in an age file, as a plan in the clear has it."""
        about = sealed_from(record.source)
        size = self.seal.plain_size(about.scope, record.size)
        kind, key = (RowKind.ANNEXED, os.fsencode(about.key)) if about.key else (RowKind.GIT, None)
        return record._replace(
            path=FILES + os.fsencode(about.path), kind=kind, key=key, size=size, source=about.oid
        )

    def open_content(self, record: FileRecord) -> Content:
        """Read an age file from its start, once; what is in it is checked.

        What may have been changed is read before as well: two contents never begin under one key.

        Raises:
            SourceFault: It is gone, or is another one.
            AccessError: The key of its scope is not at hand: nothing is left out for that.
        """
        plain = self.plain_record(record)
        head = self._head(record)
        if plain.kind is RowKind.GIT:
            return SealedContent(record, plain.size, self._in_git(record, plain), head)
        path, digest = self.plain.path_of(plain), sealed_from(record.source).digest
        if digest:
            plain = plain._replace(key=Key.make(b"SHA256", digest.encode(), size=plain.size))
        assert plain.key is not None and is_verifiable(Key(plain.key).backend), "it has no hash"
        try:
            if not self._is_as_planned(plain):
                _read_through(plain, path)
            return SealedContent(record, plain.size, File(plain, path, _NO_LEAVES), head)
        except SourceFault as fault:
            raise _of(record, fault) from None

    def open_leaves(self, record: FileRecord) -> SealedLeaves:
        """Read any range of an age file; nothing is checked.

        Raises:
            SourceFault: It is gone, or the key of its scope is.
        """
        plain = self.plain_record(record)
        try:
            head = self._head(record)
        except HoldError as error:
            raise SourceFault(record, f"{error.what}: {error.why}", None) from None
        if plain.kind is RowKind.GIT:
            return SealedLeaves(record, plain.size, head, self._in_git(record, plain))
        try:
            # Without its key: all that is read is held against the digest of a leaf.
            file = File(plain._replace(key=None), self.plain.path_of(plain), _NO_LEAVES)
        except SourceFault as fault:
            raise _of(record, fault) from None
        return SealedLeaves(record, plain.size, head, file)

    def _in_git(self, record: FileRecord, plain: FileRecord) -> Content:
        try:
            if is_large_blob(plain):
                return File(plain, self.plain.open_blob(plain), 0)
            [data] = self.plain.iter_blobs(iter([plain]))
            return Blob(plain, data)
        except SourceFault as fault:
            raise _of(record, fault) from None

    def _head(self, record: FileRecord) -> Head:
        about = sealed_from(record.source)
        assert record.key is not None
        return self.seal.head(about.scope, bytes.fromhex(record.key.decode()))


def _read_through(plain: FileRecord, path: bytes | None) -> None:
    """Pass when a file has the content that its key says."""
    file, done = File(plain, path, _NO_LEAVES), 0
    buffer = memoryview(bytearray(min(_READ, max(1, plain.size))))
    try:
        while done < plain.size:
            view = buffer[: min(len(buffer), plain.size - done)]
            file.read(view, done)
            file.take(view, b"")
            done += len(view)
        file.finish()
    finally:
        file.close()


def open_sealed(sources: Sources, record: FileRecord) -> Content:
    """Read an age file from its start, out of sources that have to be encrypted ones."""
    assert isinstance(sources, SealedSources), "an encrypted plan has other sources"
    return sources.open_content(record)


class SealedContent:
    """The bytes of an age file in order, out of those of a plain one, which are checked."""

    whole = None

    def __init__(self, record: FileRecord, size: int, plain: Content, head: Head) -> None:
        self._record = record
        self._plain = plain
        self._head = head
        self._size = self._left = size
        self._given = self._number = 0
        self._last = count_chunks(size) - 1
        self._buffer = bytearray(min(_READ, max(1, size)))
        self._ready = memoryview(head.start)
        self._waiting = memoryview(b"")

    def read(self, view: memoryview, offset: int) -> None:
        """Fill the view with the next bytes of the age file: ``offset`` is where they have to be.

        Raises:
            SourceFault: There are not so many.
        """
        assert offset == self._given, "an age file is read from its start on"
        self._given += len(view)
        done = 0
        while done < len(view):
            if not self._ready:
                self._ready = memoryview(self._seal_next())
            taken = self._ready[: len(view) - done]
            view[done : done + len(taken)] = taken
            self._ready = self._ready[len(taken) :]
            done += len(taken)

    def _seal_next(self) -> bytes:
        assert self._number <= self._last, "more was read than there is"
        if not self._waiting and self._left:
            self._waiting = memoryview(self._buffer)[: min(_READ, self._left)]
            try:
                self._plain.read(self._waiting, self._size - self._left)
                self._left -= len(self._waiting)
                self._plain.take(self._waiting, b"")
            except SourceFault as fault:
                raise _of(self._record, fault) from None
        chunk, self._waiting = self._waiting[:CHUNK], self._waiting[CHUNK:]
        number, self._number = self._number, self._number + 1
        return self._head.payload.seal(number, chunk, is_last=number == self._last)

    def take(self, view: memoryview, digest: bytes) -> None:
        """What is checked is what is in it."""

    def finish(self) -> None:
        """All was read.

        Raises:
            SourceFault: What is in it is not what the key says, or it changed meanwhile.
        """
        try:
            self._plain.finish()
        except SourceFault as fault:
            raise _of(self._record, fault) from None

    def close(self) -> None:
        """It is not needed any more."""
        self._plain.close()


class SealedLeaves:
    """Ranges of one age file, made of those of a plain one. Close it."""

    def __init__(self, record: FileRecord, size: int, head: Head, plain: Content) -> None:
        self.record = record
        self._size = size
        self._head = head
        self._plain = plain

    def fill(self, view: memoryview, start: int, digest: bytes) -> None:
        """Fill a view from a byte of the age file on; it has that digest.

        Raises:
            SourceFault: The plain file is another one.
        """
        done, begin = 0, len(self._head.start)
        if start < begin:
            done = min(len(view), begin - start)
            view[:done] = self._head.start[start : start + done]
        while done < len(view):
            number, within = divmod(start + done - begin, SEALED_CHUNK)
            chunk = self._chunk(number)
            taken = min(len(chunk) - within, len(view) - done)
            if taken <= 0:
                raise SourceFault(self.record, "it is cut short", None)
            view[done : done + taken] = chunk[within : within + taken]
            done += taken
        if sha256(view).digest() != digest:
            raise SourceFault(self.record, "its bytes are not those that were packed", None)

    def _chunk(self, number: int) -> bytes:
        start = number * CHUNK
        size = min(CHUNK, self._size - start)
        if size < 0:
            return b""
        data = memoryview(bytearray(size))
        try:
            self._plain.read(data, start)
        except SourceFault as fault:
            raise _of(self.record, fault) from None
        is_last = number + 1 == count_chunks(self._size)
        return self._head.payload.seal(number, data, is_last=is_last)

    def close(self) -> None:
        """Let go of the file."""
        self._plain.close()


def _of(record: FileRecord, fault: SourceFault) -> SourceFault:
    """The fault of a plain file, as that of the record in the plan."""
    return SourceFault(record, fault.why, fault.size)
