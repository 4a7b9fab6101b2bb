"""The part of ``hold archive`` that reads pieces: restore and drill."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from ..core import faults
from .call import Call

OF_PACK = {"piece_size": "--piece-size", "write": "--write", "plain": "--folder",
            "state": "--state"}  # fmt: skip
_NOT_OF_DRILL = {"at": "--at", "only": "--only", "to": "--to", "list": "--list"}
_NOT_OF_LIST = {"at": "--list and --at", "only": "--list and --only", "to": "--list and --to"}
_OF_DRILL = {"sample": "--sample", "whole": "--whole", "seed": "--seed"}
OPTIONS = {"only": "--only", "to": "--to", "list": "--list", **_OF_DRILL}
OF_RESTORE = {"pieces": "PIECES", **OPTIONS}
"""What only restore and drill take, and how it is written."""


def add_restore_options(parser: ArgumentParser) -> None:
    """Declare what restore and drill take."""
    parser.add_argument(
        "--only", metavar="GLOB", action="append", help="restore: the content of these files alone"
    )
    parser.add_argument("--to", metavar="FOLDER", help="restore: where to")
    parser.add_argument(
        "--list", action="store_true", help="restore: only list the versions in the pieces"
    )
    parser.add_argument(
        "--sample", metavar="N", type=int, help="drill: how many files to restore (20)"
    )
    parser.add_argument(
        "--whole", metavar="N", type=int, help="drill: read so many pieces whole, too (0)"
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, help="drill: choose the files that this number chose"
    )


def run_restore(call: Call) -> int:
    """Carry out restore or drill."""
    from ..api.archive_drill import iter_archive_drill
    from ..api.archive_found import iter_archive_versions
    from ..api.archive_restore import RestorePlan, iter_archive_restore

    options = call.options
    if not options.pieces:
        raise _bad(f"say which pieces to {options.work}: files, folders or URLs")
    refuse_options(options, OF_PACK)
    refuse_options(options, _OF_DRILL if options.work == "restore" else _NOT_OF_DRILL)
    settings = call.settings.values
    if options.work == "drill":
        if options.sample is not None and options.sample < 1:
            raise _bad("--sample has to be 1 or more")
        if options.whole is not None and options.whole < 0:
            raise _bad("--whole has to be 0 or more")
        outcomes = iter_archive_drill(
            options.pieces, sample=options.sample or 20, whole=options.whole or 0,
            seed=options.seed, settings=settings, progress=call.progress,
        )  # fmt: skip
        return call.finish(outcomes)
    if options.list:
        refuse_options(options, _NOT_OF_LIST)
        return call.finish(iter_archive_versions(options.pieces, settings))
    only = [os.fsencode(glob) for glob in options.only or ()]
    plan = RestorePlan(options.at, only, None, settings)
    target = os.fsencode(options.to) if options.to else None
    return call.finish(
        iter_archive_restore(options.pieces, target, plan=plan, progress=call.progress)
    )


def refuse_options(options: Namespace, names: Mapping[str, str]) -> None:
    """Refuse what the work that was named does nothing with.

    Raises:
        UsageError: One of them was given.
    """
    for name, written in names.items():
        if getattr(options, name) not in (None, False, []):
            raise _bad(f"{options.work} takes no {written}")


def _bad(what: str) -> Exception:
    return faults.BAD_USAGE(what=what, command="archive")
