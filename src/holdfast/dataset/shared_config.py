"""Settings of a data set: those of this clone, and those that all clones share.

Shared ones lie where git-annex and DataLad look for them: numbers of copies and a few others in
the ledger, all else in .datalad/config, which is saved like any file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from ..core import faults, secure_hashes
from ..wire import branch_paths, logs
from .config import Config
from .ledger import Ledger
from .ledger_write import now, record
from .repository import Repository

COPIES = {
    "annex.numcopies": branch_paths.NUMCOPIES_LOG,
    "annex.mincopies": branch_paths.MINCOPIES_LOG,
}
_LEDGER = frozenset((
    "annex.addunlocked", "annex.autocommit", "annex.dotfiles", "annex.largefiles",
    "annex.resolvemerge", "annex.securehashesonly", "annex.synccontent", "annex.synconlyannex",
))  # fmt: skip
"""What git-annex reads from its own branch."""
_FILE = b".datalad/config"
_RULES = {
    "annex.largefiles": "largerthan=100kb or include=*.dat",
    "annex.addunlocked": "include=*.txt",
}
"""Settings that are expressions, each with an example."""
_NOT_FROM_THE_FILE = frozenset((
    "alias", "annex", "author", "branch", "color", "commit", "committer", "core", "credential",
    "diff", "extensions", "fetch", "filter", "gc", "gpg", "http", "i18n", "include", "includeif",
    "index", "init", "log", "merge", "pack", "protocol", "pull", "push", "rebase", "receive",
    "remote", "safe", "ssh", "status", "submodule", "tag", "transfer", "uploadpack", "url", "user",
))  # fmt: skip
"""Sections of which git and git-annex read nothing from the data set's file."""


class Setting(NamedTuple):
    """A setting and where it is from: ``ledger``, ``dataset`` (its file), ``clone``."""

    name: str
    value: str
    source: str


def iter_settings(repository: Repository, ledger: Ledger) -> Iterator[Setting]:
    """Every setting of this data set, sorted by name; first the one that counts."""
    here = [Setting(name, value, "clone") for name, value in _iter_local(repository)]
    file = [Setting(name, value, "dataset") for name, value in _iter_file(repository)]
    shared = list(_iter_ledger(ledger))
    copies = [setting for setting in shared if setting.name in COPIES]
    others = [setting for setting in shared if setting.name not in COPIES]
    # The numbers of the ledger win over git's configuration; of all else git's wins.
    yield from sorted([*copies, *here, *others, *file], key=lambda setting: setting.name)


def only_secure_hashes(repository: Repository, ledger: Ledger) -> bool:
    """Whether content may be kept here only under keys that nobody can forge."""
    shared = logs.parse_config(ledger.policy_file(branch_paths.CONFIG_LOG))
    return secure_hashes.is_demanded(
        repository.config.get(secure_hashes.SETTING), shared.get(secure_hashes.SETTING)
    )


def _iter_ledger(ledger: Ledger) -> Iterator[Setting]:
    for name, path in COPIES.items():
        number = logs.parse_copies(ledger.policy_file(path))
        if number is not None:
            yield Setting(name, str(number), "ledger")
    for name, value in logs.parse_config(ledger.policy_file(branch_paths.CONFIG_LOG)).items():
        yield Setting(name, value, "ledger")


def _iter_local(repository: Repository) -> Iterator[tuple[str, str]]:
    return _iter_items(repository.git.run("config", "--local", "--list", "-z"))


def _iter_file(repository: Repository) -> Iterator[tuple[str, str]]:
    if repository.bare:
        code, listing, _ = repository.git.ask("config", "--blob", b"HEAD:" + _FILE, "--list", "-z")
        return _iter_items(listing if code == 0 else b"")
    path = os.path.join(repository.top, _FILE)
    listing = b""
    if os.path.exists(path):
        listing = repository.git.run("config", "--file", path, "--list", "-z")
    return _iter_items(listing)


def _iter_items(listing: bytes) -> Iterator[tuple[str, str]]:
    for name, values in Config(listing).items():
        for value in reversed(values):
            yield name, value


def set_here(repository: Repository, name: str, value: str) -> None:
    """Set something for this clone; an empty value takes the setting away.

    Raises:
        UsageError: The value is none for this name, or the name is no setting.
    """
    _check(name)
    if value:
        _check_value(name, value)
    _git_config(repository, ["--local"], name, value)
    repository.forget_config()


def set_shared(repository: Repository, name: str, value: str) -> str:
    """Set something for all clones; an empty value takes it away. Gives where it is kept.

    Raises:
        UsageError: The value is none for this name, or the name is no setting that can be shared.
    """
    _check(name)
    if value or name in COPIES:
        _check_value(name, value)
    if name in COPIES:
        number = int(value)
        record(repository, [(COPIES[name], lambda old: logs.set_copies(old, number, now()))])
        return "ledger"
    if name in _LEDGER:
        raw = (name.encode(), value.encode("utf-8", "surrogateescape"))
        record(
            repository,
            [(branch_paths.CONFIG_LOG, lambda old: logs.set_map_log(old, *raw, now()))],
        )
        if name == secure_hashes.SETTING:
            # git-annex looks at the clone's own setting only, and sets it along.
            set_here(repository, name, value)
        return "ledger"
    if repository.bare:
        raise faults.BAD_USAGE(
            what=f"{name} is kept in a file of the data set, and this repository is bare",
            command="config",
        )
    if value and name.partition(".")[0] in _NOT_FROM_THE_FILE:
        raise faults.BAD_USAGE(
            what=f"{name} cannot be shared: it is read from each clone's own settings only, so set "
            "it there, without --shared",
            command="config",
        )
    os.makedirs(os.path.join(repository.top, os.path.dirname(_FILE)), exist_ok=True)
    _git_config(repository, [b"--file", os.path.join(repository.top, _FILE)], name, value)
    return "dataset"


def _check_value(name: str, value: str) -> None:
    """Refuse a value now that would make each later save or drop fail."""
    if name in COPIES:
        least = 1 if name == "annex.mincopies" else 0
        if not (value.isascii() and value.isdigit() and int(value) >= least):
            raise faults.BAD_USAGE(
                what=f"{name} is a number of copies, {least} or more; {value!r} is not",
                command="config",
            )
    if name in _RULES and not (name == "annex.addunlocked" and value in ("true", "false")):
        from ..core.expressions import Dialect, parse  # late: only for who sets a rule

        where = f"what you type, as in: hold config {name}='{_RULES[name]}'"
        strange = parse(value, Dialect.LARGEFILES, where).strange
        if strange:
            detail = f"there is no term {strange[0]!r} in such a rule"
            raise faults.BAD_RULE(rule=value, detail=detail, where=where)


def _git_config(repository: Repository, where: list[str | bytes], name: str, value: str) -> None:
    if value:
        repository.git.run("config", *where, "--replace-all", name, os.fsencode(value))
    else:
        # git says with 5 that there was nothing to take away.
        repository.git.ask("config", *where, "--unset-all", name)


def _check(name: str) -> None:
    section, dot, rest = name.partition(".")
    if not (section and dot and rest) or name.startswith("-"):
        raise faults.BAD_USAGE(what=f"{name!r} is no setting: say SECTION.NAME", command="config")
