"""Remove a whole data set, once all of it is seen elsewhere.

Its versions must be on a sibling and its content must have enough other copies, each looked for
now. Files that git ignores are nowhere else, and keep it. Data sets in it go along. --force goes
without looking, and keeps who did it and why in ~/.local/state/holdfast/waivers.jsonl.
`hold uninstall` is the same.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core import faults
from .call import Call

EXAMPLES = (
    ("hold remove study", "the data set in the folder study"),
    ('hold remove --force "made by mistake" study', "without looking"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("path", nargs="?", metavar="PATH", help="its folder; or name it with -d")
    parser.add_argument("--force", metavar="REASON", help="without looking for other copies")


def run(call: Call) -> int:
    """Carry it out."""
    options = call.options
    reason = call.reason
    if not (options.path or options.dataset):
        raise faults.BAD_USAGE(what="name the data set to remove", command="remove")
    from ..api.remove import iter_remove

    return call.finish(
        iter_remove(
            options.path or options.dataset,
            force_reason=reason,
            settings=call.settings.values,
            progress=call.progress,
        )
    )
