"""How fast content may move: rates as git-annex's settings say them, and a bucket that keeps one.

Pure: the time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from .sizes import parse_size

BURST_S = 0.25
"""What was not used in so many seconds may be used at once."""

Rate = float
"""Bytes a second."""


class Direction(StrEnum):
    """Which way content moves, seen from here."""

    DOWN = "download"
    UP = "upload"


RateOf = Callable[[Direction], Rate | None]
"""Which limit there is each way; None for none."""


def no_limit(_: Direction) -> Rate | None:
    """For a place without one."""
    return None


class Bucket:
    """Says when bytes may pass, so that no more than a rate's worth do.

    Of all bytes that were asked for, those whose moment is not after another by more than ``t``
    seconds are ``rate * (t + burst_s)`` at most. Moments come in the order of asking: who asks for
    little is not kept waiting by who asks for much and again, and the other way round.
    """

    def __init__(self, rate: Rate, burst_s: float = BURST_S) -> None:
        assert rate > 0
        self.rate = rate
        self._burst_s = burst_s
        self._paid_at = float("-inf")

    def take(self, size: int, now: float) -> float:
        """The moment at which so many more bytes may have passed; ``now`` if that is at once."""
        begins = max(self._paid_at, now - self._burst_s)
        self._paid_at = begins + size / self.rate
        return max(now, self._paid_at)


def parse_rate(text: str) -> Rate | None:
    """Read a rate such as ``200kb/s``, ``1 mbit`` or ``2MiB``; None when it is none.

    As in git-annex, it is always by the second: what follows the unit is ignored. Zero, and what
    is below, means that there is no limit, and is infinite here.
    """
    size = parse_size(text)
    if size is None:
        return None
    return float(size) if size > 0 else float("inf")


def configured_rate(
    direction: Direction, remote: Mapping[str, str], general: Callable[[str], str | None]
) -> Rate | None:
    """What git-annex's settings say of one remote; None when there is no limit.

    ``remote`` are those of the remote (``remote.NAME.annex-bwlimit`` and so on, without its name),
    ``general`` tells those of the clone (``annex.bwlimit``). What is said of one direction wins,
    if it can be read; of each, what is said of the remote stands in for what is said in general.
    """
    for name in (f"bwlimit-{direction}", "bwlimit"):
        text = remote.get(f"annex-{name}")
        text = general(f"annex.{name}") if text is None else text
        rate = None if text is None else parse_rate(text)
        if rate is not None:
            return None if rate == float("inf") else rate
    return None
