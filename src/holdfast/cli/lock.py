"""Protect files from change again.

A locked file is a link to content that cannot be written to. Files that were changed since they
were saved are left as they are and named.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call

EXAMPLES = (
    ("hold lock notes.tsv", "one file"),
    ("hold lock", "all files of the data set"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.lock import iter_lock

    return call.finish(iter_lock(call.dataset, call.paths, progress=call.progress))
