"""Data sets inside a data set: git submodules, registered the way DataLad writes them."""

from __future__ import annotations

import os
import threading

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
