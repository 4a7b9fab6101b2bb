"""Make files writable, with a copy of their content.

An unlocked file is an ordinary file with content of its own; `hold save` records what was
changed in it, `hold lock` protects it again.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call

EXAMPLES = (
    ("hold unlock notes.tsv", "then edit it, then hold save"),
    ("hold unlock sub-07", "all files below sub-07"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.lock import iter_unlock

    return call.finish(iter_unlock(call.dataset, call.paths, progress=call.progress))
