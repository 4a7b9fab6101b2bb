"""Bring the content of files here.

Content comes from the cheapest place that has it and is checked as it arrives; when a place
fails, the next one goes on from there. What is here already is left alone, so the same command
can be run again after any interruption.

A data set inside this one that PATH leads to or into is installed on the way, with the version
that belongs here; with -r all are that are missing.
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
    ("hold get sub-07", "all content below sub-07"),
    ("hold get -n -r sourcedata", "install all data sets below, without content"),
    ("hold get --auto", "what the rules of this place ask for"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )
    parser.add_argument(
        "-f", "--from", dest="source", metavar="PLACE", help="take content from this place only"
    )
    parser.add_argument(
        "-J", "--jobs", metavar="N", type=parse_count, help="so many transfers at a time"
    )
    parser.add_argument("-A", "--all", action="store_true", help="the content of all versions")
    parser.add_argument(
        "-n", "--no-data", action="store_true", help="only install data sets, without content"
    )
    parser.add_argument(
        "--auto", action="store_true", help="what this place wants, or what lacks copies"
    )
    parser.add_argument("--dry-run", action="store_true", help=DRY_RUN)
    add_limit(parser)
    add_recursion(parser)


def run(call: Call) -> int:
    """Carry it out."""
    heed_limit(call)
    options = call.options
    if options.auto and options.all:
        what = "--auto is about the files of this version, without --all"
        raise faults.BAD_USAGE(what=what, command="get")
    if options.dry_run:
        refuse_levels(options, "get", "--dry-run")
        from ..api.plan import iter_plan_of_get

        rows = iter_plan_of_get(
            call.dataset, call.paths, source=options.source, all_versions=options.all,
            auto=options.auto,
        )  # fmt: skip
        return finish_plan(call, rows)
    from ..api.get import iter_get

    return call.finish(
        iter_get(
            call.dataset,
            call.paths,
            source=options.source,
            jobs=options.jobs or call.settings.jobs,
            all_versions=options.all,
            auto=options.auto,
            levels=levels_of(options),
            content=not options.no_data,
            progress=call.progress,
        )
    )
