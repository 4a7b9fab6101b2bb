"""Rows of a comparison, their bars, and the Markdown table made of them. No I/O."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from contenders import ANNEX, DATALAD, FLOOR, HOLD
from machine import Run

COLUMNS = (HOLD, ANNEX, DATALAD, FLOOR)


@dataclass(frozen=True)
class Verdict:
    """What a bar asked, what was reached, and whether that is enough; None when not measured."""

    asked: str
    reached: str
    met: bool | None


@dataclass(frozen=True)
class TimesFaster:
    """At least so many times as fast as another program."""

    than: str
    times: float

    def judge(self, row: Row) -> Verdict:
        """Compare medians."""
        ratio = row.ratio(self.than, HOLD)
        asked = f"≥ {self.times:g}× {self.than}"
        return Verdict(asked, _times(ratio), None if ratio is None else ratio >= self.times)


@dataclass(frozen=True)
class Within:
    """At most so many times the floor, or another row's figure given as seconds per file."""

    times: float
    of: str = FLOOR

    def judge(self, row: Row) -> Verdict:
        """Compare medians."""
        ratio = row.ratio(HOLD, self.of)
        name = row.floor if self.of == FLOOR else self.of
        asked = f"≤ {self.times:g}× {name}"
        return Verdict(asked, _times(ratio), None if ratio is None else ratio <= self.times)


@dataclass(frozen=True)
class AtMostSeconds:
    """At most so many seconds."""

    seconds: float

    def judge(self, row: Row) -> Verdict:
        """Look at the median."""
        found = row.median(HOLD)
        asked = f"≤ {_seconds(self.seconds)}"
        return Verdict(asked, _seconds(found), None if found is None else found <= self.seconds)


@dataclass(frozen=True)
class AtMostMemory:
    """The largest process of any round stays within so many bytes."""

    size: int

    def judge(self, row: Row) -> Verdict:
        """Look at the worst round."""
        found = row.largest_rss()
        asked = f"peak ≤ {self.size / 1e6:.0f} MB"
        reached = "–" if found is None else f"{found / 1e6:.0f} MB"
        return Verdict(asked, reached, None if found is None else found <= self.size)


Bar = TimesFaster | Within | AtMostSeconds | AtMostMemory


@dataclass
class Row:
    """One hot path: the rounds of each column, and what is asked of ours."""

    name: str
    files: int
    size: int = 0
    floor: str = ""
    bars: Sequence[Bar] = ()
    rounds: dict[str, list[Run]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, column: str, run: Run) -> None:
        """Take one round in."""
        self.rounds.setdefault(column, []).append(run)

    def median(self, column: str) -> float | None:
        """The middle wall time; None when it was not measured."""
        runs = self.rounds.get(column)
        return statistics.median(run.wall_s for run in runs) if runs else None

    def ratio(self, above: str, below: str) -> float | None:
        """One median over another."""
        top, bottom = self.median(above), self.median(below)
        return None if top is None or not bottom else top / bottom

    def largest_rss(self) -> int | None:
        """The largest process of ours, in any round."""
        return max((run.largest_rss for run in self.rounds.get(HOLD, [])), default=None)

    def verdicts(self) -> list[Verdict]:
        """One for each bar."""
        return [bar.judge(self) for bar in self.bars]

    def as_record(self) -> dict[str, object]:
        """All figures, for a JSON file."""
        return {
            "name": self.name,
            "files": self.files,
            "bytes": self.size,
            "floor": self.floor,
            "rounds": {c: [vars(run) for run in runs] for c, runs in self.rounds.items()},
            "medians_s": {c: self.median(c) for c in self.rounds},
            "bars": [vars(verdict) for verdict in self.verdicts()],
            "faults": self.faults,
            "notes": self.notes,
        }


HEADER = (
    "hot path",
    HOLD,
    "files/s",
    ANNEX,
    DATALAD,
    "floor",
    f"× {ANNEX}",
    f"× {DATALAD}",
    "÷ floor",
    "bar",
    "reached",
    "met",
)


def render(rows: Iterable[Row]) -> str:
    """The table, then what failed and what there is to say."""
    rows = list(rows)
    lines = [_line(HEADER), _line(["---"] + ["--:"] * 8 + ["---", "--:", "---"])]
    for row in rows:
        lines += [_line(cells) for cells in _cells(row)]
    said = [f"- {row.name}: {note}" for row in rows for note in row.notes]
    said += [f"- {row.name}, {who}: {why}" for row in rows for who, why in row.faults.items()]
    return "\n".join([*lines, *([""] if said else []), *said]) + "\n"


def count_bars(rows: Iterable[Row]) -> Mapping[bool | None, int]:
    """How many bars were met, missed, and not measured."""
    found: dict[bool | None, int] = {True: 0, False: 0, None: 0}
    for row in rows:
        for verdict in row.verdicts():
            found[verdict.met] += 1
    return found


def _cells(row: Row) -> list[list[str]]:
    verdicts = row.verdicts() or [Verdict("", "", None)]
    ours = row.median(HOLD)
    rate = f"{row.files / ours:,.0f}" if ours and row.files else ""
    floor = _shown(row, FLOOR)
    first = [
        row.name,
        _shown(row, HOLD),
        rate,
        _shown(row, ANNEX),
        _shown(row, DATALAD),
        f"{floor} {row.floor}" if floor else "",
        _times(row.ratio(ANNEX, HOLD)),
        _times(row.ratio(DATALAD, HOLD)),
        _times(row.ratio(HOLD, FLOOR)),
    ]
    rest = [""] * len(first)
    signs = {True: "yes", False: "**no**", None: "" if not row.bars else "not measured"}
    return [
        [*(first if n == 0 else rest), verdict.asked, verdict.reached, signs[verdict.met]]
        for n, verdict in enumerate(verdicts)
    ]


def _shown(row: Row, column: str) -> str:
    if column in row.faults:
        return "failed"
    return _seconds(row.median(column))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 100 else f"{value:,.0f} s"


def _times(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"
