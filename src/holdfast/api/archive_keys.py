"""The keys of encrypted archives: where they are; listed, made, destroyed."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..archive.scope_keys import Identity, KeyFolder, keys_folder, named, read_identities
from ..archive.seal_primitives import primitives
from ..archive.snapshots import DatasetSource
from ..core import faults
from ..core.errors import HoldError, NotFoundError
from ..core.outcome import Outcome, Report, Status, complete
from ..dataset.versions import commit_of
from .datasets import Dataset

KEYS = "keys"


@dataclass(frozen=True)
class KeyPlace:
    """Where keys are: a folder or file that is named, else a folder of the data set's own."""

    path: bytes | None = None
    config: str = field(default_factory=lambda: os.path.expanduser("~/.config"))

    def of(self, dataset: str) -> bytes:
        """Where those of a data set are.

        Raises:
            AccessError: Its id cannot be the name of a folder.
        """
        return self.path if self.path is not None else keys_folder(self.config, dataset)

    def open(self, dataset: str) -> KeyFolder:
        """The folder that a data set is packed with.

        Raises:
            PlaceUnavailableError: What encrypts is not installed.
        """
        return KeyFolder(os.path.abspath(self.of(dataset)), primitives())

    def identities(self, dataset: str) -> list[Identity]:
        """All identities there; none when there is nothing and nothing was named.

        Raises:
            AccessError: What was named has none, or cannot be used.
        """
        path = self.of(dataset)
        try:
            found = read_identities(path) if os.path.exists(path) else []
        except NotFoundError:
            found = []
        if not found and self.path is not None:
            step = "name the file or folder with a line AGE-SECRET-KEY-1…"
            raise faults.ARCHIVE_KEYS(
                path=os.fsdecode(path), detail="there is no age identity", next=step
            )
        return found


def dataset_id(dataset: Dataset) -> str:
    """What the folder with the keys of a data set is called."""
    repository = dataset.repository
    version = commit_of(repository, "HEAD")
    return DatasetSource(repository, dataset.objects, lambda: dataset.ledger, version).identity


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
        yield Outcome(KEYS, Status.NOT_NEEDED, scope, note=note, facts={"destroyed": True})


def iter_archive_keys_make(
    folder: KeyFolder, scope: str, recipients: Sequence[str] = ()
) -> Iterator[Outcome]:
    """Make the key of a scope; ``recipients`` can open what is packed of it, too.

    Raises:
        ConflictError: It has one.
        UsageError: What was given is no recipient of age.
    """
    who = getpass.getuser()
    folder.make(scope, os.urandom(32), os.urandom(32), recipients, who)
    yield told_made(folder, scope)


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
    others = folder.destroy(scope, getpass.getuser(), why)
    note = f"destroyed: nothing here opens what was packed of {named(scope)}"
    if others:
        note += f"; who has the key of {', '.join(others)} still can"
    yield Outcome(KEYS, Status.OK, scope, note=note, facts={"others": others})


def archive_keys(folder: KeyFolder) -> Report:
    """List keys; see `iter_archive_keys`."""
    return complete(iter_archive_keys(folder))
