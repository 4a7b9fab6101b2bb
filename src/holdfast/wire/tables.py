"""Tables of URLs: CSV, TSV, JSON, JSON lines; read row by row where the format allows. Pure."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import IO

from ..core.errors import ProtocolError

Row = Mapping[str, str]
"""The cells of a row by the names of their columns, and, in CSV and TSV, by their numbers too."""


class TableKind(StrEnum):
    """How a table is written."""

    CSV = "csv"
    TSV = "tsv"
    JSON = "json"
    JSONL = "jsonl"


def kind_of(name: str) -> TableKind:
    """What the end of a file's name says; CSV where it says nothing."""
    ending = name.rpartition(".")[2].lower()
    return TableKind(ending) if ending in list(TableKind) else TableKind.CSV


def iter_rows(source: IO[str], kind: TableKind) -> Iterator[Row]:
    """The rows of a table; a JSON array is read whole, all others a row at a time.

    Raises:
        ProtocolError: It is not such a table; the message names the line.
    """
    if kind in (TableKind.CSV, TableKind.TSV):
        return _iter_cells(source, "\t" if kind is TableKind.TSV else ",")
    return _iter_objects(source) if kind is TableKind.JSON else _iter_lines(source)


def _iter_cells(source: Iterable[str], delimiter: str) -> Iterator[Row]:
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    try:
        names = next(reader, None)
        if not names:
            raise ProtocolError("it has no header row")
        names[0] = names[0].removeprefix("\ufeff")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(names):
                raise ProtocolError(
                    f"line {reader.line_num} has {len(cells)} cells, the header {len(names)}"
                )
            yield {**{str(n): cell for n, cell in enumerate(cells)}, **dict(zip(names, cells))}  # noqa: B905
    except csv.Error as error:
        raise ProtocolError(f"line {reader.line_num}: {error}") from None


def _iter_objects(source: IO[str]) -> Iterator[Row]:
    try:
        found = json.load(source)
    except ValueError as error:
        raise ProtocolError(f"it is no JSON: {error}") from None
    if not isinstance(found, list):
        raise ProtocolError("it is no JSON array of objects")
    for number, item in enumerate(found, 1):
        yield _row(item, f"item {number}")


def _iter_lines(source: Iterable[str]) -> Iterator[Row]:
    for number, line in enumerate(source, 1):
        if line.strip():
            try:
                item = json.loads(line)
            except ValueError as error:
                raise ProtocolError(f"line {number} is no JSON: {error}") from None
            yield _row(item, f"line {number}")


def _row(item: object, where: str) -> Row:
    if not isinstance(item, dict):
        raise ProtocolError(f"{where} is no JSON object")
    return {name: _text(value) for name, value in item.items()}


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
