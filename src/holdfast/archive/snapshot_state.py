"""What is noted of a snapshot while it is packed, in a folder of its own.

``plan`` says where everything will be. ``cids`` has the CID of each file and folder by its number,
``digests`` those of the leaves of files with more than one; both grow in order, ahead of the roots
of the bytes they are of. ``pieces`` has a line for each finished piece. So after a kill all files
before the last known root are known. After the machine itself stopped, only what was synced is
believed: finished pieces.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from ..wire.archive_manifest import PieceRef
from ..wire.cid import SHA256_CID_SIZE, Cid
from .commitment import GROUP, ROOT_SIZE
from .piece_stream import known_size

DIGEST_SIZE = 32
_CIDS = 512
"""So many are read at once: they are mostly asked for in order."""


class DonePiece(NamedTuple):
    """A piece that is finished; ``path`` is where its file was written, if it was.

    It ``is_ours`` unless it was there before, or was noted elsewhere: in what this is a copy of.
    """

    cid: bytes
    size: int
    manifest: Cid
    first: bytes
    last: bytes
    path: bytes
    is_ours: bool = True

    @property
    def ref(self) -> PieceRef:
        """What later manifests say of it."""
        return PieceRef(self.cid, self.size, self.first, self.last)


class Begun(NamedTuple):
    """What was noted of a file or folder of which a part is known: its CID, digests of leaves."""

    cid: bytes = b""
    digests: bytes = b""


class SnapshotState:
    """The folder of one snapshot."""

    def __init__(self, folder: bytes) -> None:
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self._who = os.fsdecode(os.path.realpath(folder))
        self.plan_path = folder + b"/plan"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._cids = os.open(folder + b"/cids", flags, 0o644)
        self._digests = os.open(folder + b"/digests", flags, 0o644)
        self._read_at, self._read_cids = 0, b""
        self._new_cids: list[bytes] = []
        self._new_digests: list[bytes] = []
        # How many are noted is never kept beside this: an interrupt would come between the two.
        self._flushed = self.count
        self._leaves = os.fstat(self._digests).st_size // DIGEST_SIZE
        self.pieces = self._read_pieces()

    def stem(self, number: int) -> bytes:
        """How the names of the files of a piece begin."""
        return self.folder + b"/piece-%d" % number

    def resume_at(self, part: bytes) -> int:
        """How many bytes of the piece being made are known; ``part`` is its file, if it has one."""
        folder = os.path.realpath(os.path.dirname(part)) if part else b""
        begun = {"machine": _machine(), "folder": os.fsdecode(folder)}
        stem = self.stem(len(self.pieces))
        if self._read("begun") == begun and (not part or os.path.exists(part)):
            return known_size(stem)
        # First, or a run that is killed before it has made some leaves these to be believed.
        _truncate(stem + b".roots", 0)
        self._write("begun", begun)
        return 0

    def cut(self, numbers: int, leaves: int, begun: int | None = None) -> Begun:
        """Forget files and folders from that number on; gives what was noted of the next one.

        That is unless it was not ``begun``: its CID, and so many of its leaves. They stay noted
        until what is noted now takes their place: who is killed before that has them, too.
        """
        cid = digests = b""
        if begun is not None:
            cid = os.pread(self._cids, SHA256_CID_SIZE, numbers * SHA256_CID_SIZE)
            digests = os.pread(self._digests, begun * DIGEST_SIZE, leaves * DIGEST_SIZE)
        os.ftruncate(self._cids, numbers * SHA256_CID_SIZE + len(cid))
        os.ftruncate(self._digests, leaves * DIGEST_SIZE + len(digests))
        self._new_cids, self._new_digests, self._flushed = [], [], numbers
        self._leaves = leaves
        self._read_cids = b""
        return Begun(cid, digests)

    @property
    def count(self) -> int:
        """How many files and folders are noted."""
        return os.fstat(self._cids).st_size // SHA256_CID_SIZE

    def add(self, cid: Cid) -> None:
        """Note the CID of the next file or folder."""
        self._new_cids.append(cid)

    def add_many(self, cids: Sequence[Cid]) -> None:
        """Note those of the next files."""
        self._new_cids += cids

    def add_digest(self, digest: bytes) -> None:
        """Note the next leaf of a file that has more than one."""
        self._new_digests.append(digest)

    def cid(self, number: int) -> Cid:
        """The CID of a file or folder that was noted."""
        if number >= self._flushed:
            return Cid(self._new_cids[number - self._flushed])
        first = number // _CIDS * _CIDS
        if self._read_at != first or number >= first + len(self._read_cids) // SHA256_CID_SIZE:
            self._read_at = first
            self._read_cids = os.pread(self._cids, _CIDS * SHA256_CID_SIZE, first * SHA256_CID_SIZE)
        at = (number - first) * SHA256_CID_SIZE
        return Cid(self._read_cids[at : at + SHA256_CID_SIZE])

    def cids(self, first: int, count: int) -> list[Cid]:
        """The CIDs of some that follow each other, which were handed over to the system."""
        size = SHA256_CID_SIZE
        raw = os.pread(self._cids, count * size, first * size)
        return [Cid(raw[at : at + size]) for at in range(0, len(raw), size)]

    def flush(self) -> None:
        """Hand over what is noted to the system, so that a kill does not lose it."""
        if self._new_digests:
            _write_whole(self._digests, b"".join(self._new_digests), self._leaves * DIGEST_SIZE)
            leaves = self._leaves + len(self._new_digests)
            self._leaves, self._new_digests = leaves, []
        if self._new_cids:
            _write_whole(self._cids, b"".join(self._new_cids), self._flushed * SHA256_CID_SIZE)
            flushed = self._flushed + len(self._new_cids)
            self._flushed, self._new_cids = flushed, []  # no call, so no interrupt, in between

    def end_piece(self, piece: DonePiece) -> None:
        """Note a finished piece; then nothing of it is lost any more."""
        self.flush()
        os.fsync(self._cids)
        os.fsync(self._digests)
        self.pieces.append(piece)
        self._rewrite_pieces()

    def rewind(self, number: int, offset: int) -> None:
        """Nothing of that piece counts as known from there on, nor do pieces after it."""
        reached = len(self.pieces)
        # First, or they would be believed of a piece that is made instead.
        for later in range(number + 1, reached + 1):
            _truncate(self.stem(later) + b".roots", 0)
        known = 0 if number < reached else offset
        _truncate(self.stem(number) + b".roots", known // GROUP * ROOT_SIZE)
        if number < reached:
            ours = [piece.path for piece in self.pieces[number:] if piece.path and piece.is_ours]
            self._rewrite(b"/withdrawn", (json.dumps(os.fsdecode(path)) for path in ours))
            del self.pieces[number:]
            self._rewrite_pieces()
            self.take_away()

    def take_away(self) -> None:
        """Remove the files of pieces that count no more; a run that was stopped may have left some.

        They were written for this snapshot, which is not finished, and by nobody else.
        """
        path = self.folder + b"/withdrawn"
        try:
            with open(path, encoding="ascii") as file:
                names = [os.fsencode(json.loads(line)) for line in file]
        except FileNotFoundError:
            return
        kept = {piece.path for piece in self.pieces}
        for name in (*(name for name in names if name not in kept), path):
            with suppress(FileNotFoundError):
                os.unlink(name)

    def close(self) -> None:
        """Leave it for another time."""
        try:
            self.flush()
        finally:
            os.close(self._cids)
            os.close(self._digests)

    def _read_pieces(self) -> list[DonePiece]:
        try:
            with open(self.folder + b"/pieces", encoding="ascii") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            cid, size, manifest, first, last, path, *by = json.loads(line)
            first, last, path = map(os.fsencode, (first, last, path))
            manifest, is_ours = Cid(bytes.fromhex(manifest)), by in ([], [self._who])
            found.append(DonePiece(bytes.fromhex(cid), size, manifest, first, last, path, is_ours))
        return found

    def _rewrite_pieces(self) -> None:
        self._rewrite(b"/pieces", map(self._line_of, self.pieces))

    def _line_of(self, piece: DonePiece) -> str:
        names = map(os.fsdecode, (piece.first, piece.last, piece.path))
        by = self._who if piece.is_ours else ""
        return json.dumps([piece.cid.hex(), piece.size, piece.manifest.hex(), *names, by])

    def _rewrite(self, name: bytes, lines: Iterable[str]) -> None:
        path = self.folder + name
        with open(path + b".part", "w", encoding="ascii") as file:
            file.writelines(line + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + b".part", path)

    def _read(self, name: str) -> object:
        try:
            with open(self.folder + b"/" + name.encode(), encoding="ascii") as file:
                return json.load(file)
        except (FileNotFoundError, ValueError):
            return None

    def _write(self, name: str, value: object) -> None:
        with open(self.folder + b"/" + name.encode(), "w", encoding="ascii") as file:
            json.dump(value, file)


def _write_whole(file: int, data: bytes, at: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(file, memoryview(data)[done:], at + done)


def _truncate(path: bytes, size: int) -> None:
    with suppress(FileNotFoundError):
        if os.stat(path).st_size > size:
            os.truncate(path, size)


def _machine() -> str:
    """Tells this run of the machine from those before it."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        # Not told: nothing that was not synced is believed.
        return f"{os.getpid()} {time.time_ns()}"
