"""How names, numbers and times are written for people. Pure."""

from __future__ import annotations

import re

from ..core import faults

_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}
_QUOTED = '"\\'
_JOINERS = "\u200c\u200d"  # part of words in Persian, Hindi and of emoji
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgtpe]?)(i?)b?", re.IGNORECASE)
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def quote(name: str) -> str:
    """A name that cannot harm a terminal or a line, quoted as git quotes when it has to be.

    Text is shown as it is. Control and invisible characters, bytes that are not UTF-8 (held as
    surrogates), quotes and backslashes put the name in quotes, each as C writes it.
    """
    if name.isprintable() and '"' not in name and "\\" not in name:
        return name
    return f'"{"".join(map(_escape, name))}"' if any(map(_unsafe, name)) else name


def _unsafe(character: str) -> bool:
    return character in _QUOTED or not (character.isprintable() or character in _JOINERS)


def _escape(character: str) -> str:
    if not _unsafe(character):
        return character
    if character in _QUOTED:
        return "\\" + character
    raw = character.encode("utf-8", "surrogateescape" if _is_byte(character) else "surrogatepass")
    return "".join(_ESCAPES.get(byte, f"\\{byte:03o}") for byte in raw)


def _is_byte(character: str) -> bool:
    return "\udc80" <= character <= "\udcff"


def printable(text: str) -> str:
    """A remark in one line: what is not printable in it becomes a backslash form."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in _JOINERS else _escape(c) if c not in _QUOTED else c
        for c in text
    )


def number(count: int) -> str:
    """1,290."""
    return f"{count:,}"


def plural(count: int, word: str) -> str:
    """``1 file``, ``1,290 files``."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def percent(share: float) -> str:
    """``98.2 %``; less than all is never told as all, nor more than nothing as nothing."""
    if share in (0.0, 1.0):
        return f"{share * 100:.0f} %"
    return f"{min(99.9, max(0.1, share * 100)):.1f} %"


def size(count: float) -> str:
    """Bytes in decimal units, as disks are sold: ``512 B``, ``6.2 GB``, ``84 MB``."""
    unit = _unit(count)
    return f"{_scaled(count, unit)} {_UNITS[unit]}"


def size_of(done: float, total: float) -> str:
    """``1.8/6.2 GB``, both in the unit of the total."""
    unit = _unit(total)
    return f"{_scaled(done, unit)}/{_scaled(total, unit)} {_UNITS[unit]}"


def _unit(count: float) -> int:
    unit = 0
    while abs(count) >= 999.5 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return unit


def _scaled(count: float, unit: int) -> str:
    value = count / 1000**unit
    return f"{value:.1f}" if unit and abs(value) < 9.95 else f"{value:.0f}"


def duration(seconds: float) -> str:
    """``0.4 s``, ``11 s``, ``2 min 5 s``, ``3 h 4 min``, ``2 d 3 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for big, small, big_name, small_name in (
        (86400, 3600, "d", "h"),
        (3600, 60, "h", "min"),
        (60, 1, "min", "s"),
    ):
        if whole >= big:
            return f"{whole // big} {big_name} {whole % big // small} {small_name}"
    return f"{whole} s"


def clock(seconds: float) -> str:
    """``0:52``, ``1:02:03``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def parse_count(text: str) -> int:
    """How many at a time, from what an option was given: 1 or more.

    Raises:
        ArgumentTypeError: It is no such number; the parser says of which option.
    """
    return _at_least(1, text)


def parse_copies(text: str) -> int:
    """How many copies, from what an option was given: 0 or more.

    Raises:
        ArgumentTypeError: It is no such number; the parser says of which option.
    """
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    from argparse import ArgumentTypeError

    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise ArgumentTypeError(f"{text!r} is not a whole number, {least} or more")
    return int(text)


def parse_size(text: str, command: str) -> int:
    """Bytes from ``100``, ``1.5 GB``, ``2MiB``.

    Raises:
        UsageError: It is not a size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise faults.BAD_USAGE(what=f"{text!r} is not a size such as 1.5GB", command=command)
    value, unit, binary = found.groups()
    return int(float(value) * (1024 if binary else 1000) ** " kmgtpe".index(unit.lower() or " "))


def parse_duration(text: str, command: str) -> float:
    """Seconds from ``90``, ``30m``, ``5h``, ``1d``.

    Raises:
        UsageError: It is not a time.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise faults.BAD_USAGE(what=f"{text!r} is not a time such as 30m", command=command)
    return float(found[1]) * _SECONDS[found[2]]
