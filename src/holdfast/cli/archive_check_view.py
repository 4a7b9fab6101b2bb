"""What a check found, on a terminal: a table of places, then what is not safe, then totals."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from ..archive.check_report import LEFT_OUT, MENDED, CheckReport, Trouble
from ..archive.verdicts import NOBODY, Count, Verdict
from ..core.outcome import Outcome, Report, Status
from .call import Call
from .render import MEANING, explain
from .text import duration, number, percent, plural, printable, quote, size

LISTED_MAX = 100
_TITLES = {
    "dead": ("dead", "no place has their content"),
    "doubtful": ("doubtful", "a place that may have their content could not be asked"),
    "few": ("in few copies", "fewer were seen than they should have"),
}


class FirstFailures(Report):
    """A report that keeps the first failure of each kind, and counts the others."""

    __slots__ = ("_codes", "failed")

    def __init__(self) -> None:
        super().__init__()
        self.failed = 0
        self._codes: set[str] = set()

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        if outcome.good:
            super().add(outcome)
            return
        self.failed += 1
        code = outcome.error.code if outcome.error else ""
        if code in self._codes:
            self.counts[outcome.action, outcome.status] += 1
        else:
            self._codes.add(code)
            super().add(outcome)


class CheckView:
    """A table of places, then what is not safe, at the end; nothing but failures before."""

    def __init__(self, call: Call, report: CheckReport) -> None:
        self._call = call
        self._report = report
        self._others: list[Outcome] = []
        self._remarks: set[tuple[str, str]] = set()

    def show(self, outcome: Outcome) -> None:
        """Keep what is about no content: a path that is not known, a data set not installed."""
        if outcome.action == "check" and outcome.key is None:
            self._others.append(outcome)

    def close(self, report: Report, seconds: float) -> None:
        """Write it all."""
        for outcome in self._others:
            if not outcome.good or self._call.verbosity > 0:
                note = printable(outcome.note)
                sys.stdout.write(f"{quote(self._call.show_path(outcome.path))}  {note}\n")
        if self._report.totals.all.keys or not self._others:
            if self._call.verbosity >= 0:
                self._write_places()
            self._write_troubles()
            if self._call.verbosity >= 0:
                self._write_totals(seconds)
        sys.stdout.flush()
        sys.stderr.write(explain(report, self._call.paint))

    def _write_places(self) -> None:
        rows: list[tuple[str, ...]] = [
            ("place", "claims", "confirmed", "refuted", "unreachable", "also found")
        ]
        places = sorted(self._report.totals.places.values(), key=lambda one: one.place.label)
        rows += [
            (
                quote(place.place.label),
                *map(number, (place.claims, place.confirmed, place.refuted, place.unreachable)),
                number(place.found) if place.found else "",
            )
            for place in places
        ]
        remarks = ["", *(printable(place.remark) for place in places)]
        self._remarks = {(place.place.label, place.remark) for place in places}
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        if not any(place.found for place in places):
            widths[-1] = 0
        for row, remark in zip(rows, remarks, strict=True):
            cells = [row[0].ljust(widths[0])]
            cells += [
                cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True) if width
            ]
            sys.stdout.write("  ".join([*cells, remark]).rstrip() + "\n")
        sys.stdout.write("\n")

    def _write_troubles(self) -> None:
        for verdict in (Verdict.DEAD, Verdict.DOUBTFUL, Verdict.FEW):
            count = self._report.totals.by_verdict[verdict]
            if count.keys and (verdict is not Verdict.FEW or self._call.verbosity >= 0):
                title, meaning = _TITLES[verdict]
                head = f"{title}: {plural(count.files, 'file')}, {_bytes(count)}; {meaning}"
                self._write_group(head, MEANING[Status.ERROR], self._report.iter_troubles(verdict))
        mended = self._report.totals.mended
        if mended.keys and self._call.verbosity >= 0:
            head = f"mended: {plural(mended.files, 'file')}, {_bytes(mended)}; they are here now"
            self._write_group(head, MEANING[Status.OK], self._report.iter_troubles(MENDED))
        left_out = self._report.totals.left_out
        if left_out.keys and self._call.verbosity >= 0:
            head = f"in no piece: {plural(left_out.files, 'file')}, {_bytes(left_out)}; "
            head += "hold get them, and hold archive pack takes them in"
            rows = (self._left_out(one) for one in self._report.iter_troubles(LEFT_OUT))
            self._write_rows(head, MEANING[Status.ERROR], rows)

    def _write_group(self, head: str, meaning: str, troubles: Iterator[Trouble]) -> None:
        self._write_rows(head, meaning, ("".join(self._lines(one)) for one in troubles))

    def _write_rows(self, head: str, meaning: str, rows: Iterator[str]) -> None:
        sys.stdout.write(self._call.paint(meaning, head) + "\n")
        left = 0
        for count, row in enumerate(rows):
            if count >= LISTED_MAX and self._call.verbosity < 1:
                left += 1
                continue
            sys.stdout.write(row)
        if left:
            sys.stdout.write(f"…    {number(left)} more, not listed (-v lists them)\n")
        sys.stdout.write("\n")

    def _left_out(self, trouble: Trouble) -> str:
        return f"{self._first(trouble)}      {printable(trouble.left_out)}\n"

    def _first(self, trouble: Trouble) -> str:
        much = "" if trouble.size is None else f"  {size(trouble.size)}"
        return f"  {quote(self._call.show_path(trouble.path))}{much}\n"

    def _lines(self, trouble: Trouble) -> Iterator[str]:
        yield self._first(trouble)
        yield f"      {printable(self._answers(trouble) or NOBODY)}\n"
        for url, remark in trouble.urls:
            yield f"      {printable(url)}{f'  ({printable(remark)})' if remark else ''}\n"
        if trouble.done:
            would = "would be brought " if self._call.options.dry_run else ""
            said = would + trouble.done if trouble.done.startswith("from ") else trouble.done
            yield f"      {printable(said)}\n"

    def _answers(self, trouble: Trouble) -> str:
        """What places answered; what the table says of one already is not said again."""
        by_answer: dict[str, list[str]] = {}
        for place, said, remark in trouble.answers:
            more = "" if (place, remark) in self._remarks or not remark else f" ({remark})"
            by_answer.setdefault(said + more, []).append(place)
        return "; ".join(f"{', '.join(places)}: {said}" for said, places in by_answer.items())

    def _write_totals(self, seconds: float) -> None:
        report, totals = self._report, self._report.totals
        parts = [f"{plural(totals.all.keys, 'content')} of {plural(totals.all.files, 'file')}"]
        parts += [_bytes(totals.all)]
        if totals.all.keys:
            parts.append(f"{percent(totals.share(Verdict.SAFE, Verdict.FEW))} seen")
            copies = sorted(totals.by_copies.items())
            parts.append(
                "copies: " + ", ".join(f"{number(one.keys)} in {many}" for many, one in copies)
            )
        if report.corrected:
            would = "would be " if self._call.options.dry_run else ""
            entries = plural(report.corrected, "entry").replace("entrys", "entries")
            parts.append(f"{entries} of the ledger {would}set right")
        if report.not_installed:
            parts.append(f"{plural(report.not_installed, 'data set')} inside not installed")
        sys.stdout.write(f"check  {'; '.join(parts)}  {duration(seconds)}\n")


def _bytes(count: Count) -> str:
    more = f" and {number(count.unsized)} of unknown size" if count.unsized else ""
    return size(count.size) + more
