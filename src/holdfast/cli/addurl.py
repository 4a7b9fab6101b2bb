"""Add files from the web, and remember where they came from.

Each URL is fetched, checked for its size, hashed, and recorded in one version with all others;
`hold get` can bring its content from there again. A file is called as its URL ends. URLs with a
password are refused, since all who have a clone would see it.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser

from ..core import faults
from ..core.errors import UsageError
from .call import Call
from .text import parse_count

EXAMPLES = (
    ("hold addurl https://example.org/scan.nii.gz", "fetch it into this folder"),
    ("hold addurl URL --path sub-07/T1w.nii.gz", "under another name"),
    ("hold addurl --fast URL", "only its size now, its content with hold get"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("urls", nargs="+", metavar="URL", help="what to fetch: http or https")
    add_fetch_options(parser)
    parser.add_argument(
        "-p", "--path", metavar="PATH", help="the file to make, or the folder for all (PATH/)"
    )


def add_fetch_options(parser: ArgumentParser) -> None:
    """What all commands take that fetch from URLs."""
    parser.add_argument(
        "--fast", action="store_true", help="ask for the size only; content comes with hold get"
    )
    parser.add_argument("--relaxed", action="store_true", help="register it unseen, whatever it is")
    parser.add_argument(
        "--if-exists", choices=("fail", "skip", "overwrite"), default="fail",
        help="what to do where other content is already",
    )  # fmt: skip
    parser.add_argument("-m", "--message", metavar="TEXT", help="what this version is about")
    parser.add_argument(
        "-J", "--jobs", metavar="N", type=parse_count, help="so many at a time; of one host 4"
    )


def how_of(call: Call) -> str:
    """``fetch``, ``fast`` or ``relaxed``.

    Raises:
        UsageError: Two of them.
    """
    options = call.options
    if options.fast and options.relaxed:
        raise faults.BAD_USAGE(what="--fast and --relaxed are two ways", command=call.command)
    return "fast" if options.fast else "relaxed" if options.relaxed else "fetch"


def folder_here(call: Call) -> bytes:
    """The current folder, or the top of a data set that it is not in."""
    try:
        return call.dataset.relative(["."])[0]
    except UsageError:
        return b""


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.addurl import iter_addurl

    options = call.options
    path, folder = None, folder_here(call)
    if options.path is not None:
        found = call.dataset.relative([options.path])[0]
        if options.path.endswith("/") or os.path.isdir(options.path):
            folder = found
        else:
            path = found
    return call.finish(
        iter_addurl(
            call.dataset,
            options.urls,
            path=path,
            folder=folder,
            how=how_of(call),
            if_exists=options.if_exists,
            jobs=options.jobs or call.settings.jobs,
            message=options.message,
            progress=call.progress,
        )
    )
