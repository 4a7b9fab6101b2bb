"""Packing an archive encrypted: how it was begun is how it goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from ..archive.archive_folder import ArchiveFolder
from ..archive.scope_keys import KeyFolder
from ..archive.scopes import Scopes
from ..archive.seal_primitives import primitives
from ..archive.sealed_lost import missing_rows
from ..archive.sealed_source import SealedSource
from ..archive.sealed_state import Encryption, read_encryption, write_encryption
from ..archive.sealing import Sealing
from ..archive.snapshots import Source
from ..core import faults
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.user import user_name
from .archive_keys import told_made


@dataclass(frozen=True)
class EncryptBy:
    """That an archive is to be encrypted; with globs, folders of one name share a key."""

    globs: tuple[str, ...] = ()


def encryption_of(folder: ArchiveFolder, wanted: EncryptBy | None) -> Encryption | None:
    """How an archive is encrypted: as it was begun, or as is wanted of a new one; None if not.

    Raises:
        ConflictError: It was begun otherwise.
        UsageError: A glob is none.
    """
    found = read_encryption(folder.folder)
    if found is None:
        if wanted is None:
            return None
        if folder.snapshots or folder.has_packed:
            raise _other(folder, "it was begun in the clear")
        Scopes(wanted.globs)
        return Encryption(wanted.globs)
    if wanted is not None and wanted.globs not in ((), found.globs):
        said = ", ".join(found.globs) or "one key for all of it"
        raise _other(folder, f"it was begun with {said}")
    return found


def sealing_of(encryption: Encryption, keys: KeyFolder, words: str = "") -> Sealing:
    """What it is packed with; ``words`` is what calls about its keys need besides."""
    scopes = Scopes(encryption.globs)
    return Sealing(keys, scopes, primitives(), encryption.scopes, user_name(), words)


def note_encryption(folder: ArchiveFolder, source: Source) -> None:
    """Note, before anything is planned and after, how it is encrypted and which scopes it has."""
    if isinstance(source, SealedSource):
        sealing = source.sealing
        here = frozenset(sealing.used)
        wanted = Encryption(sealing.scopes.globs, sealing.known | here)
        if read_encryption(folder.folder) != wanted:
            write_encryption(folder.folder, wanted)


def refuse_without_keys(source: Source) -> None:
    """Refuse to make pieces of an encrypted archive where none of its keys is.

    Raises:
        AccessError: There is none, or one that cannot be used.
    """
    if not isinstance(source, SealedSource):
        return
    keys, known = source.sealing.keys, source.sealing.known
    here = [scope for scope in sorted(known) if keys.has(scope)]
    for scope in here:
        keys.key(scope)
    if known and not here:
        detail = "no key of this archive is there"
        if not os.path.isdir(keys.path):
            detail = "there is no such folder"
        step = "name the folder where they are: --keys FOLDER"
        raise faults.ARCHIVE_KEYS(path=os.fsdecode(keys.path), detail=detail, next=step)


def iter_told_sealed(source: Source, folder: bytes, action: str) -> Iterator[Outcome]:
    """Keys that were made, and content that is missing, which the plan itself does not name."""
    if not isinstance(source, SealedSource):
        return
    for scope in source.sealing.made:
        yield told_made(source.sealing.keys, scope)
    if action == "plan":
        for path, key, size, urls, reason in missing_rows(folder):
            name, facts = os.fsdecode(path), {"urls": list(urls)}
            yield Outcome(
                action, Status.NOT_NEEDED, name, Key(key), size, f"missing: {reason}", facts=facts
            )


def _other(folder: ArchiveFolder, detail: str) -> Exception:
    return faults.ARCHIVE_OTHER_LOCKS(detail=detail, path=os.fsdecode(folder.folder))
