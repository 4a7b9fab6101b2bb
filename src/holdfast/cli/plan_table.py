"""Plans, shown: a line for all that the same is to happen to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.outcome import Outcome
from .call import Call
from .text import duration, number, plural, printable, size

DRY_RUN = "only show what would be done, by the ledger"


def finish_plan(call: Call, outcomes: Iterable[Outcome]) -> int:
    """Show the rows of a plan."""
    return call.finish(outcomes, tell, empty="Nothing would be done.\n")


def tell(outcome: Outcome) -> str:
    """``copy     1,204 files    1.2 GB   2,408 inodes  from here to tape``."""
    facts: Any = outcome.facts
    much = size(facts["size"]) + (
        f" and {number(facts['unsized'])} of unknown size" if facts["unsized"] else ""
    )
    way = "".join(
        f" {word} {printable(str(facts[name]))}"
        for word, name in (("from", "source"), ("to", "target"))
        if facts[name]
    )
    inodes = f"  {facts['inodes']:+,} inodes" if facts["inodes"] else ""
    if "seconds" in facts:
        way += f", {duration(facts['seconds'])} or more at its limit"
    for name in facts.get("not_held", ()):
        way += f", the limit of {printable(name)} not held: a program of its own moves its content"
    why = f"  ({printable(str(facts['why']))})" if facts["why"] else ""
    return f"{outcome.action:<5} {plural(facts['files'], 'file'):>14} {much:>10}{inodes} {way}{why}"
