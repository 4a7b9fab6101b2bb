"""Make a small data set to try things on.

It is made in a folder of its own and shows, step by step, how saving, cloning, getting and
dropping work. Nothing outside of that folder is touched.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call

EXAMPLES = (
    ("hold demo", "make one, show the steps, remove it"),
    ("hold demo --keep", "leave it there to play with"),
    ("hold demo ~/scans --keep", "use files of yours, as copies"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("source", nargs="?", metavar="FOLDER", help="files to use, as copies")
    parser.add_argument("--keep", action="store_true", help="do not remove it at the end")


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.demo import iter_demo

    return call.finish(
        iter_demo(call.options.source, keep=call.options.keep, progress=call.progress)
    )
