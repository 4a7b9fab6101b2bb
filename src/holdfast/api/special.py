"""Special remotes of a data set, opened: from git-annex's configuration to a store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..core import faults
from ..core.abilities import Readable
from ..core.place import Place, PlaceId, Trust
from ..dataset.exported import ExportedFiles
from ..dataset.key_notes import KeyNotes
from ..stores.special import PathsOf, SpecialRemote, kind_named, kind_of
from ..wire import logs
from ..wire.branch_paths import EXPORT_LOG
from ..wire.exports import exported_trees
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
    kind = kind_of(config)
    place = _as_far_as_trusted(place, config)
    if config.get("encryption", "none") != "none" or "chunk" in config:
        raise faults.NO_WAY(place=place.label, kind=f"{kind} (encrypted or in chunks)")
    notes = KeyNotes(dataset.repository, dataset.ledger)
    settings = dataset.repository.config
    remote = SpecialRemote(
        place, config, local, dataset.repository.annex_dir, notes, environment=os.environ,
        allowed_addresses=settings.get("annex.security.allowed-ip-addresses") or "",
        paths_of=_paths_of(dataset, place, config),
    )  # fmt: skip
    return OpenedSpecial(kind_named(kind, place.label).open_store(remote), notes)


def _as_far_as_trusted(place: Place, config: Mapping[str, str]) -> Place:
    """The place; one that holds a tree whose files anybody may overwrite is no copy to count on."""
    counts = config.get("exporttree") != "yes" or config.get("versioning") == "yes"
    return place if counts or place.trust is Trust.DEAD else replace(place, trust=Trust.UNTRUSTED)


def _paths_of(dataset: Dataset, place: Place, config: Mapping[str, str]) -> PathsOf | None:
    """Where a place that holds a tree has each key; None for one that holds keys."""
    if config.get("exporttree") != "yes":
        return None
    trees = exported_trees(dataset.ledger.read(EXPORT_LOG), place.id)
    return ExportedFiles(dataset.repository, trees).paths_of


def config_of(dataset: Dataset, local: Mapping[str, str], place: Place) -> dict[str, str]:
    """What all clones share of its configuration; empty when the ledger knows nothing of it."""
    source = PlaceId(local.get("annex-config-uuid", place.id))
    return logs.parse_remotes(dataset.ledger.policy_file(b"remote.log")).get(source, {})
