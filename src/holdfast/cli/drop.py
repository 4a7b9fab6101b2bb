"""Remove content here, or elsewhere, once enough copies are seen.

Other places are asked, now, whether they have it; as many copies as numcopies says must stay.
Names and versions are kept, and `hold get` brings the content back. --force goes without proof,
for good if there is no other copy, and records who did it and why.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core import faults
from .call import Call
from .recursion import add_recursion, levels_of
from .text import parse_copies

EXAMPLES = (
    ("hold drop sub-07", "make room; refused while copies are too few"),
    ("hold drop --unused", "what no branch or tag uses"),
    ("hold drop --from tape sub-07", "there, not here"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files or folders; . for all that is below the current folder",
    )
    parser.add_argument(
        "-f", "--from", dest="source", metavar="PLACE", help="remove it from this place, not here"
    )
    parser.add_argument("-A", "--all", action="store_true", help="the content of all versions")
    parser.add_argument("--unused", action="store_true", help="content that no branch or tag uses")
    parser.add_argument(
        "--auto", action="store_true", help="what this place does not want and others have"
    )
    parser.add_argument(
        "-N", "--numcopies", metavar="N", type=parse_copies, help="so many copies must stay"
    )
    parser.add_argument(
        "--force", metavar="REASON", help="without looking for other copies; the reason is kept"
    )
    add_recursion(parser)


def run(call: Call) -> int:
    """Carry it out."""
    options = call.options
    reason = call.reason
    if not (options.paths or options.all or options.unused or options.auto):
        what = "name what to drop: PATH, --auto, --all or --unused"
        raise faults.BAD_USAGE(what=what, command="drop")
    if options.auto and (options.all or options.unused or reason is not None):
        what = "--auto is about the files of this version, with proof"
        raise faults.BAD_USAGE(what=what, command="drop")
    if options.source:
        if options.auto or options.all or options.unused:
            what = "--from is about the files of this version that are named"
            raise faults.BAD_USAGE(what=what, command="drop")
        from ..api.drop_there import iter_drop_from

        return call.finish(
            iter_drop_from(
                call.dataset,
                call.paths,
                options.source,
                force_reason=reason,
                numcopies=options.numcopies,
                levels=levels_of(options),
                progress=call.progress,
            )
        )
    from ..api.drop import iter_drop

    return call.finish(
        iter_drop(
            call.dataset,
            call.paths,
            all_versions=options.all,
            unused=options.unused,
            force_reason=reason,
            numcopies=options.numcopies,
            auto=options.auto,
            levels=levels_of(options),
            progress=call.progress,
        )
    )
