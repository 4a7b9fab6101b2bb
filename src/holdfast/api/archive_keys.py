"""The keys of encrypted archives: where they are; listed, made, taken in, given out, destroyed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..archive.archive_folder import ArchiveFolder
from ..archive.dataset_source import DatasetSource
from ..archive.scope_keys import (
    IMPORTED,
    KeyFolder,
    named,
    read_key_text,
    read_recipients,
    the_identity_in,
    write_key_text,
)
from ..core import faults
from ..core.errors import HoldError
from ..core.outcome import Outcome, Report, Status, complete
from ..core.paths import is_within
from ..core.place import new_uuid
from ..core.user import user_name
from ..dataset.versions import commit_of
from .datasets import Dataset
from .key_place import KeyPlace

KEYS = "keys"


def dataset_id(dataset: Dataset) -> str:
    """What the folder with the keys of a data set is called."""
    repository = dataset.repository
    version = commit_of(repository, "HEAD")
    return DatasetSource(repository, dataset.objects, lambda: dataset.ledger, version).identity


def folder_keys(place: KeyPlace, state: bytes, *, begin: bool) -> KeyFolder:
    """The keys of the archive of a plain folder that is noted in ``state``.

    Unless a place is named they are where those of data sets are, by the id of the archive: that
    is in ``state``. With ``begin``, an archive that is new is given one.

    Raises:
        AccessError: They would be in ``state``; or no archive is noted there.
        PlaceUnavailableError: Another process has the archive; or what encrypts is not installed.
    """
    archive = ArchiveFolder(state)
    if begin and not archive.name and place.path is None:
        with archive.locked():
            if not archive.name:
                archive.keep_name(new_uuid())
    if not archive.name and place.path is None:
        raise faults.ARCHIVE_KEYS(
            path=os.fsdecode(state), detail="no archive is noted in it",
            next="give the folder that pack has as --state",
        )  # fmt: skip
    found = place.open(archive.name)
    refuse_in_folder(found.path, state, "it is where it is noted what was packed")
    return found


def iter_archive_keys(folder: KeyFolder) -> Iterator[Outcome]:
    """The scopes that have a key, and those whose key was destroyed. Tells no secret."""
    for scope in folder.scopes():
        count = len(folder.recipients(scope))
        note = f"{count} recipient{'s' if count != 1 else ''}"
        facts = {"recipients": folder.recipients(scope)}
        try:
            folder.key(scope)
        except HoldError as error:
            yield Outcome(KEYS, Status.ERROR, scope, error=error, note=error.why, facts=facts)
        else:
            yield Outcome(KEYS, Status.OK, scope, note=note, facts=facts)
    for scope, record in folder.destroyed().items():
        note = f"destroyed {record.get('time')} by {record.get('who')}: {record.get('why')}"
        yield Outcome(KEYS, Status.OK, scope, note=note, facts={"destroyed": True})


def iter_archive_keys_make(
    folder: KeyFolder, scope: str, recipients: Sequence[str] = ()
) -> Iterator[Outcome]:
    """Make the key of a scope; ``recipients`` can open what is packed of it, too.

    They are given themselves, or as files of them.

    Raises:
        ConflictError: It has one.
        UsageError: What was given is no recipient of age.
    """
    who, others = user_name(), read_recipients(recipients)
    folder.make(scope, os.urandom(32), os.urandom(32), others, who)
    yield told_made(folder, scope)


def iter_archive_keys_import(
    folder: KeyFolder, scope: str, path: bytes, recipients: Sequence[str] = (),
    text: str | None = None,
) -> Iterator[Outcome]:  # fmt: skip
    """Make the key of a scope of an age identity that there is already, in a file of age-keygen.

    What is packed of the scope is opened by that identity, wherever it is. ``text`` is what the
    file has, where it was read from somewhere else.

    Raises:
        ConflictError: The scope has a key.
        AccessError: There is no one identity in the file, or others can read it.
        UsageError: What was given is no recipient of age.
    """
    text = read_key_text(path) if text is None else text
    identity = the_identity_in(text, os.fsdecode(path))
    who, others = user_name(), read_recipients(recipients)
    folder.make(scope, identity.secret, os.urandom(32), others, who, IMPORTED)
    where = os.fsdecode(folder.path)
    points = folder.recipients(scope)
    note = f"imported into {where}: what is packed of {named(scope)} opens with {points[0]}"
    facts = {"folder": where, "recipients": points}
    yield Outcome(KEYS, Status.OK, scope, note=note, facts=facts)


def iter_archive_keys_export(folder: KeyFolder, scope: str, path: bytes) -> Iterator[Outcome]:
    """Write the identity of a scope to a new file, which `age -d` and restore take.

    Raises:
        AccessError: It has none.
        HoldError: Something is there already, or it cannot be written.
    """
    write_key_text(path, folder.identity_text(scope))
    name = os.fsdecode(path)
    note = f"written to {name}: who can read it can open what is packed of {named(scope)}"
    yield Outcome(KEYS, Status.OK, scope, note=note, facts={"file": name})


def refuse_in_repository(dataset: Dataset, path: bytes) -> None:
    """Refuse a file or folder for secrets that is in the data set.

    Raises:
        AccessError: It is.
    """
    refuse_in_folder(path, dataset.repository.top, "it is in the data set, which others get")


def refuse_in_folder(path: bytes, folder: bytes, detail: str) -> None:
    """Refuse a file or folder for secrets that is in a folder where they may not be.

    Raises:
        AccessError: It is.
    """
    if is_within(path, folder):
        raise faults.ARCHIVE_KEYS(
            path=os.fsdecode(path), detail=detail, next="name a place outside of it"
        )


def told_made(folder: KeyFolder, scope: str) -> Outcome:
    """That a key was made, and what to do with it."""
    path = os.fsdecode(folder.path)
    note = f"made in {path}: keep a copy elsewhere, without it nothing of this can be restored"
    facts = {"folder": path, "recipients": folder.recipients(scope)}
    return Outcome(KEYS, Status.OK, scope, note=note, facts=facts)


def iter_archive_keys_destroy(folder: KeyFolder, scope: str, why: str) -> Iterator[Outcome]:
    """Destroy the key of a scope: what was packed of it can be read by nobody who has no copy.

    Who did it, when and why is noted before. Who else was a recipient is told: they still can.

    Raises:
        AccessError: It has none.
    """
    was_imported = folder.was_imported(scope)
    others = folder.destroy(scope, user_name(), why)
    note = f"destroyed: nothing here opens what was packed of {named(scope)}"
    if others:
        note += f"; who has the key of {', '.join(others)} still can"
    if was_imported:
        note += "; it was imported, and who has it elsewhere still can"
    yield Outcome(
        KEYS, Status.OK, scope, note=note, facts={"others": others, "imported": was_imported}
    )


def archive_keys(folder: KeyFolder) -> Report:
    """List keys; see `iter_archive_keys`."""
    return complete(iter_archive_keys(folder))
