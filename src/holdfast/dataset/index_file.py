"""git's index as a file: read mapped, rewritten whole under git's own lock."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from ..core import faults
from ..core.errors import ProtocolError
from ..wire.gitindex import (
    GitOnlyError,
    IndexView,
    encode_cache_tree,
    invalidate,
    parse_cache_tree,
    write_index,
)
from .git_lock import WAIT_S, GitLock, clear_dead_lock, git_lock
from .repository import Repository

IndexChange = tuple[bytes, bytes | None]
"""A path, and its new entry or None to take it out."""

_GIT_ONLY = {
    "link": ("a split one", "git update-index --no-split-index    (makes it one file again)"),
    "sdir": (
        "a sparse one",
        "git sparse-checkout reapply --no-sparse-index    (lists all files; the folder stays)",
    ),
}
_NEWER = (
    "of a newer kind",
    "git update-index --force-write-index    (git writes it anew; what is staged stays)",
)


class IndexState(NamedTuple):
    """Enough of the index file's lstat to see whether somebody wrote it anew."""

    inode: int
    size: int
    mtime_ns: int


def index_state(repository: Repository) -> IndexState | None:
    """The index file as it is now; None before there is one."""
    try:
        status = os.stat(index_path(repository))
    except FileNotFoundError:
        return None
    return IndexState(status.st_ino, status.st_size, status.st_mtime_ns)


def index_path(repository: Repository) -> bytes:
    """Where the index of this work tree is."""
    given = os.environb.get(b"GIT_INDEX_FILE")
    return (
        os.path.join(repository.top, given) if given else os.path.join(repository.git_dir, b"index")
    )


def read_index(repository: Repository) -> IndexView | None:
    """The index, mapped; None before there is one.

    Raises:
        ProtocolError: It is damaged, or split or sparse, which only git itself handles.
    """
    try:
        with open(index_path(repository), "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, ValueError):
        return None
    try:
        return IndexView(mapped, repository.object_format)
    except GitOnlyError as error:
        form, next_step = _GIT_ONLY.get(error.part, _NEWER)
        detail = f"it has the part {error.part!r}; a whole index tells the same"
        raise faults.INDEX_OF_GIT(form=form, detail=detail, next=next_step) from None
    except ProtocolError as error:
        path = os.fsdecode(index_path(repository))
        raise faults.BAD_INDEX(detail=error.what, path=path) from None


class LockedIndex:
    """The index while we alone may write it."""

    def __init__(self, repository: Repository, lock: GitLock) -> None:
        state = index_state(repository)
        self._mtime_ns = state.mtime_ns if state else None
        self.view = read_index(repository)
        self._repository = repository
        self._lock = lock

    def write(self, changes: Iterable[IndexChange], cache_tree: bytes | None) -> None:
        """Write the new index beside the old one. It counts once `publish` was called."""
        smudge: Sequence[int] = ()
        if self.view is not None and self._mtime_ns is not None:
            # Entries as young as the old index would look clean beside the new, unseen by git.
            smudge = self.view.racy(divmod(self._mtime_ns, 1_000_000_000))
        write_index(
            self._lock.file, self._repository.object_format, self.view, changes, cache_tree, smudge
        )
        self._lock.file.flush()

    def publish(self) -> None:
        """Let the new index take the place of the old."""
        self._lock.publish()

    def outdated_cache_tree(self, paths: Iterable[bytes]) -> bytes | None:
        """The known trees of the old index, less those above these paths."""
        if self.view is None or self.view.cache_tree is None:
            return None
        root = parse_cache_tree(self.view.cache_tree, self._repository.object_format)
        for path in paths:
            invalidate(root, path)
        return encode_cache_tree(root)


@contextmanager
def locked_index(repository: Repository, *, wait_s: float = WAIT_S) -> Iterator[LockedIndex]:
    """Hold git's lock on the index; what was not published is thrown away at the end.

    Raises:
        PlaceUnavailableError: Another program holds it for longer than we wait.
    """
    with git_lock(index_path(repository), wait_s=wait_s) as lock:
        yield LockedIndex(repository, lock)


def clear_dead_locks(repository: Repository) -> None:
    """Remove the locks on index and configuration that killed processes of ours left."""
    clear_dead_lock(index_path(repository))
    clear_dead_lock(os.path.join(repository.common_dir, b"config"))


def update_entries(repository: Repository, changes: Iterable[IndexChange]) -> None:
    """Put entries, sorted by path, into the index; the rest of it stays as it is."""
    block = list(changes)
    if not block:
        return
    with locked_index(repository) as index:
        index.write(block, index.outdated_cache_tree(path for path, _ in block))
        index.publish()
