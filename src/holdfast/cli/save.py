"""Record the present state as a new version.

.gitattributes says which files go to the annex, under a key made of their content, and which to
git itself: as `hold create` sets it up, those of up to 64 KiB, text or not. Without PATH, all that
is new, changed or gone is recorded.

Of a data set inside this one its version is recorded. With -r its changes are saved first, and a
PATH that lies in it is saved there; then those around it record its new version.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call
from .recursion import add_recursion, levels_of
from .text import parse_count

EXAMPLES = (
    ('hold save -m "first import"', "record all, with a message"),
    ("hold save sub-07", "only what is below sub-07"),
    ("hold save -r", "in the data sets inside this one as well"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )
    parser.add_argument("-m", "--message", metavar="TEXT", help="what this version is about")
    parser.add_argument("--to-git", action="store_true", help="keep all of it in git itself")
    parser.add_argument(
        "-u", "--updated", action="store_true", help="leave files alone that are not tracked yet"
    )
    parser.add_argument(
        "-J", "--jobs", metavar="N", type=parse_count, help="hash so many files at a time"
    )
    add_recursion(parser)


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.save import iter_save

    options = call.options
    return call.finish(
        iter_save(
            call.dataset,
            call.paths,
            message=options.message,
            to_git=options.to_git,
            updated=options.updated,
            jobs=options.jobs or call.settings.jobs,
            levels=levels_of(options),
            progress=call.progress,
        )
    )
