"""Make a BagIt bag of a version.

A bag (RFC 8493) is a folder that archives take in: the files below data, a list of their SHA-256
hashes, and bag-info.txt, which names the data set and the version. It is checked as it is read,
and gets its name when it is whole. Symlinks are left out.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser

from .call import Call
from .export import add_version_options

EXAMPLES = (
    ("hold export-bag ../bag", "of this version"),
    ("hold export-bag --at v1.0 ../bag-1.0", "of another one"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("target", metavar="FOLDER", help="a name that is not there yet")
    add_version_options(parser)


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.export_bag import iter_export_bag

    options = call.options
    return call.finish(
        iter_export_bag(
            call.dataset,
            os.path.abspath(os.fsencode(options.target)),
            version=options.at,
            missing=options.missing,
            progress=call.progress,
        )
    )
