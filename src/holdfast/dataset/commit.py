"""Making a version of what was taken in: index, trees, ledger, refs, in an order that a kill at
any moment leaves either the old version, or the new one staged for the same command to finish.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from typing import NamedTuple

from ..core.key import Key
from ..wire.gitindex import IndexView, encode_cache_tree, encode_entry, parse_cache_tree, stat_facts
from ..wire.gitobjects import Oid
from .branch import commit_object, tree_of
from .git import from_hex, hex_oid
from .index_file import IndexChange, IndexState, LockedIndex, index_state, locked_index
from .key_facts import KeyFacts
from .ledger_write import LedgerWriter, location_edits, path_of, set_location_logs
from .packs import COMMIT, TREE, ObjectWriter, sync_file_system
from .repository import Repository
from .sorted_spill import SortedSpill
from .trees import TreeEditor

SAME = "same"
"""The verb of what the last version has already, so that only its index entry is new."""


class Recorded(NamedTuple):
    """One path of the new version, in values that can be spilled to disk.

    ``oid`` None: the path is gone. ``entry`` None: the index has it so already.
    """

    path: bytes
    mode: bytes
    oid: bytes | None
    entry: bytes | None
    key: bytes | None
    size: int
    verb: str

    @classmethod
    def of(
        cls,
        path: bytes,
        mode: bytes,
        oid: Oid | None,
        status: os.stat_result | None,
        key: Key | None,
        size: int,
        verb: str,
    ) -> Recorded:
        """From what was taken in; ``status`` is the lstat of the file as it lies there now."""
        entry = None
        if oid is not None and status is not None:
            entry = encode_entry(path, int(mode, 8), oid, stat_facts(status))
        return cls(path, mode, oid, entry, None if key is None else bytes(key), size, verb)


class Version(NamedTuple):
    """A version and its tree, None before the first."""

    commit: Oid | None
    tree: Oid | None


def head(repository: Repository) -> Version:
    """The version that is checked out."""
    found = repository.git.line("rev-parse", "--verify", "--quiet", "HEAD")
    if found is None:
        return Version(None, None)
    return Version(from_hex(found), tree_of(repository, from_hex(found)))


def commit(
    repository: Repository,
    writer: ObjectWriter,
    batch: Iterable[Recorded],
    here: SortedSpill,
    message: str,
    *,
    seen: IndexState | None,
    whole: bool,
    look: Callable[[IndexView], None] | None = None,
    facts: KeyFacts | None = None,
) -> Oid | None:
    """Make a version of a batch (sorted by path, read several times) over the one checked out.

    ``here`` has the location logs of content that is here now. ``seen`` is the index as it was
    when the changes were found, ``whole`` says that they were all there are. ``look`` is
    shown the index as it was, while it is mapped. ``facts`` are what else the ledger is to be told
    of. Gives the commit, None when the version would be the same.
    """
    by_git = _needs_git(repository)
    with locked_index(repository) as index:
        known = whole and not by_git and index_state(repository) == seen
        old = head(repository)
        editor = _edit_tree(repository, writer, batch, old, index if known else None)
        tree = editor.finish() or writer.add(TREE, b"")
        cache_tree = None
        if known and editor.cache_tree is not None:
            cache_tree = encode_cache_tree(editor.cache_tree)
        elif index.view is not None:
            cache_tree = index.outdated_cache_tree(record.path for record in batch)
        if look is not None and index.view is not None:
            look(index.view)
        index.write(_index_changes(batch), cache_tree)
        updates = []
        made: Oid | None = None
        if tree != old.tree and not by_git:
            parents = [old.commit] if old.commit else []
            made = writer.add(COMMIT, commit_object(repository, tree, parents, message))
            updates.append(("HEAD", made, old.commit))
        if here:
            sync_file_system(repository.annex_dir)
        _record(repository, writer, here, updates, message, index, facts)
    if by_git and tree != old.tree:
        made = _commit_by_git(repository, message, _changed(batch, whole=whole))
    return made


def _changed(batch: Iterable[Recorded], *, whole: bool) -> list[bytes] | None:
    """The paths that git shall make a version of, None for all that the index has."""
    return None if whole else [record.path for record in batch if record.verb != SAME]


def _edit_tree(
    repository: Repository,
    writer: ObjectWriter,
    batch: Iterable[Recorded],
    old: Version,
    index: LockedIndex | None,
) -> TreeEditor:
    known = None
    if index is not None and index.view is not None and index.view.cache_tree is not None:
        known = parse_cache_tree(index.view.cache_tree, repository.object_format)
    reader = repository.git.objects

    def read(oid: Oid) -> bytes:
        answer = reader.read(hex_oid(oid))
        assert answer is not None, "a tree that HEAD names is missing; git fsck tells more"
        return answer[1]

    def add(data: bytes) -> Oid:
        return writer.add(TREE, data)

    editor = TreeEditor(read, add, repository.object_format, old.tree, known)
    for record in batch:
        if record.oid is None:
            editor.delete(record.path)
        else:
            editor.set(record.path, record.mode, Oid(record.oid))
    return editor


def _index_changes(batch: Iterable[Recorded]) -> Iterator[IndexChange]:
    for record in batch:
        if record.oid is None or record.entry is not None:
            yield record.path, record.entry


def _record(
    repository: Repository,
    writer: ObjectWriter,
    here: SortedSpill,
    updates: list[tuple[str, Oid, Oid | None]],
    message: str,
    index: LockedIndex,
    facts: KeyFacts | None,
) -> None:
    """Ledger and refs, with the index published between objects and refs."""
    reason = "commit: " + message.splitlines()[0]
    if repository.private and here:
        set_location_logs(repository, here, repository.here, present=True)
    with LedgerWriter(repository, writer) as ledger:
        edits = facts.iter_edits() if facts else iter(())
        if here and not repository.private:
            own = location_edits(here, repository.here, present=True)
            edits = merge(own, edits, key=path_of)
        if here or facts:
            ledger.apply(edits)
        ledger.finish(updates, reason=reason, before_refs=index.publish)


_OWN_MARK = b"automatically configured by "


def _needs_git(repository: Repository) -> bool:
    """Whether only git itself can make this version: hooks, signatures, a merge to finish."""
    if repository.config.flag("commit.gpgsign"):
        return True
    if os.path.exists(os.path.join(repository.git_dir, b"MERGE_HEAD")):
        return True
    folder = os.fsencode(repository.config.get("core.hookspath") or "")
    folder = os.path.join(repository.top, folder) if folder else repository.common_dir + b"/hooks"
    for name in (b"pre-commit", b"prepare-commit-msg", b"commit-msg", b"post-commit"):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            with open(path, "rb") as file:
                if _OWN_MARK not in file.read(4096):
                    return True
    return False


def _commit_by_git(repository: Repository, message: str, paths: list[bytes] | None) -> Oid | None:
    words: list[str | bytes] = ["commit", "--quiet", "--file=-", "--cleanup=whitespace"]
    if paths is not None and not os.path.exists(os.path.join(repository.git_dir, b"MERGE_HEAD")):
        words += ["--only", "--", *paths]
    repository.git.run(*words, data=message.encode("utf-8", "surrogateescape"))
    return head(repository).commit
