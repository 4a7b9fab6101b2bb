"""Data sets inside a data set: git submodules, as the index and .gitmodules name them.

To list them takes one git process, however many there are; for those that are not installed no
other is ever started.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..core import faults
from ..core.errors import ProtocolError
from ..wire.config_text import iter_config
from ..wire.gitobjects import Oid
from .annexed import SUBMODULE
from .git import NO_FILTER, Git, from_hex, hex_oid
from .index_file import index_path
from .repository import Repository

MODULES = b".gitmodules"
_PATHSPEC_BYTES_MAX = 60_000
_MODE = int(SUBMODULE, 8).to_bytes(4, "big")


class Submodule(NamedTuple):
    """One data set inside: its path, the version that belongs here, what .gitmodules says of it.

    ``name`` is None when .gitmodules does not have it.
    """

    path: bytes
    commit: Oid
    name: str | None
    settings: Mapping[str, str]
    installed: bool

    @property
    def url(self) -> str | None:
        """Where git would look for it."""
        return self.settings.get("url")

    @property
    def identity(self) -> str | None:
        """The identity that all its clones share, if it has one."""
        return self.settings.get("datalad-id")

    @property
    def version(self) -> str:
        """The commit that belongs here, as git prints it."""
        return hex_oid(self.commit).decode()


class Named(NamedTuple):
    """What .gitmodules says of one path."""

    name: str
    settings: Mapping[str, str]


def iter_submodules(repository: Repository, paths: Sequence[bytes] = ()) -> Iterator[Submodule]:
    """Every data set of the index at or below some paths (all without one), in order of path.

    Raises:
        ConflictError: .gitmodules cannot be read.
    """
    if repository.bare:
        return
    named: Mapping[bytes, Named] | None = None
    nothing = Named("", {})
    for path, commit in iter_gitlinks(repository, paths):
        if named is None:
            named = read_modules(repository)
        found = named.get(path, nothing)
        installed = is_installed(os.path.join(repository.top, path))
        yield Submodule(path, commit, found.name or None, found.settings, bool(installed))


def iter_gitlinks(
    repository: Repository, paths: Sequence[bytes] = ()
) -> Iterator[tuple[bytes, Oid]]:
    """Path and version of every data set in the index at or below some paths, in order."""
    if not _may_name_any(index_path(repository)):
        return
    few = sum(map(len, paths)) < _PATHSPEC_BYTES_MAX
    specs = paths if few else ()
    for field in repository.git.iter_fields("ls-files", "-s", "-z", "--", *specs):
        if field[:6] != SUBMODULE:
            continue
        facts, _, path = field.partition(b"\t")
        _, oid, stage = facts.split(b" ")
        if stage == b"0" and (few or any(path == p or path.startswith(p + b"/") for p in paths)):
            yield path, from_hex(oid)


def may_have_any(folder: bytes) -> bool:
    """Whether the repository in a folder may have data sets inside; seen without a process."""
    git_dir = os.path.join(folder, b".git")
    return not os.path.isdir(git_dir) or _may_name_any(git_dir + b"/index")


def _may_name_any(index: bytes) -> bool:
    """Whether the mode of a submodule is in an index file, or a sign that others belong to it."""
    try:
        with open(index, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, ValueError):
        return False
    with data:
        return any(data.find(sign) >= 0 for sign in (_MODE, b"link", b"sdir"))


def read_modules(repository: Repository) -> dict[bytes, Named]:
    """What .gitmodules says, by path; of a path named twice the last counts.

    Raises:
        ConflictError: It cannot be read.
    """
    settings: dict[str, dict[str, str]] = {}
    try:
        with open(os.path.join(repository.top, MODULES), "rb") as file:
            for item in iter_config(file.read()):
                if item.section == "submodule" and item.subsection is not None:
                    known = settings.setdefault(os.fsdecode(item.subsection), {})
                    known[item.variable] = os.fsdecode(item.value or b"")
    except (FileNotFoundError, IsADirectoryError):
        return {}
    except ProtocolError as error:
        raise faults.BAD_MODULES(top=os.fsdecode(repository.top), detail=error.what) from None
    return {
        os.path.normpath(os.fsencode(found["path"])): Named(name, found)
        for name, found in settings.items()
        if found.get("path")
    }


def is_installed(folder: bytes) -> bool | None:
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


def changed_inside(repository: Repository, paths: Sequence[bytes] = ()) -> set[bytes]:
    """The installed data sets that have changes in them, or in those inside them, or new versions.

    Git looks into each; that is all that is done to those that have none.
    """
    fields = repository.git.iter_fields(
        *NO_FILTER, "diff-files", "--raw", "-z", "--no-renames", "--ignore-submodules=none",
        "--", *paths, environment={"GIT_OPTIONAL_LOCKS": "0"},
    )  # fmt: skip
    return {path for facts in fields for path in (next(fields),) if facts[1:7] == SUBMODULE}


def head_of(repository: Repository, path: bytes) -> Oid | None:
    """The commit that is checked out in the repository at a path; None before its first one."""
    folder = os.path.join(repository.top, path)
    found = read_head(folder + b"/.git")
    oid = found or Git(folder).line("rev-parse", "--verify", "--quiet", "HEAD")
    return from_hex(oid) if oid else None


def read_head(git_dir: bytes) -> bytes | None:
    """The commit that is checked out, where it lies open in a file; None where git has to tell."""
    try:
        with open(git_dir + b"/HEAD", "rb") as file:
            head = file.read().strip()
        if head.startswith(b"ref: refs/heads/") and not os.path.lexists(git_dir + b"/commondir"):
            with open(os.path.join(git_dir, head[5:]), "rb") as file:
                head = file.read().strip()
    except OSError:
        return None
    is_oid = len(head) in (40, 64) and not head.strip(b"0123456789abcdef")
    return head if is_oid else None


def dataset_id(folder: bytes) -> str | None:
    """The identity DataLad gave the data set in a folder, shared by all its clones."""
    try:
        with open(os.path.join(folder, b".datalad/config"), "rb") as file:
            items = list(iter_config(file.read()))
    except (OSError, ProtocolError):
        return None
    found = [
        item.value for item in items
        if item.value and item[:3] == ("datalad", b"dataset", "id")
    ]  # fmt: skip
    return found[-1].decode("utf-8", "replace") if found else None


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
        for folder in _folders_to(path):
            if folder not in looked_at:
                looked_at[folder] = is_installed(os.path.join(repository.top, folder))
    maybe = [folder for folder, installed in looked_at.items() if installed is not None]
    if not maybe or repository.bare:
        return {}
    links = iter_gitlinks(repository, maybe)
    inner = {path: Inner(path, bool(looked_at[path])) for path, _ in links if path in looked_at}
    return {
        path: inner[folder]
        for path in paths
        for folder in _folders_to(path)
        if folder in inner
    }  # fmt: skip


def _folders_to(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts) + 1) if parts[0]]
