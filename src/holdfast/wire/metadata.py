"""Metadata logs: ``T field +value -value … field2 +value``; what counts is the replay of all lines.

Fields are compared without case, values are bytes. Two files use it: ``.log.met`` (what people
say of content) and ``.log.rmet`` (what places say of it, each field with the place before it).
Format: docs/formats/annex.md.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..core.clock import Moment, advance, format_moment, parse_moment
from ..core.errors import LocalProtocolError
from ..core.place import PlaceId
from .logs import TIMESTAMP

_LINE = re.compile(rb"^(%b)(?: ([^\n]*))?$" % TIMESTAMP, re.MULTILINE)
_FIELD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_FITS = re.compile(r"[^ \r\n+-][^ \r\n]*")
_NEEDS_BASE64 = re.compile(rb"[ \r\n]|^!")


class Change(NamedTuple):
    """One value set (``added``) or unset in one field."""

    field: str
    value: bytes
    added: bool


class Said(NamedTuple):
    """The latest word on one value of one field: when, and whether it is set."""

    moment: Moment
    stamp: bytes
    change: Change


def parse_metadata(data: bytes) -> dict[str, list[bytes]]:
    """The values of each field, sorted; a field is spelled as it was last written."""
    found: dict[str, list[bytes]] = {}
    names: dict[str, str] = {}
    for said in sorted(replay(data).values(), key=_moment):
        if said.change.added:
            folded = said.change.field.lower()
            names[folded] = said.change.field
            found.setdefault(folded, []).append(said.change.value)
    return {names[folded]: sorted(found[folded]) for folded in sorted(found)}


def set_metadata(data: bytes, changes: Iterable[Change], now: Moment) -> bytes:
    """The file after changes; those that change nothing are left out, superseded words dropped.

    The new line is newer than any earlier word on the same values, so it wins on every merge. Of
    changes to the same value the last counts.

    Raises:
        LocalProtocolError: A field's name would break its line. See `is_field` for good ones.
    """
    words = replay(data)
    latest = {_name(change): change for change in changes}
    fresh = [change for change in latest.values() if _is_news(words, change)]
    if not fresh:
        return data
    for change in fresh:
        if not _FITS.fullmatch(change.field):
            raise LocalProtocolError(f"not a metadata field: {change.field!r}")
    before = (words[_name(change)].moment for change in fresh if _name(change) in words)
    moment = advance(now, max(before, default=None))
    stamp = format_moment(moment)
    words.update({_name(change): Said(moment, stamp, change) for change in fresh})
    return _encode(words.values())


def compact(data: bytes) -> bytes:
    """The file without words that later ones supersede; merging it gives what merging all gave."""
    return _encode(replay(data).values())


def place_values(data: bytes, field: str) -> dict[PlaceId, list[bytes]]:
    """From ``.log.rmet``: the values each place has in a field, the newest first.

    S3 version ids are in field ``V``.
    """
    found: dict[PlaceId, list[bytes]] = {}
    for said in sorted(replay(data).values(), key=_moment, reverse=True):
        place, colon, name = said.change.field.partition(":")
        if said.change.added and colon and name.lower() == field.lower():
            found.setdefault(PlaceId(place), []).append(said.change.value)
    return found


def replay(data: bytes) -> dict[tuple[str, bytes], Said]:
    """The latest word on each field (in lower case) and value; of equal moments the last line's.

    With distinct moments the order of lines does not matter.
    """
    words: dict[tuple[str, bytes], Said] = {}
    for raw, rest in _LINE.findall(data.replace(b"\r", b"\n") if b"\r" in data else data):
        moment = parse_moment(raw)
        assert moment is not None, "the pattern lets only timestamps through"
        stamp = raw if raw.endswith(b"s") else raw + b"s"
        for change in decode_changes(rest):
            old = words.get(_name(change))
            if old is None or moment >= old.moment:
                words[_name(change)] = Said(moment, stamp, change)
    return words


def is_field(name: str) -> bool:
    """Whether a name may be a field's: letters, digits and ``_-.``, a letter or digit first."""
    return _FIELD.fullmatch(name) is not None


def difference(field: str, before: Iterable[bytes], after: Iterable[bytes]) -> list[Change]:
    """The changes that make the values of a field those of ``after``."""
    old, new = set(before), set(after)
    return [Change(field, value, added=value in new) for value in sorted(old ^ new)]


def decode_changes(rest: bytes) -> Iterator[Change]:
    """Read the part of a line after its timestamp; values that cannot be read are skipped."""
    field = ""
    for word in rest.split(b" "):
        sign = word[:1]
        if sign != b"+" and sign != b"-":
            field = word.decode("utf-8", "surrogateescape")
            continue
        value = _decode_value(word[1:])
        if value is not None:
            yield Change(field, value, added=sign == b"+")


def encode_changes(changes: Iterable[Change]) -> bytes:
    """Write the part of a line after its timestamp, fields and values sorted."""
    words: dict[str, list[bytes]] = {}
    spelled: dict[str, str] = {}
    for change in sorted(changes, key=lambda change: change.value):
        sign = b"+" if change.added else b"-"
        words.setdefault(change.field.lower(), []).append(sign + _encode_value(change.value))
        spelled[change.field.lower()] = change.field
    return b" ".join(
        b" ".join((spelled[name].encode("utf-8", "surrogateescape"), *words[name]))
        for name in sorted(words)
    )


def _is_news(words: Mapping[tuple[str, bytes], Said], change: Change) -> bool:
    said = words.get(_name(change))
    return change.added != (said is not None and said.change.added)


def _encode(words: Iterable[Said]) -> bytes:
    lines: dict[tuple[Moment, bytes], list[Change]] = {}
    for said in words:
        lines.setdefault((said.moment, said.stamp), []).append(said.change)
    return b"".join(
        b"%b %b\n" % (stamp, encode_changes(changes))
        for (_, stamp), changes in sorted(lines.items(), key=lambda line: line[0])
    )


def _name(change: Change) -> tuple[str, bytes]:
    return change.field.lower(), change.value


def _moment(said: Said) -> Moment:
    return said.moment


def _encode_value(value: bytes) -> bytes:
    if _NEEDS_BASE64.search(value):
        return b"!" + b2a_base64(value, newline=False)
    return value


def _decode_value(word: bytes) -> bytes | None:
    if not word.startswith(b"!"):
        return word
    try:
        return a2b_base64(word[1:], strict_mode=True)
    except Base64Error:
        return None
