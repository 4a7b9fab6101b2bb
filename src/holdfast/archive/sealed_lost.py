"""What an encrypted snapshot is planned, or packed, without; and the files it has of its own."""

from __future__ import annotations

import gzip
import marshal
import os
from collections.abc import Iterator

from ..wire.archive_rows import MissingRow, RowKind
from ..wire.tree_layout import tree_order
from .entries import OF_STATE, Entry, identity_of
from .sealed_names import (
    MissingName,
    ScopeHead,
    encode_head,
    encode_name,
)
from .seals import Seal, SealedFile

FILE_MODE = 0o100644
MISSING = b"/missing"
"""The file beside a plan that says what it was planned without."""
LOST = b"/lost"
"""The one that says what was not what was planned, when it was packed."""
LOST_NAME = "lost-"
"""Begins the names of encrypted lists of that."""


def missing_rows(folder: bytes) -> list[MissingRow]:
    """What an encrypted snapshot was planned without, out of its folder."""
    try:
        with open(folder + MISSING, "rb") as file:
            return [MissingRow._make(values) for values in marshal.load(file)]
    except FileNotFoundError:
        return []


def lost_rows(folder: bytes) -> list[MissingRow]:
    """What it was planned with, and that was not what was planned when it was packed."""
    return [MissingRow._make(row) for _, _, row in read_lost(folder)]


def own_entry(path: bytes, source: str, size: int) -> Entry:
    """A file that is beside the plan."""
    identity = identity_of(path, RowKind.PLAIN, None, source)
    return Entry(path, RowKind.PLAIN, FILE_MODE, size, None, source, identity)


def read_lost(folder: bytes) -> list[tuple[int, str, list[object]]]:
    """Contents that were not what was planned: their scopes, names, and what is told of them."""
    try:
        with open(folder + LOST, "rb") as file:
            found: list[tuple[int, str, list[object]]] = marshal.load(file)
            return found
    except FileNotFoundError:
        return []


def seal_lost(
    folder: bytes, seal: Seal, lost: list[tuple[int, str, list[object]]]
) -> Iterator[Entry]:
    """The lists of them, encrypted now, one for each scope."""
    found = list[Entry]()
    for number in sorted({number for number, _, _ in lost}):
        tag = seal.scopes[number].tag
        lines = [encode_head(ScopeHead(seal.scopes[number].scope))]
        lines += [
            encode_name(MissingName(MissingRow._make(row))) for one, _, row in lost if one == number
        ]
        name = f"{LOST_NAME}{tag}"
        path = os.path.join(folder, name.encode())
        with SealedFile(path, seal.fresh_head(number)) as out:
            out.write(gzip.compress(b"".join(lines)))
        size = os.stat(path).st_size
        found.append(own_entry(f"files/names/{tag}.lost.age".encode(), OF_STATE + name, size))
    yield from sorted(found, key=lambda entry: tree_order(entry.path))
