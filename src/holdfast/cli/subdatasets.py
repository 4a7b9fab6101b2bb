"""List the data sets inside this one.

A line for each: its path, whether it is installed, the version that belongs here, and where
.gitmodules says it can be cloned from. `hold get -n PATH` installs one, `hold uninstall PATH` takes
it away again.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core import faults
from ..core.outcome import Outcome
from .call import Call
from .recursion import add_recursion, levels_of
from .text import printable, quote

EXAMPLES = (
    ("hold subdatasets", "those right inside this one"),
    ("hold subdatasets -r --missing", "what is not installed, at any depth"),
    ("hold subdatasets --json sourcedata", "below one folder, for programs"),
)
_COMMIT_SHOWN = 10


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="data sets, or folders with some; all without one"
    )
    parser.add_argument("--installed", action="store_true", help="only those that are installed")
    parser.add_argument("--missing", action="store_true", help="only those that are not installed")
    add_recursion(parser)


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.subdatasets import iter_subdatasets

    options = call.options
    if options.installed and options.missing:
        what = "--installed and --missing leave nothing together"
        raise faults.BAD_USAGE(what=what, command="subdatasets")

    def tell(outcome: Outcome) -> str:
        facts = outcome.facts
        cells = (
            quote(call.show_path(outcome.path)),
            str(facts["state"]),
            str(facts["commit"])[:_COMMIT_SHOWN],
            printable(str(facts.get("url", ""))),
        )
        return "  ".join(cells).rstrip()

    levels = levels_of(options)
    found = iter_subdatasets(
        call.dataset,
        call.paths,
        installed=options.installed,
        missing=options.missing,
        levels=1 if levels == 0 else levels,
    )
    return call.finish(found, tell, empty="There is no such data set inside this one.")
