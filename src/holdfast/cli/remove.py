"""Remove a whole data set, once all of it is seen elsewhere.

Its versions must be on a sibling and its content must have enough other copies, each looked for
now. Files that git ignores are nowhere else, and keep it. Data sets in it go along. --force goes
without looking, and keeps who did it and why in ~/.local/state/holdfast/waivers.jsonl.

One that lies in another data set leaves its place there, as after `hold uninstall`. With -d, which
names the one around it, its place is taken out as well, and that is saved.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core import faults
from .call import Call

EXAMPLES = (
    ("hold remove study", "the data set in the folder study"),
    ('hold remove --force "made by mistake" study', "without looking"),
    ("hold remove -d . inputs/raw", "and take it out of this data set"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="its folder; without it, -d names it"
    )
    parser.add_argument("--force", metavar="REASON", help="without looking for other copies")


def run(call: Call) -> int:
    """Carry it out."""
    options = call.options
    if not (options.path and options.dataset):
        return remove_whole(call, options.path)
    from ..api.uninstall import iter_uninstall

    reason = call.reason
    paths = call.dataset.relative([options.path])
    found = iter_uninstall(
        call.dataset, paths, force_reason=reason, forget=True, progress=call.progress
    )
    return call.finish(found)


def remove_whole(call: Call, path: str | None) -> int:
    """Remove the data set in a folder, or the one that -d names."""
    reason = call.reason
    named = call.options.dataset
    if not (path or named):
        raise faults.BAD_USAGE(what="name the data set to remove", command=call.command)
    from ..api.nesting import dataset_named
    from ..api.remove import iter_remove

    return call.finish(
        iter_remove(
            path or dataset_named(named),
            force_reason=reason,
            settings=call.settings.values,
            progress=call.progress,
        )
    )
