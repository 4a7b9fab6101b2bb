"""Remotes of a clone: git's settings for them, and special remotes told to the ledger."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from ..core.place import PlaceId
from ..wire import logs
from . import ledger_write
from .config import Section, append_settings
from .repository import Repository
from .verified import approve, read_approved

Settings = Sequence[tuple[str, str]]


def set_remotes(repository: Repository, remotes: Iterable[tuple[str, Settings]]) -> None:
    """Write settings of remotes; those that are known get the new values, and keep the others."""
    known = repository.config.sections("remote")
    fresh: list[Section] = []
    for name, settings in remotes:
        if name not in known:
            fresh.append((f"remote.{name}", settings))
            continue
        for variable in dict.fromkeys(variable for variable, _ in settings):
            values = [value for setting, value in settings if setting == variable]
            _replace(repository, f"remote.{name}.{variable}", values)
    if fresh:
        append_settings(os.path.join(repository.common_dir, b"config"), fresh)
    repository.forget_config()


def _replace(repository: Repository, name: str, values: Sequence[str]) -> None:
    if repository.config.get_all(name) == list(values):
        return
    repository.git.ask("config", "--local", "--unset-all", name)
    for value in values:
        repository.git.run("config", "--local", "--add", name, os.fsencode(value))


def fetch_refspec(name: str) -> str:
    """What git brings from a remote."""
    return f"+refs/heads/*:refs/remotes/{name}/*"


def record_special(
    repository: Repository, place: PlaceId, config: Mapping[str, str], description: str
) -> None:
    """Tell the ledger of a special remote, and note that it is approved of here.

    What is told already is not told again.
    """
    when = ledger_write.now()

    def set_config(old: bytes) -> bytes:
        if logs.parse_remotes(old).get(place) == dict(config):
            return old
        return logs.set_remote(old, place, config, when)

    def name_it(old: bytes) -> bytes:
        if place.encode() in old:
            return old
        return logs.set_uuid_log(old, place, description.encode("utf-8", "surrogateescape"), when)

    ledger_write.record(repository, [(b"remote.log", set_config), (b"uuid.log", name_it)])
    if read_approved(repository).get(place) != dict(config):
        approve(repository, place, config)
