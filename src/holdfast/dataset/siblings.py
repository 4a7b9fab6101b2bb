"""What of a repository is known elsewhere: its revisions and the facts of its ledger.

Siblings are asked now, by git; a commit counts as known when a branch or tag of a sibling leads
to it. The git-annex branch of a clone nearly always has a commit of its own, which only says what
is here: of that branch the facts are compared, and those about this place need not live on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .git import hex_oid
from .ledger import BRANCH, read_journal
from .ledger_write import branch_tip
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
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", name, *missing,
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
        if ours is not None and revision.oid == hex_oid(ours):
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
    """Branch files with a line about another place that no sibling's ledger has."""
    here = (repository.uuid or "").encode()
    if not here:
        return set()
    branch = BRANCH.encode()
    theirs = [one.refs[branch] for one in siblings if one.refs and branch in one.refs]
    left = dict(_iter_lines(repository, here))
    for tip in theirs:
        for path, content in _read_at(repository, tip, list(left)):
            left[path] -= set(content.splitlines())
    return {path for path, lines in left.items() if lines}


def _iter_lines(repository: Repository, here: bytes) -> Iterator[tuple[bytes, set[bytes]]]:
    """Lines about other places of every branch file that the remotes' branches do not hold so."""
    journal = read_journal(repository.annex_dir + b"/journal")
    tip = branch_tip(repository)
    contents = dict(journal)
    if tip is not None:
        paths = [path for path in _changed_paths(repository, hex_oid(tip)) if path not in journal]
        contents.update(_read_at(repository, hex_oid(tip), paths))
    for path, content in contents.items():
        lines = {line for line in content.splitlines() if line.strip() and here not in line}
        if lines:
            yield path, lines


def _changed_paths(repository: Repository, tip: bytes) -> list[bytes]:
    """Files of our branch that differ from what a remote's branch here has; all without one."""
    listing = repository.git.run("for-each-ref", "--format=%(objectname)%00%(refname)", "refs/remotes")
    bases = [o for o, _, r in (x.partition(b"\0") for x in listing.splitlines())
             if r.endswith(b"/git-annex")]  # fmt: skip
    if not bases:
        return list(repository.git.iter_fields("ls-tree", "-r", "-z", "--name-only", tip))
    fields = repository.git.iter_fields("diff-tree", "-r", "-z", "--name-only", bases[0], tip)
    return list(fields)


def _read_at(
    repository: Repository, tip: bytes, paths: Sequence[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    plain = [path for path in paths if b"\n" not in path]
    answers = repository.git.objects.iter_read(tip + b":" + path for path in plain)
    for path, answer in zip(plain, answers, strict=True):
        if answer is not None:
            yield path, answer[1]
