"""Writing the ledger: one commit on the git-annex branch for a whole batch.

Only the journal lock keeps writers apart (git-annex moves the branch without looking at its old
value), so it is held from reading the branch to moving it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from heapq import merge
from itertools import chain, groupby, islice
from types import TracebackType

from ..core.clock import SECOND, Moment, parse_moment
from ..core.key import Key
from ..core.place import PlaceId
from ..wire import branch_paths
from ..wire.gitobjects import FILE_MODE, Oid
from ..wire.location_changes import LocationChange
from ..wire.logs import LocationState
from . import locks
from .branch import (
    BRANCH,
    RefUpdate,
    branch_tip,
    commit_object,
    forget_annex_index,
    journal_lock,
    tree_of,
    update_refs,
)  # fmt: skip
from .branch_listing import Blobs, is_bulk, iter_joined, iter_listing
from .git import from_hex, hex_oid
from .ledger import read_journal
from .packs import BLOB, COMMIT, TREE, ObjectWriter
from .remote_branches import merge_refs_locked
from .repository import Repository
from .sorted_spill import SortedSpill
from .tree_builder import TreeBuilder
from .trees import TreeEditor, TreeFinder

Edit = Callable[[bytes], bytes]
"""Old content of a branch file (empty when there is none) to its new content."""

_BULK = 8192


def now() -> Moment:
    """This moment, in whole seconds as git-annex writes them, or what its test clock says."""
    clock = os.environ.get("GIT_ANNEX_VECTOR_CLOCK")
    given = parse_moment(clock.encode()) if clock else None
    return given if given is not None else Moment(int(time.time()) * SECOND)


class LedgerWriter:
    """A batch of changes to the branch, under the journal lock while the block lasts.

    Changes are streamed through `apply` in the order of their paths; `finish` makes everything
    durable in one step, together with other refs the caller moves.
    """

    def __init__(self, repository: Repository, writer: ObjectWriter) -> None:
        self._repository = repository
        self._writer = writer
        self._stack = ExitStack()
        self._tip: Oid | None = None
        self._root: Oid | None = None
        self._journal: dict[bytes, bytes] = {}
        self._new_root: Oid | None = None
        self._finder: TreeFinder | None = None
        self._last: tuple[bytes | None, Oid] = (None, Oid(b""))

    def __enter__(self) -> LedgerWriter:
        self._repository.check_writable()
        self._stack.enter_context(journal_lock(self._repository))
        merge_refs_locked(self._repository)
        self._journal = read_journal(self._repository.annex_dir + b"/journal")
        self._tip = branch_tip(self._repository)
        self._root = None if self._tip is None else tree_of(self._repository, self._tip)
        if self._root is not None:
            reader = self._repository.git.objects
            self._finder = TreeFinder(reader, self._repository.object_format, self._root)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def apply(self, edits: Iterable[tuple[bytes, Edit]]) -> None:
        """Make these changes, given in the order of their paths; the journal's go along."""
        if self._repository.config.get("annex.alwayscommit") == "false":
            self._write_journal(edits)
            return
        if self._journal:
            edits = merge(edits, self._journal_edits(), key=path_of)
        edits = iter(edits)
        first = list(islice(edits, _BULK))
        edits = chain(first, edits)
        if self._finder is not None and is_bulk(len(first), self._finder.estimate):
            self._new_root = self._rebuild(edits, self._finder)
        else:
            self._new_root = self._edit(edits)

    def _edit(self, edits: Iterable[tuple[bytes, Edit]]) -> Oid | None:
        """Change the tree where the edits are."""
        editor = self._editor()
        for path, old, new in self._iter_changed(edits):
            if new != old or path in self._journal:
                editor.set(path, FILE_MODE, self._blob(new))
        return editor.finish()

    def _rebuild(self, edits: Iterable[tuple[bytes, Edit]], finder: TreeFinder) -> Oid | None:
        """Make the tree anew from its listing: cheaper when a good part of it changes."""
        git = self._repository.git
        builder = TreeBuilder(lambda data: self._writer.add(TREE, data))
        blobs = Blobs(git)
        joined = iter_joined(iter_listing(git, finder.root), edits)
        while block := list(islice(joined, _BULK)):
            contents = blobs.read(file.oid for _, file, changes in block if file and changes)
            for path, file, changes in block:
                if file is not None and not changes:
                    builder.set(path, file.mode, from_hex(file.oid))
                    continue
                content = self._journal.get(path)
                if content is None:
                    content = contents[file.oid] if file is not None else b""
                for edit in changes:
                    content = edit(content)
                builder.set(path, FILE_MODE, self._blob(content))
        return builder.finish()

    def _editor(self) -> TreeEditor:
        return TreeEditor(
            self._finder.read if self._finder else _no_tree,
            lambda data: self._writer.add(TREE, data),
            self._repository.object_format,
            self._root,
            counted=False,
        )

    def _blob(self, content: bytes) -> Oid:
        # Most logs of a batch say the same thing; one blob serves them all.
        if content != self._last[0]:
            self._last = (content, self._writer.add(BLOB, content))
        return self._last[1]

    def _journal_edits(self) -> Iterator[tuple[bytes, Edit]]:
        return ((path, lambda old: old) for path in sorted(self._journal))

    def _iter_changed(
        self, edits: Iterable[tuple[bytes, Edit]]
    ) -> Iterator[tuple[bytes, bytes, bytes]]:
        grouped = groupby(edits, key=path_of)
        while block := [(path, [e for _, e in group]) for path, group in islice(grouped, _BULK)]:
            old = self._old_contents([path for path, _ in block])
            for path, group in block:
                before = content = old.get(path, b"")
                for edit in group:
                    content = edit(content)
                yield path, before, content

    def _old_contents(self, paths: Sequence[bytes]) -> dict[bytes, bytes]:
        contents = {path: self._journal[path] for path in paths if path in self._journal}
        if self._finder is not None:
            missing = [path for path in paths if path not in contents]
            found = self._finder.find(missing)
            blobs = Blobs(self._repository.git).read(map(hex_oid, found.values()))
            contents.update((path, blobs[hex_oid(oid)]) for path, oid in found.items())
        return contents

    def _write_journal(self, edits: Iterable[tuple[bytes, Edit]]) -> None:
        for path, old, new in self._iter_changed(edits):
            if new != old:
                write_journal_file(self._repository, b"journal", path, new)

    def finish(
        self,
        updates: Sequence[RefUpdate] = (),
        *,
        reason: str = "hold",
        before_refs: Callable[[], None] | None = None,
    ) -> None:
        """Bring all objects to the disk, then move the branch and the given refs, all or none.

        ``before_refs`` is called between the two.
        """
        moves = list(updates)
        if self._new_root is not None and self._new_root != self._root:
            parents = [self._tip] if self._tip else []
            message = self._repository.config.get("annex.commitmessage") or "update"
            commit = self._writer.add(
                COMMIT, commit_object(self._repository, self._new_root, parents, message)
            )
            moves.append((BRANCH, commit, self._tip))
        self._writer.finish()
        if before_refs is not None:
            before_refs()
        if moves:
            update_refs(self._repository, moves, reason)
        if self._new_root is not None:
            forget_annex_index(self._repository)
            for path in self._journal:
                name = branch_paths.journal_name(path)
                os.unlink(os.path.join(self._repository.annex_dir, b"journal", name))
            self._journal.clear()


def path_of(item: tuple[bytes, object]) -> bytes:
    """The file that a change, or a listed file, is about."""
    return item[0]


def record(repository: Repository, edits: Iterable[tuple[bytes, Edit]]) -> None:
    """Make a few changes, in any order, in one commit; none when nothing changes."""
    record_sorted(repository, sorted(edits, key=path_of))


def record_sorted(repository: Repository, edits: Iterable[tuple[bytes, Edit]]) -> None:
    """Make a batch of changes, in the order of their paths, in one commit."""
    with (
        ObjectWriter(repository.common_dir, repository.object_format) as writer,
        LedgerWriter(repository, writer) as ledger,
    ):
        ledger.apply(edits)
        ledger.finish()


def set_locations(
    repository: Repository, keys: Iterable[Key], place: PlaceId, *, present: bool
) -> None:
    """Write down that a place has, or no longer has, each of these keys."""
    with SortedSpill(repository.annex_dir) as paths:
        paths.update(map(branch_paths.location_log, keys))
        set_location_logs(repository, paths, place, present=present)


def set_location_logs(
    repository: Repository, paths: SortedSpill, place: PlaceId, *, present: bool
) -> None:
    """As `set_locations`, told by the location logs of the keys."""
    if repository.private and place == repository.uuid:
        _set_private_locations(repository, paths, place, present=present)
    else:
        record_sorted(repository, location_edits(paths, place, present=present))


def location_edits(
    paths: Iterable[bytes], place: PlaceId, *, present: bool
) -> Iterator[tuple[bytes, Edit]]:
    """The changes of these location logs that say so, in the order given."""
    moment = now()
    state = LocationState.PRESENT if present else LocationState.MISSING
    change = LocationChange(place, state, moment)
    for path in paths:
        yield path, change


def _set_private_locations(
    repository: Repository, paths: Iterable[bytes], place: PlaceId, *, present: bool
) -> None:
    with journal_lock(repository):
        journal = read_journal(repository.annex_dir + b"/journal-private")
        for path, edit in location_edits(paths, place, present=present):
            new = edit(journal.get(path, b""))
            write_journal_file(repository, b"journal-private", path, new)


def write_journal_file(repository: Repository, journal: bytes, path: bytes, content: bytes) -> None:
    """Put one branch file, whole, into a journal; the caller holds the journal lock."""
    folder = os.path.join(repository.annex_dir, journal)
    scratch = os.path.join(repository.annex_dir, b"othertmp")
    os.makedirs(folder, exist_ok=True)
    os.makedirs(scratch, exist_ok=True)
    name = branch_paths.journal_name(path)
    with locks.shared(repository.annex_dir + b"/othertmp.lck"):
        temporary = os.path.join(scratch, b"journal%d-%b" % (os.getpid(), name[-100:]))
        with open(temporary, "wb") as file:
            file.write(content)
        os.rename(temporary, os.path.join(folder, name))


def _no_tree(oid: Oid) -> bytes:
    raise AssertionError("there is no tree to read from yet")
