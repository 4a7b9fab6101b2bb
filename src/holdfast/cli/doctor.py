"""Look at this machine and data set for what could go wrong.

Checks the programs hold needs, the file system, free room, clocks, and, in a data set, what an
interrupted program may have left. It only looks, and says what to do about each finding.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core.outcome import Outcome
from .call import Call
from .text import printable

EXAMPLES = (
    ("hold doctor", "here"),
    ("hold doctor /mnt/drive", "a place that is to be used"),
    ("hold doctor --json", "for a report"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("path", nargs="?", metavar="PATH", default=".", help="where to look")


def run(call: Call) -> int:
    """Carry it out."""
    from pathlib import Path

    from ..api.doctor import iter_doctor

    return call.finish(iter_doctor(Path(call.options.path)), line)


def line(outcome: Outcome) -> str:
    """``ok  git 2.43``."""
    what = outcome.facts.get("check") or outcome.path or outcome.action
    return printable(f"{outcome.status.value:<9}  {what}  {outcome.note}".rstrip())
