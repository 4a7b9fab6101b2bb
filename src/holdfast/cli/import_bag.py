"""Add the files of a BagIt bag, checked as they are read.

Each file below the bag's data folder is read once, held against all of its manifests, and annexed.
What is damaged, missing or not listed is told and left out. Files that would steer git, such as
.gitattributes, are passed over. The bag itself is not changed.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser

from .addurl import folder_here
from .call import Call

EXAMPLES = (
    ("hold import-bag ../bag", "into this folder"),
    ("hold import-bag ../bag --into raw", "into another one"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("bag", metavar="BAG", help="the folder that has bagit.txt in it")
    parser.add_argument("--into", metavar="FOLDER", help="put the files there, not here")
    parser.add_argument(
        "--if-exists", choices=("fail", "skip", "overwrite"), default="fail",
        help="what to do where other content is already",
    )  # fmt: skip
    parser.add_argument("-m", "--message", metavar="TEXT", help="what this version is about")


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.import_bag import iter_import_bag

    options = call.options
    return call.finish(
        iter_import_bag(
            call.dataset,
            os.path.abspath(os.fsencode(options.bag)),
            into=folder_here(call) if options.into is None else _into(call, options.into),
            if_exists=options.if_exists,
            message=options.message,
            progress=call.progress,
        )
    )


def _into(call: Call, folder: str) -> bytes:
    return call.dataset.relative([folder])[0]
