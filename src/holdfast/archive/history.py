"""Which git bundles lead to a version, and where they are in the pieces."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from ..core import faults
from ..core.errors import HoldError
from ..core.system_errors import as_fault
from ..wire.archive_manifest import BundleRef
from ..wire.file_layout import plan_file
from .finding import Finding, FoundPiece, FoundSnapshot, iter_rows
from .piece_blocks import FileAt, FilePart, is_gapless, iter_content
from .stored_blocks import AnyPiece, StoredBlocks


@dataclass(frozen=True)
class FoundBundle:
    """A bundle, the snapshot it came with, and the piece it is in."""

    ref: BundleRef
    snapshot: int
    piece: FoundPiece


def bundles_of(finding: Finding) -> list[FoundBundle]:
    """All bundles that are here, oldest first."""
    return [
        FoundBundle(ref, snapshot.number, piece)
        for snapshot in finding.snapshots
        for piece in snapshot.in_order
        for ref in piece.manifest.bundles
    ]


def chains_to(finding: Finding, snapshot: FoundSnapshot) -> list[list[FoundBundle]]:
    """Chains of bundles that may lead to a snapshot's version: the likeliest first, each in order.

    The newest up to the snapshot has just its refs. Those of later snapshots hold the version too,
    unless history was rewritten.
    """
    found, manifest = bundles_of(finding), snapshot.manifest
    order = [number for number, one in enumerate(found) if one.snapshot <= snapshot.number][::-1]
    order += [number for number, one in enumerate(found) if one.snapshot > snapshot.number]
    chains = []
    for number in order:
        one = found[number]
        exact = (one.ref.version, one.ref.annex) == (manifest.version, manifest.annex)
        if one.snapshot < snapshot.number and not exact:
            continue  # before the version
        chain = _chain(found, number)
        if chain is not None:
            chains.append(chain)
    return chains


def _chain(found: Sequence[FoundBundle], number: int) -> list[FoundBundle] | None:
    """A bundle with all that it needs before it; None when some of that is missing.

    What one needs is all in the one before it, which is known by its version and annex.
    """
    chain = [found[number]]
    for one in reversed(found[:number]):
        needs = chain[0].ref.needs
        if needs and {one.ref.version, one.ref.annex} & {*needs}:
            chain.insert(0, one)
    return None if chain[0].ref.needs else chain


def write_bundle(finding: Finding, bundle: FoundBundle, path: bytes) -> None:
    """Write a bundle to a file, checked.

    Raises:
        IntegrityError: The piece is damaged there.
        IncompleteError: A part of it is in no piece that is here.
        HoldError: It cannot be read, or written.
    """
    ref = bundle.ref
    file_at = FileAt(ref.size, ref.cid, _parts(finding, bundle))
    if not is_gapless(file_at):
        everything: list[AnyPiece] = [*finding.pieces, *finding.loose]
        stored = StoredBlocks(everything, finding.scratch, [])
        file_at = stored.linked(ref.cid) or stored.scanned(ref.cid) or file_at
    if file_at.blocks is None and not is_gapless(file_at):
        detail = f"a bundle of snapshot {bundle.snapshot} begins in a piece that is not here"
        raise faults.PIECE_MISSING(piece="with the history", detail=detail)
    try:
        with open(path, "wb") as file:
            for chunk in iter_content(file_at):
                file.write(chunk)
    except OSError as error:
        raise as_fault(error, os.fsdecode(path)) from error


def _parts(finding: Finding, bundle: FoundBundle) -> list[FilePart]:
    """Where a bundle is; of one that is split the rows say where the rest of it is."""
    ref, piece = bundle.ref, bundle.piece
    if not ref.length:
        return []  # only its CID is known
    parts = [FilePart(piece.copies, ref.offset, ref.length)]
    if ref.length == plan_file(ref.size).length:
        return parts
    wrong: list[HoldError] = []
    path = next((row.path for row in iter_rows(piece, wrong) if row.offset == ref.offset), b"")
    [snapshot] = [one for one in finding.snapshots if one.number == bundle.snapshot]
    parts = [
        FilePart(other.copies, row.offset, row.length, row.start)
        for other in snapshot.in_order
        if other.manifest.number <= piece.manifest.number
        for row in iter_rows(other, wrong)
        if row.path == path
    ]
    return [] if wrong else parts
