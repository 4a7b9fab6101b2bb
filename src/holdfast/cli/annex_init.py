"""`hold annex init`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .annex_real import Elsewhere
from .annex_show import Show
from .annex_verbs import Front

if TYPE_CHECKING:
    from ..dataset.repository import Repository


def run(front: Front) -> int:
    """Give the repository around the current folder an annex, or a new description."""
    from ..dataset.repository import ANNEX_VERSION, Repository

    words = front.words
    if words.values.get("--version", ANNEX_VERSION) != ANNEX_VERSION:
        raise Elsewhere
    repository = Repository(os.getcwdb(), words.settings)
    try:
        if repository.config.get("annex.version") not in (None, ANNEX_VERSION):
            raise Elsewhere
        refuse_odd(repository)
        _initialise(repository, " ".join(words.names))
    finally:
        repository.close()
    show = Show(words, repository.top, [])
    if words.json:
        show.item("")
    elif not words.has("--quiet"):
        show.text(f"init {' '.join(words.names)}".rstrip() + " ok\n")
    return show.close()


def refuse_odd(repository: Repository) -> None:
    """Leave to the real one what it sets up in ways of its own.

    These are submodules, linked work trees, shared clones, clones of an adjusted branch, and
    special remotes to be enabled by themselves.
    """
    alternates = os.path.join(repository.common_dir, b"objects", b"info", b"alternates")
    linked = os.path.isfile(os.path.join(repository.top, b".git"))
    if linked or os.path.exists(alternates) or repository.adjusted_branch:
        raise Elsewhere
    _refuse_special(repository)


def _refuse_special(repository: Repository) -> None:
    from ..dataset.ledger import Ledger
    from ..wire import branch_paths, logs

    remotes = logs.parse_remotes(Ledger(repository).policy_file(branch_paths.REMOTE_LOG))
    if any(config.get("autoenable") == "true" for config in remotes.values()):
        raise Elsewhere
    tuned = any(name.startswith("annex.tune.") for name, _ in repository.config.items())
    if tuned or repository.config.flag("annex.private"):
        raise Elsewhere


def _initialise(repository: Repository, description: str) -> None:
    from ..dataset import ledger_write
    from ..dataset.checkout import fill_all
    from ..dataset.initialise import initialise
    from ..wire import branch_paths, logs

    place = initialise(repository, description or repository.description)
    if description:
        text = description.encode("utf-8", "surrogateescape")

        def describe(old: bytes) -> bytes:
            entry = logs.parse_uuid_log(old).get(place)
            if entry is not None and entry.value == text:
                return old
            return logs.set_uuid_log(old, place, text, ledger_write.now())

        ledger_write.record(repository, [(branch_paths.UUID_LOG, describe)])
    if not repository.bare:
        fill_all(repository)
