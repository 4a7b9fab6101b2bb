"""git's configuration text, read as git reads it: for files that are no repository's own settings.

Format: git-config(1), "Syntax". Nothing is included from other files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..core.errors import ProtocolError

_BLANK = re.compile(rb"(?:[ \t\r\n\f\v]+|[#;][^\n]*)*")
_SECTION = re.compile(rb'\[([A-Za-z0-9.-]+)(?:[ \t]+"((?:[^"\\\n]|\\[^\n])*)")?\]')
_VARIABLE = re.compile(rb"([A-Za-z][A-Za-z0-9-]*)[ \t]*(?:(=)[ \t]*|(?=[\r\n#;]|\Z))")
_PIECE = re.compile(
    rb'(?P<end>\r?\n|\Z)|(?P<comment>[#;][^\n]*)|(?P<more>\\\r?\n)|\\(?P<escape>[nbt"\\])|'
    rb'(?P<quote>")|(?P<blank>[ \t\r\f\v]+)|(?P<text>[^\s\\"#;]+)'
)
_ESCAPES = {b"n": b"\n", b"b": b"\b", b"t": b"\t"}


class ConfigItem(NamedTuple):
    """One variable: its section and variable in small letters; a value of None means true."""

    section: str
    subsection: bytes | None
    variable: str
    value: bytes | None


def iter_config(text: bytes) -> Iterator[ConfigItem]:
    """Every variable, in order.

    Raises:
        ProtocolError: git would not read it either.
    """
    position = 3 if text.startswith(b"\xef\xbb\xbf") else 0
    section, subsection = "", None
    while True:
        position = _skip(text, position)
        if position == len(text):
            return
        if found := _SECTION.match(text, position):
            section, subsection = _section(found[1], found[2])
            position = found.end()
            continue
        found = _VARIABLE.match(text, position)
        if found is None or not section:
            line = text.count(b"\n", 0, position) + 1
            raise ProtocolError(f"no configuration of git: line {line}")
        position = found.end()
        value = None
        if found[2]:
            value, position = _value(text, position)
        yield ConfigItem(section, subsection, found[1].decode().lower(), value)


def _skip(text: bytes, position: int) -> int:
    found = _BLANK.match(text, position)
    assert found is not None, "it matches nothing, too"
    return found.end()


def _section(name: bytes, quoted: bytes | None) -> tuple[str, bytes | None]:
    if quoted is not None:
        return name.decode().lower(), re.sub(rb"\\(.)", rb"\1", quoted)
    section, dot, rest = name.lower().partition(b".")
    return section.decode(), rest if dot else None


def _value(text: bytes, position: int) -> tuple[bytes, int]:
    value = blanks = b""
    quoted = False
    while True:
        found = _PIECE.match(text, position)
        if found is None or (quoted and found.lastgroup == "end"):
            line = text.count(b"\n", 0, position) + 1
            raise ProtocolError(f"no configuration of git: line {line}")
        position = found.end()
        kind = found.lastgroup
        if kind == "end":
            return value, position
        if kind == "quote":
            quoted = not quoted
            value, blanks = value + blanks, b""
        elif kind == "blank" and not quoted:
            # What stands at the end of a line is no part of the value; at its start, skipped.
            blanks += found[0] if value else b""
        elif kind == "comment" and not quoted:
            position = _line_end(text, position)
        elif kind == "comment":
            # Within quotes the sign is itself, and what follows is read anew.
            value, blanks, position = value + blanks + found[0][:1], b"", found.start() + 1
        elif kind == "more":
            # A blank before the sign stands in no end of a line.
            value, blanks = value + blanks, b""
        else:
            piece = found["escape"]
            new = found[0] if piece is None else _ESCAPES.get(piece, piece)
            value, blanks = value + blanks + new, b""


def _line_end(text: bytes, position: int) -> int:
    end = text.find(b"\n", position)
    return len(text) if end < 0 else end
