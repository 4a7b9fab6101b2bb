"""The condition of a repository: what is set up, what waits, what was left behind. Only looks."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..core.errors import HoldError
from . import locks, remote_branches
from .cloning import LOCK, SCRATCH, WORKSHOP, scratch_target
from .index_file import read_index
from .ledger import Ledger
from .removing import ASIDE, GRANTED
from .repository import ANNEX_VERSION, Repository

FRESH_S = 60
"""A lock file younger than this may be somebody's at work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: fine, worth a remark, or bad with a next step."""

    check: str
    note: str
    bad: bool = False
    next: str = ""


def iter_condition(repository: Repository) -> Iterator[Finding]:
    """Look at a repository from all sides."""
    yield from _identity(repository)
    if repository.uuid is not None:
        yield from _filter(repository)
        yield _hooks(repository)
        yield _ledger(repository)
        yield from _special(repository)
    yield _index(repository)
    yield from _locks(repository)
    yield from _leftovers(repository)


def _identity(repository: Repository) -> Iterator[Finding]:
    if repository.uuid is None:
        if remote_branches.unmerged_refs(repository):
            note = "a clone that has no identity yet; the next hold command gives it one"
        else:
            note = "plain git, without an annex"
        yield Finding("annex", note)
        return
    version = repository.config.get("annex.version")
    step = "git annex upgrade" if version != ANNEX_VERSION else ""
    note = f"version {version}, place {repository.uuid}"
    yield Finding("annex", note, bad=bool(step), next=step)
    try:
        repository.check_writable()
        repository.check_plain_content()
        Ledger(repository)
    except HoldError as error:
        if not step:
            yield Finding("use by hold", f"{error.what}: {error.why}", bad=True, next=error.hint)


def _filter(repository: Repository) -> Iterator[Finding]:
    if repository.bare:
        return
    step = "git annex init    (sets it up), or hold create --force ."
    command = repository.config.get("filter.annex.process") or repository.config.get(
        "filter.annex.clean"
    )
    if command is None:
        note = "none is set: git would store the content of unlocked files in itself"
        yield Finding("filter", note, bad=True, next=step)
        return
    program = _first_program(command)
    if program is None:
        note = f"its program is not there: {command}"
        yield Finding("filter", note, bad=True, next="put hold or git-annex on PATH")
        return
    path = os.path.join(repository.common_dir, b"info", b"attributes")
    if b"filter=annex" not in _read(path):
        yield Finding("filter", ".git/info/attributes does not name it", bad=True, next=step)
        return
    yield Finding("filter", f"git calls {program}")


def _first_program(command: str) -> str | None:
    """The program that a filter setting comes to: one of those it tries, or its first word."""
    try:
        words = shlex.split(command.replace(")", " ").replace(";", " "))
    except ValueError:
        return None
    threes = zip(words, words[1:], words[2:], strict=False)
    tried = [name for word, flag, name in threes if word.endswith("command") and flag == "-v"]
    for name in [*tried, "git-annex"] if tried else words[:1]:
        found = shutil.which(name)
        if found:
            return found
    return None


def _hooks(repository: Repository) -> Finding:
    names = (b"pre-commit", b"post-checkout", b"post-merge")
    folder = os.path.join(repository.common_dir, b"hooks")
    absent = [n.decode() for n in names if not os.access(os.path.join(folder, n), os.X_OK)]
    if repository.bare or not absent:
        return Finding("hooks", "those that unlocked files need are there")
    note = f"{', '.join(absent)} not there: unlocked files stay pointers after a checkout"
    return Finding("hooks", note, next="git annex init    (adds them)")


def _ledger(repository: Repository) -> Finding:
    waiting = _names(repository.annex_dir + b"/journal")
    unmerged = remote_branches.unmerged_refs(repository)
    parts = []
    if waiting:
        parts.append(f"{len(waiting)} records wait in the journal for the next commit")
    if unmerged:
        refs = ", ".join(os.fsdecode(ref).removeprefix("refs/") for ref, _ in unmerged)
        parts.append(f"{refs} will be merged by the next command")
    return Finding("ledger", "; ".join(parts) or "written, and all of the remotes' is merged")


def _special(repository: Repository) -> Iterator[Finding]:
    if repository.private:
        yield Finding("private", "nothing about this clone is told to others (annex.private)")
    if os.path.islink(repository.annex_dir):
        target = os.fsdecode(os.path.realpath(repository.annex_dir))
        yield Finding("shared annex", f"content, journal and locks are those of {target}")
    branch = repository.adjusted_branch
    if branch is not None:
        yield Finding(
            "branch", f"{branch} is an adjusted branch; versions made on it are carried over",
            next="git annex sync --no-push --no-pull    (after each save)",
        )  # fmt: skip


def _index(repository: Repository) -> Finding:
    if repository.bare:
        return Finding("index", "none, as it is a bare repository")
    try:
        view = read_index(repository)
    except HoldError as error:
        step = "git update-index --no-split-index; git sparse-checkout disable"
        return Finding(
            "index", f"not one we can write: {error.why or error.what}", bad=True, next=step
        )
    if view is None:
        return Finding("index", "none yet: nothing is saved")
    return Finding("index", f"version {view.version}, {len(view):,} files")


def _locks(repository: Repository) -> Iterator[Finding]:
    old = []
    for name in (b"index.lock", b"HEAD.lock", b"config.lock", b"packed-refs.lock", b"shallow.lock"):
        for folder in {repository.git_dir, repository.common_dir}:
            path = os.path.join(folder, name)
            if _age_s(path) > FRESH_S:
                old.append(os.fsdecode(path))
    for lock in old:
        yield Finding(
            "locks", f"{lock} is old: what made it has probably died", bad=True,
            next=f"look that no git runs here, then rm {lock}",
        )  # fmt: skip
    if not old:
        yield Finding("locks", "no old ones")


def _leftovers(repository: Repository) -> Iterator[Finding]:
    annex = repository.annex_dir
    found = []
    partial = [name for name in _names(annex + b"/tmp") if not name.startswith(b".")]
    if partial:
        found.append(f"{len(partial)} unfinished downloads, which hold get goes on with")
    notes = [n for n in _names(annex + b"/hold-unrecorded") if not n.endswith(b".lck")]
    left = [n for n in notes if not _is_held(annex + b"/hold-unrecorded/" + n + b".lck")]
    if left:
        found.append("a killed command's note, which the next get, drop or fsck settles")
    packs = [n for n in _names(repository.common_dir + b"/objects/pack") if n.startswith(b"tmp_")]
    old = [n for n in packs if _age_s(repository.common_dir + b"/objects/pack/" + n) > FRESH_S]
    if old:
        found.append(f"{len(old)} unfinished packs, which git gc removes")
    if _unfinished_inside(repository.common_dir + b"/" + WORKSHOP):
        found.append("an unfinished clone, which the same hold get or hold clone begins anew")
    yield Finding("leftovers", "; ".join(found) or "none of interrupted commands")
    bad = _names(annex + b"/bad")
    if bad:
        yield Finding(
            "damaged content", f"{len(bad)} files that fsck set aside are kept in .git/annex/bad",
            next="hold get brings good copies; then they can be removed",
        )  # fmt: skip


def _unfinished_inside(workshop: bytes) -> bool:
    """Whether what killed installs of data sets inside had begun lies there."""
    return any(
        target is not None and not _is_held(os.path.join(workshop, SCRATCH + target + LOCK))
        for target in map(scratch_target, _names(workshop))
    )


def iter_ignored(repository: Repository) -> Iterator[bytes]:
    """What git ignores in the folder; a folder with nothing else in it as one, with a slash."""
    return repository.git.iter_fields(
        "ls-files", "--others", "--ignored", "--exclude-standard", "--directory",
        "--no-empty-directory", "-z",
    )  # fmt: skip


def iter_abandoned(folder: bytes) -> Iterator[Finding]:
    """What killed clones and removals left in a folder."""
    for name in _names(folder):
        target, verb = scratch_target(name), "clone into"
        lock = SCRATCH + (target or b"") + LOCK
        if target is None and name.startswith(ASIDE) and not name.endswith((LOCK, GRANTED)):
            target, verb = name.removeprefix(ASIDE), "remove"
            lock = name + LOCK
        if target is not None and not _is_held(os.path.join(folder, lock)):
            yield Finding(
                "leftovers", f"{os.fsdecode(os.path.join(folder, name))} is of a killed command",
                bad=True, next=f"hold {verb} {os.fsdecode(target)} again    (cleans up)",
            )  # fmt: skip


def _is_held(lock: bytes) -> bool:
    return locks.is_locked_for_removal(lock)


def _names(folder: bytes) -> list[bytes]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _age_s(path: bytes) -> float:
    try:
        return time.time() - os.stat(path).st_mtime
    except OSError:
        return 0.0


def _read(path: bytes) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
