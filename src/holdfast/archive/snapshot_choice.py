"""Which snapshot is restored: the newest that can be, or the one somebody names. Pure."""

from __future__ import annotations

from ..core import faults
from .finding import Finding, FoundSnapshot
from .history import chains_to

_NUMBER_MAX = 6
_PREFIX_MIN = 4


def can_be_restored(finding: Finding, snapshot: FoundSnapshot) -> bool:
    """Whether what leads to everything else is here: history, or the root."""
    if snapshot.manifest.version:
        return bool(chains_to(finding, snapshot))
    return snapshot.last is not None


def choose(finding: Finding, version: str | None) -> FoundSnapshot:
    """The snapshot of a version: a commit, the begin of one, or a snapshot's number.

    Raises:
        NotFoundError: There is none that can be restored.
        IncompleteError: A piece that all of it hangs on is missing.
    """
    fit = [one for one in reversed(finding.snapshots) if version is None or _is(one, version)]
    for one in fit:
        if can_be_restored(finding, one):
            return one
    if fit or version is None:
        if finding.missing:
            raise finding.missing[0]
        what = "its git bundle" if finding.snapshots[-1].manifest.version else "its last piece"
        raise faults.PIECE_MISSING(piece="that leads to the rest", detail=f"{what} is not here")
    known = ", ".join(f"{one.number} ({one.manifest.version[:10]})" for one in finding.snapshots)
    raise faults.NO_SUCH_SNAPSHOT(version=version, detail=f"there are: {known.replace(' ()', '')}")


def _is(snapshot: FoundSnapshot, version: str) -> bool:
    if version.isdecimal() and len(version) <= _NUMBER_MAX and int(version) == snapshot.number:
        return True
    return len(version) >= _PREFIX_MIN and snapshot.manifest.version.startswith(version.lower())
