"""Tell which places have the content of files.

This is what the ledger says, each place as it was last seen; nothing is asked now.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping

from ..core.outcome import Outcome
from .call import Call
from .recursion import add_recursion, levels_of
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
    add_recursion(parser)


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.whereis import iter_whereis

    tails = _Tails()

    def tell(outcome: Outcome) -> str:
        name = call.show_path(outcome.path) if outcome.path else ""
        if not name and outcome.key is not None:
            name = outcome.key.text
        return quote(name) + tails.of(outcome.facts)

    options = call.options
    found = iter_whereis(
        call.dataset, call.paths, all_versions=options.all, levels=levels_of(options)
    )
    return call.finish(found, tell)


class _Tails:
    """How many copies are known and a line for each place; made once for files in a row alike."""

    def __init__(self) -> None:
        self._facts: Mapping[str, object] = {}
        self._text = ""

    def of(self, facts: Mapping[str, object]) -> str:
        """The text that follows a name."""
        if facts is not self._facts:
            self._facts, self._text = facts, _tail(facts)
        return self._text


def _tail(facts: Mapping[str, object]) -> str:
    known = _list(facts.get("places"))
    untrusted = _list(facts.get("untrusted"))
    copies = "1 copy" if len(known) == 1 else f"{len(known)} copies"
    lines = [*map(_place, known), *(f"{_place(place)}  (not trusted)" for place in untrusted)]
    return "\n".join([f"  {copies}", *(f"    {line}" for line in lines)])


def _list(places: object) -> list[Mapping[str, object]]:
    return places if isinstance(places, list) else []


def _place(place: Mapping[str, object]) -> str:
    name = printable(str(place.get("name") or ""))
    here = "  (here)" if place.get("here") else ""
    return f"{place.get('uuid', '')}  {name}{here}".rstrip()
