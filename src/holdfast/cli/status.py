"""Show what differs from the last saved version.

Prints a line for each changed, new or missing file and nothing for the others; with -v for all.
With --annex it tells of all, and how large the content is and whether it is here.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core.outcome import Outcome
from .call import Call
from .recursion import add_recursion, levels_of
from .text import quote, size

EXAMPLES = (
    ("hold status", "what `hold save` would record"),
    ("hold status sub-07 --annex", "with size and presence of content"),
    ("hold status --json", "for programs"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )
    parser.add_argument(
        "--annex", action="store_true", help="tell size and presence of content too"
    )
    parser.add_argument(
        "--untracked",
        metavar="MODE",
        choices=("no", "normal", "all"),
        default="all",
        help="new files: no, normal (a new folder as one), or all, the default",
    )
    add_recursion(parser)


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.status import iter_status

    def tell(outcome: Outcome) -> str:
        return line(outcome, call)

    return call.finish(
        iter_status(
            call.dataset,
            call.paths,
            annex=call.options.annex,
            clean=call.verbosity > 0,
            untracked=call.options.untracked,
            levels=levels_of(call.options),
        ),
        tell,
        empty="Nothing to save: all is as in the last version.",
    )


def line(outcome: Outcome, call: Call) -> str:
    """``modified  sub-07/T1w.nii.gz  12 MB  here``."""
    state = str(outcome.facts.get("state", ""))
    folder = "/" if outcome.facts.get("type") in ("directory", "dataset") else ""
    text = f"{state:<9}  {quote(call.show_path(outcome.path) + folder)}"
    if call.options.annex and outcome.size is not None:
        text += f"  {size(outcome.size)}"
        if "present" in outcome.facts:
            text += "  here" if outcome.facts["present"] else "  not here"
    return text
