"""The list of pieces that stands beside them at a place: text, a line for each. Pure code.

    bafkzcib….car 34091302912 piece

Name, bytes, and ``piece`` or ``parity``. It is a hint where nothing else can list files: what is
read of a piece is checked all the same. Format: docs/formats/archive.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..core.errors import HoldError
from .piece import read_piece

LIST_NAME = b"pieces.txt"
LIST_MAX = 64 << 20
"""No longer list is read."""

_KINDS = ("piece", "parity")
_SUFFIX = ".car"


class Listed(NamedTuple):
    """A piece of a list."""

    name: str
    size: int
    is_parity: bool


def write_list(pieces: Iterable[Listed]) -> bytes:
    """The text; pieces in their order."""
    lines = (f"{p.name} {p.size} {_KINDS[p.is_parity]}\n" for p in pieces)
    return "".join(lines).encode("ascii")


def read_list(text: bytes) -> list[Listed]:
    """What is in it; lines that make no sense are passed over."""
    found: dict[str, Listed] = {}
    for line in text.decode("ascii", "replace").splitlines():
        name, _, rest = line.partition(" ")
        size, _, kind = rest.partition(" ")
        if kind not in _KINDS or not name.endswith(_SUFFIX):
            continue
        try:
            piece = read_piece(name.removesuffix(_SUFFIX))
        except HoldError:
            continue
        if size == str(piece.size):
            found.setdefault(name, Listed(name, piece.size, kind == "parity"))
    return list(found.values())
