"""Going on with an archive that was packed elsewhere, or whose notes are lost: from its pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from ..archive.archive_folder import ArchiveFolder
from ..archive.known_pieces import has_commit, take_in
from ..archive.snapshots import DatasetSource, Source
from ..core import faults
from ..core.errors import NotFoundError
from ..core.outcome import Outcome, Status
from ..wire.piece import Kernel
from .archive_found import iter_wrong, open_archive


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
    name = _name(folder, source)
    repository = source.repository if isinstance(source, DatasetSource) else None
    with open_archive(pieces, settings, wanted=name, rebuild=False) as found:
        finding = found.finding
        version = finding.snapshots[-1].manifest.version
        is_ours = finding.dataset == name or (not name and not version)
        if repository is not None and not folder.name:
            is_ours = is_ours or has_commit(repository, version)
        if not is_ours:
            piece = finding.pieces[0].name
            detail = f"it is of {finding.dataset}, and what is packed here is {name or 'a folder'}"
            raise faults.PIECE_FOREIGN(piece=piece, detail=detail)
        yield from iter_wrong("pack", finding.faults)
        for error in finding.missing:
            note = f"{error.what}; what is in no piece that is here is packed again"
            yield Outcome("pack", Status.NOT_NEEDED, "pieces", note=note)
        count = take_in(folder, finding, repository, kernel)
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


def _name(folder: ArchiveFolder, source: Source) -> str:
    return folder.name or (source.identity if isinstance(source, DatasetSource) else "")
