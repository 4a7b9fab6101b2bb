"""Sizes as people write them: ``100 mb``, ``64 KiB``, ``1.5gb``. Units count as git-annex's do.

``kb`` is 1000 bytes and ``kib`` is 1024, in any case; one letter is enough (``5g``), ``ki`` is
``kib``, and ``kbit`` is an eighth of ``kb``. Halves are rounded to the even number.
"""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(
    r"\s*(-?)(0[xX][0-9a-fA-F]+|0[oO][0-7]+|[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
)
_UNIT = re.compile(r"\s*([^\W\d_]*)")

_DECIMAL = ("kilo", "mega", "giga", "tera", "peta", "exa", "zetta", "yotta", "ronna", "quetta")
_BINARY = ("kibi", "mebi", "gibi", "tebi", "pebi", "exbi", "zebi", "yobi")
_BITS = len(_BINARY)


def parse_size(text: str) -> int | None:
    """Read a size in bytes; None when it is none.

    As in git-annex, what follows the unit is ignored, so ``10 0 kb`` is ten bytes.
    """
    found = _NUMBER.match(text)
    if found is None:
        return None
    unit = _UNIT.match(text, found.end())
    scale = UNITS.get(unit[1].lower()) if unit else None
    if scale is None:
        return None
    amount = _amount(found[2]) * scale
    if not math.isfinite(amount):
        return None
    return round(-amount if found[1] else amount)


def format_size(size: int) -> str:
    """Write a size for people: two decimals at most, the largest decimal unit that gives 1."""
    names = ("kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
    for power in range(len(names), 0, -1):
        if abs(size) >= 1000**power:
            return f"{_short(size / 1000**power)} {names[power - 1]}"
    return f"{size} B" if size != 1 else "1 byte"


def _amount(digits: str) -> float:
    if digits[:2].lower() in ("0x", "0o"):
        return float(int(digits, 0))
    return float(digits)


def _short(amount: float) -> str:
    return f"{amount:.2f}".rstrip("0").rstrip(".")


def _units() -> dict[str, float]:
    table: dict[str, float] = dict.fromkeys(("", "b", "byte", "bytes"), 1.0)
    for power, name in enumerate(_DECIMAL, 1):
        letter, scale = name[0], float(1000**power)
        table.update(dict.fromkeys((letter, letter + "b", name + "byte", name + "bytes"), scale))
        if power <= _BITS:
            bits = dict.fromkeys((letter + "bit", name + "bit", name + "bits"), scale / 8)
            table.update(bits)
    for power, name in enumerate(_BINARY, 1):
        letter, scale = name[0], float(1024**power)
        names = (letter + "i", letter + "ib", name + "byte", name + "bytes")
        table.update(dict.fromkeys(names, scale))
    return table


UNITS = _units()
"""What each unit is in bytes, by its name in small letters."""
