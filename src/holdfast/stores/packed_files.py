"""The files of a packed store: where they are, packs opened to read, records walked through."""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

from ..core import faults
from ..core.backends import Checker, checker, is_verifiable
from ..core.errors import IntegrityError, ProtocolError, UsageError
from ..core.key import Key
from ..wire.packed import (
    END_SIZE,
    FIXED_SIZE,
    KEY_MAX,
    PACK_START,
    Record,
    find_header,
    read_header,
    version_of,
    write_end,
)

CHUNK = 1 << 20
_WINDOW = 256 << 10
_OPEN_MAX = 64
_NAME = re.compile(rb"([0-9]{10,18})\.pack")


class Folder:
    """The names of what a packed store consists of."""

    def __init__(self, path: bytes) -> None:
        self.path = path
        self.packs = path + b"/packs"
        self.marker = path + b"/holdfast-packed"
        self.locks = path + b"/locks"

    def pack(self, number: int) -> bytes:
        """The file of a pack."""
        return b"%b/%010d.pack" % (self.packs, number)

    def numbers(self) -> list[int]:
        """The packs that are there, in order."""
        found = (_NAME.fullmatch(name) for name in os.listdir(self.packs))
        return sorted(int(name[1]) for name in found if name)


class OpenPack:
    """A pack to read from. It stays open as long as somebody uses it, be its file gone or not."""

    def __init__(self, path: bytes, number: int) -> None:
        """Open it.

        Raises:
            FileNotFoundError: It is not there (any more).
            ConflictError: It is of a later version of the format.
        """
        self.number = number
        self.file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        version = version_of(os.pread(self.file, len(PACK_START), 0))
        if version not in (None, "1"):
            raise faults.PACKED_NEWER(path=os.fsdecode(path), version=version)

    @property
    def size(self) -> int:
        """How many bytes it has now."""
        return os.fstat(self.file).st_size

    def __del__(self) -> None:
        if hasattr(self, "file"):
            os.close(self.file)


class OpenPacks:
    """The packs that were read last, kept open. Threads may share it."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._open: OrderedDict[int, OpenPack] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, number: int) -> OpenPack:
        """A pack, opened.

        Raises:
            FileNotFoundError: It is not there (any more).
        """
        with self._lock:
            pack = self._open.get(number)
            if pack is None:
                pack = self._open[number] = OpenPack(self._folder.pack(number), number)
                if len(self._open) > _OPEN_MAX:
                    self._open.popitem(last=False)
            else:
                self._open.move_to_end(number)
            return pack

    def close(self) -> None:
        """Forget them; each is closed when its last reader is done."""
        with self._lock:
            self._open.clear()


class Found(NamedTuple):
    """A record, where it begins, and why its content is not right ("" when it is, or not read)."""

    at: int
    record: Record
    wrong: str = ""


class Gap(NamedTuple):
    """Bytes that are no record: damage, or what a killed writer left."""

    start: int
    end: int


def iter_records(file: int, start: int, end: int, *, check_from: int) -> Iterator[Found | Gap]:
    """Walk through a pack between two places; contents from ``check_from`` on are read and checked.

    After bytes that are no record the walk goes on at the next right header. A record that reaches
    beyond the end is none.
    """
    window, base = b"", 0
    at = start
    while at < end:
        if at < len(PACK_START) and os.pread(file, len(PACK_START), 0) == PACK_START:
            at = len(PACK_START)
            continue
        if not base <= at <= base + len(window) - FIXED_SIZE:
            window, base = os.pread(file, min(_WINDOW, end - at), at), at
        record = read_header(window, at - base)
        if record is None and base < at:
            window, base = os.pread(file, min(_WINDOW, end - at), at), at
            record = read_header(window)
        if record is None:
            found = _find(file, at + 1, end)
            yield Gap(at, found)
            at = found
        elif at + record.length > end:
            yield Gap(at, end)
            return
        else:
            wrong = _check(file, at, record, window, base) if at >= check_from else ""
            yield Found(at, record, wrong)
            at += record.length


def _find(file: int, start: int, end: int) -> int:
    """Where the next right header begins, or the end."""
    overlap = FIXED_SIZE + KEY_MAX
    at = start
    while at < end:
        window = os.pread(file, min(_WINDOW + overlap, end - at), at)
        if not window:
            return end
        found = find_header(window)
        if found >= 0:
            return at + found
        at += max(1, len(window) - overlap) if at + len(window) < end else len(window)
    return end


def _check(file: int, at: int, record: Record, window: bytes, base: int) -> str:
    """Why content is not what its checksum says; read from the window where it lies in there."""
    first = at - base + record.header_size
    last = first + record.size
    if last + END_SIZE > len(window):
        return check_content(file, at, record)
    right = write_end(crc32(memoryview(window)[first:last])) == window[last : last + END_SIZE]
    return "" if right else "its checksum is not right"


def iter_content(file: int, at: int, record: Record, offset: int = 0) -> Iterator[bytes]:
    """The bytes of a record's content as they are, unchecked; fewer when the file is cut."""
    place = at + record.header_size + offset
    end = at + record.header_size + record.size
    while place < end:
        chunk = os.pread(file, min(CHUNK, end - place), place)
        if not chunk:
            return
        yield chunk
        place += len(chunk)


def check_content(file: int, at: int, record: Record, *, by_key: bool = False) -> str:
    """Why a record's content is not right, or "".

    Its checksum is looked at, and with ``by_key`` the hash in its key, where there is one.
    """
    check = checker_of(record.key) if by_key else None
    checksum = size = 0
    try:
        for chunk in iter_content(file, at, record):
            checksum = crc32(chunk, checksum)
            size += len(chunk)
            if check is not None:
                check.feed(chunk)
        end = os.pread(file, END_SIZE, at + record.length - END_SIZE)
        if size != record.size or write_end(checksum) != end:
            return "its checksum is not right"
        if check is not None:
            check.finish()
    except IntegrityError as error:
        return error.why or error.what
    except OSError as error:
        return error.strerror or str(error)
    return ""


def checker_of(raw: bytes) -> Checker | None:
    """What checks content against its key, where the key has the hash of just this content."""
    try:
        key = Key.parse(raw)
        whole = key.chunk_number is None and is_verifiable(key.backend)
        return checker(key) if whole else None
    except (ProtocolError, UsageError):  # an encrypted name, say, or a hash that is not installed
        return None
