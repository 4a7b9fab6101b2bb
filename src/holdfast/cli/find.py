"""List files by whether and where their content is.

Without an option: the annexed files whose content is here. Names come one a line, ready for
other programs; with -0 they end in a NUL byte and are not quoted.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core.outcome import Outcome
from .call import Call
from .recursion import add_recursion, levels_of
from .text import parse_size, quote

EXAMPLES = (
    ("hold find --absent", "whose content is not here"),
    ("hold find --in tape --larger-than 1GB", "large, and on tape"),
    ("hold find -0 | xargs -0 ls -lL", "hand names to another program"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )
    parser.add_argument("--absent", action="store_true", help="whose content is not here")
    parser.add_argument("--anything", action="store_true", help="wherever their content is")
    parser.add_argument("--in", dest="place", metavar="PLACE", help="whose content PLACE has")
    parser.add_argument(
        "--wanted-by", metavar="PLACE", help="that the rules of PLACE ask for, there or not"
    )
    parser.add_argument(
        "--unwanted-by", metavar="PLACE", help="that the rules of PLACE would let go"
    )
    parser.add_argument(
        "--metadata", action="append", default=[], metavar="FIELD=GLOB",
        help="of which that is said, or FIELD>=VALUE; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="GLOB",
        help="with such a tag; may be repeated",
    )
    parser.add_argument("--locked", action="store_true", help="only locked files")
    parser.add_argument("--unlocked", action="store_true", help="only unlocked files")
    parser.add_argument("--larger-than", "--largerthan", metavar="SIZE", help="such as 1.5GB")
    parser.add_argument("--smaller-than", "--smallerthan", metavar="SIZE", help="such as 100kB")
    parser.add_argument("-0", "--null", action="store_true", help="end each name in a NUL byte")
    add_recursion(parser)


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.find import iter_find

    options = call.options

    def tell(outcome: Outcome) -> str:
        path = call.show_path(outcome.path)
        return path if options.null else quote(path)

    found = iter_find(
        call.dataset,
        call.paths,
        absent=options.absent,
        anything=options.anything or options.locked or options.unlocked,
        place=options.place,
        locked=options.locked,
        unlocked=options.unlocked,
        largerthan=_size(options.larger_than),
        smallerthan=_size(options.smaller_than),
        wanted_by=options.wanted_by,
        unwanted_by=options.unwanted_by,
        metadata=[*options.metadata, *(f"tag={tag}" for tag in options.tag)],
        levels=levels_of(options),
    )
    return call.finish(found, tell, end="\0" if options.null else "\n")


def _size(text: str | None) -> int | None:
    return None if text is None else parse_size(text, "find")
