"""Show what the rules of all places ask for.

Each row is what a place should get, or what may leave it: this place, and those that remotes lead
to, by the ledger. Nothing is asked or changed. hold get --auto, hold copy --to PLACE --auto and
hold drop --auto carry it out.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call
from .plan_table import finish_plan

EXAMPLES = (
    ("hold plan", "the whole data set"),
    ("hold plan sub-07", "what is below one folder"),
    ("hold plan --json", "for programs"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.plan import iter_plan

    return finish_plan(call, iter_plan(call.dataset, call.paths))
