"""Look after a packed store: many keys in few files.

That is for where the number of files counts. info tells what it consists of; verify reads all of it
and says what is damaged; compact takes back the room of what was removed. All may run while others
read and write.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core import faults
from ..core.outcome import Outcome
from .call import Call
from .text import number, parse_count, quote, size

EXAMPLES = (
    ("hold packed info /mnt/share/packed", "what it consists of"),
    ("hold packed verify /mnt/share/packed", "read all of it again"),
    ("hold packed compact /mnt/share/packed", "take back the room of what was removed"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("work", metavar="WORK", help="info, verify or compact")
    parser.add_argument("store", metavar="FOLDER", help="the folder of the store")
    parser.add_argument(
        "--garbage",
        metavar="PERCENT",
        type=parse_count,
        default=25,
        help="compact packs of which more than this is garbage (25)",
    )
    parser.add_argument(
        "--drop-damaged", action="store_true", help="compact away what is damaged beyond use"
    )  # fmt: skip


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.packed import iter_packed_compact, iter_packed_info, iter_packed_verify

    folder, work = call.options.store, call.options.work
    if work not in ("info", "verify", "compact"):
        raise faults.BAD_USAGE(what=f"{work} is not info, verify or compact", command="packed")
    if work == "info":
        return call.finish(iter_packed_info(folder), _tell)
    if work == "verify":
        return call.finish(iter_packed_verify(folder))
    garbage, drop = call.options.garbage / 100, call.options.drop_damaged
    return call.finish(iter_packed_compact(folder, garbage_min=garbage, drop_damaged=drop))


def _tell(outcome: Outcome) -> str:
    facts = {name: value for name, value in outcome.facts.items() if isinstance(value, int)}
    lines = [
        f"{quote(outcome.path)}  {number(facts['records'])} contents",
        f"    {number(facts['entries'])} files and folders, {number(facts['packs'])} of them packs",
        f"    {size(facts['bytes'])} in packs, {size(facts['garbage_bytes'])} of it garbage",
        f"    {number(facts['damaged'])} damaged",
    ]
    return "\n".join(lines)
