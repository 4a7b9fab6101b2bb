"""The part of ``hold archive`` that asks all places what is really there: check."""

from __future__ import annotations

import errno
import os
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from ..core import faults
from ..core.system_errors import as_target_fault
from .addurls import parse_rate
from .call import Call
from .recursion import add_recursion, levels_of
from .text import parse_count

if TYPE_CHECKING:
    from ..archive.check_report import CheckReport
    from ..core.outcome import Outcome


def add_check_options(parser: ArgumentParser) -> None:
    """Declare what check takes."""
    parser.add_argument(
        "--html", metavar="FILE", help="check: write what was found as one page for a browser"
    )
    parser.add_argument(
        "--repair", action="store_true",
        help="check: bring what lacks copies here from whoever has it, and set the ledger right",
    )  # fmt: skip
    parser.add_argument(
        "--look-in", metavar="FOLDER", action="append",
        help="check --repair: take it from data sets below FOLDER, too; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--accept-unhashed", action="store_true",
        help="check --look-in: believe key and size where the key holds no hash (URL, WORM)",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="check --repair: only show what would be done"
    )
    parser.add_argument(
        "--rate", type=parse_rate, metavar="N", help="check: ask one host N times a second (10)"
    )
    parser.add_argument(
        "-J", "--jobs", metavar="N", type=parse_count, help="check: ask so many URLs at a time"
    )
    add_recursion(parser)


def run_check(call: Call) -> int:
    """Carry it out."""
    from tempfile import gettempdir

    from ..api.archive_check import CheckOptions, iter_archive_check
    from ..api.archive_repair import RepairOptions
    from ..api.urls import RATE_MAX
    from ..archive.check_report import CheckReport
    from .archive_check_view import CheckView, FirstFailures

    options = call.options
    if not options.repair and (options.look_in or options.dry_run):
        raise _bad("--look-in and --dry-run go with --repair")
    if options.accept_unhashed and not options.look_in:
        raise _bad("--accept-unhashed is about what --look-in finds")
    if options.html:
        _check_writable(options.html)
    repair = None
    if options.repair:
        folders = [os.path.abspath(os.fsencode(folder)) for folder in options.look_in or ()]
        repair = RepairOptions(folders, options.accept_unhashed, options.dry_run)
    check = CheckOptions(
        options.at, options.rate or RATE_MAX, options.jobs or call.settings.jobs, repair
    )
    dataset = call.dataset
    relative = dataset.relative(options.pieces)
    paths = () if b"" in relative else tuple(relative)
    with CheckReport(os.fsencode(gettempdir())) as report:
        outcomes = iter_archive_check(
            dataset, paths, options=check, levels=levels_of(options), report=report,
            progress=call.progress,
        )  # fmt: skip
        view = None if options.json else CheckView(call, report)
        page = _page(outcomes, call, report) if options.html else outcomes
        return call.finish(page, view=view, report=FirstFailures())


def _check_writable(path: str) -> None:
    """Find out before a long check whether its page can be written.

    Raises:
        HoldError: It cannot.
    """
    from tempfile import TemporaryFile  # late: all of hold archive load this module

    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with TemporaryFile(dir=os.path.dirname(path) or "."):
            pass
    except OSError as error:
        raise as_target_fault(error, path) from error


def _page(outcomes: Iterator[Outcome], call: Call, report: CheckReport) -> Iterator[Outcome]:
    """The outcomes, and at their end the page, whole or not at all."""
    from ..version import __version__
    from .archive_check_page import Head, iter_page

    yield from outcomes
    path, options = call.options.html, call.options
    top = os.fsdecode(call.dataset.top)
    when = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime())
    head = Head(
        os.path.basename(top) or top, options.at or "", when, options.pieces, f"hold {__version__}"
    )
    temporary = f"{path}.{os.getpid()}.part"
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.writelines(iter_page(head, report))
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(temporary)
        raise as_target_fault(error, path) from error


def _bad(what: str) -> Exception:
    return faults.BAD_USAGE(what=what, command="archive")
