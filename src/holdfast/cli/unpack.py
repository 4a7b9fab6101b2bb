"""Add the files in an archive, which can give them again.

ARCHIVE is an annexed tar (plain, gz, bz2, xz) or zip file. Its files are annexed too, beside it or
below --into, and recorded as content of the archive: dropped, they can be had from it with
`hold get`, as DataLad has it. What would lead out of the folder is told and left out.
`hold add-archive-content` is the same.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call
from .text import parse_copies

EXAMPLES = (
    ("hold unpack sub-07.tar.gz", "beside the archive"),
    ("hold unpack --into raw --strip 1 release.zip", "elsewhere, without its top folder"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("paths", nargs="+", metavar="ARCHIVE", help="annexed tar or zip files")
    parser.add_argument("--into", metavar="FOLDER", help="put files there, not beside the archive")
    parser.add_argument(
        "--strip", type=parse_copies, default=0, metavar="N",
        help="leave out the first N folders of paths in the archive",
    )  # fmt: skip
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="GLOB",
        help="leave out what matches, such as '*.tmp'; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--if-exists", choices=("fail", "skip", "overwrite"), default="fail",
        help="what to do where other content is already",
    )  # fmt: skip
    parser.add_argument("-m", "--message", metavar="TEXT", help="what this version is about")


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.fetching import IfExists
    from ..api.unpack import UnpackPlan, iter_unpack

    options = call.options
    into = None if options.into is None else call.dataset.relative([options.into])[0]
    plan = UnpackPlan(
        into, options.strip, options.exclude, IfExists(options.if_exists), options.message
    )
    return call.finish(iter_unpack(call.dataset, call.paths, plan=plan, progress=call.progress))
