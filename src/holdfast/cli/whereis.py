"""Tell which places have the content of files.

This is what the ledger says, each place as it was last seen; nothing is asked now.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping

from ..core.outcome import Outcome
from .call import Call
from .text import printable, quote

EXAMPLES = (
    ("hold whereis sub-07/T1w.nii.gz", "one file"),
    ("hold whereis --all", "the content of every version"),
    ("hold whereis --json sub-07", "for programs"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )
    parser.add_argument("-A", "--all", action="store_true", help="the content of all versions")


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.whereis import iter_whereis

    def tell(outcome: Outcome) -> str:
        return lines(outcome, call)

    return call.finish(iter_whereis(call.dataset, call.paths, all_versions=call.options.all), tell)


def lines(outcome: Outcome, call: Call) -> str:
    """The file and how many copies of it are known, then a line for each place."""
    name = call.show_path(outcome.path) if outcome.path else ""
    if not name and outcome.key is not None:
        name = outcome.key.text
    places = outcome.facts.get("places")
    known = places if isinstance(places, list) else []
    copies = "1 copy" if len(known) == 1 else f"{len(known)} copies"
    return "\n".join([f"{quote(name)}  {copies}", *(f"    {_place(place)}" for place in known)])


def _place(place: Mapping[str, object]) -> str:
    name = printable(str(place.get("name") or ""))
    here = "  (here)" if place.get("here") else ""
    return f"{place.get('uuid', '')}  {name}{here}".rstrip()
