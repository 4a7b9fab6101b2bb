"""Describe the data set, or files in it.

Without PATH: its places, how many files and bytes, how many of them are here, and its rules.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping

from ..core.outcome import Outcome
from .call import Call
from .text import number, printable, quote, size

EXAMPLES = (
    ("hold info", "the data set"),
    ("hold info sub-07/T1w.nii.gz", "one file: its key, size, place"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.info import iter_info

    def tell(outcome: Outcome) -> str:
        return lines(outcome, call)

    return call.finish(iter_info(call.dataset, call.paths), tell)


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
        return size(value) if name.endswith(("size", "bytes")) else number(value)
    if isinstance(value, Mapping):
        value = [f"{key}: {item}" for key, item in value.items()]
    if isinstance(value, list | tuple):
        rows = [_one(item) for item in value]
        return f"\n{'':<{width}}  ".join(rows) if rows else "none"
    return printable(str(value))


def _one(item: object) -> str:
    if isinstance(item, Mapping):
        return printable("  ".join(str(part) for part in item.values() if part not in ("", None)))
    return printable(str(item))
