"""Which snapshot is restored: the newest that can be, or the one somebody names. Pure."""

from __future__ import annotations

from ..core import faults
from ..core.errors import HoldError
from .finding import Finding, FoundSnapshot
from .history import chains_to

_NUMBER_MAX = 6
_PREFIX_MIN = 4


def why_not(finding: Finding, snapshot: FoundSnapshot) -> HoldError | None:
    """Why a snapshot cannot be restored: what leads to all else is not here, history or the root.

    None when it can be.
    """
    if snapshot.manifest.version:
        if chains_to(finding, snapshot):
            return None
        detail = f"no chain of git bundles that are here leads to snapshot {snapshot.number}"
        return faults.PIECE_MISSING(piece="with the history", detail=detail)
    if snapshot.last is not None:
        return None
    detail = f"it is the last one of snapshot {snapshot.number}"
    return faults.PIECE_MISSING(piece="with the root", detail=detail)


def choose(finding: Finding, version: str | None, *, files_alone: bool = False) -> FoundSnapshot:
    """The snapshot of a version: a commit, the begin of one, or a snapshot's number.

    One of a folder of which the root is lost is chosen where there is no other; with
    ``files_alone`` one of a data set to whose history nothing leads, or that is encrypted, too.

    Raises:
        NotFoundError: There is none that can be restored.
        IncompleteError: A piece that all of it hangs on is missing.
    """
    fit = [one for one in reversed(finding.snapshots) if version is None or _is(one, version)]
    reasons = []
    for one in fit:
        reason = why_not(finding, one)
        if reason is None:
            return one
        reasons.append(reason)
    for one in fit:
        if files_alone or not (one.manifest.version or one.manifest.is_sealed):
            return one  # a folder of whose root nothing is left: its rows tell of files
    if reasons:
        raise reasons[0]
    known = ", ".join(f"{one.number} ({one.manifest.version[:10]})" for one in finding.snapshots)
    raise faults.NO_SUCH_SNAPSHOT(version=version, detail=f"there are: {known.replace(' ()', '')}")


def _is(snapshot: FoundSnapshot, version: str) -> bool:
    if version.isdecimal() and len(version) <= _NUMBER_MAX and int(version) == snapshot.number:
        return True
    return len(version) >= _PREFIX_MIN and snapshot.manifest.version.startswith(version.lower())
