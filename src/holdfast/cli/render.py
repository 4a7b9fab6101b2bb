"""Outcomes on standard output: as lines for people, or one JSON object a line.

A view is shown each outcome once, in order, and closed at the end with the report of all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

from ..core.outcome import Outcome, Report, Status
from .errors import four_lines
from .paint import Paint
from .text import duration, number, printable, quote, size

ITEMS_MAX = 100
"""So many good items are listed without -v; failures and warnings always are."""
HOLD_BACK_S = 0.1
"""Lines of the first moment are kept back, so that they are aligned with each other."""
PATH_WIDTH_MAX = 60

Tell = Callable[[Outcome], str]
"""Writes one outcome as text of one or more lines, without the last line's end."""

SHOWN = {
    Status.OK: "ok",
    Status.NOT_NEEDED: "not needed",
    Status.IMPOSSIBLE: "impossible",
    Status.ERROR: "failed",
}
MEANING = {
    Status.OK: "good",
    Status.NOT_NEEDED: "dim",
    Status.IMPOSSIBLE: "warn",
    Status.ERROR: "bad",
}


class View(Protocol):
    """Shows outcomes as they come."""

    def show(self, outcome: Outcome) -> None:
        """Show one outcome, or decide not to."""

    def close(self, report: Report, seconds: float) -> None:
        """All was shown: say what there is to say at the end."""


class JsonView:
    """One JSON object a line, each sent on its way at once; nothing at the end."""

    def __init__(self) -> None:
        from json import JSONEncoder

        self._encode = JSONEncoder(default=_plain, separators=(", ", ": ")).encode

    def show(self, outcome: Outcome) -> None:
        """Write the record."""
        sys.stdout.write(self._encode(outcome.as_record()) + "\n")
        sys.stdout.flush()

    def close(self, report: Report, seconds: float) -> None:
        """Nothing more."""


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, set | frozenset | tuple):
        return sorted(value, key=str)
    return str(value)


class TableView:
    """What a verb did, a line for each item: action, path, status, note."""

    def __init__(
        self,
        command: str,
        paint: Paint,
        *,
        now: Callable[[], float],
        display: Callable[[str], str],
        before_write: Callable[[], None],
        verbosity: int,
    ) -> None:
        self._command = command
        self._paint = paint
        self._now = now
        self._display = display
        self._before_write = before_write
        self._verbosity = verbosity
        self._held: list[Outcome] | None = []
        self._until = now() + HOLD_BACK_S
        self._widths = [0, 0, 0]
        self._listed = 0
        self._unlisted = 0

    def show(self, outcome: Outcome) -> None:
        """Write the item's line, unless it is of no interest or there are too many."""
        if outcome.good and not self._wants(outcome):
            return
        if self._held is not None and self._now() < self._until:
            self._held.append(outcome)
            return
        self._release()
        self._write([outcome])

    def close(self, report: Report, seconds: float) -> None:
        """Write the summary, then why items failed: each kind of failure once."""
        self._release()
        if self._unlisted and self._verbosity >= 0:
            sys.stdout.write(f"…    {number(self._unlisted)} more, not listed (-v lists them)\n")
        if self._verbosity >= 0:
            sys.stdout.write(summary(self._command, report, seconds) + "\n")
        sys.stdout.flush()
        sys.stderr.write(explain(report, self._paint))

    def _wants(self, outcome: Outcome) -> bool:
        if self._verbosity > 0:
            return True
        if self._verbosity < 0 or outcome.status is Status.NOT_NEEDED:
            return False
        if "warning" in outcome.facts:
            return True
        if self._listed < ITEMS_MAX:
            self._listed += 1
            return True
        self._unlisted += 1
        return False

    def _release(self) -> None:
        held, self._held = self._held, None
        if held:
            self._write(held)

    def _write(self, outcomes: list[Outcome]) -> None:
        rows = [self._cells(outcome) for outcome in outcomes]
        for row in rows:
            for column, (width, cell) in enumerate(zip(self._widths, row, strict=False)):
                self._widths[column] = max(width, len(cell))
        self._widths[1] = min(self._widths[1], PATH_WIDTH_MAX)
        self._before_write()
        sys.stdout.write("".join(self._line(o, row) for o, row in zip(outcomes, rows, strict=True)))
        if self._held is None:
            sys.stdout.flush()

    def _cells(self, outcome: Outcome) -> tuple[str, str, str, str]:
        note = outcome.note or (outcome.error.what if outcome.error else "")
        if "warning" in outcome.facts:
            note = "; ".join(filter(None, (note, str(outcome.facts["warning"]))))
        path = self._display(outcome.path) if outcome.path else ""
        if not path and outcome.key is not None:
            path = quote(outcome.key.text)
        return outcome.action, path, SHOWN[outcome.status], printable(note)

    def _line(self, outcome: Outcome, cells: tuple[str, str, str, str]) -> str:
        action, path, status, note = cells
        start = "".join(
            f"{cell:<{width}}  "
            for cell, width in zip((action, path), self._widths, strict=False)
            if width
        )
        padded = f"{status:<{self._widths[2]}}" if note else status
        colored = self._paint(MEANING[outcome.status], padded)
        return start + (f"{colored}  {note}" if note else colored) + "\n"


class DataView:
    """What was asked for, and nothing else on standard output; failures on standard error."""

    def __init__(
        self,
        tell: Tell,
        paint: Paint,
        *,
        before_write: Callable[[], None],
        end: str = "\n",
        empty: str = "",
    ) -> None:
        self._tell = tell
        self._paint = paint
        self._before_write = before_write
        self._end = end
        self._empty = empty
        self._shown = False

    def show(self, outcome: Outcome) -> None:
        """Write what the outcome tells; nothing when that is empty."""
        if not outcome.good:
            if outcome.error is None:
                what = outcome.note or SHOWN[outcome.status]
                sys.stderr.write(f"{quote(outcome.path) or outcome.action}  {printable(what)}\n")
            return
        text = self._tell(outcome)
        if text:
            self._shown = True
            self._before_write()
            if self._end == "\0":
                # For programs: a name may hold bytes that are no text, which leave as they came.
                sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\0")
            else:
                sys.stdout.write(text + self._end)

    def close(self, report: Report, seconds: float) -> None:
        """Say that there was nothing, if so; then why items failed."""
        sys.stdout.flush()
        if not self._shown and not report.failures and self._empty:
            sys.stderr.write(self._empty + "\n")
        sys.stderr.write(explain(report, self._paint))


def summary(command: str, report: Report, seconds: float) -> str:
    """Counts, bytes, time, rate: ``get  1 of 2 items failed, 1 ok  12 MB  0.4 s  30 MB/s``."""
    total = sum(report.counts.values())
    failed = len(report.failures)
    counts = [f"{number(failed)} of {number(total)} items failed"] if failed else []
    for status in (Status.OK, Status.NOT_NEEDED):
        if count := report.count(status):
            counts.append(f"{number(count)} {SHOWN[status]}")
    parts = [command, ", ".join(counts) or "nothing to do"]
    if report.size:
        parts.append(size(report.size))
    parts.append(duration(seconds))
    if report.size and seconds >= 0.05:
        parts.append(f"{size(report.size / seconds)}/s")
    return "  ".join(parts)


def explain(report: Report, paint: Paint) -> str:
    """Four lines for the first failure of each kind, and how many more there are of it."""
    kinds: dict[str, list[Outcome]] = {}
    for outcome in report.failures:
        if outcome.error is not None:
            kinds.setdefault(outcome.error.code or outcome.error.what, []).append(outcome)
    return "".join(
        four_lines(same[0].error, paint, more=len(same) - 1)
        for same in kinds.values()
        if same[0].error is not None
    )
