"""Files of the git-annex branch: lines, each with the moment it was written; the newest counts.

Two families: time first (``T 1 U``, ``T field value``) and place first (``U value timestamp=T``).
Reading never fails: lines that make no sense are skipped, and are gone when a file is written
anew. Lines that stay keep the text of their timestamp. Writing what would break a line raises
LocalProtocolError. Format: docs/formats/annex.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, TypeVar

from ..core.clock import LONG_AGO, Moment, advance, format_moment, parse_moment
from ..core.errors import LocalProtocolError
from ..core.numbers import read_number
from ..core.place import PlaceId, Trust

TIMESTAMP = rb"-?[0-9]+(?:\.[0-9]+)?s?"

_Name = TypeVar("_Name", bytes, PlaceId)


class LocationState(StrEnum):
    """What a location log says of one place; the value is what the file holds."""

    PRESENT = "1"
    MISSING = "0"
    DEAD = "X"


class Entry(NamedTuple):
    """What counts for one entity of a log: the value, and when it was written.

    ``stamp`` is that moment as the file has it; empty when a line by place has none.
    """

    moment: Moment
    stamp: bytes
    value: bytes


class Chunking(NamedTuple):
    """How a place holds content in pieces: bytes in each (the last may be short), how many."""

    size: int
    chunks: int


_PRESENCE = re.compile(rb"^(%b) ([10X]) ([^\n]+)$" % TIMESTAMP, re.MULTILINE)
_PLACES = re.compile(rb"^%b ([10X] [^\n]+)$" % TIMESTAMP, re.MULTILINE)
_MAP = re.compile(rb"^(%b) ([^ \n]*) ([^\n]*)$" % TIMESTAMP, re.MULTILINE)
_VALUE = re.compile(rb"^(%b) ([^\n]*)$" % TIMESTAMP, re.MULTILINE)
_UUID = re.compile(rb"^([^ \n]+)(?: ([^\n]*))?$", re.MULTILINE)
_STAMPED = re.compile(rb"(?:(.*) )?timestamp=(%b)" % TIMESTAMP, re.DOTALL)
_STATES = {b"1": LocationState.PRESENT, b"0": LocationState.MISSING, b"X": LocationState.DEAD}
_COUNT = re.compile(rb"[0-9]+")
_ESCAPE = re.compile(r"&([0-9]+);")


# Presence logs: `T 1|0|X INFO`; INFO is a place, a URL or a key.


def parse_presence(data: bytes) -> dict[bytes, Entry]:
    """The newest line of each entity, its value ``1``, ``0`` or ``X``; of equals the first."""
    found: dict[bytes, Entry] = {}
    for raw, state, info in _PRESENCE.findall(_plain(data)):
        entry = _entry(raw, state)
        old = found.get(info)
        if old is None or entry.moment > old.moment:
            found[info] = entry
    return found


def set_presence(data: bytes, info: bytes, state: LocationState, now: Moment) -> bytes:
    """The file after an entity came or went; ``data`` itself when nothing is new."""
    found = parse_presence(data)
    old = found.get(info)
    value = state.encode()
    if old is not None and old.value == value:
        return data
    found[_whole(info)] = _fresh(value, now, old)
    return b"".join(
        b"%b %b %b\n" % (entry.stamp, entry.value, name) for name, entry in sorted(found.items())
    )


def parse_locations(data: bytes) -> dict[PlaceId, tuple[Moment, LocationState]]:
    """What a location log says of each place it names, and since when."""
    return {
        _place(info): (entry.moment, _STATES[entry.value])
        for info, entry in parse_presence(data).items()
    }


def set_location(data: bytes, place: PlaceId, state: LocationState, now: Moment) -> bytes:
    """The location log after a copy came or went; ``data`` itself when that is no news."""
    return set_presence(data, place.encode("utf-8", "surrogateescape"), state, now)


@lru_cache(1024)  # many logs are the same to the byte: what was saved or got together
def places_with(data: bytes) -> tuple[PlaceId, ...]:
    """The places that have a copy, in the order of the file; made for millions of files."""
    lines = list(map(_place_and_state, _PLACES.findall(_plain(data))))
    if len(lines) > 1 and len(dict(lines)) < len(lines):
        return tuple(_place(info) for info, e in parse_presence(data).items() if e.value == b"1")
    return tuple(place for place, present in lines if present)


@lru_cache(4096)  # the same few places are in millions of files
def _place_and_state(line: bytes) -> tuple[PlaceId, bool]:
    return _place(line[2:]), line.startswith(b"1")


def parse_urls(data: bytes) -> list[bytes]:
    """The URLs content can be had from, in the order of the file, as registered."""
    return [url for url, entry in parse_presence(data).items() if entry.value == b"1"]


def set_url(data: bytes, url: bytes, state: LocationState, now: Moment) -> bytes:
    """The URL log after a URL was registered or withdrawn."""
    return set_presence(data, url, state, now)


# Map logs: `T FIELD VALUE`; the value may be empty or have spaces.


def parse_map_log(data: bytes) -> dict[bytes, Entry]:
    """The newest value of each field; of equals the last."""
    return _newest((name, _entry(raw, value)) for raw, name, value in _MAP.findall(_plain(data)))


def set_map_log(data: bytes, field: bytes, value: bytes, now: Moment) -> bytes:
    """The file after a field got a value, even if it is the same one; an empty value unsets it."""
    found = parse_map_log(data)
    found[_word(field)] = _fresh(_whole(value), now, found.get(field))
    return b"".join(
        b"%b %b %b\n" % (entry.stamp, name, entry.value) for name, entry in sorted(found.items())
    )


def parse_config(data: bytes) -> dict[str, str]:
    """config.log: the settings that are set, for all clones."""
    return {
        _text(name): _text(entry.value)
        for name, entry in parse_map_log(data).items()
        if entry.value
    }


def parse_chunks(data: bytes) -> dict[PlaceId, list[Chunking]]:
    """How each place holds the content in chunks; a place can hold it in several ways."""
    found: dict[PlaceId, list[Chunking]] = {}
    for name, entry in parse_map_log(data).items():
        place, _, size = name.rpartition(b":")
        if _COUNT.fullmatch(size) and _COUNT.fullmatch(entry.value) and int(entry.value):
            found.setdefault(_place(place), []).append(Chunking(int(size), int(entry.value)))
    return found


def set_chunks(data: bytes, place: PlaceId, chunking: Chunking, now: Moment) -> bytes:
    """The chunk log after a place took the content in chunks; a count of 0: no longer so."""
    name = b"%b:%d" % (place.encode(), chunking.size)
    return set_map_log(data, name, b"%d" % chunking.chunks, now)


def parse_place_map(data: bytes) -> dict[PlaceId, bytes]:
    """Logs with one text for each place: state of external programs, content ids, sizes."""
    return {_place(name): entry.value for name, entry in parse_map_log(data).items()}


def parse_sizes(data: bytes) -> dict[PlaceId, int]:
    """maxsize.log: how many bytes each place may hold; what is no number sets no limit."""
    read = ((place, read_number(_text(raw))) for place, raw in parse_place_map(data).items())
    return {place: number for place, number in read if number is not None}


def set_size(data: bytes, place: PlaceId, size: int | None, now: Moment) -> bytes:
    """maxsize.log after a place got a limit; None takes it away."""
    value = b"" if size is None else b"%d" % size
    return set_map_log(data, place.encode("utf-8", "surrogateescape"), value, now)


# Logs of one number: `T N`.


def parse_copies(data: bytes) -> int | None:
    """numcopies.log, mincopies.log: the newest number; of equals the larger. None when unset."""
    numbers = [(entry.moment, int(entry.value)) for entry in _numbers(data)]
    return max(numbers)[1] if numbers else None


def set_copies(data: bytes, copies: int, now: Moment) -> bytes:
    """The file after a number of copies was asked for."""
    before = max((entry.moment for entry in _numbers(data)), default=None)
    return b"%b %d\n" % (format_moment(advance(now, before)), copies)


def _numbers(data: bytes) -> Iterator[Entry]:
    for raw, value in _VALUE.findall(_plain(data)):
        if _COUNT.fullmatch(value):
            yield _entry(raw, value)


# Logs by place: `U VALUE timestamp=T`.


def parse_uuid_log(data: bytes) -> dict[PlaceId, Entry]:
    """The newest value of each place; of equals the last. No timestamp counts as long ago."""
    return _newest((_place(name), _stamped(rest)) for name, rest in _UUID.findall(_plain(data)))


def set_uuid_log(data: bytes, place: PlaceId, value: bytes, now: Moment) -> bytes:
    """The file after a place got a value, even if it is the same one."""
    found = parse_uuid_log(data)
    _word(place.encode("utf-8", "surrogateescape"))
    found[place] = _fresh(_whole(value), now, found.get(place))
    lines = {
        name.encode("utf-8", "surrogateescape"): entry for name, entry in found.items()
    }  # sorted as bytes, not as text
    return b"".join(_uuid_line(name, entry) for name, entry in sorted(lines.items()))


def _uuid_line(name: bytes, entry: Entry) -> bytes:
    if entry.stamp:
        return b"%b %b timestamp=%b\n" % (name, entry.value, entry.stamp)
    return b"%b %b\n" % (name, entry.value)


def parse_descriptions(data: bytes) -> dict[PlaceId, str]:
    """uuid.log: what people call each place."""
    return {place: _text(entry.value) for place, entry in parse_uuid_log(data).items()}


def parse_trust(data: bytes) -> dict[PlaceId, Trust]:
    """trust.log: how far each place is trusted; an unknown level counts as the usual one."""
    levels = {level.encode(): level for level in Trust}
    return {
        place: levels.get(entry.value, Trust.SEMITRUSTED)
        for place, entry in parse_uuid_log(data).items()
    }


def parse_groups(data: bytes) -> dict[PlaceId, frozenset[str]]:
    """group.log: the groups each place is in."""
    return {
        place: frozenset(_text(entry.value).split())
        for place, entry in parse_uuid_log(data).items()
    }


def parse_remotes(data: bytes) -> dict[PlaceId, dict[str, str]]:
    """remote.log: the configuration of each special remote."""
    return {place: decode_config(entry.value) for place, entry in parse_uuid_log(data).items()}


def set_remote(data: bytes, place: PlaceId, config: Mapping[str, str], now: Moment) -> bytes:
    """remote.log after a special remote got a configuration."""
    return set_uuid_log(data, place, encode_config(config), now)


def decode_config(value: bytes) -> dict[str, str]:
    """Read ``k=v k=v``; in values ``&32;`` is the character with that number."""
    pairs = (word.partition("=") for word in _text(value).split())
    return {name: _ESCAPE.sub(_unescape, rest) for name, equals, rest in pairs if equals}


def encode_config(config: Mapping[str, str]) -> bytes:
    """Write ``k=v k=v``, sorted; white space and ``&`` of values by their numbers."""
    words = (f"{name}={_escape(value)}" for name, value in sorted(config.items()))
    return " ".join(words).encode("utf-8", "surrogateescape")


def _escape(value: str) -> str:
    return "".join(f"&{ord(c)};" if c == "&" or c.isspace() else c for c in value)


def _unescape(found: re.Match[str]) -> str:
    number = int(found[1])
    return chr(number) if number <= sys.maxunicode else found[0]


# All logs.


def union(ours: bytes, theirs: bytes) -> bytes:
    """Merge two versions of any file: every line of both, once, sorted; none is dropped."""
    if ours == theirs:
        return ours
    lines = {*ours.split(b"\n"), *theirs.split(b"\n")}
    lines.discard(b"")
    return b"".join(b"%b\n" % line for line in sorted(lines))


def parse_transitions(data: bytes) -> frozenset[tuple[bytes, Moment]]:
    """transitions.log: which history was forgotten, and when."""
    found = ((name, parse_moment(raw)) for name, raw in _UUID.findall(_plain(data)))
    return frozenset((name, moment) for name, moment in found if moment is not None)


def _newest(lines: Iterable[tuple[_Name, Entry]]) -> dict[_Name, Entry]:
    found: dict[_Name, Entry] = {}
    for name, entry in lines:
        old = found.get(name)
        if old is None or entry.moment >= old.moment:
            found[name] = entry
    return found


def _plain(data: bytes) -> bytes:
    """The same lines, ended as on Unix; git-annex takes a lone CR for a line's end, too."""
    return data.replace(b"\r", b"\n") if b"\r" in data else data


def _entry(raw: bytes, value: bytes) -> Entry:
    moment = parse_moment(raw)
    assert moment is not None, "the pattern lets only timestamps through"
    return Entry(moment, raw if raw.endswith(b"s") else raw + b"s", value)


def _fresh(value: bytes, now: Moment, old: Entry | None) -> Entry:
    moment = advance(now, None if old is None else old.moment)
    return Entry(moment, format_moment(moment), value)


def _whole(part: bytes) -> bytes:
    if b"\n" in part or b"\r" in part:
        raise LocalProtocolError(f"a line of a log cannot hold {part[:100]!r}")
    return part


def _word(part: bytes) -> bytes:
    if not part or b" " in part:
        raise LocalProtocolError(f"not one word, so it would break its line: {part[:100]!r}")
    return _whole(part)


def _stamped(rest: bytes) -> Entry:
    found = _STAMPED.fullmatch(rest)
    if found is None:
        return Entry(LONG_AGO, b"", rest)
    return _entry(found[2], found[1] or b"")


@lru_cache(4096)
def _place(raw: bytes) -> PlaceId:
    return PlaceId(_text(raw))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
