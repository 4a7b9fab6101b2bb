"""What a check found: totals, and each file that is not safe, sorted, however many these are.

Files are spilled to disk, so memory does not grow with them.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ..dataset.sorted_spill import SortedSpill
from .verdicts import Checked, Totals, Verdict

MENDED = "mended"
LEFT_OUT = "left out"
_GROUPS = (Verdict.DEAD, Verdict.DOUBTFUL, Verdict.FEW, MENDED, LEFT_OUT)
_END = b"\0"


class Trouble(NamedTuple):
    """A file whose content is not safe, was not before it was mended, or is in no piece.

    ``answers`` are places, what each answered, and a remark; ``urls`` are the last known ones, each
    with what was found there; ``left_out`` is why the last snapshot had to do without it.
    """

    path: str
    key: str
    size: int | None
    copies: int
    needed: int
    answers: tuple[tuple[str, str, str], ...]
    urls: tuple[tuple[str, str], ...]
    done: str
    left_out: str


@dataclass(slots=True)
class Mended:
    """What became of trying to bring content: from where it came, or would, or why it did not.

    ``place`` is the UUID of that place, where it has one.
    """

    source: str = ""
    why_not: str = ""
    done: bool = False
    place: str = ""


@dataclass
class CheckReport:
    """What a check found. Close it, or use it in a ``with`` block, to let go of its disk space."""

    folder: bytes
    """Where to spill to once there is much."""
    totals: Totals = field(default_factory=Totals)
    not_installed: int = 0
    """Data sets inside that could not be looked into."""
    corrected: int = 0
    """Entries of the ledger that were wrong, and were set right or would be."""

    def __post_init__(self) -> None:
        self._spills = {group: SortedSpill(self.folder) for group in _GROUPS}

    def add(self, checked: Checked, mended: Mended | None = None, prefix: str = "") -> None:
        """Take in one content; ``prefix`` leads to its data set from the top."""
        self.totals.add(checked)
        is_mended = mended is not None and mended.done
        if is_mended:
            self.totals.mended.add(checked.pointer)
        group = MENDED if is_mended else checked.verdict
        groups = [group] if group in self._spills else []
        groups += [LEFT_OUT] if checked.pointer.left_out else []
        if not groups:
            return
        key, done = checked.pointer.key, ""
        if mended is not None:
            done = f"from {mended.source}" if mended.source else mended.why_not
        answers = tuple((f.place.label, f.said, f.remark) for f in checked.findings)
        urls = tuple((url.url, url.remark) for url in checked.urls)
        rest = (
            key.text, key.size, checked.copies, checked.pointer.needed, answers, urls, done,
            checked.pointer.left_out,
        )  # fmt: skip
        raw = marshal.dumps(rest)
        before = os.fsencode(prefix)
        for path in checked.pointer.paths:
            for one in groups:
                self._spills[one].add(before + path + _END + raw)

    def iter_troubles(self, group: Verdict | str) -> Iterator[Trouble]:
        """The files of one verdict, or the `MENDED` or `LEFT_OUT` ones, by path."""
        for item in self._spills[group]:
            path, _, raw = item.partition(_END)
            yield Trouble(os.fsdecode(path), *marshal.loads(raw))

    @property
    def exit_code(self) -> int:
        """0 when all content was seen, 1 when some is dead, else 3 when some is doubtful."""
        by_verdict = self.totals.by_verdict
        if by_verdict[Verdict.DEAD].keys:
            return 1
        return 3 if by_verdict[Verdict.DOUBTFUL].keys else 0

    def close(self) -> None:
        """Forget the files."""
        for spill in self._spills.values():
            spill.__exit__(None, None, None)

    def __enter__(self) -> CheckReport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
