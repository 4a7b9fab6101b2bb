"""Making the data set of an archive: its history out of the bundles in the pieces."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress

from ..archive.finding import FoundSnapshot
from ..archive.history import FoundBundle, chains_to, write_bundle
from ..archive.snapshot_choice import why_not
from ..core import faults
from ..core.errors import HoldError
from ..core.outcome import Outcome, Status
from ..dataset.cloning import check_target, forget_building
from ..dataset.from_bundles import Wanted, building_from, make_of_bundles
from .archive_found import FoundArchive
from .archive_unsealing import unseal_bundle

_MARK = b"/.git/annex/hold-restored"
"""Says in a restored data set what it was restored from, so that the same call can go on."""

_ADJUSTED = re.compile(r"adjusted/(.+)\(.*\)")
"""git-annex's name for a branch that is shown otherwise; what is restored is on the branch."""


def have_dataset(
    found: FoundArchive, snapshot: FoundSnapshot, target: bytes, *, as_anybody: bool = False
) -> Iterator[Outcome]:
    """Make the data set, without content; go on with one that was made by the same call.

    With ``as_anybody`` git need not know who we are: for one that will not be worked in.

    Raises:
        ConflictError: The target is something else.
        HoldError: No bundles that are whole lead to the version.
    """
    manifest = snapshot.manifest
    mark = {"dataset": manifest.dataset, "version": manifest.version}
    name = os.fsdecode(target)
    note = f"version {manifest.version[:10]}"
    if manifest.branch:
        note += f" on branch {manifest.branch}"
    there = _mark_of(target)
    if there == mark:
        forget_building(target)
        yield Outcome("restore", Status.NOT_NEEDED, name, note=f"{note}; its history is here")
        return
    if there is not None:
        detail = f"it was restored from version {there.get('version', '')[:10]}"
        raise faults.RESTORED_OTHER(path=name, detail=detail)
    check_target(target)
    if os.path.isdir(target):
        with suppress(OSError):  # of a mount, say: that is filled instead
            os.rmdir(target)  # it is empty; what is built beside takes its place at once
    failures: list[HoldError] = []
    for chain in chains_to(found.finding, snapshot):
        try:
            _make(found, snapshot, chain, target, mark, as_anybody=as_anybody)
        except HoldError as error:
            failures.append(error)
        else:
            if (later := chain[-1].snapshot) > snapshot.number:
                note += f"; its tags are those of snapshot {later}"
            yield Outcome("restore", Status.OK, name, note=note, facts=mark)
            return
    raise failures[0] if failures else _no_way(found, snapshot)


def history_fault(found: FoundArchive, snapshot: FoundSnapshot) -> HoldError | None:
    """Why nothing in these pieces gives the history of a version; None when something is whole.

    All bundles that lead to it are read for that, until some are whole.
    """
    faults_found: list[HoldError] = []
    path = found.scratch + b"/tried.bundle"
    for chain in chains_to(found.finding, snapshot):
        try:
            for bundle in chain:
                write_bundle(found.finding, bundle, path)
        except HoldError as error:
            faults_found.append(error)
        else:
            return None
    return faults_found[0] if faults_found else _no_way(found, snapshot)


def _no_way(found: FoundArchive, snapshot: FoundSnapshot) -> HoldError:
    reason = why_not(found.finding, snapshot)
    assert reason is not None, "without a chain there is a reason"
    return reason


def _make(
    found: FoundArchive,
    snapshot: FoundSnapshot,
    chain: list[FoundBundle],
    target: bytes,
    mark: dict[str, str],
    *,
    as_anybody: bool,
) -> None:
    manifest = snapshot.manifest
    paths = []
    for number, bundle in enumerate(chain):
        paths.append(found.scratch + b"/%04d.bundle" % number)
        write_bundle(found.finding, bundle, paths[-1])
        unseal_bundle(found, snapshot, paths[-1])
    with building_from(target) as folder:
        branch = _ADJUSTED.sub(r"\1", manifest.branch)
        wanted = Wanted(manifest.version, branch, manifest.annex)
        name = os.fsdecode(os.path.basename(target))
        make_of_bundles(folder, paths, wanted, name, as_anybody=as_anybody)
        path = folder + _MARK
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(mark, file)
            file.flush()
            os.fsync(file.fileno())
    for path in paths:
        os.unlink(path)


def _mark_of(target: bytes) -> dict[str, str] | None:
    try:
        with open(target + _MARK, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
