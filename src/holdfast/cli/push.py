"""Send new versions, and their content, to a sibling.

Siblings it depends on come first, and content before the versions that name it: where content did
not get there no version is sent, and the same command goes on from there. What somebody else put
there meanwhile is never overwritten.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core import faults
from .call import Call
from .limit import add_limit, heed_limit
from .recursion import add_recursion, levels_of
from .text import parse_count, quote

EXAMPLES = (
    ("hold push", "to the sibling that the branch goes with"),
    ("hold push --to tape --data anything", "with all content that is here"),
    ("hold push --to hub --data nothing", "versions alone"),
)

DATA = ("anything", "nothing", "auto", "auto-if-wanted")


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="content of these only; versions go whole"
    )
    parser.add_argument("-t", "--to", metavar="SIBLING", help="where to send it")
    parser.add_argument(
        "--data", metavar="WHICH", default="auto-if-wanted",
        help="anything, nothing, auto (what it wants), auto-if-wanted (what it wants, all if "
        "it does not say; the default)",
    )  # fmt: skip
    parser.add_argument(
        "--since", metavar="VERSION",
        help="content of files that changed since; the default is the last push, '' is all",
    )  # fmt: skip
    parser.add_argument(
        "-J", "--jobs", metavar="N", type=parse_count, help="so many transfers at a time"
    )
    add_limit(parser)
    add_recursion(parser)


def run(call: Call) -> int:
    """Carry it out."""
    heed_limit(call)
    options = call.options
    if options.data not in DATA:
        what = f"--data {quote(options.data)} is none of {', '.join(DATA)}"
        raise faults.BAD_USAGE(what=what, command="push")
    from ..api.push import iter_push

    return call.finish(
        iter_push(
            call.dataset,
            call.paths,
            to=options.to,
            data=options.data,
            since=options.since,
            jobs=options.jobs or call.settings.jobs,
            levels=levels_of(options),
            progress=call.progress,
        )
    )
