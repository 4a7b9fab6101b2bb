"""git's merge, such that nothing is overwritten that somebody has not saved.

git looks after changed files that a merge would write to, with gaps that are closed here. It takes
ignored files for worthless. It stops at a conflict that leaves a file alone (links, binary files)
without a look at it, so that undoing the merge would undo what was not saved. And where it refuses,
it may put all changes aside and back, through the filters.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .checkout import fill_or_refresh
from .repository import Repository
from .scratch import Scratch

_ASKED_AT_ONCE = 1000


class Stopped(NamedTuple):
    """Why git did not merge: the paths that conflict, or what it said."""

    conflicts: Sequence[bytes]
    said: str


def is_unfinished(repository: Repository) -> bool:
    """Whether somebody has begun a merge, or another thing with conflicts, and not finished it."""
    begun = os.path.exists(repository.git_dir + b"/MERGE_HEAD")
    return begun or bool(_conflicts(repository))


def in_the_way(repository: Repository, version: str) -> Sequence[bytes]:
    """What was not saved and lies where joining a version writes, or may not be able to join.

    Changed files are among it, and such as no version has, ignored or not.
    """
    incoming = _Incoming(repository, version)
    return sorted({*_met(repository, incoming), *_unknown(repository, incoming)})


def unknown_in_the_way(repository: Repository, version: bytes) -> Sequence[bytes]:
    """What no version has of that; to be asked while a merge is stopped, too."""
    return sorted(_unknown(repository, _Incoming(repository, os.fsdecode(version))))


def merge(repository: Repository, version: str, *, forward_only: bool) -> Stopped | None:
    """Let git join a version with the one checked out; None when it did.

    Unless it did, the merge is left as git left it: for `unsaved` and `undo`.
    """
    way = ("--ff-only",) if forward_only else ("--no-edit", "--ff")
    call = ("merge", "--quiet", "--no-autostash", *way)
    code, output, errors = repository.git.ask(*call, version)
    if code == 0:
        return None
    return Stopped(_conflicts(repository), os.fsdecode(output + errors))


def unsaved(repository: Repository, conflicts: Sequence[bytes]) -> Sequence[bytes]:
    """Which of the files where git stopped are not as it left them: somebody had changed them."""
    merged = repository.git.line("rev-parse", "--verify", "--quiet", "AUTO_MERGE^{tree}")
    if merged is None:  # made by an older way to merge, which refuses where a file was changed
        return []
    scratch = Scratch(repository.annex_dir + b"/othertmp", b"merge")
    try:
        environment = {"GIT_INDEX_FILE": os.fsdecode(scratch.path + b"/index")}
        repository.git.run("read-tree", merged, environment=environment)
        found: list[bytes] = []
        for paths in _batches(conflicts):
            for call in (("diff", "--name-only", "--no-renames"), ("ls-files", "--others")):
                fields = (*call, "-z", "--", *paths)
                found += repository.git.iter_fields(*fields, environment=environment)
    finally:
        scratch.close()
    return sorted({*found} & {*conflicts})


def finish(repository: Repository, version: bytes) -> bool:
    """Take up a version made of a merge that stopped, in its place; False leaves all as it is.

    Nothing may be in the way of it; where git stopped, files have to be as it left them.
    """
    return repository.git.ask("reset", "--quiet", "--merge", version)[0] == 0


def undo(repository: Repository, conflicts: Sequence[bytes], keep: Sequence[bytes] = ()) -> None:
    """Undo a merge that stopped. Files to keep stay as they are, changed against the version."""
    git = repository.git
    if keep:
        data = b"".join(path + b"\0" for path in keep)
        git.run("reset", "--quiet", "--pathspec-from-file=-", "--pathspec-file-nul", data=data)
    if os.path.exists(repository.git_dir + b"/MERGE_HEAD"):
        git.run("merge", "--abort")
    # git-annex's filter cannot tell the index that it has filled them.
    fill_or_refresh(repository, [path for path in conflicts if path not in keep])


def _conflicts(repository: Repository) -> Sequence[bytes]:
    listed = repository.git.iter_fields("ls-files", "--unmerged", "-z")
    return list(dict.fromkeys(line.partition(b"\t")[2] for line in listed if line))


class _Incoming:
    """What joining a version brings into the one checked out."""

    def __init__(self, repository: Repository, version: str) -> None:
        self._git = repository.git
        found = self._git.line("rev-parse", "--verify", "--quiet", "HEAD")
        nothing = self._git.run("hash-object", "-t", "tree", "--stdin", data=b"").strip()
        self.head = found or nothing
        self.version = os.fsencode(version)
        self.bases = self._git.ask("merge-base", "--all", self.head, version)[1].split()
        self.bases = self.bases or [self.head]
        self.changed = self.differing(*((base, self.version) for base in self.bases))
        """What it changed since both were the same."""
        self.new = self.changed & self.differing((self.head, self.version), only="A")

    def differing(self, *pairs: tuple[bytes, bytes], only: str = "") -> set[bytes]:
        call = ["diff-tree", "-r", "--name-only", "--no-renames", "--ignore-submodules", "-z"]
        call += [f"--diff-filter={only}"] if only else []
        return {path for pair in pairs for path in self._git.iter_fields(*call, *pair) if path}


def _met(repository: Repository, incoming: _Incoming) -> set[bytes]:
    """Files with changes that were not saved and that a merge meets, under a new name, too."""
    call = ("diff", "--name-only", "--no-renames", "--ignore-submodules", "-z")
    unsaved = {path for path in repository.git.iter_fields(*call, incoming.head) if path}
    met = unsaved & incoming.changed
    if unsaved - met:
        since = [(base, incoming.head) for base in incoming.bases]
        if incoming.changed & incoming.differing(*since, only="D"):
            met |= unsaved & incoming.differing(*since, only="A")
    return met


def _unknown(repository: Repository, incoming: _Incoming) -> list[bytes]:
    spots = {spot for path in incoming.new if (spot := _taken(repository.top, path)) is not None}
    found: list[bytes] = []
    for paths in _batches(sorted(spots)):
        found += repository.git.iter_fields("ls-files", "--others", "-z", "--", *paths)
    return [*found, *_carried(repository, incoming)]


def _carried(repository: Repository, incoming: _Incoming) -> Iterator[bytes]:
    """What bears the name of a file that git may carry along, as its folder was renamed."""
    head, version = incoming.head, incoming.version
    for side, other in ((head, version), (version, head)):
        since = [(base, side) for base in incoming.bases]
        gone = _folders(incoming.differing(*since, only="D")) - {b""}
        came = incoming.differing(*((base, other) for base in incoming.bases), only="A")
        names = {os.path.basename(path) for path in came if gone & _folders([path])}
        if not names:
            continue
        targets = {os.path.dirname(path) for path in incoming.differing(*since, only="A")}
        for path in repository.git.iter_fields("ls-files", "--others", "-z"):
            if names & {*path.split(b"/")} and targets & _folders([path]):
                yield path


def _folders(paths: Iterable[bytes]) -> set[bytes]:
    """All folders that paths lie in; the top is empty."""
    found: set[bytes] = set()
    for path in paths:
        while path:
            path = os.path.dirname(path)
            if path in found:
                break
            found.add(path)
    return found


def _batches(paths: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """As many at once as fit into a call."""
    return (paths[n : n + _ASKED_AT_ONCE] for n in range(0, len(paths), _ASKED_AT_ONCE))


def _taken(top: bytes, path: bytes) -> bytes | None:
    """The part of a path where something is that would have to go; None when it is free."""
    if os.path.lexists(os.path.join(top, path)):
        return path
    folder = os.path.dirname(path)
    while folder:
        try:
            mode = os.lstat(os.path.join(top, folder)).st_mode
        except OSError:
            folder = os.path.dirname(folder)
        else:
            return None if stat.S_ISDIR(mode) else folder
    return None
