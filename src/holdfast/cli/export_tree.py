"""Make a place hold the files of a version.

PLACE is one that was set up with exporttree=yes: it has files under their own names. Only what
differs from the last export is done: files are added, renamed, replaced and removed there. Content
that is not here is told of, and all else is exported; the same command later goes on, also after it
was killed. What may be the last copy of something is not removed. git-annex knows of the export,
and can go on with it.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call

EXAMPLES = (
    ("hold export-tree website", "this version"),
    ("hold export-tree website --at v1.0", "another version"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("place", metavar="PLACE", help="the name of a sibling")
    parser.add_argument(
        "--at", dest="at", metavar="VERSION", default="HEAD", help="a tag, branch or commit"
    )


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.export_tree import iter_export_tree

    return call.finish(
        iter_export_tree(
            call.dataset, call.options.place, version=call.options.at, progress=call.progress
        )
    )
