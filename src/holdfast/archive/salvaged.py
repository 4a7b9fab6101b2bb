"""Content in damaged pieces of a place, by key: by what rows are left, else by the hash in the key.

Nothing is opened before the first key is asked for that no other row names: then what no row covers
is gone through once.
"""

from __future__ import annotations

import os
import struct
import tempfile
import threading
import weakref
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from ..core.backends import backend_of, hasher, is_verifiable, key_digest
from ..core.errors import HoldError
from ..core.key import Key
from ..dataset.sorted_spill import SortedSpill
from ..wire.cid import DAG_PB, RAW, SHA256_CID_SIZE, Cid, parse_cid
from ..wire.file_layout import Block
from ..wire.unixfs_reading import file_node
from .cid_index import Standing
from .content_index import ContentIndex
from .finding import FoundPiece, LoosePiece
from .lost_contents import leaf_of
from .piece_blocks import FileAt, iter_content
from .piece_ends import salvage
from .place_pieces import Damaged
from .stored_blocks import AnyPiece, StoredBlocks

_ROW = struct.Struct(f">Q{SHA256_CID_SIZE}s")
_ANSWERS_MAX = 1 << 16


class Salvaged:
    """What else there is. Any thread may `find`; close it."""

    def __init__(self, damaged: Sequence[Damaged], others: Sequence[FoundPiece]) -> None:
        """``others`` are pieces of which rows are damaged, or which have parts of split files."""
        self._damaged = damaged
        self._others = others
        self._guard = threading.Lock()
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._rows: ContentIndex | None = None

    def find(self, key: Key) -> FileAt | None:
        """Where the content of a key is; None when nothing proves that it is here."""
        with self._guard:
            if self._rows is None:
                self._rows = self._opened()
            return self._rows.find(key)

    def close(self) -> None:
        """Remove what was kept for it."""
        with self._guard:
            self._rows = None
            if self._scratch is not None:
                self._scratch.cleanup()
                self._scratch = None

    def _opened(self) -> ContentIndex:
        self._scratch = self._scratch or tempfile.TemporaryDirectory(prefix="hold-pieces-")
        scratch = os.fsencode(self._scratch.name)
        pieces: list[AnyPiece] = [*self._others]
        for one in self._damaged:
            found = one if isinstance(one, LoosePiece) else salvage(one)
            if found is not None:
                pieces.append(found)
        rows = ContentIndex(pieces, scratch)
        rows.fallback = HashedContents(StoredBlocks(pieces, scratch, []), scratch)
        return rows


class HashedContents:
    """Content that no row names, found by the hash in its key among blocks that no row covers."""

    def __init__(self, stored: StoredBlocks, scratch: bytes) -> None:
        self._stored = stored
        self._scratch = scratch
        self._sizes: _Sizes | None = None
        self._answers: dict[Key, Cid | None] = {}

    def find(self, key: Key) -> FileAt | None:
        """The content of a key, which was read for that; None when it was not found."""
        if key.size is None or not is_verifiable(key.backend):
            return None
        if key not in self._answers:
            if len(self._answers) >= _ANSWERS_MAX:
                self._answers.clear()
            self._answers[key] = self._look(key, key.size)
        cid = self._answers[key]
        return None if cid is None else self._file_of(cid)

    def _look(self, key: Key, size: int) -> Cid | None:
        if self._sizes is None:
            self._sizes = _Sizes(self._stored, self._scratch)
        leaf = leaf_of(key)
        candidates = [leaf] if leaf is not None else self._sizes.iter_of(size)
        return next((cid for cid in candidates if self._is_of(cid, key)), None)

    def _is_of(self, cid: Cid, key: Key) -> bool:
        file = self._file_of(cid)
        if file is None or file.size != key.size:
            return False
        found = hasher(backend_of(key))
        try:
            for chunk in iter_content(file):
                found.update(chunk)
        except HoldError:
            return False  # damaged: it is nobody's
        return found.hexdigest() == key_digest(key)

    def _file_of(self, cid: Cid) -> FileAt | None:
        """It is read block by block, wherever these are, and is there only if all of it is."""
        try:
            file = self._stored.scanned(cid)
        except HoldError:
            return None
        return None if file is None else file._replace(blocks=self._stored.get)


class _Sizes:
    """Which files have a size, of those that no row tells of: a sorted file, found by halving."""

    def __init__(self, stored: StoredBlocks, scratch: bytes) -> None:
        self._file = tempfile.TemporaryFile(dir=os.fsdecode(scratch))  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._count = 0
        with SortedSpill(scratch) as rows:
            for standing in stored.iter_sections():
                size = _size_of(standing, stored)
                if size is not None:
                    rows.add(_ROW.pack(size, standing.cid))
            for row in rows:
                self._file.write(row)
                self._count += 1
        self._file.flush()

    def iter_of(self, size: int) -> Iterator[Cid]:
        """All of a size."""
        start = _ROW.pack(size, b"")
        for place in range(bisect_left(range(self._count), start, key=self._row), self._count):
            found, cid = _ROW.unpack(self._row(place))
            if found != size:
                return
            yield Cid(cid)

    def _row(self, place: int) -> bytes:
        return os.pread(self._file.fileno(), _ROW.size, place * _ROW.size)


def _size_of(standing: Standing, stored: StoredBlocks) -> int | None:
    """How large the file is whose root a block may be; None for a folder, a symlink or others."""
    codec = parse_cid(standing.cid).codec
    if codec == RAW:
        return standing.size
    if codec != DAG_PB:
        return None
    try:
        return file_node(Block(standing.cid, stored.get(standing.cid))).size
    except HoldError:
        return None
