"""Look at this machine and data set for what could go wrong.

Measures the programs hold needs, the file system and the room on it, and, in a data set, what is
set up and what interrupted programs left. It only looks, says what to do about each finding, and
ends with the mode that suits the disk.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser

from ..core.outcome import Outcome, Report
from .call import Call
from .paint import Paint
from .text import plural, printable

EXAMPLES = (
    ("hold doctor", "here"),
    ("hold doctor /mnt/drive", "a place that is to be used"),
    ("hold doctor --json", "for a report"),
)

CHECK_WIDTH = 15


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("path", nargs="?", metavar="PATH", default=".", help="where to look")


def run(call: Call) -> int:
    """Carry it out."""
    from pathlib import Path

    from ..api.doctor import iter_doctor

    outcomes = iter_doctor(Path(call.options.path))
    if call.options.json:
        return call.finish(outcomes)
    report = Report()
    part = None
    for outcome in outcomes:
        report.add(outcome)
        if call.verbosity < 0 and outcome.good:
            continue
        if outcome.facts["part"] != part:
            part = outcome.facts["part"]
            sys.stdout.write(f"{call.paint('strong', str(part).capitalize())}\n")
        sys.stdout.write(lines(outcome, call.paint))
        sys.stdout.flush()
    count = len(report.failures)
    if call.verbosity >= 0:
        found = f"{plural(count, 'finding')} to act on" if count else "nothing to act on"
        sys.stdout.write(f"doctor  {found}\n")
    return report.exit_code


def lines(outcome: Outcome, paint: Paint) -> str:
    """``  ✓ git  2.43``, and what to do next in a line of its own."""
    remark = outcome.good and "next" in outcome.facts
    sign = paint("warn", "!") if remark else paint("good", "✓")
    if not outcome.good:
        sign = paint("bad", "✗")
    check = f"{printable(str(outcome.facts['check'])):<{CHECK_WIDTH}}"
    text = f"  {sign} {check}  {printable(outcome.note)}\n"
    if "next" in outcome.facts:
        text += f"    {'':<{CHECK_WIDTH}}  {paint('dim', 'next')}  {outcome.facts['next']}\n"
    return text
