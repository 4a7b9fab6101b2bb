"""Special remotes of a data set, opened: from git-annex's configuration to a store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ..core import faults
from ..core.abilities import Readable
from ..core.place import Place, PlaceId
from ..dataset.key_notes import KeyNotes
from ..stores.special import SpecialRemote, kind_named
from ..wire import logs
from .datasets import Dataset


@dataclass(frozen=True)
class OpenedSpecial:
    """A special remote: its store, and what has to be written to the ledger when it is closed."""

    store: Readable
    notes: KeyNotes


def open_special(dataset: Dataset, local: Mapping[str, str], place: Place) -> OpenedSpecial:
    """Open the special remote that a clone's settings name.

    Raises:
        PlaceUnavailableError: It is of a kind that we cannot open.
    """
    config = config_of(dataset, local, place)
    kind = config.get("type", "unknown")
    if config.get("encryption", "none") != "none" or "chunk" in config:
        raise faults.NO_WAY(place=place.label, kind=f"{kind} (encrypted or in chunks)")
    notes = KeyNotes(dataset.repository, dataset.ledger)
    if kind == "external" and config.get("externaltype") == "datalad-archives":
        from .archives import open_archives  # late: few data sets have archives

        return OpenedSpecial(open_archives(dataset, place), notes)
    settings = dataset.repository.config
    remote = SpecialRemote(
        place, config, local, dataset.repository.annex_dir, notes, environment=os.environ,
        allowed_addresses=settings.get("annex.security.allowed-ip-addresses") or "",
    )  # fmt: skip
    return OpenedSpecial(kind_named(kind, place.label).open_store(remote), notes)


def config_of(dataset: Dataset, local: Mapping[str, str], place: Place) -> dict[str, str]:
    """What all clones share of its configuration; empty when the ledger knows nothing of it."""
    source = PlaceId(local.get("annex-config-uuid", place.id))
    return logs.parse_remotes(dataset.ledger.policy_file(b"remote.log")).get(source, {})
