"""Going on with an archive that was packed elsewhere, or whose notes are lost: from its pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from ..archive.archive_folder import ArchiveFolder
from ..archive.dataset_source import DatasetSource
from ..archive.known_pieces import has_commit, take_in
from ..archive.snapshots import Source
from ..core import faults
from ..core.errors import NotFoundError
from ..core.outcome import Outcome, Status
from ..wire.piece import Kernel
from .archive_found import iter_wrong, open_archive
from .key_place import KeyPlace


def iter_take_known(
    folder: ArchiveFolder,
    source: Source,
    pieces: Sequence[str],
    settings: Mapping[str, str],
    kernel: Kernel,
) -> Iterator[Outcome]:
    """Note what these pieces hold, so that it is not packed again.

    Raises:
        ConflictError: They are of another archive.
        IncompleteError: The last piece of the newest snapshot is not among them.
    """
    dataset, keys = _dataset(source), _keys(source)
    name = folder.name or (dataset.identity if dataset is not None else "")
    with open_archive(pieces, settings, wanted=name, keys=keys, rebuild=False) as found:
        finding = found.finding
        newest, piece = finding.snapshots[-1], finding.pieces[0].name
        version = newest.manifest.version
        is_ours = finding.dataset == name or (not name and not version)
        if dataset is not None and not folder.name:
            is_ours = is_ours or has_commit(dataset.repository, version)
        if (newest.number in found.unlocked.sealed) != source.is_sealed:
            what = "in the clear" if source.is_sealed else "encrypted"
            raise faults.PIECE_FOREIGN(
                piece=piece, detail=f"it is {what}, and what is packed is not"
            )
        if not is_ours:
            detail = f"it is of {finding.dataset}, and what is packed here is {name or 'a folder'}"
            raise faults.PIECE_FOREIGN(piece=piece, detail=detail)
        yield from iter_wrong("pack", finding.faults)
        for error in finding.missing:
            note = f"{error.what}; what is in no piece that is here is packed again"
            yield Outcome("pack", Status.NOT_NEEDED, "pieces", note=note)
        repository = None if dataset is None else dataset.repository
        count = take_in(folder, finding, repository, kernel, is_sealed=source.is_sealed)
        note = f"{count} snapshot{'s' if count != 1 else ''} noted from its pieces"
        status = Status.OK if count else Status.NOT_NEEDED
        yield Outcome("pack", status, "known", note=note, facts={"snapshots": count})


def iter_take_from_folder(
    folder: ArchiveFolder, source: Source, write: bytes, settings: Mapping[str, str], kernel: Kernel
) -> Iterator[Outcome]:
    """The same, of the folder that pieces are written to, when nothing is noted yet."""
    if folder.snapshots or folder.begun or not isinstance(source, DatasetSource):
        return
    names = [os.fsdecode(write)]
    try:
        with open_archive(names, settings, wanted=source.identity, rebuild=False) as found:
            if found.finding.dataset != source.identity:
                return
    except NotFoundError:
        return
    for outcome in iter_take_known(folder, source, names, settings, kernel):
        if outcome.path == "known":
            yield outcome


def _dataset(source: Source) -> DatasetSource | None:
    """The data set that is packed, encrypted or not; None for a plain folder."""
    if source.is_sealed:
        from ..archive.sealed_source import SealedSource  # late: most archives are in the clear

        plain = source.plain if isinstance(source, SealedSource) else None
        return plain if isinstance(plain, DatasetSource) else None
    return source if isinstance(source, DatasetSource) else None


def _keys(source: Source) -> KeyPlace | None:
    """Where the keys are that it is packed with; None where there are none."""
    if not source.is_sealed:
        return None
    from ..archive.sealed_source import SealedSource

    return KeyPlace(source.sealing.keys.path) if isinstance(source, SealedSource) else None
