"""Archives: a data set, or a plain folder, as pieces that can be restored from themselves alone."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from ..archive.archive_folder import ArchiveFolder, folder_of
from ..archive.left_out import count_left_out
from ..archive.plan_file import Plan
from ..archive.plan_records import PIECE_SIZE, PIECE_SIZE_MIN
from ..archive.sealed_state import read_encryption
from ..archive.snapshot_state import DonePiece
from ..archive.snapshots import Repacked, Source, make_plan, pack
from ..core import faults
from ..core.outcome import Outcome, Report, complete
from ..core.progress import Progress, Silence
from ..core.system_errors import as_fault, as_target_fault
from ..kernel.choose import best
from ..wire.piece import Kernel
from .archive_telling import (
    iter_not_written,
    iter_passed_over,
    iter_plan,
    nothing_new,
    told_again,
    told_piece,
    told_snapshot,
)

# Of what is not asked for each time nothing is loaded before it is: that takes longer than to pack.
if TYPE_CHECKING:
    from .archive_parity import ParityPlan
    from .archive_sealing import EncryptBy
    from .archive_send import Delivery, Destination
    from .datasets import Dataset
    from .key_place import KeyPlace


class Archive(NamedTuple):
    """What is archived, and the folder in which it is noted what was."""

    folder: ArchiveFolder
    source: Source
    version: str = ""


def archive_of(
    dataset: Dataset, version: str | None = None, *, branches: bool = False,
    encrypt: EncryptBy | None = None, keys: KeyPlace | None = None,
) -> Archive:  # fmt: skip
    """The archive of a data set; its next snapshot is of that version, else of the present one.

    With ``branches``, the history of all branches is in it; without, that of the version and tags.
    With ``encrypt`` a new archive is encrypted; one that is goes on as it was begun. ``keys`` says
    where its keys are.

    Raises:
        NotFoundError: There is no such version.
        ConflictError: A snapshot of another version is begun; or it is encrypted otherwise.
        UsageError: A folder of keys is named, and it is not encrypted.
        AccessError: Keys would be in the data set.
    """
    # Late: a plain folder needs none of it.
    from ..archive.dataset_source import DatasetSource
    from ..dataset.versions import commit_of, present_of

    repository = dataset.repository
    folder = ArchiveFolder(folder_of(repository))
    commit = commit_of(repository, version) if version else present_of(repository)
    begun = folder.begun
    if begun is not None and folder.has_packed and begun.head.version != commit:
        if version is not None:
            detail = f"snapshot {begun.head.snapshot} is begun of version {begun.head.version[:10]}"
            raise faults.ARCHIVE_STATE(path=os.fsdecode(folder.next_folder), detail=detail)
        commit = begun.head.version
    plain = DatasetSource(
        repository, dataset.objects, lambda: dataset.ledger, commit, branches=branches
    )
    if encrypt is None and read_encryption(folder.folder) is None:
        _refuse_keys_in_the_clear(keys)
        return Archive(folder, plain, commit)
    from ..archive.sealable import SealableDataset
    from ..archive.sealed_source import SealedSource
    from .archive_keys import refuse_in_repository
    from .archive_sealing import encryption_of, sealing_of
    from .key_place import KeyPlace

    encryption = encryption_of(folder, encrypt)
    assert encryption is not None, "it is wanted, or noted"
    if branches:
        what = "--branches: an encrypted archive has the history of the version and tags"
        raise faults.BAD_USAGE(what=what, command="archive")
    place = (keys or KeyPlace()).open(plain.identity)
    refuse_in_repository(dataset, place.path)
    sealable = SealableDataset(
        repository, dataset.objects, lambda: dataset.ledger, commit,
        has_history=not encryption.globs,
    )  # fmt: skip
    return Archive(folder, SealedSource(sealable, sealing_of(encryption, place)), commit)


def archive_of_folder(
    path: bytes, state: bytes, *, encrypt: EncryptBy | None = None, keys: KeyPlace | None = None,
    progress: Progress | None = None,
) -> Archive:  # fmt: skip
    """The archive of a plain folder; what was packed is noted in the folder ``state``.

    ``encrypt`` and ``keys`` are as for `archive_of`; a new encrypted archive gets its id now. To
    plan one all files are read, of which ``progress`` is told.

    Raises:
        NotFoundError: There is no such folder.
        ConflictError: It is encrypted otherwise.
        UsageError: A folder of keys is named, and it is not encrypted; or ``state`` is the folder
            itself, or no folder.
        AccessError: Keys would be in the folder, or beside the notes.
    """
    path, state = os.path.realpath(path), os.path.realpath(state)
    if not os.path.isdir(path):
        from ..dataset.git import no_folder

        raise no_folder(path)
    if state == path:  # one that is in it is passed over
        raise faults.ARCHIVE_WITHIN(path=os.fsdecode(state))
    try:
        folder = ArchiveFolder(state)
    except OSError as error:
        raise as_target_fault(error, os.fsdecode(state)) from error
    if encrypt is None and read_encryption(folder.folder) is None:
        _refuse_keys_in_the_clear(keys)
        from ..archive.folder_source import FolderSource

        return Archive(folder, FolderSource(path, state))
    from ..archive.sealable import SealableFolder
    from ..archive.sealed_source import SealedSource
    from .archive_keys import folder_keys, refuse_in_folder
    from .archive_sealing import encryption_of, sealing_of
    from .key_place import KeyPlace

    encryption = encryption_of(folder, encrypt)
    assert encryption is not None, "it is wanted, or noted"
    place = folder_keys(keys or KeyPlace(), state, begin=True)
    refuse_in_folder(place.path, path, "it is in the folder that is packed")
    sealing = sealing_of(encryption, place, f" --state {shlex.quote(os.fsdecode(state))}")
    sealable = SealableFolder(path, state, progress or Silence(), best())
    return Archive(folder, SealedSource(sealable, sealing))


def _refuse_keys_in_the_clear(keys: KeyPlace | None) -> None:
    if keys is not None and keys.path is not None:
        what = "--keys: this archive is in the clear; --encrypt makes a new one that is not"
        raise faults.BAD_USAGE(what=what, command="archive")


def iter_archive_plan(archive: Archive, *, piece_size: int | None = None) -> Iterator[Outcome]:
    """Plan the next snapshot: how many pieces it will be, and what is in each.

    Nothing is read but names and sizes; the plan is kept, and `iter_archive_pack` goes by it. Until
    something is packed, it is made anew when the version, what is known of its content or the piece
    size is another; that of a plain folder always.
    Content that is missing is told of and recorded; it keeps nobody from packing the rest.

    Raises:
        UsageError: A name cannot be in an archive, or something does not fit into a piece.
        ConflictError: A snapshot with another piece size is begun.
    """
    with archive.folder.locked():
        plan = _planned(archive, piece_size)
        yield from _told_sealed(archive, "plan")
        if plan is None:
            yield nothing_new(archive, "plan")
            return
        passed = archive.source.passed_over
        yield from iter_passed_over("plan", passed)
        missing = count_left_out(archive.folder, plan.head.snapshot)
        yield from iter_plan(plan, missing, passed)


class PackOptions(NamedTuple):
    """What else there is to say of packing.

    ``parity`` is what pieces in ``write`` get beside them. ``known`` are pieces of earlier
    snapshots, wherever they were packed: what is in them is not packed again; ``settings`` restrict
    how URLs among them are read. ``kernel`` hashes, else the fastest there is.
    """

    parity: ParityPlan | None = None
    known: Sequence[str] = ()
    settings: Mapping[str, str] = {}  # never changed
    kernel: Kernel | None = None


def iter_archive_pack(
    archive: Archive,
    *,
    write: bytes | None = None,
    to: Destination | None = None,
    piece_size: int | None = None,
    options: PackOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Pack the next snapshot, going on where a run before was stopped; an outcome for each piece.

    Every byte is read once and checked against its key. With ``write``, pieces are files in that
    folder, named by their PieceCID once they are whole; without, it is only noted what they are.
    A file that is not what was planned is told of, and what there is instead is packed.

    With ``to``, pieces of all snapshots that are not whole at a place are sent there, made from
    their sources once more: an outcome ``send`` for each. A file that changed since it was packed
    is packed again, alone. A snapshot is finished when all of it is there; what could not be sent
    is by the next run.

    Raises:
        UsageError: As `iter_archive_plan`; or pieces would be among the files that are packed.
        ConflictError: As `iter_archive_plan`; or a file keeps changing.
        PlaceFullError: There is no room for a piece. What was packed is kept.
    """
    listener, chosen = progress or Silence(), options or PackOptions()
    kernel, parity = chosen.kernel or best(), chosen.parity
    for folder in (write, to.place.folder if to is not None else None):
        if folder:
            archive.source.refuse_within(folder)
    if write is not None:
        _make_folder(write)
    with archive.folder.locked(), ExitStack() as stack:
        yield from _take_known(archive, chosen, write, kernel)
        delivery = None
        if to is not None:
            from .archive_send import Delivery

            found = Delivery(archive.folder, archive.source, to, kernel, listener)
            delivery = stack.enter_context(found)
            yield from delivery.iter_earlier()
        yield from _iter_next(archive, write or b"", delivery, piece_size, kernel, listener)
        if delivery is not None:
            yield from delivery.finish()
        if write is not None and parity is not None:
            from .archive_parity import iter_archive_parity

            pieces = [os.fsdecode(write)]
            yield from iter_archive_parity(pieces, write, parity, kernel=kernel, progress=listener)


def _iter_next(
    archive: Archive, write: bytes, delivery: Delivery | None, piece_size: int | None,
    kernel: Kernel, listener: Progress,
) -> Iterator[Outcome]:  # fmt: skip
    """The next snapshot, packed and delivered, if there is anything new."""
    plan = _planned(archive, piece_size)
    yield from _told_sealed(archive, "pack")
    if plan is None:
        yield nothing_new(archive, "pack")
        yield from iter_not_written(archive, write)
        return
    passed = archive.source.passed_over
    yield from iter_passed_over("pack", passed)
    listener.start(plan.summary.files, plan.summary.size)
    number, deliver = 0, None if delivery is None else delivery.deliver
    try:
        for one in pack(archive.folder, archive.source, plan, kernel, listener, write, deliver):
            if isinstance(one, DonePiece):
                yield told_piece(number, one)
                number += 1
            elif isinstance(one, Repacked):
                yield told_again(one)
            else:
                assert delivery is not None
                yield delivery.told(one)
    except OSError as error:
        path = os.fsdecode(error.filename or write or archive.folder.folder)
        raise as_fault(error, path) from error
    finally:
        listener.stop()
    if archive.folder.snapshots and archive.folder.snapshots[-1].number == plan.head.snapshot:
        yield told_snapshot(archive, passed)
        yield from iter_not_written(archive, write)


def _take_known(
    archive: Archive, options: PackOptions, write: bytes | None, kernel: Kernel
) -> Iterator[Outcome]:
    if not options.known and write is None:
        return
    from .archive_known import iter_take_from_folder, iter_take_known

    folder, source, settings = archive.folder, archive.source, options.settings
    if options.known:
        yield from iter_take_known(folder, source, options.known, settings, kernel)
    elif write is not None:
        yield from iter_take_from_folder(folder, source, write, settings, kernel)


def archive_plan(archive: Archive, *, piece_size: int | None = None) -> Report:
    """Plan the next snapshot; see `iter_archive_plan`."""
    return complete(iter_archive_plan(archive, piece_size=piece_size))


def archive_pack(
    archive: Archive,
    *,
    write: bytes | None = None,
    to: Destination | None = None,
    piece_size: int | None = None,
    options: PackOptions | None = None,
) -> Report:
    """Pack the next snapshot; see `iter_archive_pack`.

    Raises:
        IncompleteError: A file was not what its key says, or a piece could not be sent.
    """
    return complete(
        iter_archive_pack(archive, write=write, to=to, piece_size=piece_size, options=options)
    )


def _planned(archive: Archive, piece_size: int | None) -> Plan | None:
    """The plan of the next snapshot; None when all is in earlier ones."""
    folder = archive.folder
    begun = folder.begun
    size = PIECE_SIZE if begun is None else begun.head.piece_size
    if piece_size is not None:
        size = piece_size
    if size < PIECE_SIZE_MIN or size & (size - 1):
        least = f"{PIECE_SIZE_MIN >> 20}MiB"
        what = f"a piece of {size:,} bytes: it has to be a power of two, {least} at least"
        raise faults.BAD_USAGE(what=what, command="archive")
    if begun is not None and not folder.has_packed and _is_other(archive, begun, size):
        folder.forget_begun()
        begun = None
    _note_encryption(archive)
    try:
        plan = make_plan(folder, archive.source, size)
    except BaseException:
        if begun is None:
            folder.forget_begun()
        raise
    _note_encryption(archive)
    if folder.snapshots and not _brings_something(plan):
        folder.forget_begun()
        return None
    return plan


def _note_encryption(archive: Archive) -> None:
    if archive.source.is_sealed:
        from .archive_sealing import note_encryption

        note_encryption(archive.folder, archive.source)


def _told_sealed(archive: Archive, action: str) -> Iterator[Outcome]:
    if archive.source.is_sealed:
        from .archive_sealing import iter_told_sealed

        yield from iter_told_sealed(archive.source, archive.folder.next_folder, action)


def _is_other(archive: Archive, plan: Plan, piece_size: int) -> bool:
    return plan.head.piece_size != piece_size or archive.source.is_outdated(plan)


def _brings_something(plan: Plan) -> bool:
    """Whether anything but the words about the snapshot is new in it."""
    return plan.summary.files > 1 or bool(plan.head.bundles)


def _make_folder(path: bytes) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise as_target_fault(error, os.fsdecode(path)) from error
