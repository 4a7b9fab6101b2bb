"""Remove data sets inside this one, once all of each is seen elsewhere; their places stay.

An empty folder is left, and the version that belongs there: `hold get -n PATH` brings it back.
What must be elsewhere is as in `hold remove`: all that was saved on a sibling, all content in
enough other copies. `hold remove -d . PATH` takes its place out of this data set too.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call

EXAMPLES = (
    ("hold uninstall sourcedata", "the data set in the folder sourcedata"),
    ('hold uninstall --force "made again in an hour" derivatives/*', "without looking"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="the folders of the data sets")
    parser.add_argument("--force", metavar="REASON", help="without looking for other copies")


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.uninstall import iter_uninstall

    reason = call.reason
    return call.finish(
        iter_uninstall(
            call.dataset,
            call.dataset.relative(call.options.paths),
            force_reason=reason,
            progress=call.progress,
        )
    )
