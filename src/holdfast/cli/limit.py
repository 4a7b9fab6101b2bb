"""The option of commands that move content: how fast they may."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping

from ..core import faults
from ..core.rates import parse_rate
from ..settings import LIMIT_RATE
from .call import Call
from .text import quote, size


def add_limit(parser: ArgumentParser) -> None:
    """Declare --limit-rate."""
    parser.add_argument(
        "--limit-rate", metavar="RATE",
        help="so many bytes a second at most, from and to all places together (500kb, 2MiB)",
    )  # fmt: skip


def heed_limit(call: Call) -> None:
    """Make --limit-rate a setting of this call; before its data set is opened.

    Raises:
        UsageError: It is no rate.
    """
    given = call.options.limit_rate
    if given is None:
        return
    check_rate(given, "--limit-rate", call.command)
    values: Mapping[str, str] = {**call.settings.values, LIMIT_RATE: given}
    call.settings = call.settings._replace(values=values)


def check_rate(given: str, option: str, command: str) -> None:
    """Refuse what is no rate.

    Raises:
        UsageError: It is none.
    """
    if parse_rate(given) is None:
        what = f"{option} {quote(given)} is not a rate such as 500kb or 2MiB"
        raise faults.BAD_USAGE(what=what, command=command)


def rate_in_words(rate: float) -> str:
    """``500 KB/s``."""
    return f"{size(round(rate))}/s"
