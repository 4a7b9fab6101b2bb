"""Which configurations of special remotes were approved in this clone.

What a special remote is reaches a clone from anybody who may write to its git-annex branch. So the
words that a person saw and approved are kept here, without what is about keys, and what the branch
says later is not believed. git-annex reads and writes the same file (docs/formats/annex.md).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..core.place import PlaceId
from ..wire import logs
from . import locks
from .ledger_write import now
from .repository import Repository

OF_KEYS = frozenset(("cipher", "cipherkeys", "pubkeys"))
"""Kept in the ledger alone, as git-annex has it: they change as keys are added."""

SHARED_BY_WAYS = ("chunk", "chunksize", "cipher", "cipherkeys", "encryption", "mac", "pubkeys")
"""What a second way to the same place (sameas) has from the first."""


def config_in_ledger(remotes: Mapping[PlaceId, Mapping[str, str]], way: PlaceId) -> dict[str, str]:
    """What the ledger says of a special remote, with what it shares with its other ways."""
    config = dict(remotes.get(way, {}))
    first = remotes.get(PlaceId(config.get("sameas-uuid", "")), {})
    return {**{name: first[name] for name in SHARED_BY_WAYS if name in first}, **config}


def believed(repository: Repository, in_ledger: Mapping[str, str], way: PlaceId) -> dict[str, str]:
    """The configuration to use: what was approved here, and where nothing was, what is given."""
    approved = read_approved(repository).get(way)
    if approved is None:
        return dict(in_ledger)
    return {**{word: in_ledger[word] for word in OF_KEYS & set(in_ledger)}, **approved}


def read_approved(repository: Repository) -> dict[PlaceId, dict[str, str]]:
    """The approved configurations."""
    with locks.shared(_path(repository, b"lck")):
        return logs.parse_remotes(_read(repository))


def approve(repository: Repository, way: PlaceId, config: Mapping[str, str]) -> None:
    """Write down that a configuration was approved here, or made here."""
    plain = {name: value for name, value in config.items() if name not in OF_KEYS}
    with locks.exclusive(_path(repository, b"lck")):
        fresh = logs.set_remote(_read(repository), way, plain, now())
        beside = _path(repository, b"new%d" % os.getpid())
        with open(beside, "wb") as file:
            file.write(fresh)
        os.rename(beside, _path(repository, b"log"))


def _read(repository: Repository) -> bytes:
    try:
        with open(_path(repository, b"log"), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _path(repository: Repository, end: bytes) -> bytes:
    return os.path.join(repository.annex_dir, b"verified-remote." + end)
