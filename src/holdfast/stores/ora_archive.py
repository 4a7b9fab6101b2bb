"""The 7z archive of a data set in a RIA store: content that is read out of it, file by file.

Nothing is unpacked beforehand: the archive's list of files is read once, and of an archive that
was made without compression (``7z a -mx0``) only the bytes of the file itself after that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager

from ..core import faults
from ..core.abilities import Stream
from ..core.errors import RemoteProtocolError
from ..core.key import Key
from ..core.place import Place
from ..wire import sevenzip
from .unpacking import ReadRange, unpacked

OpenRanges = Callable[[], AbstractContextManager[ReadRange | None]]
"""Opens the archive for reading of ranges; None when there is no archive."""


class OraArchive:
    """What an archive holds; threads may share it."""

    def __init__(self, place: Place, open_ranges: OpenRanges) -> None:
        """Nothing is looked at yet."""
        self._place = place
        self._open_ranges = open_ranges
        self._members: Mapping[bytes, sevenzip.Member] | None = None
        self._lock = threading.Lock()

    def find(self, key: Key) -> sevenzip.Member | None:
        """Where a key's content is in it; None when it is not.

        Raises:
            PlaceUnavailableError: It cannot be looked at.
            RemoteProtocolError: It is no archive that we can read.
        """
        return self._listing().get(key.file_name)

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from an offset.

        Raises:
            NotFoundError: It is not in it.
        """
        member = self.find(key)
        with ExitStack() as stack:
            read = stack.enter_context(self._open_ranges()) if member is not None else None
            if member is None or read is None:
                detail = "there is neither a file of it there, nor is it in an archive"
                raise faults.NOT_THERE(place=self._place.label, key=key.text, detail=detail)
            yield Stream(offset, member.size, self._chunks(member, read, offset))

    def _chunks(self, member: sevenzip.Member, read: ReadRange, offset: int) -> Iterator[bytes]:
        try:
            yield from unpacked(member, read, offset)
        except RemoteProtocolError as error:
            raise self._unreadable(error) from error

    def _listing(self) -> Mapping[bytes, sevenzip.Member]:
        with self._lock:
            if self._members is None:
                with self._open_ranges() as read:
                    self._members = {} if read is None else self._read_listing(read)
            return self._members

    def _read_listing(self, read: ReadRange) -> Mapping[bytes, sevenzip.Member]:
        try:
            offset, size = sevenzip.parse_start(b"".join(read(0, sevenzip.START_SIZE)))
            if not size:
                return {}
            header = b"".join(read(offset, size))
            while (inner := sevenzip.packed_header(header)) is not None:
                header = b"".join(unpacked(inner, read))
            return sevenzip.parse_header(header)
        except RemoteProtocolError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: RemoteProtocolError) -> Exception:
        if error.code:
            return error
        return faults.BAD_ANSWER(place=f"the archive in {self._place.label}", detail=str(error))
