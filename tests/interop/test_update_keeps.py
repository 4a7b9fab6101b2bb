"""What somebody has not saved is never overwritten by an update, whatever it meets."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.dataset import merging
from holdfast.dataset.repository import Repository

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop
LOCKED, UNLOCKED, BINARY, TEXT = KINDS = ("locked.dat", "unlocked.dat", "binary.raw", "text.txt")
CONFLICT = 4
UNSAVED = b"a day's work"


def change(tools: Tools, folder: Path, name: str, content: bytes) -> None:
    """A version with a file changed; what was unlocked, or in git, stays so."""
    edit(folder, name, content)
    if name == UNLOCKED:
        tools.git(folder, "add", name)
    else:
        tools.annex(folder, "add", "-q", *(["--force-small"] * (name in (BINARY, TEXT))), name)
    tools.git(folder, "commit", "-q", "-m", f"changed {name}")


def edit(folder: Path, name: str, content: bytes = UNSAVED) -> None:
    """As an editor does that writes a new file and gives it the old one's name."""
    (folder / "new").write_bytes(content)
    (folder / "new").replace(folder / name)


@pytest.fixture(scope="module")
def shelved(tools: Tools, shelf: Path) -> Path:
    """A data set that has a file of each kind, and a clone of it beside."""
    ours = tools.create("annex", shelf / "ours")
    tools.git(ours, "config", "annex.addunlocked", f"include={UNLOCKED}")
    tools.write(ours, {name: b"base\0of " + name.encode() for name in KINDS[:3]})
    tools.write(ours, {TEXT: b"base\n", "other.dat": b"other", ".gitignore": b"*.tmp\nscratch\n"})
    tools.annex(ours, "add", "-q", "--force-small", BINARY, TEXT, ".gitignore")
    tools.save("annex", ours)
    theirs = tools.clone("annex", ours, shelf / "theirs")
    tools.git(theirs, "config", "annex.addunlocked", f"include={UNLOCKED}")
    tools.git(ours, "remote", "add", "theirs", "../theirs")
    tools.git(theirs, "remote", "set-url", "origin", "../ours")
    return shelf


@pytest.fixture
def clones(tools: Tools, shelved: Path, bench: Path) -> tuple[Path, Path]:
    for name in ("ours", "theirs"):
        tools.copy(shelved / name, bench / name)
    return bench / "ours", bench / "theirs"


def assert_refused(tools: Tools, ours: Path, *words: str, names: str) -> None:
    """An update takes nothing up, says why, and leaves version and index as they were."""
    before = tools.git(ours, "rev-parse", "HEAD").text
    differs = tools.porcelain(ours)
    told = tools.hold(ours, "update", *words, "--json", exits=CONFLICT).records()
    error = told[-1]["error"]
    assert isinstance(error, dict)
    assert (error["code"], names in error["why"]) == ("H317", True), error
    assert tools.git(ours, "rev-parse", "HEAD").text == before
    assert tools.porcelain(ours) == differs
    assert not (ours / ".git/MERGE_HEAD").exists()


@pytest.mark.parametrize("words", [[], ["--no-resolve"]], ids=["resolve", "no-resolve"])
@pytest.mark.parametrize("kind", KINDS)
def test_changes_not_saved_in_a_file_that_conflicts(
    tools: Tools, clones: tuple[Path, Path], kind: str, words: list[str]
) -> None:
    ours, theirs = clones
    change(tools, ours, kind, b"our\0s")
    change(tools, theirs, kind, b"their\0s")
    edit(ours, kind)
    edit(ours, "other.dat")
    assert_refused(tools, ours, *words, names=kind)
    assert (ours / kind).read_bytes() == UNSAVED
    assert (ours / "other.dat").read_bytes() == UNSAVED


@pytest.mark.parametrize("kind", [LOCKED, BINARY])
def test_changes_not_saved_in_a_file_that_was_removed_there(
    tools: Tools, clones: tuple[Path, Path], kind: str
) -> None:
    ours, theirs = clones
    change(tools, ours, kind, b"our\0s")
    tools.git(theirs, "rm", "-q", kind)
    tools.git(theirs, "commit", "-q", "-m", "removed")
    edit(ours, kind)
    assert_refused(tools, ours, names=kind)
    assert (ours / kind).read_bytes() == UNSAVED


def test_changes_not_saved_in_a_file_that_was_renamed_here(
    tools: Tools, clones: tuple[Path, Path]
) -> None:
    ours, theirs = clones
    body = b"\0" + b"".join(b"line %d\n" % n for n in range(200))
    for folder in clones:
        tools.git(folder, "config", "annex.gitaddtoannex", "false")
    change(tools, ours, BINARY, body)
    tools.git(theirs, "pull", "-q", "--ff-only", "origin", "main")
    change(tools, theirs, BINARY, body + b"theirs")
    tools.git(ours, "mv", BINARY, "renamed.raw")
    edit(ours, "renamed.raw", body + b"ours")
    tools.git(ours, "commit", "-q", "-a", "-m", "renamed")
    edit(ours, "renamed.raw")
    assert_refused(tools, ours, names="renamed.raw")
    assert (ours / "renamed.raw").read_bytes() == UNSAVED


@pytest.mark.parametrize("how", ["ff-only", "merge"])
@pytest.mark.parametrize("kind", KINDS)
def test_changes_not_saved_in_a_file_that_changed_there_alone(
    tools: Tools, clones: tuple[Path, Path], kind: str, how: str
) -> None:
    ours, theirs = clones
    change(tools, theirs, kind, b"their\0s")
    edit(ours, kind)
    assert_refused(tools, ours, "--how", how, names=kind)
    assert (ours / kind).read_bytes() == UNSAVED


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("new.dat", "new.dat"),
        ("new.tmp", "new.tmp"),  # which git ignores, and so overwrites
        ("scratch", "scratch/deep/notes"),
        ("scratch/deep/notes", "scratch"),
    ],
)
@pytest.mark.parametrize("diverged", [False, True], ids=["forward", "diverged"])
def test_files_that_git_does_not_know_where_new_ones_come(
    tools: Tools, clones: tuple[Path, Path], there: str, here: str, diverged: bool
) -> None:
    ours, theirs = clones
    tools.write(theirs, {there: b"theirs"})
    tools.annex(theirs, "add", "-q", "--no-check-gitignore", there)
    tools.git(theirs, "commit", "-q", "-m", "new")
    if diverged:
        change(tools, ours, LOCKED, b"ours")
    tools.write(ours, {here: UNSAVED})
    assert_refused(tools, ours, names=here.partition("/")[0])
    assert (ours / here).read_bytes() == UNSAVED


def test_an_ignored_file_where_a_variant_would_come(
    tools: Tools, clones: tuple[Path, Path], bench: Path
) -> None:
    ours, theirs = clones
    change(tools, ours, LOCKED, b"ours")
    change(tools, theirs, LOCKED, b"theirs")
    tools.copy(ours, bench / "first")
    tools.hold(bench / "first", "update")
    variants = [path.name for path in (bench / "first").glob("locked.variant-*")]
    assert len(variants) == 2
    (ours / ".git/info/exclude").write_text("*.variant-*\n")
    for variant in variants:
        (ours / variant).write_bytes(UNSAVED)
        assert_refused(tools, ours, names=variant)
        assert (ours / variant).read_bytes() == UNSAVED
        (ours / variant).unlink()
    tools.hold(ours, "update")
    assert {path.name for path in ours.glob("locked*")} == set(variants)


@pytest.mark.parametrize("renames", ["ours", "theirs"])
def test_an_ignored_file_where_git_carries_one_into_a_renamed_folder(
    tools: Tools, clones: tuple[Path, Path], renames: str
) -> None:
    ours, theirs = clones
    tools.write(ours, {f"old/{n}": b"content %d" % n for n in range(3)})
    tools.save("annex", ours)
    tools.git(theirs, "pull", "-q", "--ff-only", "origin", "main")
    renaming, adding = (ours, theirs) if renames == "ours" else (theirs, ours)
    tools.git(renaming, "mv", "old", "fresh")
    tools.git(renaming, "commit", "-q", "-m", "renamed")
    tools.write(adding, {"old/new.tmp": b"added"})
    tools.annex(adding, "add", "-q", "--no-check-gitignore", "old/new.tmp")
    tools.git(adding, "commit", "-q", "-m", "added")
    tools.write(ours, {"fresh/new.tmp": UNSAVED})
    assert_refused(tools, ours, names="fresh/new.tmp")
    assert (ours / "fresh/new.tmp").read_bytes() == UNSAVED


def test_what_is_in_no_version_and_ignored_may_stay_where_it_was_removed(
    tools: Tools, clones: tuple[Path, Path]
) -> None:
    ours, theirs = clones
    tools.git(ours, "rm", "-q", "--cached", TEXT)
    tools.write(ours, {".gitignore": b"text.txt\n"})
    tools.git(ours, "commit", "-q", "-a", "-m", "no more")
    edit(ours, TEXT)
    change(tools, theirs, LOCKED, b"theirs")
    tools.hold(ours, "update")
    assert (ours / TEXT).read_bytes() == UNSAVED
    assert not tools.porcelain(ours)


@pytest.mark.parametrize("kind", [LOCKED, UNLOCKED, BINARY, TEXT])
def test_changes_made_while_git_merges(
    tools: Tools, clones: tuple[Path, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = clones
    for one in {LOCKED, BINARY, kind}:
        change(tools, ours, one, b"our\0s" + one.encode())
        change(tools, theirs, one, b"their\0s" + one.encode())
    tools.git(ours, "fetch", "-q", "theirs")
    for name in os.environ.keys() - tools.environment.keys():
        monkeypatch.delenv(name)
    for name, value in tools.environment.items():
        monkeypatch.setenv(name, value)
    with closing(Repository(os.fsencode(ours))) as repository:
        stopped = merging.merge(repository, "theirs/main", forward_only=False)
        assert stopped is not None
        assert set(map(os.fsdecode, stopped.conflicts)) == {LOCKED, BINARY, kind}
        assert merging.unsaved(repository, stopped.conflicts) == []
        edit(ours, kind)
        assert merging.unsaved(repository, stopped.conflicts) == [kind.encode()]
        merging.undo(repository, stopped.conflicts, keep=[kind.encode()])
    assert (ours / kind).read_bytes() == UNSAVED
    assert [line[2:].strip() for line in tools.porcelain(ours)] == [kind]
    assert not (ours / ".git/MERGE_HEAD").exists()


def test_a_merge_that_somebody_has_half_done(tools: Tools, clones: tuple[Path, Path]) -> None:
    ours, theirs = clones
    for kind in (TEXT, LOCKED):
        change(tools, ours, kind, b"ours")
        change(tools, theirs, kind, b"theirs")
    tools.git(ours, "fetch", "-q", "theirs")
    tools.git(ours, "merge", "-q", "theirs/main", exits=1)
    edit(ours, TEXT)
    differs = tools.porcelain(ours)
    for staged in (False, True):
        if staged:
            tools.annex(ours, "add", "-q", "--force-small", TEXT)
            tools.git(ours, "rm", "-q", "--cached", LOCKED)
            differs = tools.porcelain(ours)
        told = tools.hold(ours, "update", "--json", exits=CONFLICT).records()
        assert "not finished" in str(told[-1]["error"])
        assert (ours / ".git/MERGE_HEAD").exists()
        assert tools.porcelain(ours) == differs
        assert (ours / TEXT).read_bytes() == UNSAVED


def test_changes_elsewhere_stay_as_they_are(tools: Tools, clones: tuple[Path, Path]) -> None:
    ours, theirs = clones
    change(tools, ours, LOCKED, b"ours")
    change(tools, theirs, LOCKED, b"theirs")
    for name in (UNLOCKED, BINARY, "other.dat", "untracked", "ignored.tmp"):
        edit(ours, name)
    tools.git(ours, "config", "merge.autoStash", "true")
    differs = tools.porcelain(ours)
    tools.hold(ours, "update")
    assert len(list(ours.glob("locked.variant-*.dat"))) == 2
    assert tools.porcelain(ours) == differs
    for name in (UNLOCKED, BINARY, "other.dat", "untracked", "ignored.tmp"):
        assert (ours / name).read_bytes() == UNSAVED


def test_files_in_a_folder_that_has_no_version_yet(
    tools: Tools, clones: tuple[Path, Path], bench: Path
) -> None:
    _, theirs = clones
    tools.write(theirs, {"new.tmp": b"theirs"})
    tools.annex(theirs, "add", "-q", "--no-check-gitignore", "new.tmp")
    tools.git(theirs, "commit", "-q", "-m", "new")
    fresh = bench / "fresh"
    tools.git(bench, "init", "-q", fresh)
    tools.annex(fresh, "init", "-q")
    tools.git(fresh, "remote", "add", "theirs", "../theirs")
    (fresh / ".git/info/exclude").write_text("*.tmp\n")
    (fresh / "new.tmp").write_bytes(UNSAVED)
    tools.hold(fresh, "update", exits=CONFLICT)
    assert (fresh / "new.tmp").read_bytes() == UNSAVED
    os.unlink(fresh / "new.tmp")
    tools.hold(fresh, "update")
    assert (fresh / TEXT).read_bytes() == b"base\n"
