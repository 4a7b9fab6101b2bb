"""A data set in five versions, packed after each, and what restoring each has to give.

What is wanted is told by git, git-annex and checksums, before anything is restored.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scenes import HOLD, Digests, Ran, is_pointer, must, run, tracked

VERSIONS = 5
LATIN = os.fsdecode(b"caf\xe9 \xff%E9.dat")
"""A name that is not UTF-8, as old systems have left them."""

Save = Callable[[Path, str], None]


def save_by_hold(main: Path, message: str) -> None:
    must(main, HOLD, "save", "-q", "-m", message)


def save_by_annex(main: Path, message: str) -> None:
    must(main, "git", "annex", "add", "--quiet", ".")
    must(main, "git", "commit", "-qa", "--allow-empty", "-m", message)


def save_by_datalad(main: Path, message: str) -> None:
    must(main, "datalad", "-l", "error", "save", "-m", message)


@dataclass
class Version:
    """What a version is, by git and by checksums of all that its paths lead to."""

    commit: str
    branch: str
    tree: str
    commits: str
    annex: str
    annex_commits: str
    tags: str
    digests: Digests
    keys: dict[str, str]
    files: int = 0
    pieces: int = 0
    size: int = 0
    new: int = 0


@dataclass
class Packed:
    """The versions of a data set, its pieces, and the hash of every content that was packed."""

    main: Path
    pieces: Path
    versions: list[Version] = field(default_factory=list)
    contents: Digests = field(default_factory=dict)

    def missing(self, version: Version) -> set[str]:
        """The annexed files of a version whose content is in no piece."""
        return {path for path, key in version.keys.items() if key not in self.contents}


def pack_versions(main: Path, pieces: Path, save: Save, piece_size: str, seed: int) -> Packed:
    """Change a data set again and again, and pack what came of it."""
    chance = random.Random(seed)
    packed = Packed(main, pieces)
    for number in range(VERSIONS):
        _CHANGES[number](main, chance, save)
        packed.versions.append(_packed(packed, piece_size))
    return packed


def _packed(packed: Packed, piece_size: str) -> Version:
    main = packed.main
    must(main, "git", "annex", "merge", "--quiet")
    keys = dict(_iter_annexed(main))
    before = set(packed.pieces.glob("*.car"))
    plan = ("archive", "plan", "--piece-size", piece_size, "--json")
    facts = json.loads(must(main, HOLD, *plan).out.splitlines()[-1])
    must(main, HOLD, "archive", "pack", "-q", "--write", str(packed.pieces))
    new = set(packed.pieces.glob("*.car")) - before
    found = digests_of(main)
    for path, key in keys.items():
        if path in found:
            packed.contents[key] = found[path]
    annex = _git(main, "rev-parse", "git-annex").strip()
    return Version(
        _git(main, "rev-parse", "HEAD").strip(), _git(main, "symbolic-ref", "HEAD").strip(),
        _git(main, "ls-tree", "-r", "HEAD"), _git(main, "rev-list", "HEAD"),
        annex, _git(main, "rev-list", annex), tags_of(main), found, keys,
        len(tracked(main)), len(new), sum(path.stat().st_size for path in new),
        facts["content_bytes"],
    )  # fmt: skip


def differences(packed: Packed, number: int, out: Path, *, fsck: bool = True) -> list[str]:
    """Restore a version, and say what of it is not as it was."""
    version = packed.versions[number]
    done = run(out.parent, HOLD, "archive", "restore", str(packed.pieces), "--at", version.commit,
               "--to", str(out), "--json", timeout_s=1200)  # fmt: skip
    missing = packed.missing(version)
    if done.code != (3 if missing else 0):
        return [f"restore: {done.text[-2000:]}"]
    return list(_iter_differences(packed, version, out, missing, done, fsck=fsck))


def _iter_differences(
    packed: Packed, version: Version, out: Path, missing: set[str], done: Ran, *, fsck: bool
) -> Iterator[str]:
    told = [json.loads(line) for line in done.out.splitlines()]
    lost = {one["path"] for one in told if one["status"] == "impossible"}
    yield from _unless_same("what is told as missing", lost, missing)
    same = {
        "the commit": (_git(out, "rev-parse", "HEAD").strip(), version.commit),
        "the branch": (_git(out, "symbolic-ref", "HEAD").strip(), version.branch),
        "ls-tree": (_git(out, "ls-tree", "-r", "HEAD"), version.tree),
        "rev-list": (_git(out, "rev-list", "HEAD"), version.commits),
        "rev-list of git-annex": (_git(out, "rev-list", version.annex), version.annex_commits),
        "tags": (tags_of(out), version.tags),
        "status": (_git(out, "status", "--porcelain"), ""),
    }
    for what, (found, wanted) in same.items():
        yield from _unless_same(what, set(found.splitlines()), set(wanted.splitlines()))
    if run(out, "git", "merge-base", "--is-ancestor", version.annex, "git-annex").code:
        yield "the git-annex branch: it does not go on from the one that was packed"
    if (checked := run(out, "git", "fsck", "--no-dangling", "--no-progress")).code:
        yield f"git fsck: {checked.text}"
    wanted = dict(version.digests)
    for path, key in version.keys.items():
        if key in packed.contents:
            wanted[path] = packed.contents[key]
    yield from _unless_same("content", set(digests_of(out).items()), set(wanted.items()))
    yield from _unless_same("keys", set(_iter_annexed(out)), set(version.keys.items()))
    gone = {path for path, _ in _iter_annexed(out, "--not", "--in", "here")}
    yield from _unless_same("what git-annex misses", gone, missing)
    if fsck:
        checked = run(out, "git", "annex", "fsck", "--json", timeout_s=1800)
        bad = [json.loads(line) for line in checked.out.splitlines()]
        failed = {one["file"] for one in bad if not one["success"]}
        # Of names that are not UTF-8 git-annex's JSON has signs in the place of bytes.
        missed = {os.fsencode(path).decode("utf-8", "replace") for path in missing}
        if failed - missed:
            yield f"git annex fsck: {sorted(failed - missed)[:5]}"


def _unless_same(what: str, found: set, wanted: set) -> Iterator[str]:  # type: ignore[type-arg]
    if found != wanted:
        less, more = sorted(wanted - found)[:3], sorted(found - wanted)[:3]
        yield f"{what}: {len(wanted - found)} missing {less}, {len(found - wanted)} new {more}"


def digests_of(folder: Path) -> Digests:
    """As `contents`, of files of any size."""
    found = {}
    for path in tracked(folder):
        full = folder / path
        if full.is_file() and not is_pointer(full):
            with full.open("rb") as file:
                found[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def tags_of(folder: Path) -> str:
    return _git(folder, "for-each-ref", "--format=%(objectname) %(refname)", "refs/tags")


def _iter_annexed(folder: Path, *words: str) -> Iterator[tuple[str, str]]:
    words = words or ("--include=*",)
    found = _git(folder, "annex", "find", *words, "--format", "${key}\\t${file}\\000")
    for one in found.split("\0")[:-1]:
        key, _, path = one.partition("\t")
        yield path, key


def _git(folder: Path, *words: str) -> str:
    return must(folder, "git", *words).out


# changes


def _first(main: Path, chance: random.Random, save: Save) -> None:
    _new(main, chance, "first", 4)
    save(main, "first")
    _git(main, "tag", "start")


def _edited(main: Path, chance: random.Random, save: Save) -> None:
    files = _in_git(main, chance)
    for path in files[:30]:
        with (main / path).open("ab") as file:
            file.write(b"\nedited\n")
    for path in files[30:45]:
        (main / path).rename(main / f"{path}.renamed")
    for path in files[45:60]:
        (main / path).unlink()
    _new(main, chance, "second", 8)
    (main / LATIN).write_bytes(chance.randbytes(30_000))
    (main / "second" / os.fsdecode(b"\xe9t\xe9")).mkdir()
    (main / "second" / os.fsdecode(b"\xe9t\xe9") / "note.txt").write_text("in a folder\n")
    save(main, "second")
    _git(main, "tag", "-a", "-m", "a tag with words", "v2")
    aside = _git(main, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "aside").strip()
    _git(main, "branch", "side", aside)
    _git(main, "tag", "aside/one", aside)


def _other_kinds(main: Path, chance: random.Random, save: Save) -> None:
    files = _in_git(main, chance)
    for path in files[:6]:
        (main / path).chmod(0o755)
    for path in files[6:9]:
        (main / path).unlink()
        (main / path).symlink_to("somewhere/else")
    (main / "a link").symlink_to("second")
    _new(main, chance, "third", 6)
    save(main, "third")
    must(main, HOLD, "drop", "-q", "--force", "packed before", "second/0.dat", LATIN)
    must(main, HOLD, "drop", "-q", "--force", "never packed", "third/0.dat", "third/1.dat")


def _moved(main: Path, chance: random.Random, save: Save) -> None:
    must(main, HOLD, "unlock", "-q", "second/1.dat", "third/2.dat")
    (main / "third/2.dat").write_bytes(chance.randbytes(70_000))
    (main / "first").rename(main / "moved")
    shutil.rmtree(main / "second" / os.fsdecode(b"\xe9t\xe9"))
    save(main, "fourth")
    _git(main, "tag", "-d", "start")
    _git(main, "tag", "-f", "aside/one", "HEAD")


def _elsewhere(main: Path, chance: random.Random, save: Save) -> None:
    was = _git(main, "symbolic-ref", "--short", "HEAD").strip()
    _git(main, "checkout", "-q", "-b", "analysis", "HEAD~1")
    _new(main, chance, "fifth", 5)
    save(main, "fifth")
    _git(main, "merge", "-q", "--no-edit", was)
    _git(main, "tag", "-a", "-m", "the last one", "v5")


_CHANGES = (_first, _edited, _other_kinds, _moved, _elsewhere)


def _new(main: Path, chance: random.Random, name: str, count: int) -> None:
    folder = main / name
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.dat").write_bytes(chance.randbytes(100_000 + number))
    (folder / "large.dat").write_bytes(chance.randbytes(2_700_000))
    shutil.copy(folder / "1.dat", folder / "twin.dat")


def _in_git(main: Path, chance: random.Random) -> list[str]:
    """Files that git itself has, but for those that rule it, in any order."""
    found = []
    for line in _git(main, "ls-files", "-s", "-z").split("\0")[:-1]:
        mode, path = line[:6], line.partition("\t")[2]
        full = main / path
        hidden = any(part.startswith(".") for part in Path(path).parts)
        if mode == "100644" and not hidden and not is_pointer(full):
            found.append(path)
    chance.shuffle(found)
    return found
