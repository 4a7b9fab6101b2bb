"""Remove data sets inside this one, if all is elsewhere.

Their places stay: an empty folder and the version that belongs there; `hold get -n PATH` brings
it back.
What must be elsewhere is as in `hold remove`: all that was saved on a sibling, all content in
enough other copies. `hold remove -d . PATH` takes its place out of this data set too. Without PATH
it is `hold remove` of the data set that -d names.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call

EXAMPLES = (
    ("hold uninstall sourcedata", "the data set in the folder sourcedata"),
    ('hold uninstall --force "can be made again" derivatives', "without looking"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="the folders of the data sets")
    parser.add_argument("--force", metavar="REASON", help="without looking for other copies")


def run(call: Call) -> int:
    """Carry it out."""
    if not call.options.paths:
        from .remove import remove_whole

        return remove_whole(call, None)
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
