"""From a table to wishes: its rows put into templates for URL, file name, key and metadata.

The table is gone through twice, so that nothing is fetched when a row makes no sense.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from ..core import faults
from ..core.backends import HASH_BACKENDS, backend_of, hasher, keeps_extension, key_digest
from ..core.errors import HoldError, ProtocolError
from ..core.extensions import key_extension
from ..core.key import Key
from ..core.templates import Template
from ..dataset.sorted_spill import SortedSpill
from ..wire.metadata import Change, is_field
from ..wire.tables import Row, TableKind, iter_rows, kind_of
from ..wire.url_names import parts_of
from .fetching import Wish

REPEAT = "_repindex"
"""In file names: how often the same name was made before, from 0."""

_IN_MEMORY = 8 << 20


@dataclass(frozen=True)
class Columns:
    """The templates for what is made of each row."""

    url: Template
    path: Template
    key: Template | None = None
    metadata: tuple[tuple[str, Template], ...] = ()

    @classmethod
    def of(
        cls, url: str, path: str, key: str | None = None, metadata: Sequence[str] = ()
    ) -> Columns:
        """From what somebody wrote; metadata as ``field=template``.

        Raises:
            UsageError: A template or a field's name is none.
        """
        try:
            return cls(
                Template(url),
                Template(path),
                None if key is None else Template(key),
                tuple(_field(word) for word in metadata),
            )
        except ValueError as error:
            raise faults.BAD_USAGE(what=str(error), command="addurls") from None


def _field(word: str) -> tuple[str, Template]:
    name, equals, value = word.partition("=")
    if not equals or not is_field(name):
        raise faults.BAD_FIELD(field=name or word, detail="it is to be NAME={column}")
    return name, Template(value)


class Table:
    """A table that can be read again and again."""

    def __init__(self, name: str, file: IO[bytes], kind: TableKind) -> None:
        self.name = name
        self._file = file
        self._kind = kind

    def iter_rows(self) -> Iterator[Row]:
        """Its rows, from the first."""
        self._file.seek(0)
        lines = _Text(self._file)
        try:
            yield from iter_rows(lines, self._kind)  # type: ignore[arg-type]
        except ProtocolError as error:
            detail = "every row has to have what the header says"
            raise faults.BAD_TABLE(name=self.name, what=str(error), detail=detail) from None


class _Text:
    """The lines of a file as text; unlike TextIOWrapper it does not close the file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            yield line.decode("utf-8", "surrogateescape")

    def read(self) -> str:
        """All that is left."""
        return self._file.read().decode("utf-8", "surrogateescape")


@contextmanager
def open_table(source: str, kind: TableKind | None) -> Iterator[Table]:
    """A table from a file, or for ``-`` from standard input, which is kept on disk meanwhile.

    Raises:
        UsageError: It cannot be read.
    """
    if source == "-":
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as kept:
            while block := sys.stdin.buffer.read(1 << 20):
                kept.write(block)
            yield Table("standard input", kept, kind or TableKind.JSON)
        return
    try:
        with open(source, "rb") as file:
            yield Table(source, file, kind or kind_of(source))
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        what = error.strerror or "it cannot be read"
        raise faults.BAD_TABLE(
            name=source, what=what.lower(), detail="it is a file's name, or -"
        ) from error


def iter_wishes(table: Table, columns: Columns, folder: bytes) -> Iterator[Wish]:
    """What each row asks for, its file below ``folder``.

    Raises:
        UsageError: A row makes no sense; the number of it is told.
    """
    seen: Counter[str] = Counter()
    for number, row in enumerate(table.iter_rows(), 1):
        try:
            yield _wish(row, columns, folder, seen)
        except KeyError as error:
            known = ", ".join(name for name in row if not name.isdigit())
            detail = f"there are {known}; file names may have {REPEAT} and parts of the URL, too"
            what = f"there is no column {error.args[0]}"
            raise faults.BAD_TABLE(name=table.name, what=what, detail=detail) from None
        except HoldError as error:
            what = f"row {number}: {error.what}"
            raise faults.BAD_TABLE(name=table.name, what=what, detail=error.why) from None


def _wish(row: Row, columns: Columns, folder: bytes, seen: Counter[str]) -> Wish:
    url = columns.url.fill(row)
    try:
        values = {**parts_of(url), **row}
    except ValueError:
        raise faults.BAD_URL(url="it", detail="it is no URL") from None
    path = _path(columns.path, values, seen)
    full = os.path.join(folder, os.fsencode(path)) if folder else os.fsencode(path)
    key = None if columns.key is None else read_key(columns.key.fill(row), full)
    changes = [(name, template.fill(values)) for name, template in columns.metadata]
    said = {
        (name.lower(), value): Change(name, value.encode("utf-8", "surrogateescape"), added=True)
        for name, value in changes
        if value
    }
    return Wish(url, full, key, tuple(said.values()))


def _path(template: Template, values: Row, seen: Counter[str]) -> str:
    if REPEAT not in template.names:
        return template.fill(values)
    name = template.fill({**values, REPEAT: "\0"})
    number = seen[name]
    seen[name] += 1
    return name.replace("\0", str(number))


def read_key(text: str, path: bytes) -> Key:
    """A key that a table gives; ``et:`` in front gives or takes the extension of the file.

    Raises:
        UsageError: It is none, or its hash is too long or too short.
    """
    toggled = text.startswith("et:")
    raw = text.removeprefix("et:").encode("utf-8", "surrogateescape")
    try:
        key = Key.parse(raw)
    except ProtocolError:
        raise _no_key(text, "it is to be BACKEND-sSIZE--HASH") from None
    plain = backend_of(key)
    if plain.decode("utf-8", "replace") not in {name.decode() for name in HASH_BACKENDS}:
        raise _no_key(text, "its backend is none that names content by a hash")
    if len(key_digest(key)) != len(hasher(plain).hexdigest()) or not _is_hex(key_digest(key)):
        raise _no_key(text, f"its hash is not one of {plain.decode()}")
    if not toggled:
        return key
    name = path.rpartition(b"/")[2]
    if keeps_extension(key.backend):
        return Key.make(plain, key_digest(key).encode(), size=key.size)
    return Key.make(plain + b"E", key.name + key_extension(name), size=key.size)


def _no_key(text: str, detail: str) -> HoldError:
    error = faults.BAD_USAGE(what=f"{text[:100]!r} is no key", command="addurls")
    error.why = detail
    return error


def _is_hex(text: str) -> bool:
    return all(sign in "0123456789abcdef" for sign in text)


def check(table: Table, columns: Columns, folder: bytes, scratch: bytes) -> int:
    """Go through all rows and see that each makes sense, and no two make one file; how many.

    Raises:
        UsageError: One does not, or two do.
    """
    count = 0
    last = None
    with SortedSpill(scratch) as paths:
        for number, wish in enumerate(iter_wishes(table, columns, folder), 1):
            paths.add(wish.path + b"\0%d" % number)
            count = number
        for item in paths:
            path = item.partition(b"\0")[0]
            if path == last:
                what = f"two rows make the file {os.fsdecode(path)}"
                detail = f"put {{{REPEAT}}} into the file name, to number those that are alike"
                raise faults.BAD_TABLE(name=table.name, what=what, detail=detail)
            last = path
    return count
