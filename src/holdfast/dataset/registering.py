"""Writing down data sets inside a data set: .gitmodules, as DataLad writes it, and git's settings.

What others wrote into .gitmodules stays as it is: sections are added at the end or taken out.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..core.errors import ProtocolError
from ..wire.config_text import iter_config
from ..wire.subdataset_sources import without_login
from .config import Section, append_settings
from .repository import Repository
from .submodules import MODULES, dataset_id, read_modules

_writing = threading.Lock()


class Addition(NamedTuple):
    """A data set to write down: where it is, where git can clone it, what somebody cloned.

    Without ``url`` it is where the remote is that its branch follows, else where it lies.
    """

    path: bytes
    url: str | None = None
    source: str | None = None


def register(repository: Repository, additions: Iterable[Addition]) -> None:
    """Write data sets into .gitmodules and git's settings; what is there stays as it is."""
    with _writing:
        known = read_modules(repository)
        new = [one for one in additions if one.path not in known]
        if not new:
            return
        taken = {named.name for named in known.values()}
        urls = {_name(one.path, taken): one.url or _url(repository, one.path) for one in new}
        sections = [
            _section(repository, one, name, url)
            for one, (name, url) in zip(new, urls.items(), strict=True)
        ]
        append_settings(os.path.join(repository.top, MODULES), sections)
    activate(repository, list(urls.items()))


def _name(path: bytes, taken: set[str]) -> str:
    """The path, unless git's settings cannot have it as a name; added to those that are taken."""
    name = plain = os.fsdecode(path.replace(b"\n", b" "))
    number = 1
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    taken.add(name)
    return name


def _section(repository: Repository, one: Addition, name: str, url: str) -> Section:
    settings = [("path", os.fsdecode(one.path)), ("url", url)]
    identity = dataset_id(os.path.join(repository.top, one.path))
    if identity:
        settings.append(("datalad-id", identity))
    if one.source is not None:
        settings.append(("datalad-url", one.source))
    return f"submodule.{name}", settings


def _url(repository: Repository, path: bytes) -> str:
    remote = followed_remote(os.path.join(repository.top, path))
    return without_login(remote) if remote else f"./{os.fsdecode(path)}"


def followed_remote(folder: bytes) -> str | None:
    """The URL of the remote that the branch follows which is checked out in a repository."""
    try:
        with open(folder + b"/.git/HEAD", "rb") as file:
            branch = file.read().strip().removeprefix(b"ref: refs/heads/")
        with open(folder + b"/.git/config", "rb") as file:
            values = {item[:3]: item.value or b"" for item in iter_config(file.read())}
    except (OSError, ProtocolError):
        return None
    remote = values.get(("branch", branch, "remote"))
    url = values.get(("remote", remote, "url"))
    return os.fsdecode(url) if url else None


def activate(repository: Repository, names: Sequence[tuple[str, str]]) -> None:
    """Tell git, by name and URL, of data sets that are installed now.

    A name that git's settings cannot have is left out; such a one is not in .gitmodules.
    """
    known = repository.config
    new: list[Section] = [
        (f"submodule.{name}", [("active", "true"), ("url", url)])
        for name, url in names
        if known.get(f"submodule.{name}.url") is None and "\n" not in name
    ]
    if new:
        append_settings(os.path.join(repository.common_dir, b"config"), new)
        repository.forget_config()


def deactivate(repository: Repository, name: str) -> None:
    """Let git forget what it was told of a data set that is installed no more."""
    if repository.config.sections("submodule").get(name):
        repository.git.ask("config", "--local", "--remove-section", f"submodule.{name}")
        repository.forget_config()


def unregister(repository: Repository, path: bytes) -> bool:
    """Take a data set out of .gitmodules; False when it is not in it."""
    named = read_modules(repository).get(path)
    if named is None:
        return False
    modules = os.path.join(repository.top, MODULES)
    repository.git.run("config", "--file", modules, "--remove-section", f"submodule.{named.name}")
    return True
