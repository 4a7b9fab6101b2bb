"""What of a repository is known elsewhere: its revisions and the facts of its ledger.

Siblings are asked now, by git; a commit counts as known when a branch or tag of a sibling leads
to it. The git-annex branch of a clone nearly always has a commit of its own, which only says what
is here: of that branch the facts are compared, and those about this place need not live on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .branch import BRANCH, branch_tip
from .git import hex_oid
from .ledger import read_journal
from .repository import Repository

_QUIET = {"GIT_TERMINAL_PROMPT": "0"}


class Sibling(NamedTuple):
    """A repository that was asked: its refs by name, or None and what git said."""

    name: str
    refs: Mapping[bytes, bytes] | None
    answer: str


class Revision(NamedTuple):
    """Something that a ref here leads to: what to call it, its object and kind."""

    name: str
    oid: bytes
    kind: bytes


def ask_siblings(repository: Repository) -> list[Sibling]:
    """Ask every git remote, now, what it has; what it has more than we is fetched."""
    found = []
    for name, settings in repository.config.sections("remote").items():
        if "url" not in settings or _is_here(repository, settings["url"]):
            continue
        code, output, errors = repository.git.ask("ls-remote", name, environment=_QUIET)
        if code:
            words = errors.decode("utf-8", "replace").strip().splitlines()
            found.append(Sibling(name, None, words[0] if words else "it does not answer"))
            continue
        lines = (line.partition(b"\t") for line in output.splitlines())
        refs = {ref: oid for oid, _, ref in lines}
        _fetch_unknown(repository, name, refs)
        found.append(Sibling(name, refs, "answers"))
    return found


def _is_here(repository: Repository, url: str) -> bool:
    path = url.removeprefix("file://")
    full = os.path.realpath(os.path.join(repository.top, os.fsencode(path)))
    ours = {os.path.realpath(repository.top), os.path.realpath(repository.common_dir)}
    return full in ours


def _fetch_unknown(repository: Repository, name: str, refs: Mapping[bytes, bytes]) -> None:
    """Bring what we lack of a sibling's branches, to see whether ours are part of it."""
    wanted = {r: o for r, o in refs.items() if r.startswith(b"refs/heads/")}
    known = _known(repository, list(wanted.values()))
    missing = [ref for ref, oid in wanted.items() if oid not in known]
    if missing:
        repository.git.ask(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", name, *missing,
            environment=_QUIET,
        )  # fmt: skip


def _known(repository: Repository, oids: Sequence[bytes]) -> set[bytes]:
    return {oid for oid, _ in repository.git.objects.iter_sizes(sorted(set(oids)))}


def iter_revisions(repository: Repository) -> Iterator[Revision]:
    """All that refs of our own, the stash and HEAD lead to; what remotes brought is left out."""
    output = repository.git.run(
        "for-each-ref", "--format=%(objectname)%00%(objecttype)%00%(refname)"
    )
    for line in output.splitlines():
        oid, kind, ref = line.split(b"\0")
        if not ref.startswith((b"refs/remotes/", b"refs/annex/", b"refs/stash")):
            name = os.fsdecode(ref).removeprefix("refs/heads/").removeprefix("refs/")
            yield Revision(name, oid, kind)
    stashes = repository.git.ask("rev-list", "--walk-reflogs", "refs/stash", "--")[1]
    for number, oid in enumerate(stashes.splitlines()):
        yield Revision(f"stash@{{{number}}}", oid, b"commit")
    head = repository.git.line("rev-parse", "--verify", "--quiet", "HEAD")
    if head is not None:
        yield Revision("HEAD", head, b"commit")


def only_here(repository: Repository, siblings: Sequence[Sibling]) -> list[str]:
    """What no sibling that answered has, in words; empty when nothing would be lost."""
    offered = {oid for one in siblings if one.refs for oid in one.refs.values()}
    known = _known(repository, list(offered))
    ours = branch_tip(repository)
    lost = []
    seen: set[bytes] = set()
    for revision in iter_revisions(repository):
        if revision.oid in offered or revision.oid in seen:
            continue
        seen.add(revision.oid)
        if repository.uuid and ours is not None and revision.oid == hex_oid(ours):
            continue
        count = _count_only_here(repository, revision, known)
        if count:
            commits = "" if revision.kind != b"commit" else f" ({count} commits)"
            lost.append(f"{revision.name}{commits if count > 1 else ''}")
    facts = _facts_only_here(repository, siblings)
    if facts:
        lost.append(f"git-annex ({len(facts)} facts, such as {os.fsdecode(min(facts))})")
    return lost


def _count_only_here(repository: Repository, revision: Revision, known: set[bytes]) -> int:
    if revision.kind != b"commit":
        return 1
    lines = [revision.oid, *(b"^" + oid for oid in known)]
    output = repository.git.run(
        "rev-list", "--count", "--ignore-missing", "--stdin", data=b"\n".join(lines) + b"\n"
    )
    return int(output)


# the ledger


def _facts_only_here(repository: Repository, siblings: Sequence[Sibling]) -> set[bytes]:
    """Branch files with a line about another place that no sibling's ledger has.

    What was in the version that a sibling's branch and ours began from is known there, even
    where newer lines have taken its place.
    """
    here = (repository.uuid or "").encode()
    ours = branch_tip(repository)
    if not here or ours is None:
        return set()
    branch = BRANCH.encode()
    tips = [one.refs[branch] for one in siblings if one.refs and branch in one.refs]
    begun = (repository.git.line("merge-base", hex_oid(ours), tip) for tip in tips)
    bases = [base for base in begun if base is not None]
    left = dict(_iter_lines(repository, hex_oid(ours), bases, here))
    for version in {*bases, *tips}:
        for path, content in _read_at(repository, version, list(left)):
            left[path] -= set(content.splitlines())
    return {path for path, lines in left.items() if lines}


def _iter_lines(
    repository: Repository, ours: bytes, bases: Sequence[bytes], here: bytes
) -> Iterator[tuple[bytes, set[bytes]]]:
    """Lines about other places, of the files that changed since the first of these versions."""
    contents = read_journal(repository.annex_dir + b"/journal")
    names = ("-r", "-z", "--name-only")
    listing = ("diff-tree", *names, bases[0], ours, "--") if bases else ("ls-tree", *names, ours)
    paths = [path for path in repository.git.iter_fields(*listing) if path not in contents]
    contents.update(_read_at(repository, ours, paths))
    for path, content in contents.items():
        lines = {line for line in content.splitlines() if line.strip() and here not in line}
        if lines:
            yield path, lines


def _read_at(
    repository: Repository, tip: bytes, paths: Sequence[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    plain = [path for path in paths if b"\n" not in path]
    answers = repository.git.objects.iter_read(tip + b":" + path for path in plain)
    for path, answer in zip(plain, answers, strict=True):
        if answer is not None:
            yield path, answer[1]
