"""Writing the ledger: one commit on the git-annex branch for a whole batch.

Only the journal lock keeps writers apart (git-annex moves the branch without looking at its old
value), so it is held from reading the branch to moving it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from heapq import merge
from itertools import chain, groupby, islice
from types import TracebackType

from ..core import faults
from ..core.clock import SECOND, Moment, parse_moment
from ..core.key import Key
from ..core.place import PlaceId
from ..wire import branch_paths, logs
from ..wire.gitobjects import Oid, encode_commit, parse_commit
from ..wire.logs import LocationState
from . import locks
from .branch_listing import Blobs, Listed, is_bulk, iter_listing
from .git import from_hex, hex_oid
from .ledger import BRANCH, read_journal
from .packs import BLOB, COMMIT, TREE, ObjectWriter
from .repository import Repository
from .sorted_spill import SortedSpill
from .trees import TreeEditor, TreeFinder

Edit = Callable[[bytes], bytes]
"""Old content of a branch file (empty when there is none) to its new content."""

RefUpdate = tuple[str, Oid, Oid | None]
"""A ref, its new value, and the old one it must still have (None: it must not exist)."""

_BULK = 8192
FILE_MODE = b"100644"


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
        self._root = _tree_of(self._repository, self._tip)
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
            edits = merge(edits, self._journal_edits(), key=_path_of)
        edits = iter(edits)
        first = list(islice(edits, _BULK))
        edits = chain(first, edits)
        if self._finder is not None and is_bulk(self._finder, len(first)):
            self._new_root = self._rebuild(edits, self._finder)
        else:
            self._new_root = self._edit(edits)

    def _edit(self, edits: Iterable[tuple[bytes, Edit]]) -> Oid | None:
        """Change the tree where the edits are."""
        editor = self._editor(self._root)
        for path, old, new in self._iter_changed(edits):
            if new != old or path in self._journal:
                editor.set(path, FILE_MODE, self._blob(new))
        return editor.finish()

    def _rebuild(self, edits: Iterable[tuple[bytes, Edit]], finder: TreeFinder) -> Oid | None:
        """Make the tree anew from its listing: cheaper when a good part of it changes."""
        git = self._repository.git
        editor = self._editor(None)
        blobs = Blobs(git)
        listing = iter_listing(git, finder.root)
        both: Iterator[tuple[bytes, Edit | Listed]] = merge(
            ((file.path, file) for file in listing), edits, key=_path_of
        )
        grouped = groupby(both, key=_path_of)
        while block := [(path, [x for _, x in group]) for path, group in islice(grouped, _BULK)]:
            contents = blobs.read(_objects_to_read(block))
            for path, items in block:
                file = items[0] if isinstance(items[0], Listed) else None
                if file is not None and len(items) == 1:
                    editor.set(path, file.mode, from_hex(file.oid))
                    continue
                content = self._journal.get(path)
                if content is None:
                    content = contents[file.oid] if file is not None else b""
                for edit in items:
                    if not isinstance(edit, Listed):
                        content = edit(content)
                editor.set(path, FILE_MODE, self._blob(content))
        return editor.finish()

    def _editor(self, base: Oid | None) -> TreeEditor:
        return TreeEditor(
            self._finder.read if self._finder else _no_tree,
            lambda data: self._writer.add(TREE, data),
            self._repository.object_format,
            base,
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
        grouped = groupby(edits, key=_path_of)
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


def _path_of(item: tuple[bytes, object]) -> bytes:
    return item[0]


def _objects_to_read(block: Sequence[tuple[bytes, Sequence[Edit | Listed]]]) -> Iterator[bytes]:
    """The objects of those files that somebody wants to change."""
    for _, items in block:
        if len(items) > 1 and isinstance(items[0], Listed):
            yield items[0].oid


def record(repository: Repository, edits: Iterable[tuple[bytes, Edit]]) -> None:
    """Make a few changes, in any order, in one commit; none when nothing changes."""
    record_sorted(repository, sorted(edits, key=_path_of))


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
    fresh = logs.set_location(b"", place, state, moment)

    # Logs of one batch are often the same to the byte; the last answer serves them all.
    last = [b"", fresh]

    def edit(old: bytes) -> bytes:
        if old != last[0]:
            last[:] = old, logs.set_location(old, place, state, moment)
        return last[1]

    for path in paths:
        yield path, edit


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


def journal_lock(repository: Repository) -> AbstractContextManager[None]:
    """The lock that keeps writers of the branch apart, ours and git-annex's."""
    os.makedirs(repository.annex_dir, exist_ok=True)
    return locks.exclusive(repository.annex_dir + b"/journal.lck")


def branch_tip(repository: Repository) -> Oid | None:
    """The newest commit of the branch, or None before there is one."""
    oid = repository.git.line("rev-parse", "--verify", "--quiet", BRANCH)
    return from_hex(oid) if oid else None


def update_refs(repository: Repository, moves: Sequence[RefUpdate], reason: str) -> None:
    """Move refs, all or none, each only from the value it should have."""
    zero = b"0" * repository.object_format.digest_size * 2
    lines = [
        b"update %b\0%b\0%b\0" % (ref.encode(), hex_oid(new), hex_oid(old) if old else zero)
        for ref, new, old in moves
    ]
    repository.git.run("update-ref", "-m", reason, "-z", "--stdin", data=b"".join(lines))


def commit_object(
    repository: Repository, tree: Oid, parents: Sequence[Oid], message: str | bytes
) -> bytes:
    """A commit by whoever git says we are."""
    author, committer = idents(repository)
    text = message if isinstance(message, bytes) else message.encode("utf-8", "surrogateescape")
    return encode_commit(tree, parents, author, committer, text.rstrip(b"\n") + b"\n")


def idents(repository: Repository) -> tuple[bytes, bytes]:
    """Author and committer, as git would write them now.

    Raises:
        UsageError: git does not know who we are.
    """
    author = repository.ident("GIT_AUTHOR_IDENT")
    if any(name.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_")) for name in os.environ):
        return author, repository.ident("GIT_COMMITTER_IDENT")
    return author, author


def forget_annex_index(repository: Repository) -> None:
    """Let git-annex read the branch anew; what we took out must not come back from its index."""
    for name in (b"index", b"index.lck"):
        try:
            os.unlink(os.path.join(repository.annex_dir, name))
        except FileNotFoundError:
            continue


# merging what remotes brought


def merge_refs(repository: Repository) -> bool:
    """Merge the git-annex branches that remotes brought into ours; True when there were any."""
    if not unmerged_refs(repository):
        return False
    repository.check_writable()
    with journal_lock(repository):
        return merge_refs_locked(repository)


def merge_refs_locked(repository: Repository) -> bool:
    """As `merge_refs`, by a caller that holds the journal lock."""
    if repository.config.get("annex.merge-annex-branches") == "false":
        return False
    refs = unmerged_refs(repository)
    for ref, theirs in refs:
        _merge_one(repository, ref, theirs)
    if refs:
        _remember_merged(repository, refs)
    return bool(refs)


def unmerged_refs(repository: Repository) -> list[tuple[bytes, Oid]]:
    """Refs named git-annex of remotes whose commits are not known to be in ours."""
    listing = repository.git.run(
        "for-each-ref", "--format=%(objectname)%00%(refname)", "refs/heads", "refs/remotes"
    )
    merged = _read_merged(repository)
    found: list[tuple[bytes, Oid]] = []
    ours: bytes | None = None
    for line in listing.splitlines():
        oid, _, ref = line.partition(b"\0")
        if ref == BRANCH.encode():
            ours = oid
        elif ref.endswith(b"/git-annex") and (oid, ref) not in merged:
            found.append((ref, from_hex(oid)))
    return [(ref, oid) for ref, oid in found if ours is None or hex_oid(oid) != ours]


def _merge_one(repository: Repository, ref: bytes, theirs: Oid) -> None:
    ours = branch_tip(repository)
    git = repository.git
    if ours is None:
        update_refs(repository, [(BRANCH, theirs, None)], "merge")
        return
    if git.ask("merge-base", "--is-ancestor", hex_oid(theirs), hex_oid(ours))[0] == 0:
        return
    if git.ask("merge-base", "--is-ancestor", hex_oid(ours), hex_oid(theirs))[0] == 0:
        update_refs(repository, [(BRANCH, theirs, ours)], "merge")
        forget_annex_index(repository)
        return
    _refuse_transitions(repository, ours, theirs)
    with ObjectWriter(repository.common_dir, repository.object_format) as writer:
        root = _union_tree(repository, writer, ours, theirs)
        assert root is not None
        name = ref.decode("utf-8", "surrogateescape").removeprefix("refs/heads/")
        name = name.removeprefix("refs/remotes/")
        message = f"merging {name} into git-annex"
        commit = writer.add(COMMIT, commit_object(repository, root, [ours, theirs], message))
        writer.finish()
    update_refs(repository, [(BRANCH, commit, ours)], "merge")
    forget_annex_index(repository)


def _refuse_transitions(repository: Repository, ours: Oid, theirs: Oid) -> None:
    """History that was forgotten on one side must not come back from the other."""
    reader = repository.git.objects
    sets = []
    for tip in (ours, theirs):
        answer = reader.read(hex_oid(tip) + b":transitions.log")
        sets.append(frozenset(answer[1].splitlines()) if answer else frozenset())
    if sets[0] != sets[1]:
        raise faults.TRANSITION()


def _union_tree(repository: Repository, writer: ObjectWriter, ours: Oid, theirs: Oid) -> Oid | None:
    git = repository.git
    editor = TreeEditor(
        lambda oid: _content(git.objects.read(hex_oid(oid))),
        lambda data: writer.add(TREE, data),
        repository.object_format,
        _tree_of(repository, ours),
    )
    changes = git.iter_fields(
        "diff-tree", "-r", "-z", "--raw", "--no-renames", hex_oid(ours), hex_oid(theirs)
    )
    while block := list(islice(_iter_raw(changes), _BULK)):
        pairs = [(path, old, new) for path, old, new in block if new is not None]
        names = [oid for _, old, new in pairs for oid in (old, new) if oid is not None]
        contents = dict(zip(names, git.objects.iter_read(names), strict=True))
        for path, old, new in pairs:
            assert new is not None
            if old is None:
                editor.set(path, FILE_MODE, from_hex(new))
            else:
                both = logs.union(_content(contents[old]), _content(contents[new]))
                editor.set(path, FILE_MODE, writer.add(BLOB, both))
    return editor.finish()


def _iter_raw(fields: Iterator[bytes]) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Path, old and new object of `diff-tree --raw -z`; None where there is none."""
    for facts in fields:
        path = next(fields)
        _, _, old, new, _ = facts.split(b" ")
        yield path, old if old.strip(b"0") else None, new if new.strip(b"0") else None


def _read_merged(repository: Repository) -> set[tuple[bytes, bytes]]:
    try:
        with open(os.path.join(repository.annex_dir, b"mergedrefs"), "rb") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return set()
    return {(oid, ref) for oid, _, ref in (line.partition(b"\t") for line in lines)}


def _remember_merged(repository: Repository, refs: Sequence[tuple[bytes, Oid]]) -> None:
    now_merged = {ref: oid for oid, ref in _read_merged(repository)}
    now_merged.update({ref: hex_oid(oid) for ref, oid in refs})
    path = os.path.join(repository.annex_dir, b"mergedrefs")
    temporary = path + b".hold"
    with open(temporary, "wb") as file:
        file.writelines(b"%b\t%b\n" % (oid, ref) for ref, oid in sorted(now_merged.items()))
    os.replace(temporary, path)


def _tree_of(repository: Repository, commit: Oid | None) -> Oid | None:
    return None if commit is None else tree_of(repository, commit)


def tree_of(repository: Repository, commit: Oid) -> Oid:
    """The tree of a commit."""
    return parse_commit(_content(repository.git.objects.read(hex_oid(commit)))).tree


def _no_tree(oid: Oid) -> bytes:
    raise AssertionError("there is no tree to read from yet")


def _content(answer: tuple[bytes, bytes] | None) -> bytes:
    assert answer is not None, "an object that a tree names is missing; git fsck tells more"
    return answer[1]
