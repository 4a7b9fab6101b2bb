"""Trees that are exported to places: which files they have, and what the ledger says of them.

Submodules, and symlinks that lead to no content, are no part of them, as git-annex has it. A file
whose content is in git goes by a key of git's own for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from ..core.key import Key
from ..core.place import PlaceId
from ..wire.branch_paths import EXPORT_LOG, location_log
from ..wire.exports import Exported, begin_export, finish_export
from ..wire.gitobjects import TREE_MODE, Oid, encode_tree, hash_object
from ..wire.gitobjects import iter_tree as iter_entries
from .annexed import LINK, TrackedFile, iter_tracked
from .branch import (
    BRANCH,
    branch_tip,
    commit_object,
    forget_annex_index,
    journal_lock,
    tree_of,
    update_refs,
)
from .differences import iter_pairs
from .git import from_hex, hex_oid
from .ledger_write import location_edits, now, record, record_sorted
from .packs import COMMIT, TREE, ObjectWriter
from .repository import Repository
from .trees import TreeEditor

Keep = Callable[[TrackedFile], bool]
_BLOCK = 4096
_FOLDER = b"export.tree"
"""Where an exported tree lies on the branch, so that git keeps it and passes it on."""


class ExportedFile(NamedTuple):
    """A file of an exported tree: ``key`` is of its content, ``oid`` of its object in git."""

    path: bytes
    key: Key
    oid: bytes
    in_git: bool
    executable: bool


def as_exported(file: TrackedFile) -> ExportedFile | None:
    """A file as it is exported; None for a symlink that leads to no content."""
    if file.key is not None:
        return ExportedFile(file.path, file.key, file.oid, in_git=False, executable=False)
    if file.mode == LINK:
        return None
    key = Key(b"GIT--" + file.oid)
    return ExportedFile(file.path, key, file.oid, in_git=True, executable=file.mode == b"100755")


def empty_tree(repository: Repository) -> bytes:
    """The name of the tree that has nothing in it, in git's hex."""
    return hex_oid(hash_object(b"tree", b"", repository.object_format))


def make_tree(repository: Repository, version: str, keep: Keep) -> bytes:
    """The tree of a version with what is exported of it alone, in git's hex; it is written."""
    git, fmt = repository.git, repository.object_format
    root = git.line("rev-parse", "--verify", version + "^{tree}")
    assert root is not None, "the version was looked up before"

    def read(oid: Oid) -> bytes:
        answer = git.objects.read(hex_oid(oid))
        assert answer is not None, "git ls-tree has just listed it"
        return answer[1]

    with ObjectWriter(repository.common_dir, fmt) as writer:
        editor = TreeEditor(
            read, lambda data: writer.add(TREE, data), fmt, from_hex(root), counted=False
        )
        for path in _iter_left_out(repository, version, keep):
            editor.delete(path)
        made = editor.finish() or writer.add(TREE, b"")
        writer.finish()
    return hex_oid(made)


def _iter_left_out(repository: Repository, version: str, keep: Keep) -> Iterator[bytes]:
    """Paths that are not exported, sorted."""
    submodules = (path for path, mode in _iter_modes(repository, version) if mode == b"160000")
    files = (
        file.path
        for file in iter_tracked(repository, (), version)
        if as_exported(file) is None or not keep(file)
    )
    return iter(sorted([*submodules, *files]))


def _iter_modes(repository: Repository, version: str) -> Iterator[tuple[bytes, bytes]]:
    for field in repository.git.iter_fields("ls-tree", "-r", "-z", "--full-tree", version):
        facts, _, path = field.partition(b"\t")
        yield path, facts.split(b" ")[0]


def iter_exported(repository: Repository, tree: bytes) -> Iterator[ExportedFile]:
    """The files of an exported tree, by path."""
    for file in iter_tracked(repository, (), tree.decode()):
        found = as_exported(file)
        if found is not None:
            yield found


def iter_changed(
    repository: Repository, old: bytes, new: bytes
) -> Iterator[tuple[ExportedFile | None, ExportedFile | None]]:
    """What each path that differs has in either tree.

    Raises:
        HoldError: A tree is not in this clone.
    """
    for before, after in iter_pairs(repository, None, old.decode(), new.decode(), ()):
        sides = [
            as_exported(TrackedFile(s.path, s.mode, s.oid, s.key)) if s is not None else None
            for s in (before, after)
        ]
        yield sides[0], sides[1]


def sizes_of(repository: Repository, files: Iterable[ExportedFile]) -> dict[Key, int]:
    """How many bytes the content of files has, as far as keys and git tell."""
    found: dict[Key, int] = {}
    rest = iter(files)
    while block := list(islice(rest, _BLOCK)):
        in_git = {file.oid: file.key for file in block if file.in_git}
        for oid, size in repository.git.objects.iter_sizes(sorted(in_git)):
            found[in_git[oid]] = size
        found.update((f.key, f.key.size) for f in block if not f.in_git and f.key.size is not None)
    return found


# the ledger


def write_begun(
    repository: Repository, place: PlaceId, tree: bytes, leaving: Sequence[Key]
) -> None:
    """Write down that a tree is about to be exported, and which keys the place may lack from now.

    The tree itself goes into the history of the branch.
    """
    _graft(repository, tree)
    empty, moment = empty_tree(repository), now()
    here = repository.here
    gone = location_edits(map(location_log, leaving), place, present=False)
    begun = (
        EXPORT_LOG,
        lambda old: begin_export(old, here, place, tree, empty, moment),
    )
    record(repository, [begun, *gone])


def write_locations(
    repository: Repository, place: PlaceId, there: Iterable[Key], *, present: bool
) -> None:
    """Write down which keys a place has, or has not."""
    paths = sorted(map(location_log, set(there)))
    record_sorted(repository, location_edits(paths, place, present=present))


def write_finished(
    repository: Repository, place: PlaceId, tree: bytes, replaced: Exported, there: Iterable[Key]
) -> None:
    """Write down that a tree is there, and which of its keys have come, in one commit."""
    moment, here = now(), repository.here
    came = location_edits(map(location_log, set(there)), place, present=True)
    done = (
        EXPORT_LOG,
        lambda old: finish_export(old, here, place, tree, replaced, moment),
    )
    record(repository, [done, *came])


def track(repository: Repository, remote: str, branch: str, commit: str) -> None:
    """Let git's remote-tracking branch tell which version a place has."""
    repository.git.run("update-ref", "-m", "export", f"refs/remotes/{remote}/{branch}", commit)


def _graft(repository: Repository, tree: bytes) -> None:
    """Put a tree into the branch and take it out again: its objects are in the history then."""
    with (
        journal_lock(repository),
        ObjectWriter(repository.common_dir, repository.object_format) as writer,
    ):
        tip = branch_tip(repository)
        assert tip is not None, "a place that is set up is in the ledger"
        root = tree_of(repository, tip)
        answer = repository.git.objects.read(hex_oid(root))
        assert answer is not None, "a tree of the branch is missing; git fsck tells more"
        entries = list(iter_entries(answer[1], repository.object_format))
        entries.append((TREE_MODE, _FOLDER, from_hex(tree)))
        first = _commit(repository, writer, writer.add(TREE, encode_tree(entries)), tip, "graft")
        last = _commit(repository, writer, root, first, "graft cleanup")
        writer.finish()
        update_refs(repository, [(BRANCH, last, tip)], "export")
        forget_annex_index(repository)


def _commit(
    repository: Repository, writer: ObjectWriter, root: Oid, parent: Oid, message: str
) -> Oid:
    return writer.add(COMMIT, commit_object(repository, root, [parent], message))
