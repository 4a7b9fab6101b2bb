"""The options of commands that go into the data sets inside a data set."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..core import faults
from .text import parse_count


def add_recursion(parser: ArgumentParser) -> None:
    """Declare -r and -R."""
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="in the data sets inside it too"
    )
    parser.add_argument(
        "-R",
        "--recursion-limit",
        metavar="N",
        type=parse_count,
        help="as -r, at most N levels down",
    )


def levels_of(options: Namespace) -> int | None:
    """How many levels to go down; None for all."""
    if options.recursion_limit is not None:
        return int(options.recursion_limit)
    return None if options.recursive else 0


def refuse_levels(options: Namespace, command: str, with_what: str) -> None:
    """Refuse -r and -R beside an option that is about one data set.

    Raises:
        UsageError: One of them is given.
    """
    if levels_of(options) != 0:
        what = f"{with_what} is about one data set, without -r"
        raise faults.BAD_USAGE(what=what, command=command)
