"""A clone from a RIA store: its content is reached by the store's special remote, not by git.

Settings are those that DataLad writes: its push sends content by the special remote first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from ..core.errors import HoldError
from ..core.place import PlaceId
from ..wire import logs
from ..wire.ria import parse_store
from .config import Section, append_settings
from .ledger import Ledger
from .repository import Repository

_Remotes = Mapping[PlaceId, Mapping[str, str]]


def adopt_store(
    repository: Repository,
    origin: str,
    store: str,
    storage_of: Callable[[str], PlaceId | None],
) -> None:
    """Let a clone's remote ``origin`` be the repository half of a data set in a store.

    The other half, which has the content, is the special remote that ``storage_of`` tells for the
    repository's URL, else the one that is said to be in this store. Where the store has moved
    since it was set up, this clone knows it by its new address.
    """
    settings = [("annex-ignore", "true")]
    sections: list[Section] = []
    if repository.uuid is not None:
        remotes = logs.parse_remotes(Ledger(repository).policy_file(b"remote.log"))
        told = storage_of(repository.config.get(f"remote.{origin}.url") or "")
        found = _find(remotes, store, told)
        if found is not None:
            name, more = _settings(repository, found, remotes[found], store)
            settings.append(("datalad-publish-depends", name))
            if more:
                sections.append((f"remote.{name}", more))
    path = os.path.join(repository.common_dir, b"config")
    append_settings(path, [*sections, (f"remote.{origin}", settings)])
    repository.forget_config()


def _find(remotes: _Remotes, store: str, told: PlaceId | None) -> PlaceId | None:
    storages = {
        place: config for place, config in remotes.items() if config.get("externaltype") == "ora"
    }
    if told in storages:
        return told
    here = [place for place, config in storages.items() if _is_in(config, store)]
    return here[0] if len(here) == 1 else None


def _is_in(config: Mapping[str, str], store: str) -> bool:
    return any(_same(config.get(word, ""), store) for word in ("url", "push-url"))


def _same(url: str, store: str) -> bool:
    try:
        return parse_store(url) == parse_store(store)
    except HoldError:
        return False


def _settings(
    repository: Repository, place: PlaceId, config: Mapping[str, str], store: str
) -> tuple[str, list[tuple[str, str]]]:
    """The name of a storage here, and what has to be set for it yet."""
    known = repository.config.sections("remote")
    names = [name for name, one in known.items() if one.get("annex-uuid") == place]
    more = [] if _is_in(config, store) else [("ora-url", store)]
    if names:
        return names[0], more
    # Not set up on its own, but whoever clones from the store means to read from it.
    name = f"{config.get('name') or 'ria'}"
    if name in known:
        name = f"{name}-{place[:8]}"
    marker = [("annex-externaltype", "ora"), ("annex-uuid", place), ("annex-verified", "automatic")]
    return name, [*marker, *more]
