"""Read content again and check it against its key.

What is damaged is moved aside, never left to be mistaken for good, and with --repair a good copy
is brought from another place, as it is of what was lost here. Long checks can be done in parts:
--incremental goes on where the last one with it stopped. When a time limit was reached, the exit
code is 3.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call
from .recursion import add_recursion, levels_of, refuse_levels
from .text import parse_duration

EXAMPLES = (
    ("hold fsck", "all content here"),
    ("hold fsck --fast", "only sizes and records"),
    ("hold fsck --incremental --time-limit 5h", "a part of it each night"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )
    parser.add_argument("--fast", action="store_true", help="do not read content")
    parser.add_argument("--incremental", action="store_true", help="go on where the last stopped")
    parser.add_argument("--time-limit", metavar="TIME", help="begin nothing after 30m, 5h, 1d")
    parser.add_argument("--repair", action="store_true", help="get what is damaged or lost")
    parser.add_argument("-A", "--all", action="store_true", help="the content of all versions")
    add_recursion(parser)


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.fsck import iter_fsck

    options = call.options
    limit = options.time_limit
    if options.incremental or limit is not None:
        name = "--incremental" if options.incremental else "--time-limit"
        refuse_levels(options, "fsck", name)
    return call.finish(
        iter_fsck(
            call.dataset,
            call.paths,
            fast=options.fast,
            incremental=options.incremental,
            time_limit_s=None if limit is None else parse_duration(limit, "fsck"),
            repair=options.repair,
            all_versions=options.all,
            levels=levels_of(options),
            progress=call.progress,
        )
    )
