"""Bring what siblings have that is new, and join it with ours.

Versions and the ledger are fetched; content stays where it is until hold get. An annexed file that
both sides changed is kept twice, as variants that are called after their content, as git-annex does
it (annex.resolvemerge). A merge that meets other conflicts is undone, and told of file by file.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core import faults
from .call import Call
from .recursion import add_recursion, levels_of
from .text import quote

EXAMPLES = (
    ("hold update", "from all siblings"),
    ("hold update --from hub --how ff-only", "only if nothing has to be merged"),
    ("hold update --push", "and send them what is new here"),
)

WAYS = ("fetch", "ff-only", "merge")


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("-f", "--from", dest="source", metavar="SIBLING", help="from this one only")
    parser.add_argument(
        "--how", metavar="WAY", default="merge", help="fetch, ff-only or merge (the default)"
    )
    parser.add_argument("--push", action="store_true", help="then push to the same siblings")
    parser.add_argument(
        "--no-resolve", action="store_true", help="leave conflicts of annexed files to you, too"
    )
    add_recursion(parser)


def run(call: Call) -> int:
    """Carry it out."""
    options = call.options
    if options.how not in WAYS:
        what = f"--how {quote(options.how)} is none of {', '.join(WAYS)}"
        raise faults.BAD_USAGE(what=what, command="update")
    from ..api.update import iter_update

    return call.finish(
        iter_update(
            call.dataset,
            source=options.source,
            how=options.how,
            push=options.push,
            resolve=not options.no_resolve,
            levels=levels_of(options),
            progress=call.progress,
        )
    )
