"""Outcomes: what happened to one thing; reports: what happened in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from . import faults
from .errors import HoldError
from .key import Key


class Status(StrEnum):
    """How it ended for one thing; the four words DataLad uses."""

    OK = "ok"
    NOT_NEEDED = "notneeded"
    IMPOSSIBLE = "impossible"
    ERROR = "error"


GOOD = frozenset((Status.OK, Status.NOT_NEEDED))
GRAVEST = (130, 4, 1, 2, 3)
"""Exit codes, the one that wins first: stopped, needs a person, error, usage, run it again."""


NO_FACTS: Mapping[str, object] = {}


class Outcome(NamedTuple):
    """What a verb did to one thing.

    ``path`` is relative to the data set, as text with undecodable bytes as surrogates; ``size``
    is in bytes; ``facts`` holds what only this verb tells, ready for JSON.
    """

    action: str
    status: Status
    path: str = ""
    key: Key | None = None
    size: int | None = None
    note: str = ""
    error: HoldError | None = None
    facts: Mapping[str, object] = NO_FACTS

    @property
    def good(self) -> bool:
        """True when nobody has to do anything about it."""
        return self.status in GOOD

    def as_record(self) -> dict[str, object]:
        """A JSON object: the fields that are set, then the facts."""
        record: dict[str, object] = {"action": self.action, "status": str(self.status)}
        if self.path:
            record["path"] = self.path
        if self.key is not None:
            record["key"] = self.key.text
        if self.size is not None:
            record["size"] = self.size
        if self.note:
            record["note"] = self.note
        if self.error is not None:
            record["error"] = self.error.as_record()
        return {**record, **self.facts}


class Report:
    """What a verb did in all: counts and bytes of everything, and each outcome that was not good.

    Memory grows with the failures, not with the things done.
    """

    __slots__ = ("counts", "failures", "size")

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, Status]] = Counter()
        self.size = 0
        self.failures: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self.counts[outcome.action, outcome.status] += 1
        if outcome.status is Status.OK:
            self.size += outcome.size or 0
        if not outcome.good:
            self.failures.append(outcome)

    def count(self, *statuses: Status) -> int:
        """How many things ended so."""
        return sum(n for (_, status), n in self.counts.items() if status in statuses)

    @property
    def exit_code(self) -> int:
        """0 when all is good, else that of the failures; of several codes, the first in `GRAVEST`.

        So 3 says that running the same again can be all it takes.
        """
        codes = {f.error.exit_code if f.error else 1 for f in self.failures}
        return min(codes, key=_gravity) if codes else 0


def _gravity(code: int) -> int:
    return GRAVEST.index(code) if code in GRAVEST else 0


def watch(outcomes: Iterable[Outcome], report: Report) -> Iterator[Outcome]:
    """Pass outcomes on, counting each into the report."""
    for outcome in outcomes:
        report.add(outcome)
        yield outcome


def complete(outcomes: Iterable[Outcome]) -> Report:
    """Carry a verb through to its end.

    Raises:
        IncompleteError: A thing failed; the message names how many and the first.
    """
    report = Report()
    for outcome in outcomes:
        report.add(outcome)
    if report.failures:
        first = report.failures[0]
        raise faults.INCOMPLETE(
            failed=len(report.failures),
            total=sum(report.counts.values()),
            first=f"{first.path or first.action}: {first.error or first.note}",
        )
    return report
