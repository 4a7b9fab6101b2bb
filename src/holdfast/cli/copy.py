"""Copy content between here and another place, or between two others.

What is sent is hashed as it is read, what comes is checked as it arrives. What is there already is
left alone, so the same command can be run again after any interruption.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..core import faults
from .call import Call
from .plan_table import DRY_RUN, finish_plan
from .text import parse_count

if TYPE_CHECKING:
    from ..core.outcome import Outcome

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
    parser.add_argument("-A", "--all", action="store_true", help="the content of all versions")
    parser.add_argument("-n", "--dry-run", action="store_true", help=DRY_RUN)


def run(call: Call) -> int:
    """Carry it out."""
    return carry(call, "copy", auto=call.options.auto)


def carry(call: Call, action: str, *, auto: bool = False) -> int:
    """Copy or move, as the options of a call say."""
    options = call.options
    _check(call, action, auto=auto)
    if options.dry_run:
        from ..api.plan import iter_plan_of_copy

        rows = iter_plan_of_copy(
            call.dataset, call.paths, action, source=options.source, to=options.to,
            all_versions=options.all, auto=auto,
        )  # fmt: skip
        return finish_plan(call, rows)
    return call.finish(_outcomes(call, action, auto=auto))


def _check(call: Call, action: str, *, auto: bool) -> None:
    options = call.options
    what = ""
    if not (options.to or options.source):
        what = "name a place: --to PLACE, --from PLACE or both"
    elif options.to and options.to == options.source:
        what = f"--from and --to are both {options.to}"
    elif options.source and (options.all or auto):
        what = "--all and --auto are about content that is here, without --from"
    elif options.all and auto:
        what = "--auto is about the files of this version, without --all"
    if what:
        raise faults.BAD_USAGE(what=what, command=action)


def _outcomes(call: Call, action: str, *, auto: bool) -> Iterator[Outcome]:
    options, dataset, paths = call.options, call.dataset, call.paths
    jobs = options.jobs or call.settings.jobs
    if options.to and options.source:
        from ..api.relay import iter_relay

        return iter_relay(
            dataset, paths, options.source, options.to,
            move=action == "move", jobs=jobs, progress=call.progress,
        )  # fmt: skip
    if options.to:
        from ..api.copy import iter_copy_to

        return iter_copy_to(
            dataset, paths, options.to, move=action == "move", all_versions=options.all,
            auto=auto, jobs=jobs, progress=call.progress,
        )  # fmt: skip
    if action == "move":
        from ..api.drop_there import iter_move_from

        return iter_move_from(dataset, paths, options.source, jobs=jobs, progress=call.progress)
    from ..api.copy import iter_copy_from

    return iter_copy_from(dataset, paths, options.source, jobs=jobs, progress=call.progress)
