"""The remotes of a clone: added, changed and taken away as git does it, one call for each."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..core import faults
from .config import append_settings
from .repository import Repository


def remotes_of(repository: Repository) -> Mapping[str, Mapping[str, str]]:
    """Every remote with its settings, names of settings in lower case."""
    return repository.config.sections("remote")


def need_new_name(repository: Repository, name: str) -> None:
    """Refuse a name that a remote has, or cannot have.

    Raises:
        ConflictError: There is a remote of that name.
        UsageError: It is no name for one.
    """
    if name in remotes_of(repository):
        raise faults.ALREADY_THERE(
            path=name, what="a sibling here",
            next=f"hold siblings configure {name}    (or choose another name)",
        )  # fmt: skip
    if repository.git.ask("check-ref-format", f"refs/remotes/{name}/x")[0] or name.startswith("-"):
        raise faults.BAD_USAGE(what=f"{name!r} cannot be a name", command="siblings")


def add_remote(repository: Repository, name: str, url: str, push_url: str | None = None) -> None:
    """Add a git remote; nothing is asked of it.

    Raises:
        ConflictError, UsageError: See `need_new_name`.
    """
    need_new_name(repository, name)
    settings = [("url", url), ("fetch", f"+refs/heads/*:refs/remotes/{name}/*")]
    if push_url:
        settings.append(("pushurl", push_url))
    append_settings(os.path.join(repository.common_dir, b"config"), [(f"remote.{name}", settings)])
    repository.forget_config()


def remove_remote(repository: Repository, name: str) -> None:
    """Take a remote away, with what it brought of refs; what is known of the place stays."""
    repository.git.run("remote", "remove", name)
    repository.forget_config()


def set_remote(repository: Repository, name: str, values: Mapping[str, str | None]) -> None:
    """Change settings of a remote; None takes one away."""
    for variable, value in values.items():
        setting = f"remote.{name}.{variable}"
        if value is None:
            repository.git.ask("config", "--unset-all", setting)
        else:
            repository.git.run("config", "--replace-all", setting, value)
    repository.forget_config()
