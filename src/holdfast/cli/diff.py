"""List what differs between two versions.

Without --to: between a version and the files as they are now.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core.outcome import Outcome
from .call import Call
from .text import quote

EXAMPLES = (
    ("hold diff", "since the last version"),
    ("hold diff --from v1 --to v2", "between two tags"),
    ("hold diff --from HEAD~5 sub-07", "in sub-07, over the last five"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )
    parser.add_argument(
        "-f", "--from", dest="old", metavar="VERSION", default="HEAD", help="HEAD if not given"
    )
    parser.add_argument("-t", "--to", dest="new", metavar="VERSION", help="the files as they are")


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.diff import iter_diff

    options = call.options

    def tell(outcome: Outcome) -> str:
        state = str(outcome.facts.get("state", ""))
        old = str(outcome.facts.get("old_path", ""))
        was = f"  was {quote(call.show_path(old))}" if old else ""
        return f"{state:<9}  {quote(call.show_path(outcome.path))}{was}"

    return call.finish(
        iter_diff(call.dataset, options.old, options.new, call.paths),
        tell,
        empty="Nothing differs.",
    )
