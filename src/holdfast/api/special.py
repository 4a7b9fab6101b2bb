"""Special remotes of a data set, opened: from git-annex's configuration to a store.

What a configuration says is believed as far as it was approved here (`dataset/verified.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ..core import faults
from ..core.abilities import Content, OnBytes, Readable, Store
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place, PlaceId, Trust
from ..core.policy import DropProof, Waiver
from ..dataset.exported import ExportedFiles
from ..dataset.key_notes import KeyNotes
from ..dataset.verified import believed, config_in_ledger
from ..stores.special import PathsOf, SpecialRemote, kind_named, kind_of
from ..wire import archive_uris, logs
from ..wire.branch_paths import EXPORT_LOG, PREFERRED_LOG
from ..wire.exports import exported_trees
from .credentials import Lookup
from .datasets import Dataset
from .limits import rate_teller
from .pieces import open_pieces

if TYPE_CHECKING:
    from ..stores.gpg import Gpg


@dataclass(frozen=True)
class OpenedSpecial:
    """A special remote: its store, and what has to be written to the ledger when it is closed."""

    store: Readable
    notes: KeyNotes


def open_special(dataset: Dataset, local: Mapping[str, str], place: Place) -> OpenedSpecial:
    """Open the special remote that a clone's settings name, with its chunks and encryption.

    What somebody else set up can only be read until it is approved.

    Raises:
        PlaceUnavailableError: It is of a kind that we cannot open.
        PolicyError: It was enabled here, and is not approved yet.
    """
    if local.get("annex-verified") == "manual":
        raise faults.PLACE_UNVERIFIED(place=place.label, state="manual")
    notes = KeyNotes(dataset.repository, dataset.ledger)
    config = config_of(dataset, local, place)
    if config.get("externaltype") == archive_uris.PROGRAM:
        from .archives import open_archives  # late: few data sets have archives

        return OpenedSpecial(open_archives(dataset, place), notes)
    place = _as_far_as_trusted(place, config)
    remote = special_remote(dataset, place, config, local, notes)
    store = kind_named(kind_of(config), place.label).open_store(remote)
    store = wrapped(store, remote)
    if local.get("annex-verified") == "automatic":
        store = cast(Readable, Unapproved(store))
    return OpenedSpecial(store, notes)


def wrapped(store: Readable, remote: SpecialRemote) -> Readable:
    """A store behind the encryption and the chunks that its configuration asks for."""
    config = remote.config
    if config.get("encryption", "none") != "none":
        from ..stores.encrypted import encrypted

        store = encrypted(cast(Store, store), remote)
    if "chunk" in config or "chunksize" in config:
        from ..stores.chunked import Chunked, chunk_size_of

        store = Chunked(cast(Store, store), remote.notes, chunk_size_of(remote))
    return store


def special_remote(
    dataset: Dataset,
    place: Place,
    config: Mapping[str, str],
    local: Mapping[str, str],
    notes: KeyNotes,
) -> SpecialRemote:
    """All that a store has to know of a special remote."""
    settings = dataset.repository.config
    way = PlaceId(local.get("annex-config-uuid", place.id))
    ways = tuple(dict.fromkeys((way, place.id)))

    def decrypt(raw: bytes) -> bytes:
        from ..stores.cipher import Sealer, open_cipher

        gpg = gpg_of(place, local)
        sealer = Sealer(place.label, open_cipher(place.label, config, gpg), gpg)
        return b"".join(sealer.unseal(iter((raw,)), Key(b"credentials")))

    annex_dir = dataset.repository.annex_dir
    return SpecialRemote(
        place, config, local, annex_dir, notes,
        credentials=Lookup(annex_dir, ways, config, os.environ, decrypt),
        environment=os.environ,
        allowed_addresses=settings.get("annex.security.allowed-ip-addresses") or "",
        paths_of=_paths_of(dataset, place, config),
        wanted=_wanted(dataset, place) if config.get("type") == "external" else "",
        settings=settings.get,
        rate=rate_teller(dataset, place),
        open_pieces=open_pieces,
    )  # fmt: skip


def _wanted(dataset: Dataset, place: Place) -> str:
    found = logs.parse_uuid_log(dataset.ledger.policy_file(PREFERRED_LOG)).get(place.id)
    return found.value.decode("utf-8", "surrogateescape") if found else ""


def gpg_of(place: Place, local: Mapping[str, str]) -> Gpg:
    """gpg, with what a person wants it to be told for a place."""
    from ..stores.gpg import Gpg

    return Gpg(place.label, local.get("annex-gnupg-options", "").split())


def _as_far_as_trusted(place: Place, config: Mapping[str, str]) -> Place:
    """The place; one that holds a tree whose files anybody may overwrite is no copy to count on."""
    counts = config.get("exporttree") != "yes" or config.get("versioning") == "yes"
    return place if counts or place.trust is Trust.DEAD else place._replace(trust=Trust.UNTRUSTED)


def _paths_of(dataset: Dataset, place: Place, config: Mapping[str, str]) -> PathsOf | None:
    """Where a place that holds a tree has each key; None for one that holds keys."""
    if config.get("exporttree") != "yes":
        return None
    trees = exported_trees(dataset.ledger.read(EXPORT_LOG), place.id)
    return ExportedFiles(dataset.repository, trees).paths_of


def config_of(dataset: Dataset, local: Mapping[str, str], place: Place) -> dict[str, str]:
    """Its configuration as far as it is believed; empty when nothing is known of it."""
    way = PlaceId(local.get("annex-config-uuid", place.id))
    remotes = logs.parse_remotes(dataset.ledger.policy_file(b"remote.log"))
    return believed(dataset.repository, config_in_ledger(remotes, way), way)


class Unapproved:
    """A place that somebody else set up: it can be read, nothing is sent to it or removed."""

    def __init__(self, inner: Readable) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Refuse."""
        raise self._refusal()

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Refuse each."""
        for key, _ in items:
            yield key, self._refusal()

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Refuse."""
        raise self._refusal()

    def _refusal(self) -> HoldError:
        return faults.PLACE_UNVERIFIED(place=self._inner.place.label, state="automatic")
