"""Show what a data set is good for, on real files, step by step.

Makes a small study of MRI images (of the Python package nibabel), or takes a copy of the folder
or a clone of the data set you name; then saves, clones, gets, changes, drops, damages and repairs.
Every step is a command you could type, runs for real, and is checked. All of it happens in one
new folder, which is removed at the end.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser

from ..core.outcome import Outcome, Report
from .call import Call
from .errors import four_lines
from .paint import Paint
from .text import duration

INTRODUCTION = """\
The life of a data set: each line that starts with $ is a command you can type, run for real in a
new folder, and what it printed. Each step is checked: exit codes, hashes, what is where.

"""

EXAMPLES = (
    ("hold demo", "see it, in a few seconds"),
    ("hold demo --keep", "and leave its folder, to play with"),
    ("hold demo ~/scans", "with files of yours, as copies"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument(
        "source", nargs="?", metavar="FOLDER|URL", help="files or a data set to use, as copies"
    )
    parser.add_argument("--keep", action="store_true", help="do not remove it at the end")


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.demo import iter_demo

    options = call.options
    outcomes = iter_demo(options.source, keep=options.keep, progress=call.progress)
    if options.json:
        return call.finish(outcomes)
    report, done = Report(), []
    if call.verbosity >= 0:
        sys.stdout.write(INTRODUCTION)
    for outcome in outcomes:
        call.progress.stop()
        report.add(outcome)
        done.append(outcome)
        if call.verbosity >= 0:
            sys.stdout.write(scene(len(done), outcome, call.paint))
            sys.stdout.flush()
    sys.stdout.write(table(done, call.paint))
    sys.stdout.write(ending(done, report, keep=options.keep))
    sys.stdout.flush()
    for failure in report.failures:
        if failure.error is not None:
            sys.stderr.write(four_lines(failure.error, call.paint))
    return report.exit_code


def scene(number: int, outcome: Outcome, paint: Paint) -> str:
    """One step: its title, then what was typed and what was printed."""
    facts = outcome.facts
    title = f"{number}. {facts['step']}: {outcome.note}"
    text = "".join(
        f"{paint('strong', line) if line.startswith('$ ') else line}\n"
        for line in str(facts["transcript"]).splitlines()
    )
    return f"{paint('strong', title)}\n{text}\n"


def table(done: list[Outcome], paint: Paint) -> str:
    """Step, what it showed, how long it took."""
    width = max((len(str(o.facts["step"])) for o in done), default=0)
    shown = max((len(o.note) for o in done), default=0)
    head = f"  {'step':<{width}}  {'what it showed':<{shown}}    time"
    lines = [paint("dim", head)]
    for outcome in done:
        sign = paint("good", "✓") if outcome.good else paint("bad", "✗")
        seconds = duration(float(str(outcome.facts["seconds"])))
        step = f"{outcome.facts['step']:<{width}}"
        lines.append(f"{sign} {step}  {outcome.note:<{shown}}  {seconds:>6}")
    return "\n".join(lines) + "\n"


def ending(done: list[Outcome], report: Report, *, keep: bool) -> str:
    """How many steps did what they must, how long it took, and where it is."""
    seconds = sum(float(str(o.facts["seconds"])) for o in done)
    failed = len(report.failures)
    said = f"{failed} of {len(done)} steps failed" if failed else f"all {len(done)} steps held"
    folder = done[-1].facts["folder"] if done else ""
    where = f"kept in {folder}" if keep else "nothing was left behind"
    return f"\ndemo  {said}  {duration(seconds)}  {where}\n"
