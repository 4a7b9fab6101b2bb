"""Copy content to another place, or from one to another.

What is sent is hashed as it is read, what comes is checked as it arrives. What is there already is
left alone, so the same command can be run again after any interruption.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core import faults
from .call import Call
from .limit import add_limit, heed_limit
from .plan_table import DRY_RUN, finish_plan
from .recursion import add_recursion, levels_of, refuse_levels
from .text import parse_count

EXAMPLES = (
    ("hold copy --to tape sub-07", "content that is here, to another place"),
    ("hold copy --to tape --auto", "what tape's rules ask for"),
    ("hold copy --from scanner --to tape", "from one place to another, through here"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    add_places(parser)
    parser.add_argument(
        "--auto", action="store_true", help="what the other place wants, or what lacks copies"
    )


def add_places(parser: ArgumentParser) -> None:
    """Declare what copy and move take."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )
    parser.add_argument("-t", "--to", metavar="PLACE", help="bring it to this place")
    parser.add_argument("-f", "--from", dest="source", metavar="PLACE", help="take it from there")
    parser.add_argument(
        "-J", "--jobs", metavar="N", type=parse_count, help="so many transfers at a time"
    )
    add_limit(parser)
    parser.add_argument("-A", "--all", action="store_true", help="the content of all versions")
    parser.add_argument("-n", "--dry-run", action="store_true", help=DRY_RUN)
    add_recursion(parser)


def run(call: Call) -> int:
    """Carry it out."""
    heed_limit(call)
    options = call.options
    if options.all and options.auto:
        what = "--auto is about the files of this version, without --all"
        raise faults.BAD_USAGE(what=what, command="copy")
    if options.dry_run:
        return dry_run(call, "copy", auto=options.auto)
    from ..api.between import iter_copy

    return call.finish(
        iter_copy(
            call.dataset,
            call.paths,
            to=options.to,
            source=options.source,
            auto=options.auto,
            all_versions=options.all,
            jobs=options.jobs or call.settings.jobs,
            levels=levels_of(options),
            progress=call.progress,
        )
    )


def dry_run(call: Call, action: str, *, auto: bool = False) -> int:
    """Show what would be copied or moved."""
    from ..api.plan import iter_plan_of_copy

    options = call.options
    refuse_levels(options, action, "--dry-run")
    rows = iter_plan_of_copy(
        call.dataset, call.paths, action, source=options.source, to=options.to,
        all_versions=options.all, auto=auto,
    )  # fmt: skip
    return finish_plan(call, rows)
