"""A packed store: many keys in few files, for where the number of files is what one pays for.

Contents of every size are records in pack files that only grow; an SQLite file beside them says
where each is, and can be made anew from the packs. Format: docs/formats/packed.md.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

from ..core import faults
from ..core.abilities import Answer, Content, OnBytes, Stream
from ..core.errors import HoldError, PlaceFullError
from ..core.key import Key
from ..core.place import Place, Presence
from ..core.policy import DropProof, Waiver
from ..core.sizes import parse_size
from ..core.system_errors import as_fault
from .packed_ground import Ground
from .packed_index import unsigned
from .packed_marker import PACK_SIZE, make_store, pack_size_of
from .packed_reader import PackReader
from .packed_writer import PackWriter, Writers, record_length
from .special import Setup, SpecialRemote

BATCH_FILES = 4096
BATCH_BYTES = 256 << 20
BATCH_S = 2.0
"""What is sent in bulk is synced and told of when it is so much, or so old."""

_SYNC_SHARE = 10
_AHEAD = 128
PACK_SIZE_MIN = 1 << 12

Item = tuple[Key, Content]
Ended = tuple[Key, HoldError | None]


class PackedStore:
    """A place that is a packed store in a folder. Nothing is opened before the first question."""

    def __init__(
        self, place: Place, folder: bytes, *, pack_size: int | None = None, cost: float = 100.0
    ) -> None:
        """``pack_size`` is at what size a pack ends, unless that is as the store itself says."""
        self.place = place
        self.cost = cost
        self._folder = folder
        self._pack_size = pack_size
        self._lock = threading.Lock()
        self._opened: _Opened | None = None

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look for each key in its pack: is its header there, and the pack long enough."""
        if not keys:
            return []
        try:
            return self._open().reader.ask(keys)
        except HoldError as error:
            return [Answer(Presence.UNKNOWN, error.what) for _ in keys]

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from a byte offset; what is damaged ends with an error."""
        yield self._open().reader.stream(key, offset)

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream each key's content from its start, in order, or say why it cannot be had."""
        try:
            reader = self._open().reader
        except HoldError as error:
            yield from ((key, error) for key in islice(keys, 1))
            return
        yield from reader.iter_streams(keys)

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Put content there; when this returns it is on the disk.

        Many threads may send: each appends to a pack of its own.
        """
        opened = self._open()
        if opened.reader.has([key])[0]:
            return
        with opened.lent(key, content.size) as writer:
            writer.put(key, content.size, content.chunks(), progress)
            writer.commit()

    def iter_send(self, items: Iterable[Item], progress: OnBytes) -> Iterator[Ended]:
        """Put contents there in batches, one sync for each, and say of each how it ended."""
        try:
            opened = self._open()
        except HoldError as error:
            yield from ((key, error) for key, _ in islice(items, 1))
            return
        batch = _Batch(opened, progress)
        rest = iter(items)
        try:
            while block := list(islice(rest, _AHEAD)):
                try:
                    known = opened.reader.has([key for key, _ in block])
                except HoldError as error:
                    yield from ((key, error) for key, _ in block)
                    break
                for (key, content), there in zip(block, known, strict=True):
                    if there:
                        yield key, None
                    else:
                        yield from batch.put(key, content)
            yield from batch.finish()
        finally:
            batch.close()

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Note durably that a copy is removed; its bytes go when its pack is compacted."""
        assert leave.key == key and leave.place == self.place.id
        opened = self._open()
        rows = opened.reader.rows(key)
        if not rows:
            return
        with opened.lent() as writer:
            for number in {row.id for row in rows}:
                writer.remove(key, unsigned(number))
            writer.commit()

    def close(self) -> None:
        """Let go of packs, locks and index. May be called twice; a question opens it again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _open(self) -> _Opened:
        with self._lock:
            if self._opened is None:
                try:
                    self._opened = _Opened(self.place, self._folder, self._pack_size)
                except OSError as error:
                    raise as_fault(error, os.fsdecode(self._folder)) from error
            return self._opened


class _Opened:
    """What an open store consists of."""

    def __init__(self, place: Place, folder: bytes, pack_size: int | None) -> None:
        self.ground = Ground(folder)
        if self.ground.uuid and place.id and self.ground.uuid != place.id:
            self.ground.close()
            raise faults.PACKED_FOREIGN(path=os.fsdecode(folder), owner=self.ground.uuid)
        self.reader = PackReader(self.ground, place.label)
        self.writers = Writers(self.ground, pack_size or pack_size_of(self.ground.folder))

    @contextmanager
    def lent(self, key: bytes = b"", size: int = 0) -> Iterator[PackWriter]:
        """A writer for the length of a block; one that failed is used no more."""
        writer = self.writers.borrow(key, size)
        try:
            yield writer
        except BaseException:
            writer.close()
            raise
        self.writers.give_back(writer)

    def close(self) -> None:
        self.writers.close()
        self.ground.close()


class _Batch:
    """Contents on their way to one pack, told of together once they are on the disk."""

    def __init__(self, opened: _Opened, progress: OnBytes) -> None:
        self._opened = opened
        self._progress = progress
        self._writer: PackWriter | None = None
        self._keys: dict[Key, int] = {}
        """The keys that wait, and how often each was given to us."""
        self._began = 0.0
        self._patience_s = BATCH_S

    def put(self, key: Key, content: Content) -> Iterator[Ended]:
        """Take one in; gives what is known by now."""
        if key in self._keys:
            self._keys[key] += 1
            return
        size = content.size
        writers = self._opened.writers
        writer = self._writer
        if writer is not None and not writers.has_room(writer, record_length(key, size)):
            yield from self.finish()
        try:
            if self._writer is None:
                self._writer = writers.borrow(key, size)
                self._began = time.monotonic()
            self._writer.put(key, size, content.chunks(), self._progress)
        except HoldError as error:
            yield key, error
            if isinstance(error, PlaceFullError):
                # What came before may still have its room.
                yield from self.finish()
            return
        self._keys[key] = 1
        if self._is_due(self._writer):
            yield from self.finish()

    def finish(self) -> Iterator[Ended]:
        """Sync what waits, and tell of it."""
        writer, self._writer = self._writer, None
        keys, self._keys = self._keys, {}
        if writer is None:
            return
        failure: HoldError | None = None
        began = time.monotonic()
        try:
            writer.commit()
            # Where a sync takes long it is done less often.
            self._patience_s = max(BATCH_S, _SYNC_SHARE * (time.monotonic() - began))
        except HoldError as error:
            failure = error
            writer.close()
        except BaseException:
            writer.close()
            raise
        else:
            self._opened.writers.give_back(writer)
        for key, times in keys.items():
            for _ in range(times):
                yield key, failure

    def close(self) -> None:
        """Throw away what waits."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _is_due(self, writer: PackWriter) -> bool:
        return (
            len(self._keys) >= BATCH_FILES
            or writer.size >= BATCH_BYTES
            or time.monotonic() - self._began >= self._patience_s
        )


def open_store(remote: SpecialRemote) -> PackedStore:
    """The store in the folder that this clone's settings name, or else those of all clones.

    Raises:
        PlaceUnavailableError: No folder is named.
    """
    return PackedStore(
        remote.place,
        _directory(remote),
        pack_size=_pack_size(remote.config),
        cost=remote.cost(100.0),
    )


def plan_setup(given: Mapping[str, str]) -> Setup:
    """``directory=`` (kept in this clone alone) and ``packsize=``.

    Raises:
        UsageError: One is missing, or is not known.
    """
    unknown = set(given) - {"directory", "packsize", "encryption", "chunk"}
    if unknown:
        raise faults.PACKED_SETTING(what=f"{', '.join(sorted(unknown))} is not known")
    if not given.get("directory"):
        raise faults.PACKED_SETTING(what="directory= is missing")
    _pack_size(given)
    config = {"type": "external", "externaltype": "holdfast", "store": "packed"}
    if "packsize" in given:
        config["packsize"] = given["packsize"]
    return Setup(config, {"annex-directory": os.path.abspath(given["directory"])})


def prepare(remote: SpecialRemote) -> None:
    """Make the store in its folder, unless it is there.

    Raises:
        ConflictError: It belongs to another place.
    """
    folder = _directory(remote)
    try:
        make_store(folder, remote.place.id, _pack_size(remote.config) or PACK_SIZE)
    except OSError as error:
        raise as_fault(error, os.fsdecode(folder)) from error


def _directory(remote: SpecialRemote) -> bytes:
    named = remote.local.get("annex-directory") or remote.config.get("directory")
    if not named:
        raise faults.PACKED_NO_STORE(path=f"{remote.place.label} (no directory= is set here)")
    return os.fsencode(named)


def _pack_size(given: Mapping[str, str]) -> int | None:
    if "packsize" not in given:
        return None
    size = parse_size(given["packsize"])
    if size is None or size < PACK_SIZE_MIN:
        raise faults.PACKED_SETTING(what=f"packsize={given['packsize']}")
    return size
