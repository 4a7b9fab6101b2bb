"""Making a git repository one with an annex: identity, filters, hooks, the ledger's first line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from ..core.place import PlaceId, new_uuid
from ..wire import branch_paths, logs
from . import ledger_write
from .branch import journal_lock
from .config import Section, append_settings
from .git_folder import link_git_folder
from .ledger import Ledger
from .remote_branches import merge_refs_locked
from .repository import ANNEX_VERSION, Repository

ATTRIBUTES = b"\n* filter=annex\n"

_HOOKS = {
    b"pre-commit": "pre-commit .",
    b"post-checkout": "smudge --update",
    b"post-merge": "smudge --update",
}


def initialise(
    repository: Repository, description: str, settings: Iterable[Section] = ()
) -> PlaceId:
    """Give a repository an annex; what it has of one already stays.

    A clone takes over the ledger its remotes have. Needs no git-annex; what is written is what
    git-annex writes, but that filters and hooks call `hold` where it is there. ``settings`` are
    written along with those that make the annex.
    """
    repository.check_writable()
    place = repository.uuid or new_uuid()
    _configure(repository, place, settings)
    _write_attributes(repository)
    _write_hooks(repository)
    link_git_folder(repository)
    with journal_lock(repository):
        merge_refs_locked(repository)
    _take_over_rule(repository)
    _record_place(repository, place, description)
    return place


def _configure(repository: Repository, place: PlaceId, settings: Iterable[Section]) -> None:
    sections = list(settings)
    if repository.uuid is None:
        sections.append(("annex", [("uuid", place), ("version", ANNEX_VERSION)]))
    if not repository.bare and repository.config.get("filter.annex.clean") is None:
        sections.append(("filter.annex", filter_settings()))
    if sections:
        append_settings(os.path.join(repository.common_dir, b"config"), sections)
        repository.forget_config()


def _take_over_rule(repository: Repository) -> None:
    """Set here that only secure hashes are kept, where the data set says so.

    git-annex looks at the clone's own setting only, once it was initialised.
    """
    from ..core.secure_hashes import SETTING, is_demanded  # late: only a new clone needs it

    shared = logs.parse_config(Ledger(repository).policy_file(branch_paths.CONFIG_LOG))
    if repository.config.get(SETTING) is None and is_demanded(None, shared.get(SETTING)):
        section, _, variable = SETTING.partition(".")
        path = os.path.join(repository.common_dir, b"config")
        append_settings(path, [(section, [(variable, "true")])])
        repository.forget_config()


def filter_settings() -> list[tuple[str, str]]:
    """How git finds a program for unlocked files: this hold, any hold, or git-annex."""
    return [
        ("smudge", _program("smudge -- %f")),
        ("clean", _program("smudge --clean -- %f")),
        ("process", _program("filter-process")),
    ]


def _program(words: str) -> str:
    ours, other = f'exec "$p" annex {words}', f"exec git-annex {words}"
    return f'{_find_program()}; if [ -n "$p" ]; then {ours}; else {other}; fi'


def _find_program() -> str:
    here = os.path.join(os.path.dirname(sys.executable), "hold")
    quoted = "'" + here.replace("'", "'\\''") + "'"
    return f"p=$(command -v {quoted} || command -v hold)"


def _write_attributes(repository: Repository) -> None:
    if repository.bare:
        return
    path = os.path.join(repository.common_dir, b"info", b"attributes")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "ab+") as file:
        file.seek(0)
        if b"filter=annex" not in file.read():
            file.write(ATTRIBUTES)


def _write_hooks(repository: Repository) -> None:
    if repository.bare:
        return
    folder = os.path.join(repository.common_dir, b"hooks")
    os.makedirs(folder, exist_ok=True)
    for name, words in _HOOKS.items():
        path = os.path.join(folder, name)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
        except FileExistsError:
            continue
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n# automatically configured by hold\n{_program(words)}\n")


def _record_place(repository: Repository, place: PlaceId, description: str) -> None:
    def name_it(old: bytes) -> bytes:
        if place.encode() in old:
            return old
        # A folder's name may have line ends in it; what the ledger says of a place is one line.
        text = description.replace("\n", " ").strip().encode("utf-8", "surrogateescape")
        return logs.set_uuid_log(old, place, text, ledger_write.now())

    if repository.private:
        with journal_lock(repository):
            ledger_write.write_journal_file(
                repository, b"journal-private", b"uuid.log", name_it(b"")
            )
        return
    ledger_write.record(repository, [(b"uuid.log", name_it)])
