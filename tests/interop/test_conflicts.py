"""Annexed files that two clones changed differently: hold and git-annex come to the same tree."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop
BASE = {
    "both.txt": b"base",
    "sub/x.tar.gz": b"base x",
    "noext": b"base n",
    "gone.txt": b"base g",
    "mixed.txt": b"base m",
    "unlocked.txt": b"base u",
    "same.txt": b"base s",
    "alone.txt": b"base a",
}


def change(tools: Tools, folder: Path, files: dict[str, bytes]) -> None:
    for name in files:
        if os.path.lexists(folder / name):
            os.unlink(folder / name)
    tools.write(folder, files)
    tools.annex(folder, "add", "-q", ".")


@pytest.fixture
def clones(tools: Tools, tmp_path: Path) -> tuple[Path, Path]:
    """Two clones that changed the same files, in all the ways that differ."""
    ours = tools.create("annex", tmp_path / "ours")
    tools.write(ours, BASE)
    tools.save("annex", ours)
    theirs = tools.clone("annex", ours, tmp_path / "theirs")
    tools.git(ours, "remote", "add", "theirs", theirs)
    both = ("both.txt", "sub/x.tar.gz", "noext", "unlocked.txt", "fresh.dat")
    change(tools, ours, {name: b"ours " + name.encode() for name in both})
    change(tools, ours, {"mixed.txt": b"ours", "same.txt": b"same", "alone.txt": b"ours"})
    tools.git(ours, "rm", "-q", "gone.txt")
    change(tools, theirs, {name: b"theirs " + name.encode() for name in both})
    change(tools, theirs, {"gone.txt": b"theirs", "same.txt": b"same"})
    tools.annex(theirs, "unlock", "-q", "unlocked.txt", "same.txt")
    os.unlink(theirs / "mixed.txt")
    (theirs / "mixed.txt").write_bytes(b"in git")
    tools.annex(theirs, "add", "-q", "--force-small", "mixed.txt")
    for folder in (ours, theirs):
        tools.git(folder, "commit", "-q", "-m", "changed")
    return ours, theirs


def tree(tools: Tools, folder: Path) -> str:
    return tools.git(folder, "rev-parse", "HEAD^{tree}").text


def by_annex(tools: Tools, folder: Path, remote: str) -> None:
    tools.git(folder, "merge", "-q", f"{remote}/main", exits=None)
    tools.annex(folder, "resolvemerge")


def test_each_tool_in_either_clone_comes_to_the_same_tree(
    tools: Tools, clones: tuple[Path, Path], tmp_path: Path
) -> None:
    trees = set()
    for folder, remote in zip(clones, ("theirs", "origin"), strict=True):
        tools.git(folder, "fetch", "-q", remote)
        for tool in ("hold", "annex"):
            copy = tmp_path / f"{folder.name} by {tool}"
            tools.copy(folder, copy)
            if tool == "annex":
                by_annex(tools, copy, remote)
            else:
                told = tools.hold(copy, "update", "--json").records()
                assert "both changed: both.txt is now both.variant-" in str(told[-1]["warning"])
            trees.add(tree(tools, copy))
            assert tools.is_clean("annex", copy)
            names = tools.git(copy, "ls-files").text.split()
            assert {"mixed.txt", "same.txt", "alone.txt"} <= set(names)
            assert len([name for name in names if ".variant-" in name]) == 12
    assert len(trees) == 1


def test_after_both_have_resolved_they_join_without_a_word(
    tools: Tools, clones: tuple[Path, Path]
) -> None:
    ours, theirs = clones
    tools.git(theirs, "fetch", "-q", "origin")
    tools.hold(ours, "update")
    by_annex(tools, theirs, "origin")
    tools.hold(ours, "update")
    assert tree(tools, ours) == tree(tools, theirs)
    unlocked = next(ours.glob("unlocked.variant-*.txt"))
    assert unlocked.exists() or unlocked.is_symlink()
    tools.hold(ours, "get")
    contents = {path.read_bytes() for path in ours.glob("both.variant-*.txt")}
    assert contents == {b"ours both.txt", b"theirs both.txt"}
    tools.fsck("annex", ours)


def test_who_does_not_want_it_is_left_the_conflict(tools: Tools, clones: tuple[Path, Path]) -> None:
    ours, _ = clones
    before = tools.git(ours, "rev-parse", "HEAD").text
    tools.hold(ours, "update", "--no-resolve", exits=4)
    tools.git(ours, "config", "annex.resolvemerge", "false")
    told = tools.hold(ours, "update", "--json", exits=4).records()
    assert "both.txt" in str(told[-1]["error"])
    assert tools.git(ours, "rev-parse", "HEAD").text == before
    tools.settled(ours)


def test_a_conflict_in_git_leaves_all_as_it_was(tools: Tools, clones: tuple[Path, Path]) -> None:
    ours, _ = clones
    for folder in clones:
        (folder / "plain.txt").write_text(folder.name)
        tools.annex(folder, "add", "-q", "--force-small", "plain.txt")
        tools.git(folder, "commit", "-q", "-m", "plain")
    before = tools.git(ours, "rev-parse", "HEAD").text
    told = tools.hold(ours, "update", "--json", exits=4).records()
    assert "plain.txt" in str(told[-1]["error"])
    assert tools.git(ours, "rev-parse", "HEAD").text == before
    assert (ours / "plain.txt").read_text() == "ours"
    tools.settled(ours)


def test_changes_that_were_not_saved_are_never_overwritten(
    tools: Tools, clones: tuple[Path, Path]
) -> None:
    ours, _ = clones
    before = tools.git(ours, "rev-parse", "HEAD").text
    os.unlink(ours / "both.txt")
    (ours / "both.txt").write_bytes(b"not saved")
    for words in (["update"], ["update", "--no-resolve"]):
        told = tools.hold(ours, *words, "--json", exits=4).records()
        assert "not saved here, and changed there: both.txt" in str(told[-1]["error"])
    assert (ours / "both.txt").read_bytes() == b"not saved"
    assert tools.git(ours, "rev-parse", "HEAD").text == before
    assert not (ours / ".git/MERGE_HEAD").exists()
