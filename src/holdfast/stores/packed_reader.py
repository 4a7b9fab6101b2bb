"""Reading from a packed store: no lock is needed, and nothing is believed but the packs.

What the index says is looked up in the pack: the header has to be right and of the key asked for,
the content is checked against its checksum as it passes. A pack that compaction has removed
meanwhile is no fault: the index then knows where its records lie now.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar
from zlib import crc32

from ..core import faults
from ..core.abilities import Answer, Stream
from ..core.errors import HoldError, IntegrityError
from ..core.key import Key
from ..core.place import Presence
from ..core.system_errors import as_fault
from ..wire.packed import CONTENT, END_SIZE, FIXED_SIZE, Record, read_header, write_end
from .packed_files import OpenPack, iter_content
from .packed_ground import Ground
from .packed_index import DAMAGED, Row, digest_of

SMALL = 1 << 20
"""Records up to this size are read at once, and checked before anything of them is given."""

_BLOCK = 256
_TRIES = 5
_ABSENT = Answer(Presence.ABSENT)
_GONE = (errno.ENOENT, errno.ESTALE)

T = TypeVar("T")


class _NotHereError(Exception):
    """The row is of another key with the same digest."""


class PackReader:
    """Reads from an open store; threads may share it."""

    def __init__(self, ground: Ground, label: str) -> None:
        """``label`` is what people call the place."""
        self._ground = ground
        self._label = label

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look for each key in its pack, in order."""
        return [self._answer(key, rows) for key, rows in zip(keys, self._rows(keys), strict=True)]

    def has(self, keys: Sequence[Key]) -> list[bool]:
        """Whether each is there, as far as can be told without reading its content."""
        return [answer.presence is Presence.PRESENT for answer in self.ask(keys)]

    def rows(self, key: Key) -> list[Row]:
        """What the index has of a key that is not removed, less what is known to be another's."""
        return [row for row in self._rows([key])[0] if not self._is_another(key, row)]

    def stream(self, key: Key, offset: int = 0) -> Stream:
        """A key's content from a byte on.

        Raises:
            NotFoundError: It is not there.
            IntegrityError: It is damaged. Damage further on is found as the bytes pass.
        """
        return self._first(key, self._rows([key])[0], lambda row: self._open(key, row, offset))

    def iter_streams(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Each key's content, in order, or why it cannot be had."""
        rest = iter(keys)
        while block := list(islice(rest, _BLOCK)):
            try:
                found = self._rows(block)
            except HoldError as error:
                yield from ((key, error) for key in block)
                return
            for key, rows in zip(block, found, strict=True):
                try:
                    yield key, self._first(key, rows, lambda row, k=key: self._open(k, row, 0))  # type: ignore[misc]
                except HoldError as error:
                    yield key, error

    def _rows(self, keys: Sequence[Key]) -> list[list[Row]]:
        digests = [digest_of(key) for key in keys]
        found = self._ground.ask_index(lambda index: index.find(digests))
        return [found.get(digest, []) for digest in digests]

    def _answer(self, key: Key, rows: list[Row]) -> Answer:
        if not rows:
            return _ABSENT
        try:
            self._first(key, rows, lambda row: self._header(key, row))
        except IntegrityError as error:
            return Answer(Presence.ABSENT, error.why)
        except HoldError as error:
            absent = error.code == faults.NOT_THERE.code
            return Answer(Presence.ABSENT if absent else Presence.UNKNOWN, error.why)
        return Answer(Presence.PRESENT)

    def _first(self, key: Key, rows: list[Row], act: Callable[[Row], T]) -> T:
        """What the first good record of a key gives."""
        wrong: HoldError | None = None
        for number in range(_TRIES):
            gone = False
            for row in rows:
                try:
                    return act(row)
                except _NotHereError:
                    continue
                except IntegrityError as error:
                    wrong = error
                except OSError as error:
                    if error.errno not in _GONE:
                        raise as_fault(error, self._label, reading=True) from error
                    gone = True
            if not gone:
                break
            # Compaction has moved it: the index knows where. Somebody may have removed a pack too.
            self._ground.packs.close()
            if number:
                self._ground.refresh()
            rows, wrong = self._rows([key])[0], None
        if wrong is not None:
            raise wrong
        raise faults.NOT_THERE(place=self._label, key=key.text, detail="it is in none of its packs")

    def _header(self, key: Key, row: Row) -> OpenPack:
        """The pack of a row, after the record's header was found to be there, right."""
        if row.state == DAMAGED:
            raise self._damaged(key, row, "it was found damaged before")
        pack = self._ground.packs.get(row.pack)
        record = read_header(os.pread(pack.file, FIXED_SIZE + len(key), row.at))
        self._check(key, row, record, pack)
        if row.at + row.length > pack.size:
            raise self._damaged(key, row, "the pack ends before it")
        return pack

    def _check(self, key: Key, row: Row, record: Record | None, pack: OpenPack) -> None:
        if record is not None and record.key == key:
            if record.length == row.length and record.kind == CONTENT:
                return
        elif self._is_another(key, row):
            raise _NotHereError
        raise self._damaged(key, row, "its header is not right")

    def _is_another(self, key: Key, row: Row) -> bool:
        """Whether the row is right, but of another key that has the same digest."""
        try:
            pack = self._ground.packs.get(row.pack)
        except FileNotFoundError:
            return False
        record = read_header(os.pread(pack.file, SMALL // 8, row.at))
        return record is not None and record.key != key and digest_of(record.key) == row.digest

    def _open(self, key: Key, row: Row, offset: int) -> Stream:
        size = row.length - FIXED_SIZE - len(key) - END_SIZE
        if row.length > SMALL or offset or row.state == DAMAGED:
            pack = self._header(key, row)
            offset = min(offset, size)
            return Stream(offset, size, self._iter_large(key, row, pack, offset))
        pack = self._ground.packs.get(row.pack)
        data = os.pread(pack.file, row.length, row.at)
        self._check(key, row, read_header(data), pack)
        content = data[FIXED_SIZE + len(key) : -END_SIZE]
        if len(data) < row.length or write_end(crc32(content)) != data[-END_SIZE:]:
            raise self._damaged(key, row, "its checksum is not right")
        return Stream(0, size, iter((content,) if content else ()))

    def _iter_large(self, key: Key, row: Row, pack: OpenPack, offset: int) -> Iterator[bytes]:
        record = Record(CONTENT, 0, row.length - FIXED_SIZE - len(key) - END_SIZE, key)
        found, came = 0, offset
        try:
            for chunk in iter_content(pack.file, row.at, record, offset):
                found = crc32(chunk, found)
                came += len(chunk)
                yield chunk
            end = os.pread(pack.file, END_SIZE, row.at + row.length - END_SIZE)
        except OSError as error:
            raise as_fault(error, self._label, reading=True) from error
        if came != record.size or (not offset and write_end(found) != end):
            raise self._damaged(key, row, "its checksum is not right")

    def _damaged(self, key: Key, row: Row, why: str) -> HoldError:
        detail = f"the record at byte {row.at} of pack {row.pack:010d}: {why}"
        return faults.PACKED_DAMAGED(place=self._label, key=key.text, detail=detail)
