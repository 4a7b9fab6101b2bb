"""Data sets inside a data set: git submodules, registered the way DataLad writes them."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..wire.gitobjects import Oid
from .config import format_sections
from .git import Git, from_hex
from .repository import Repository

_writing = threading.Lock()


def head_of(repository: Repository, path: bytes) -> Oid | None:
    """The commit that is checked out in the repository at a path; None before its first one."""
    oid = Git(os.path.join(repository.top, path)).line("rev-parse", "--verify", "--quiet", "HEAD")
    return from_hex(oid) if oid else None


def dataset_id(folder: bytes) -> str | None:
    """The identity DataLad gave the data set in a folder, shared by all its clones."""
    git = Git(folder)
    found = git.line(
        "config", "--file", os.path.join(folder, b".datalad/config"), "datalad.dataset.id"
    )
    return found.decode("utf-8", "replace") if found else None


class Inner(NamedTuple):
    """A data set inside this one that a path leads to: where it is, and whether it is installed."""

    folder: bytes
    installed: bool


def inner_datasets(repository: Repository, paths: Sequence[bytes]) -> Mapping[bytes, Inner]:
    """Those of these paths that are, or lie below, a submodule of the index, and which one.

    Git is asked once, and only where a folder on the way looks like one.
    """
    looked_at: dict[bytes, bool | None] = {}
    for path in paths:
        parts = path.split(b"/")
        for count in range(1, len(parts) + 1):
            folder = b"/".join(parts[:count])
            if folder and folder not in looked_at:
                looked_at[folder] = _is_installed(os.path.join(repository.top, folder))
    maybe = [folder for folder, installed in looked_at.items() if installed is not None]
    if not maybe or repository.bare:
        return {}
    inner = {}
    for field in repository.git.iter_fields("ls-files", "-s", "-z", "--", *maybe):
        facts, _, path = field.partition(b"\t")
        if facts.startswith(b"160000 ") and path in looked_at:
            inner[path] = Inner(path, bool(looked_at[path]))
    return {
        path: found
        for path in paths
        for found in inner.values()
        if path == found.folder or path.startswith(found.folder + b"/")
    }


def _is_installed(folder: bytes) -> bool | None:
    """Whether a repository is there; None when what is there is no place of a submodule."""
    if os.path.lexists(folder + b"/.git"):
        return True
    try:
        with os.scandir(folder) as entries:
            return None if any(entries) else False
    except FileNotFoundError:
        return False
    except OSError:
        return None


def register(repository: Repository, path: bytes) -> None:
    """Write a submodule into .gitmodules, if it is not there yet."""
    name = os.fsdecode(path)
    listing = repository.git.ask("config", "--file", ".gitmodules", "--get-regexp", r"\.path$")[1]
    if path in {line.partition(b" ")[2] for line in listing.splitlines()}:
        return
    settings = [("path", name), ("url", f"./{name}")]
    identity = dataset_id(os.path.join(repository.top, path))
    if identity:
        settings.append(("datalad-id", identity))
    with _writing, open(os.path.join(repository.top, b".gitmodules"), "ab") as file:
        file.write(format_sections([(f"submodule.{name}", settings)]))
