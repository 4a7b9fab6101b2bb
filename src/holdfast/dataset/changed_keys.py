"""What changed since a moment that was noted: files of the version, and facts of the ledger.

So that work which was done once need not be looked for again in all there is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

from ..core.key import Key
from ..wire import branch_paths
from .annexed import TrackedFile, iter_annexed
from .branch import branch_tip
from .git import hex_oid
from .ledger import read_journal
from .repository import Repository

_WHOLE = 2000
"""So many changed files are looked up one by one; more in one reading of all."""


@dataclass(frozen=True)
class Mark:
    """A moment: the version that was checked out, the ledger's tip, and a remark of the caller's.

    A mark with another remark is not taken: what was asked for then was something else.
    """

    version: str
    ledger: str
    remark: str


def mark_now(repository: Repository, remark: str) -> Mark | None:
    """The present moment; None before there is a version."""
    version = repository.git.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    tip = branch_tip(repository)
    if version is None or tip is None:
        return None
    return Mark(version.decode(), hex_oid(tip).decode(), remark)


def read_mark(repository: Repository, name: str) -> Mark | None:
    """The moment noted under a name; None when there is none that can be read."""
    try:
        with open(_path(repository, name), "rb") as file:
            return Mark(**json.loads(file.read()))
    except (OSError, ValueError, TypeError):
        return None


def write_mark(repository: Repository, name: str, mark: Mark | None) -> None:
    """Note a moment under a name, or forget it."""
    path = _path(repository, name)
    if mark is None:
        with suppress(FileNotFoundError):
            os.unlink(path)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + b".new", "wb") as file:
        file.write(json.dumps(asdict(mark)).encode())
    os.replace(path + b".new", path)


def _path(repository: Repository, name: str) -> bytes:
    from urllib.parse import quote

    return os.path.join(repository.annex_dir, b"hold-marks", quote(name, safe="").encode())


def iter_changed_since(
    repository: Repository, mark: Mark, lacking: Callable[[set[Key]], set[Key]]
) -> Iterator[TrackedFile] | None:
    """The annexed files that changed since, in the version or in what the ledger says of them.

    None when that cannot be told, or policy changed: then all files have to be looked at.
    ``lacking`` says of which keys news of the ledger matter; where none do, no more is read than
    what changed.
    """
    keys = _changed_keys(repository, mark)
    paths = _changed_paths(repository, mark)
    if keys is None or paths is None:
        return None
    return _iter_files(repository, lacking(keys), paths)


def _iter_files(
    repository: Repository, keys: set[Key], paths: list[bytes]
) -> Iterator[TrackedFile]:
    if len(paths) <= _WHOLE:
        found = list(iter_annexed(repository, paths)) if paths else []
        yield from found
        keys = keys.difference(file.key for file in found if file.key)
        paths = []
    if keys or paths:
        here = set(paths)
        for file in iter_annexed(repository):
            if file.key in keys or file.path in here:
                yield file


def _changed_paths(repository: Repository, mark: Mark) -> list[bytes] | None:
    arguments = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=d")
    code, output, _ = repository.git.ask(*arguments, mark.version, "HEAD")
    return None if code else [path for path in output.split(b"\0") if path]


def _changed_keys(repository: Repository, mark: Mark) -> set[Key] | None:
    arguments = ("diff-tree", "-r", "-z", "--name-only", "--no-renames")
    code, output, _ = repository.git.ask(*arguments, mark.ledger, "refs/heads/git-annex")
    if code:
        return None
    keys: set[Key] = set()
    paths = {*output.split(b"\0"), *read_journal(repository.annex_dir + b"/journal")}
    for path in paths - {b""}:
        parsed = branch_paths.parse_branch_path(path)
        if parsed is None:
            if path not in (branch_paths.UUID_LOG, branch_paths.ACTIVITY_LOG):
                return None
        elif parsed[1] == branch_paths.LOCATION:
            keys.add(parsed[0])
        else:
            return None
    return keys
