"""Describe the data set, or files in it.

Without PATH: its places, how many files and bytes, how many of them are here, and its rules. A
word that is no path here may name a place, by its name, description or UUID.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Mapping

from ..core.outcome import Outcome
from .call import Call
from .text import number, printable, quote, size

EXAMPLES = (
    ("hold info", "the data set"),
    ("hold info sub-07/T1w.nii.gz", "one file: its key, size, place"),
    ("hold info origin", "one place: what it is said to have"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files, folders or places; without one, all of it"
    )


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.info import iter_info

    places = _take_places(call)

    def tell(outcome: Outcome) -> str:
        return lines(outcome, call)

    return call.finish(iter_info(call.dataset, _paths(call, places), places=places), tell)


def _take_places(call: Call) -> list[str]:
    """Take those words from the paths that are no path here, but the name of a place."""
    absent = [word for word in call.options.paths if not os.path.lexists(word)]
    if not absent:
        return []
    from ..api.info import is_place

    places = [word for word in absent if is_place(call.dataset, word)]
    call.options.paths = [word for word in call.options.paths if word not in places]
    return places


def _paths(call: Call, places: list[str]) -> tuple[bytes, ...]:
    """The paths; when only places are asked for, none and not all."""
    return call.paths if call.options.paths or not places else ()


def lines(outcome: Outcome, call: Call) -> str:
    """``name  value`` for each fact, the names aligned."""
    facts: dict[str, object] = {}
    if outcome.path:
        facts["path"] = quote(call.show_path(outcome.path))
    if outcome.key is not None:
        facts["key"] = quote(outcome.key.text)
    if outcome.size is not None:
        facts["size"] = size(outcome.size)
    facts.update(outcome.facts)
    width = max(map(len, facts), default=0)
    return "\n".join(f"{name:<{width}}  {_value(name, facts[name], width)}" for name in facts)


def _value(name: str, value: object, width: int) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return size(value) if name == "size" or name.endswith("bytes") else number(value)
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        value = [f"{key}: {item}" for key, item in value.items()]
    if isinstance(value, list | tuple):
        rows = [_one(item) for item in value]
        return f"\n{'':<{width}}  ".join(rows) if rows else "none"
    return printable(str(value))


def _one(item: object) -> str:
    if isinstance(item, Mapping):
        parts = [str(item.get("uuid", "")), str(item.get("name", "")), str(item.get("trust", ""))]
        return printable(
            "  ".join([*filter(None, parts), *(["(here)"] if item.get("here") else [])])
        )
    return printable(str(item))
