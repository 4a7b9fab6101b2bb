"""Making a fresh git clone one of a data set; plain git stays plain."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..core.errors import HoldError
from ..core.place import PlaceId
from . import remote_branches
from .config import Section, append_settings
from .enabling import Enabling, enable_special_remotes
from .initialise import initialise
from .repository import Repository


class Adopted(NamedTuple):
    """The place a clone is (None for plain git), and its special remotes."""

    uuid: PlaceId | None
    special: Sequence[Enabling]


def adopt(
    folder: bytes,
    origin: str,
    name: str,
    siblings: str | None,
    storage_of: Callable[[str], PlaceId | None] = lambda _: None,
) -> Adopted:
    """Make the clone in a folder, whose remote is called ``origin``, a place of its data set.

    It learns which place it came from and how special remotes are read; ``siblings`` is the URL
    below which the data sets inside of it are looked for, in a RIA store. ``storage_of`` tells
    which special remote keeps the content of a repository in such a store, if it can.
    """
    repository = Repository(folder)
    try:
        special = _adopt(repository, origin, name, siblings)
        if siblings is not None:
            from .adopting_store import adopt_store

            adopt_store(repository, origin, siblings.partition("#")[0], storage_of)
        return Adopted(repository.uuid, special)
    finally:
        repository.close()


def _adopt(repository: Repository, origin: str, name: str, siblings: str | None) -> list[Enabling]:
    settings: list[Section] = []
    if siblings is not None:
        candidate = ("subdataset-source-candidate-200origin", siblings)
        settings.append(("datalad.get", [candidate]))
    annexed = bool(remote_branches.unmerged_refs(repository))
    source = _uuid_of_remote(repository, origin) if annexed else None
    if source is not None:
        settings.append((f"remote.{origin}", [("annex-uuid", source)]))
    if annexed:
        initialise(repository, name, settings)
        return enable_special_remotes(repository)
    if settings:
        append_settings(os.path.join(repository.common_dir, b"config"), settings)
        repository.forget_config()
    return []


def _uuid_of_remote(repository: Repository, name: str) -> PlaceId | None:
    """The place a clone came from, when it is on this machine; others are asked when first used."""
    from urllib.parse import unquote, urlsplit

    url = repository.config.get(f"remote.{name}.url") or ""
    path = unquote(urlsplit(url).path) if url.startswith("file://") else url
    if not os.path.isabs(path) or not os.path.isdir(path):
        return None
    try:
        other = Repository(os.fsencode(path))
        uuid = other.uuid
    except HoldError:
        return None
    other.close()
    return uuid
