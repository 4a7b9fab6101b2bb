"""Show what differs from the last saved version.

Prints a line for each changed, new or missing file and nothing for the others. With --annex it
also tells how large the content is and whether it is here.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core.outcome import Outcome
from .call import Call
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


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.status import iter_status

    def tell(outcome: Outcome) -> str:
        return line(outcome, call)

    return call.finish(
        iter_status(call.dataset, call.paths, annex=call.options.annex),
        tell,
        empty="Nothing to save: all is as in the last version.",
    )


def line(outcome: Outcome, call: Call) -> str:
    """``modified  sub-07/T1w.nii.gz  12 MB  here``; empty for what has not changed."""
    state = str(outcome.facts.get("state", ""))
    if state == "clean" and not (call.options.annex or call.verbosity > 0):
        return ""
    text = f"{state:<9}  {quote(call.show_path(outcome.path))}"
    if call.options.annex and outcome.size is not None:
        text += f"  {size(outcome.size)}"
        if "present" in outcome.facts:
            text += "  here" if outcome.facts["present"] else "  not here"
    return text
