"""What is known of one content once all its places were asked: safe, few, doubtful or dead. Pure.

What was seen now counts, what the ledger says does not: its word only tells whom to ask, and
whether somebody who could not be asked leaves a doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ..core.key import Key
from ..core.place import Place, PlaceId, Presence, Trust


class Verdict(StrEnum):
    """What is to be said of content."""

    SAFE = "safe"
    """As many copies were seen as are asked for."""
    FEW = "few"
    """It was seen, but in fewer copies that count."""
    DOUBTFUL = "doubtful"
    """Nobody who answered has it; somebody who is said to have it did not answer."""
    DEAD = "dead"
    """All who are said to have it were asked, and none has it."""


_SAID = {
    Presence.PRESENT: "seen there",
    Presence.ABSENT: "not there",
    Presence.UNKNOWN: "could not be asked",
}
NOBODY = "the ledger names no place that has it, and no other place has it"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one place answered now; ``claimed`` when the ledger says that it has the content."""

    place: Place
    claimed: bool
    presence: Presence
    remark: str = ""

    @property
    def said(self) -> str:
        """The answer in words."""
        return _SAID[self.presence]

    def tell(self) -> str:
        """One phrase: ``tape: not there``."""
        remark = f" ({self.remark})" if self.remark else ""
        return f"{self.place.label}: {self.said}{remark}"


@dataclass(frozen=True, slots=True)
class UrlFinding:
    """What was found at one URL; of those that the web does not serve nothing is found."""

    url: str
    presence: Presence = Presence.UNKNOWN
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Pointer:
    """Content that a version names: its key, the files that have it, the copies they ask for.

    ``left_out`` is why the last snapshot of the archive had to do without it, if it had to.
    """

    key: Key
    paths: tuple[bytes, ...]
    needed: int
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """A pointer, and what all who were asked answered."""

    pointer: Pointer
    findings: tuple[Finding, ...]
    urls: tuple[UrlFinding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What is to be said of it."""
        return verdict_of(self.findings, self.pointer.needed)

    @property
    def copies(self) -> int:
        """In how many places that count it was seen."""
        return len(_counting(self.findings))

    @property
    def why(self) -> str:
        """What was answered, in one line."""
        if not self.findings:
            return NOBODY
        return "; ".join(finding.tell() for finding in self.findings)


def verdict_of(findings: Sequence[Finding], needed: int) -> Verdict:
    """Judge by what was answered; ``needed`` copies are asked for.

    Copies in untrusted places do not count, but what is there is not dead. Of places that nobody
    says have it, only those belong here that have it.
    """
    if any(finding.presence is Presence.PRESENT for finding in findings):
        return Verdict.SAFE if len(_counting(findings)) >= needed else Verdict.FEW
    if any(finding.presence is Presence.UNKNOWN for finding in findings):
        return Verdict.DOUBTFUL
    return Verdict.DEAD


def needs_mending(checked: Checked, here: PlaceId) -> bool:
    """Whether a copy should be brought here: too few were seen, or none where it should be.

    What is here already is not mended by bringing it.
    """
    seen = [f for f in checked.findings if f.presence is Presence.PRESENT]
    if any(finding.place.id == here for finding in seen):
        return False
    return checked.verdict is not Verdict.SAFE or not any(finding.claimed for finding in seen)


def _counting(findings: Sequence[Finding]) -> set[PlaceId]:
    return {
        finding.place.id
        for finding in findings
        if finding.presence is Presence.PRESENT and finding.place.trust is not Trust.UNTRUSTED
    }


def of_urls(urls: Sequence[UrlFinding]) -> tuple[Presence, str]:
    """What the web as a place is to be said to answer, by what is at the URLs of one content."""
    for presence in (Presence.PRESENT, Presence.UNKNOWN):
        found = [url for url in urls if url.presence is presence]
        if found:
            return presence, found[0].remark
    return Presence.ABSENT, urls[0].remark if urls else "no URL is known"


@dataclass(slots=True)
class PlaceTotals:
    """What a place is said to have, and what it answered; ``found`` is what nobody knew of."""

    place: Place
    claims: int = 0
    confirmed: int = 0
    refuted: int = 0
    unreachable: int = 0
    found: int = 0
    remark: str = ""
    """Why it could not be asked, of the first time."""

    def add(self, finding: Finding) -> None:
        """Count one answer."""
        if not finding.claimed:
            self.found += finding.presence is Presence.PRESENT
            return
        self.claims += 1
        self.confirmed += finding.presence is Presence.PRESENT
        self.refuted += finding.presence is Presence.ABSENT
        if finding.presence is Presence.UNKNOWN:
            self.unreachable += 1
            self.remark = self.remark or finding.remark


@dataclass(slots=True)
class Count:
    """How many files and contents, and how large these are; each content counts once."""

    files: int = 0
    keys: int = 0
    size: int = 0
    unsized: int = 0

    def add(self, pointer: Pointer) -> None:
        """Count one content."""
        self.files += len(pointer.paths)
        self.keys += 1
        size = pointer.key.size
        self.size += size or 0
        self.unsized += size is None


@dataclass(slots=True)
class Totals:
    """All that was checked: by verdict, by number of copies seen, and by place."""

    all: Count = field(default_factory=Count)
    by_verdict: dict[Verdict, Count] = field(default_factory=lambda: {v: Count() for v in Verdict})
    by_copies: dict[int, Count] = field(default_factory=dict)
    places: dict[PlaceId, PlaceTotals] = field(default_factory=dict)
    mended: Count = field(default_factory=Count)
    left_out: Count = field(default_factory=Count)

    def add(self, checked: Checked) -> None:
        """Count one content, and what was answered about it."""
        pointer = checked.pointer
        self.all.add(pointer)
        if pointer.left_out:
            self.left_out.add(pointer)
        self.by_verdict[checked.verdict].add(pointer)
        self.by_copies.setdefault(checked.copies, Count()).add(pointer)
        for finding in checked.findings:
            place = finding.place
            self.places.setdefault(place.id, PlaceTotals(place)).add(finding)

    def share(self, *verdicts: Verdict) -> float:
        """What part of the contents is so, from 0 to 1; of nothing, all is."""
        if not self.all.keys:
            return 1.0
        return sum(self.by_verdict[verdict].keys for verdict in verdicts) / self.all.keys
