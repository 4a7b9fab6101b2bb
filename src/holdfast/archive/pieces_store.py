"""The pieces of a data set as one of its places: content is read from them by key, nothing is sent.

What a special remote says (`stores/archive_pieces.py`) is opened here: its folder, URL or bucket.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from ..core import faults
from ..core.abilities import Answer, Stream
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Presence
from ..stores.url_store import ASKERS, tell
from .piece_blocks import FileAt, iter_content
from .piece_proof import check_there, is_gone
from .piece_sources import BucketSource, FolderSource, PieceSource, UrlSource
from .place_index import OnKey, PlaceIndex
from .together import Together

if TYPE_CHECKING:
    from ..stores.special import SpecialRemote

FOLDER = b"hold-pieces"
"""Below the annex: what is known of the pieces of each place."""

_AHEAD = 256
"""So many keys are looked at together, for those that one range brings."""


class PiecesStore:
    """A place made of pieces. Nothing is opened before the first question."""

    def __init__(self, remote: SpecialRemote, on_key: OnKey | None = None) -> None:
        """With ``on_key``, all rows are read when it is opened, and it is told each key."""
        self.place = remote.place
        self._remote = remote
        self._on_key = on_key
        self._source = source_of(remote)
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()
        self.cost = remote.cost(100.0 if self._source.is_local else 200.0)

    @property
    def index(self) -> PlaceIndex:
        """What is in the pieces.

        Raises:
            HoldError: They are not to be reached, or there are none.
        """
        with self._lock:
            return self._index

    @cached_property
    def _index(self) -> PlaceIndex:
        folder = os.path.join(self._remote.annex_dir, FOLDER)
        try:
            os.makedirs(folder, exist_ok=True)
            writable = os.access(folder, os.W_OK)
        except OSError:
            writable = False
        if not writable:  # a data set that may only be read
            self._scratch = tempfile.TemporaryDirectory(prefix="hold-pieces-")
            folder = os.fsencode(self._scratch.name)
        folder = os.path.join(folder, self.place.id.encode())
        wanted = self._remote.config.get("dataset", "")
        return PlaceIndex(self._source, folder, wanted, self._on_key)

    @property
    def where(self) -> str:
        """What people know the folder, URL or bucket by."""
        return self._source.where

    @property
    def dataset(self) -> str:
        """Of which data set the pieces are.

        Raises:
            HoldError: They are not to be reached, or there are none.
        """
        return self.index.dataset

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look for each key, in the rows and at its range (`piece_proof`)."""
        try:
            index = self.index if keys else None
        except HoldError as error:
            return [Answer(Presence.UNKNOWN, tell(error)) for _ in keys]
        if index is None:
            return []
        if self._source.is_local or len(keys) < 2:
            return [self._ask(index, key) for key in keys]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(ASKERS, thread_name_prefix="ask") as pool:
            return list(pool.map(lambda key: self._ask(index, key), keys))

    def _ask(self, index: PlaceIndex, key: Key) -> Answer:
        try:
            file = index.find(key)
            if file is not None:
                check_there(file)
                return Answer(Presence.PRESENT)
            unsure = _of_pieces(index)
        except HoldError as error:
            if is_gone(error) and self._is_up():
                return Answer(Presence.ABSENT, tell(error))
            unsure = error
        return Answer(Presence.UNKNOWN, tell(unsure)) if unsure else Answer(Presence.ABSENT)

    def _is_up(self) -> bool:
        """Whether any piece is there; else a drive may be away, and nothing be gone."""
        try:
            return any(True for _ in self._source.listed())
        except HoldError:
            return False

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from a byte offset, each block held against its CID.

        Raises:
            NotFoundError: It is in no piece that is here.
            IntegrityError: A piece is damaged there; the error names it and the offset.
        """
        file = self._find(self.index, key)
        start = min(offset, file.size)
        with closing(iter_content(file, start)) as chunks:
            yield Stream(start, file.size, chunks)

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream contents from their start, in order.

        Small ones that stand side by side come with one range, where each range costs a request.
        """
        rest = iter(keys)
        try:
            index = self.index
        except HoldError as error:
            yield from ((key, error) for key in islice(rest, 1))
            return
        ahead = 1 if self._source.is_local else _AHEAD
        while block := list(islice(rest, ahead)):
            yield from self._iter_block(index, block)

    def _iter_block(
        self, index: PlaceIndex, keys: Sequence[Key]
    ) -> Iterator[tuple[Key, Stream | HoldError]]:
        together = Together()
        found: list[FileAt | HoldError] = []
        for key in keys:
            try:
                file = self._find(index, key)
                together.expect(key, file)
                found.append(file)
            except HoldError as error:
                found.append(error)
        for key, one in zip(keys, found, strict=True):
            if isinstance(one, HoldError):
                yield key, one
                continue
            with closing(iter_content(together.use(key, one))) as chunks:
                yield key, Stream(0, one.size, chunks)

    def whereis(self, key: Key) -> str:
        """Where a key is: in which pieces, from which byte to which; empty when it is in none.

        Raises:
            HoldError: The pieces are not to be reached.
        """
        file = self.index.find(key)
        return ", ".join(
            f"{part.copies[0].name} bytes {part.offset}-{part.offset + part.length - 1}"
            for part in (file.parts if file is not None else ())
        )

    def close(self) -> None:
        """End connections."""
        with self._lock:
            index = self.__dict__.pop("_index", None)
            scratch, self._scratch = self._scratch, None
        if index is not None:
            index.close()
        if scratch is not None:
            scratch.cleanup()
        self._source.close()

    def _find(self, index: PlaceIndex, key: Key) -> FileAt:
        file = index.find(key)
        if file is not None:
            return file
        wrong = _of_pieces(index)
        if wrong is not None:
            raise wrong
        detail = "no piece that is there has it"
        if index.missing:
            detail += f"; {index.missing[0].what}: {index.missing[0].why}"
        raise faults.NOT_THERE(place=self.place.label, key=key.text, detail=detail)


def _of_pieces(index: PlaceIndex) -> HoldError | None:
    """Why something may be there all the same that no row names."""
    return index.faults[0] if index.faults else None


def source_of(remote: SpecialRemote) -> PieceSource:
    """Where the pieces of a special remote are.

    Raises:
        PlaceUnavailableError: Its configuration says no such thing.
    """
    config = remote.config
    folder = remote.local.get("annex-directory", "")
    if folder:
        return FolderSource(os.fsencode(folder))
    if url := config.get("url"):
        from ..stores.http import HttpClient

        return UrlSource(url, HttpClient(allowed_addresses=remote.allowed_addresses))
    if config.get("bucket"):
        return _bucket(remote)
    raise faults.NO_WAY(place=remote.place.label, kind="pieces without a folder, URL or bucket")


def _bucket(remote: SpecialRemote) -> PieceSource:
    from ..stores.s3 import S3
    from ..wire.s3 import bucket_of

    store = S3(remote)
    try:
        bucket = bucket_of(remote.config)
    except ValueError:
        raise faults.NO_WAY(place=remote.place.label, kind="pieces in no sound bucket") from None
    top = f"{bucket.scheme}://{bucket.host_header}{bucket.path()}".rstrip("/")
    prefix = remote.config.get("fileprefix", "").encode("utf-8", "surrogateescape")
    return BucketSource(top, prefix, store)
