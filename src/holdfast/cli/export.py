"""Copy the files of a version to a folder, a tar or a zip.

What TARGET ends in says which: .tar, .tar.gz, .tar.bz2, .tar.xz, .zip, else it is a folder. All
content is checked as it is read, and TARGET gets its name when it is whole. Content that is not
here is told of; then nothing is exported, unless it is to be left out. Data sets inside this one
are left out.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser

from .call import Call

EXAMPLES = (
    ("hold export ../release", "a plain folder of this version"),
    ("hold export --at v1.0 release-1.0.tar.gz", "another version, as a tar"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("target", metavar="TARGET", help="a name that is not there yet")
    add_version_options(parser)


def add_version_options(parser: ArgumentParser) -> None:
    """What all commands take that copy a version elsewhere."""
    parser.add_argument(
        "--at", dest="at", metavar="VERSION", default="HEAD", help="a tag, branch or commit"
    )
    parser.add_argument(
        "--missing", choices=("fail", "leave-out"), default="fail",
        help="what to do about content that is not here",
    )  # fmt: skip


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.export import iter_export

    options = call.options
    return call.finish(
        iter_export(
            call.dataset,
            os.path.abspath(os.fsencode(options.target)),
            version=options.at,
            missing=options.missing,
            progress=call.progress,
        )
    )
