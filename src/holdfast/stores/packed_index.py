"""The index of a packed store: which record of which pack has a key. A cache, made from the packs.

A key stands in it by the first 64 bits of its BLAKE2b hash: who reads finds the key itself in the
record's header, which is looked at in any case. SQLite, with a rollback journal: it works wherever
fcntl locks do, on network file systems too, and is right after a power failure. An index that is
of no use is left behind for a new one with the next higher number.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import NamedTuple, Protocol
from urllib.parse import quote

from ..core import faults

LIVE, REMOVED, DAMAGED = 0, 1, 2

BUSY_S = 60.0
_VERSION = 1
_NAME = re.compile(rb"index-([0-9]{6,18})\.sqlite")
_PART = 500
_PAGE = 10_000
_TABLES = """
CREATE TABLE IF NOT EXISTS numbers(last INTEGER);
CREATE TABLE IF NOT EXISTS packs(pack INTEGER PRIMARY KEY, end INTEGER, closed INTEGER);
CREATE TABLE IF NOT EXISTS records(digest INTEGER, id INTEGER, pack INTEGER, at INTEGER,
    length INTEGER, state INTEGER, PRIMARY KEY(digest, id, pack)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS removals(digest INTEGER, id INTEGER, pack INTEGER, at INTEGER,
    PRIMARY KEY(digest, id, pack)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_of_packs ON records(pack, at);
"""


_INSERT = (
    "INSERT OR REPLACE INTO records VALUES(?1,?2,?3,?4,?5,CASE WHEN EXISTS"
    f"(SELECT 1 FROM removals WHERE digest=?1 AND id=?2) THEN {REMOVED} ELSE ?6 END)"
)


class BadIndexError(Exception):
    """The index is damaged, or of another version: it has to be made anew."""


class Row(NamedTuple):
    """Where a record is said to be, and in which state it is."""

    digest: int
    id: int
    pack: int
    at: int
    length: int
    state: int = LIVE


class RemovalRow(NamedTuple):
    """Where a removal is said to be, and of which record."""

    digest: int
    id: int
    pack: int
    at: int


class Totals(NamedTuple):
    """What the index knows of one pack."""

    pack: int
    end: int
    closed: bool
    live: int
    live_bytes: int
    damaged: int


def digest_of(key: bytes) -> int:
    """What a key is found by."""
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big", signed=True)


def signed(number: int) -> int:
    """A record's id as SQLite keeps it."""
    return number - (1 << 64) if number >> 63 else number


def unsigned(number: int) -> int:
    """A record's id as the record has it."""
    return number & (1 << 64) - 1


class Part(Protocol):
    """What stands in a stretch of a pack; the fields are looked at in this order."""

    @property
    def pack(self) -> int:
        """Which pack it is."""

    @property
    def rows(self) -> Iterable[Row]:
        """The records."""

    @property
    def removals(self) -> Iterable[RemovalRow]:
        """The removals, known when the rows were gone through."""

    @property
    def end(self) -> int:
        """Up to where the pack is known with it."""

    @property
    def closed(self) -> bool:
        """Whether nothing may be appended to the pack any more."""


class PackIndex:
    """An open index. Threads and processes may share it; each change is one transaction."""

    def __init__(self, path: bytes | None, mode: str = "rw") -> None:
        """Open an index; ``mode`` "rwc" makes it, "ro" is only for reading it.

        Without a path it is in memory.

        Raises:
            BadIndexError: It is of no use.
            AccessError: It may not be written.
        """
        self.path = path
        self._lock = threading.RLock()
        name = ":memory:" if path is None else f"file:{quote(path)}?mode={mode}"
        with self.errors():
            self._sql = sqlite3.connect(
                name, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._prepare()
        self._identity = _identity(path)

    def _prepare(self) -> None:
        self._sql.execute("PRAGMA journal_mode=TRUNCATE")
        self._sql.execute("PRAGMA synchronous=NORMAL")
        self._sql.execute("PRAGMA cache_size=-16384")
        if self._version():
            return
        with self._change() as sql:
            for statement in filter(str.strip, _TABLES.split(";")):
                sql.execute(statement)
            sql.execute(f"PRAGMA user_version={_VERSION}")

    def _version(self) -> int:
        (version,) = self._sql.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise BadIndexError(f"version {version}")
        return int(version)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What SQLite says, as one of our faults; `BadIndexError` when the index is of no use."""
        path = os.fsdecode(self.path or b"memory")
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "") or ""
            if name.startswith("SQLITE_BUSY"):
                raise faults.PACKED_BUSY(
                    path=path, what="the index", waited=f"{BUSY_S:g} s"
                ) from error
            if name in ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC"):
                raise faults.PACKED_FULL(path=path, detail=str(error)) from error
            if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR")):
                raise BadIndexError(str(error)) from error
            if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
                raise faults.NO_PERMISSION(path=path, detail=str(error)) from error
            raise faults.DISK_ERROR(path=path, detail=str(error)) from error

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self.errors():
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                yield self._sql
                self._sql.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._sql.execute("ROLLBACK")
                raise

    def _all(self, question: str, values: Sequence[int] = ()) -> list[tuple[int, ...]]:
        with self._lock, self.errors():
            return self._sql.execute(question, values).fetchall()

    def find(self, digests: Sequence[int]) -> dict[int, list[Row]]:
        """What may be the records of keys that are not removed, the good ones first."""
        found: dict[int, list[Row]] = {}
        for start in range(0, len(digests), _PART):
            part = digests[start : start + _PART]
            marks = ",".join("?" * len(part))
            for row in self._all(
                f"SELECT * FROM records WHERE digest IN ({marks}) AND state<>{REMOVED}", part
            ):
                found.setdefault(row[0], []).append(Row(*row))
        for rows in found.values():
            if len(rows) > 1:
                rows.sort(key=lambda row: (row.state, row.pack, row.at))
        return found

    def add(self, part: Part) -> None:
        """Take in what stands in a part of a pack, durably.

        A record whose removal is known, from whatever pack, is removed.
        """
        with self._change() as sql:
            sql.executemany(_INSERT, part.rows)
            removals = list(part.removals)
            sql.executemany("INSERT OR REPLACE INTO removals VALUES(?,?,?,?)", removals)
            sql.executemany(
                f"UPDATE records SET state={REMOVED} WHERE digest=? AND id=?",
                [row[:2] for row in removals],
            )
            values = (part.pack, part.end, int(part.closed))
            sql.execute("INSERT OR REPLACE INTO packs VALUES(?,?,?)", values)

    def restore(self, pack: int, rows: Iterable[Row]) -> None:
        """Take in records that are missing here, if the pack is still one of the store's."""
        with self._change() as sql:
            question = "SELECT EXISTS(SELECT 1 FROM packs WHERE pack=?)"
            if sql.execute(question, (pack,)).fetchone()[0]:
                sql.executemany(_INSERT, rows)

    def forget(self, pack: int) -> None:
        """Forget all of a pack."""
        with self._change() as sql:
            for table in ("records", "removals", "packs"):
                sql.execute(f"DELETE FROM {table} WHERE pack=?", (pack,))

    def mark(self, rows: Iterable[Row], state: int) -> None:
        """Note that records were found damaged, and so are nobody's copy any more; or good."""
        with self._change() as sql:
            sql.executemany(
                f"UPDATE records SET state={int(state)} WHERE state<>{REMOVED}"
                " AND digest=? AND id=? AND pack=?",
                [row[:3] for row in rows],
            )

    def next_number(self, least: int) -> int:
        """A number for a new pack, at least this, and higher than any that was given before."""
        with self._change() as sql:
            (last,) = sql.execute("SELECT MAX(last) FROM numbers").fetchone()
            number = max(least, (last or 0) + 1)
            sql.execute("DELETE FROM numbers")
            sql.execute("INSERT INTO numbers VALUES(?)", (number,))
        return number

    def ends(self) -> dict[int, tuple[int, bool]]:
        """Up to where each pack is known, and whether nothing may be appended to it."""
        found = self._all("SELECT pack, end, closed FROM packs")
        return {pack: (end, bool(closed)) for pack, end, closed in found}

    def with_room(self, size_max: int, most: int) -> list[int]:
        """Packs that end before ``size_max``, the fullest first."""
        question = "SELECT pack FROM packs WHERE NOT closed AND end<=? ORDER BY end DESC LIMIT ?"
        return [pack for (pack,) in self._all(question, (size_max, most))]

    def iter_rows_of(self, pack: int) -> Iterator[Row]:
        """The records of a pack, in the order they lie there."""
        question = "SELECT * FROM records WHERE pack=? AND at>? ORDER BY at LIMIT ?"
        last = -1
        while rows := self._all(question, (pack, last, _PAGE)):
            yield from (Row(*row) for row in rows)
            last = rows[-1][3]

    def same_elsewhere(self, row: Row | RemovalRow) -> list[Row]:
        """The same record as it lies in other packs."""
        question = "SELECT * FROM records WHERE digest=? AND id=? AND pack<>?"
        return [Row(*found) for found in self._all(question, row[:3])]

    def removals_of(self, digest: int, number: int) -> list[RemovalRow]:
        """The removals of a record."""
        question = "SELECT * FROM removals WHERE digest=? AND id=?"
        return [RemovalRow(*found) for found in self._all(question, (digest, number))]

    def totals(self) -> list[Totals]:
        """What lies in each pack, in order."""
        found = self._all(
            "SELECT p.pack, p.end, p.closed, COALESCE(SUM(r.state=0),0),"
            " COALESCE(SUM((r.state=0)*r.length),0), COALESCE(SUM(r.state=2),0)"
            " FROM packs p LEFT JOIN records r ON r.pack=p.pack GROUP BY p.pack ORDER BY p.pack"
        )
        return [Totals(p, end, bool(closed), *rest) for p, end, closed, *rest in found]

    def is_current(self) -> bool:
        """Whether this is still the index, not one that was left behind."""
        if self.path is None:
            return True
        newest = index_paths(os.path.dirname(self.path))
        return newest[-1:] == [self.path] and _identity(self.path) == self._identity

    def close(self) -> None:
        """Let go of it. May be called twice."""
        with self._lock:
            self._sql.close()


def _identity(path: bytes | None) -> tuple[int, int] | None:
    """Which file a path names; somebody may have removed an index, and a new one has its name."""
    if path is None or not os.path.exists(path):
        return None
    status = os.stat(path)
    return status.st_dev, status.st_ino


def index_paths(folder: bytes) -> list[bytes]:
    """The indexes that lie in a store, oldest first: the last one counts."""
    found = filter(None, map(_NAME.fullmatch, os.listdir(folder)))
    return [folder + b"/" + name[0] for name in sorted(found, key=lambda name: int(name[1]))]


def next_path(paths: Sequence[bytes], folder: bytes) -> bytes:
    """The name of an index that comes after all of these."""
    last = _NAME.fullmatch(os.path.basename(paths[-1])) if paths else None
    return b"%b/index-%06d.sqlite" % (folder, int(last[1]) + 1 if last else 1)


def remove_index(path: bytes) -> None:
    """Remove an index and its journal."""
    for name in (path, path + b"-journal"):
        with suppress(FileNotFoundError):
            os.unlink(name)
