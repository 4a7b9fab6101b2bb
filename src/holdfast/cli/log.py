"""List versions, newest first.

With PATH: only those that changed something there.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core.outcome import Outcome
from .call import Call
from .text import printable

EXAMPLES = (
    ("hold log", "all versions"),
    ("hold log -n 5 sub-07", "the last five that changed sub-07"),
    ("hold log --from v1", "the version v1 and those before it"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="files or folders; without one, the whole data set"
    )
    parser.add_argument(
        "-f", "--from", dest="start", metavar="VERSION", help="the newest to list; else HEAD"
    )
    parser.add_argument("-n", "--count", metavar="N", type=int, help="so many at most")


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.log import iter_log

    options = call.options
    return call.finish(
        iter_log(call.dataset, call.paths, count=options.count, start=options.start),
        line,
        empty="No version changed that." if call.paths else "No version has been saved yet.",
    )


def line(outcome: Outcome) -> str:
    """``093d2014  2026-11-21 10:22  Ana  first import``."""
    facts = outcome.facts
    when = str(facts.get("time", ""))[:16].replace("T", " ")
    message = str(facts.get("message") or outcome.note)
    parts = (
        str(facts.get("version", ""))[:8],
        when,
        str(facts.get("author", "")).partition(" <")[0],
        message.partition("\n")[0],
    )
    return "  ".join(printable(part) for part in parts if part)
