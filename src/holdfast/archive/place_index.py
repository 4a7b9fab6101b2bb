"""Which keys are in the pieces of a place, and where: kept beside the data set between runs.

Rows of all manifests go into one sorted file, which is looked into by halving: a million keys take
no memory. It is used again for as long as the pieces are the same; with new ones beside, only
theirs are read. All of it can be made anew from the pieces, and nothing it says is believed:
content is held against its CID and its key, and is there only if `piece_proof` finds it. What is
damaged in pieces is kept nowhere: `salvaged` looks through it, once for each run that needs it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from ..core.errors import HoldError
from ..core.key import Key
from ..dataset import locks
from ..dataset.sorted_spill import SortedSpill
from ..wire.archive_rows import Row
from ..wire.cid import Cid
from .content_index import Split, Splits, key_of, take_row
from .entries import key_identity
from .finding import FoundPiece, iter_rows, read_end
from .known_index import KnownIndex, find_row
from .piece_blocks import FileAt, FilePart
from .piece_sources import PieceSource
from .pieces import FilePiece, OpenedPiece, damaged
from .place_pieces import find_pieces
from .salvaged import Salvaged
from .stored_blocks import TOLD_MAX

_VERSION = 1
_STATE = b"/pieces"
_WAIT_S = 3600.0
"""Somebody else may be reading the rows of a million files."""

OnKey = Callable[[Key], None]


@dataclass
class _State:
    """What is kept: which pieces the rows are of, under which names these are, by stamp."""

    version: int = _VERSION
    where: str = ""
    wanted: str = ""
    dataset: str = ""
    listed: dict[str, str] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    manifests: list[str] = field(default_factory=list)
    splits: list[list[object]] = field(default_factory=list)
    rows: str = ""
    rows_size: int = 0
    is_complete: bool = False
    """Whether all that was listed, or named by a piece, was found; else it is looked for again."""


class PlaceIndex:
    """The pieces of a place, and its keys. Any thread may `find`."""

    def __init__(
        self, source: PieceSource, folder: bytes, dataset: str = "", on_key: OnKey | None = None
    ) -> None:
        """Find the pieces, and read the rows of those that are not known yet.

        ``folder`` is where the index is kept. Pieces of other data sets than ``dataset`` are left;
        without it, of others than most of them are of. With ``on_key`` all rows are read again,
        and it is told each key, of which the whole content is in the pieces that are here.

        Raises:
            PlaceUnavailableError: The pieces are not to be reached.
            HoldError: There is no piece, or none whose data set is known.
        """
        self.faults: list[HoldError] = []
        """What was wrong with pieces: what is in them is not known."""
        self.missing: list[HoldError] = []
        """Pieces that others name, and that are not there."""
        self._source = source
        self._folder = folder
        self._copies: list[list[OpenedPiece]] = []
        self._splits = Splits()
        self._wrong_rows: list[HoldError] = []
        self._hit: list[FoundPiece] = []
        self._salvaged: Salvaged | None = None
        self._rows = -1
        os.makedirs(folder, exist_ok=True)
        with locks.exclusive(folder + b".lck", wait_s=_WAIT_S):
            state, listed = self._read_state(dataset), source.listed()
            same = state.is_complete and state.listed == listed and all(listed.values())
            if same and on_key is None:
                self._open_known(state)
            else:
                state = self._look(state, listed, on_key)
        self.dataset = state.dataset
        self.piece_count = len(self._copies)

    @property
    def is_damaged(self) -> bool:
        """Whether keys may be found that no row of a whole piece names."""
        return self._salvaged is not None

    def find(self, key: Key) -> FileAt | None:
        """Where the content of a key is; None when some of it is in no piece that is here."""
        return self._told(key) or self.salvaged(key)

    def salvaged(self, key: Key) -> FileAt | None:
        """Where the content is of a key that is in damaged pieces alone, or told by them alone."""
        if self._salvaged is None or self._told(key) is not None:
            return None
        return _of_size(key, self._salvaged.find(key))

    def _told(self, key: Key) -> FileAt | None:
        row = find_row(self._rows, key_identity(key))
        if row is None:
            return _of_size(key, self._splits.find(key, self._copies.__getitem__))
        part = FilePart(self._copies[row.snapshot], row.offset, row.length)
        return _of_size(key, FileAt(row.size, row.cid, [part]))

    def close(self) -> None:
        """Let go of the file."""
        if self._rows >= 0:
            os.close(self._rows)
            self._rows = -1
        if self._salvaged is not None:
            self._salvaged.close()

    # what is known already

    def _read_state(self, dataset: str) -> _State:
        """What was kept of just these pieces; nothing where it is of others, or not to be read."""
        fresh = _State(where=self._source.where, wanted=dataset)
        try:
            with open(self._folder + _STATE, encoding="utf-8") as file:
                state = _State(**json.load(file))
            size = os.stat(self._path(state.rows)).st_size
        except (OSError, ValueError, TypeError):
            return fresh
        same = (state.version, state.where, state.wanted) == (_VERSION, fresh.where, dataset)
        return state if same and size == state.rows_size else fresh

    def _open_known(self, state: _State) -> None:
        self._copies = [[] for _ in state.manifests]
        for name, number in state.names.items():
            try:
                self._copies[number].append(self._source.open(name))
            except HoldError as error:
                self.faults.append(error)
        self._open_rows(state)

    def _open_rows(self, state: _State) -> None:
        self._rows = os.open(self._path(state.rows), os.O_RDONLY | os.O_CLOEXEC)
        self._splits = Splits(map(_read_split, state.splits))

    def _path(self, name: str) -> bytes:
        return self._folder + b"/" + os.path.basename(os.fsencode(name))

    # what is new

    def _look(self, old: _State, listed: dict[str, str], on_key: OnKey | None) -> _State:
        """Read the manifests of all pieces, and the rows of those that are new."""
        found = find_pieces(self._source, listed, old.wanted)
        self.faults, self.missing = found.faults, found.missing
        manifests = [piece.cid.hex() for piece in found.pieces]
        known = old.manifests if on_key is None and set(old.manifests) <= set(manifests) else []
        places = {manifest: number for number, manifest in enumerate(known)}
        new = [piece for piece in found.pieces if piece.cid.hex() not in places]
        for piece in new:
            places[piece.cid.hex()] = len(places)
        state = _State(
            where=old.where, wanted=old.wanted, dataset=found.dataset, listed=listed,
            names={name: places[piece.cid.hex()] for name, piece in found.names.items()},
            manifests=list(places), splits=old.splits if known else [], rows=old.rows,
            rows_size=old.rows_size,
            is_complete=not found.faults and not found.missing,
        )  # fmt: skip
        self._copies = [[] for _ in places]
        for piece in found.pieces:
            self._copies[places[piece.cid.hex()]] += piece.copies
        if new or not known:
            state.rows = f"rows-{int(old.rows.rpartition('-')[2] or 0) + 1}"
            before = self._path(old.rows if known else "none")
            self._add_rows(state, before, [(places[p.cid.hex()], p) for p in new], on_key)
        if not self._wrong_rows:
            self._keep(state)
        self._open_rows(state)
        if found.damaged or self._hit:
            split = {split.piece for _, split in self._splits}
            split |= {places[piece.cid.hex()] for piece in self._hit}
            others = [piece for piece in found.pieces if places[piece.cid.hex()] in split]
            self._salvaged = Salvaged(found.damaged, others)
        if on_key is not None:
            self._tell_splits(on_key)
        return state

    def _add_rows(
        self,
        state: _State,
        before: bytes,
        new: Sequence[tuple[int, FoundPiece]],
        on_key: OnKey | None,
    ) -> None:
        """Make the file of rows: those of a file before, and those of new pieces."""
        splits = Splits(map(_read_split, state.splits))
        scratch = self._folder + b"/reading"
        shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left
        os.mkdir(scratch)
        path = self._path(state.rows)
        try:
            with SortedSpill(scratch) as rows:
                for number, piece in new:
                    parts = _with_parts(piece, scratch + b"/end")
                    before_it = len(self._wrong_rows)
                    for row in iter_rows(parts, self._wrong_rows):
                        if take_row(rows, splits, number, row) and on_key is not None:
                            self._tell_of(row, piece, on_key)
                    if len(self._wrong_rows) > before_it:
                        self._hit.append(piece)
                KnownIndex(path).make(rows, KnownIndex(before))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        state.splits = [_write_split(key, split) for key, split in splits]
        state.rows_size = os.stat(path).st_size
        self.faults += self._wrong_rows

    def _tell_of(self, row: Row, piece: FoundPiece, on_key: OnKey) -> None:
        key = key_of(row.key)
        if key is not None:
            on_key(key)
        elif len(self.faults) < TOLD_MAX:
            detail = f"the row of what is there names no key: {(row.key or b'')[:40]!r}"
            self.faults.append(damaged(piece.name, row.offset, detail))

    def _keep(self, state: _State) -> None:
        temporary = self._folder + _STATE + b".part"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(asdict(state), file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, self._folder + _STATE)
        for name in os.listdir(self._folder):
            if name.startswith(b"rows-") and name != os.fsencode(state.rows):
                with suppress(OSError):  # who reads it has it open
                    os.unlink(self._folder + b"/" + name)

    def _tell_splits(self, on_key: OnKey) -> None:
        for key in filter(None, map(key_of, self._splits.keys())):
            if find_row(self._rows, key_identity(key)) is None and self.find(key) is not None:
                on_key(key)


def _of_size(key: Key, file: FileAt | None) -> FileAt | None:
    """The file, unless the key says another size."""
    return None if file is None or key.stored_size not in (None, file.size) else file


def _with_parts(piece: FoundPiece, path: bytes) -> FoundPiece:
    """The same piece; of one that is not a file here all parts are read with one request."""
    for copy in piece.copies:
        if isinstance(copy, FilePiece):
            return piece
        with suppress(HoldError):
            found = read_end(copy, path)
            if found.cid == piece.cid:
                return found
    return piece  # what is wrong shows when its rows are read


def _write_split(key: bytes, split: Split) -> list[object]:
    cid = None if split.cid is None else split.cid.hex()
    return [key.hex(), *split._replace(cid=None), cid]


def _read_split(raw: Sequence[object]) -> tuple[bytes, Split]:
    key, piece, size, _, offset, length, start, cid = raw
    assert isinstance(key, str)
    found = Cid(bytes.fromhex(cid)) if isinstance(cid, str) else None
    numbers = (n for n in (piece, size, offset, length, start) if isinstance(n, int))
    piece, size, offset, length, start = numbers
    return bytes.fromhex(key), Split(piece, size, found, offset, length, start)
