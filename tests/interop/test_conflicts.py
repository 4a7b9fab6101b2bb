"""Annexed files that two clones changed differently: hold and git-annex come to the same tree."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from depth import DEEP

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop
BASE = {
    "both.txt": b"base",
    "sub/x.tar.gz": b"base x",
    "noext": b"base n",
    "unlocked.txt": b"unlocked base",
    "sub/other": b"base o",
    "plain.txt": b"git base",
    "alone.txt": b"base a",
}


Files = Mapping[str, bytes | None]
"""Contents; their first word may tell that they are to be ``unlocked``, or in ``git``."""


class Scene(NamedTuple):
    """What each side does to files (None: removes), and what is there afterwards."""

    ours: Files
    theirs: Files
    variants: int
    kept: tuple[str, ...] = ()


SCENES = {
    "both changed": Scene({"both.txt": b"ours"}, {"both.txt": b"theirs"}, 2),
    "two extensions": Scene({"sub/x.tar.gz": b"ours"}, {"sub/x.tar.gz": b"theirs"}, 2),
    "no extension": Scene({"noext": b"ours"}, {"noext": b"theirs"}, 2),
    "both new": Scene({"fresh.dat": b"ours"}, {"fresh.dat": b"theirs"}, 2),
    "hidden": Scene({".hidden": b"ours"}, {".hidden": b"theirs"}, 2),
    "both unlocked": Scene(
        {"unlocked.txt": b"unlocked ours"}, {"unlocked.txt": b"unlocked theirs"}, 2
    ),
    "one unlocked": Scene({"both.txt": b"ours"}, {"both.txt": b"unlocked theirs"}, 2),
    "removed there": Scene({"both.txt": b"ours"}, {"both.txt": None}, 1),
    "removed here": Scene({"both.txt": None}, {"both.txt": b"theirs"}, 1),
    "removed unlocked": Scene({"unlocked.txt": None}, {"unlocked.txt": b"unlocked theirs"}, 1),
    "one in git": Scene({"both.txt": b"ours"}, {"both.txt": b"git theirs"}, 1, ("both.txt",)),
    "new, one in git": Scene({"new.txt": b"git ours"}, {"new.txt": b"theirs"}, 1, ("new.txt",)),
    "one into git, unlocked": Scene(
        {"unlocked.txt": b"unlocked ours"}, {"unlocked.txt": b"git theirs"}, 1, ("unlocked.txt",)
    ),
    "same, one unlocked": Scene(
        {"both.txt": b"same"}, {"both.txt": b"unlocked same"}, 0, ("both.txt",)
    ),
    "several at once": Scene(
        {"both.txt": b"ours", "noext": b"ours n", "alone.txt": b"ours a", "gone": b"x"},
        {"both.txt": b"theirs", "noext": b"theirs n", "more.txt": b"theirs"},
        4,
        ("alone.txt", "more.txt", "gone"),
    ),
}


def body(content: bytes | None) -> bytes:
    return (content or b"").removeprefix(b"unlocked ")


def change(tools: Tools, folder: Path, files: Files) -> None:
    """A new version."""
    for name, content in files.items():
        if os.path.lexists(folder / name):
            tools.git(folder, "rm", "-q", "--cached", name)
            os.unlink(folder / name)
        if content is None:
            continue
        kind, _, _ = content.partition(b" ")
        tools.write(folder, {name: body(content)})
        tools.annex(folder, "add", "-q", *(["--force-small"] if kind == b"git" else []), name)
        if kind == b"unlocked":
            tools.annex(folder, "unlock", "-q", name)
    tools.git(folder, "commit", "-q", "-m", f"changed in {folder.name}")


@pytest.fixture(scope="module")
def shelved(tools: Tools, shelf: Path) -> Path:
    """A data set and a clone of it beside, each with the other as a remote."""
    ours = tools.create("annex", shelf / "ours")
    tools.annex(ours, "config", "--set", "annex.dotfiles", "true")
    change(tools, ours, BASE)
    theirs = tools.clone("annex", ours, shelf / "theirs")
    tools.git(theirs, "remote", "set-url", "origin", "../ours")
    tools.git(ours, "remote", "add", "origin", "../theirs")
    return shelf


def diverged(tools: Tools, shelved: Path, bench: Path, scene: Scene) -> tuple[Path, Path]:
    """Two clones that each have a version of their own."""
    for name, files in (("ours", scene.ours), ("theirs", scene.theirs)):
        tools.copy(shelved / name, bench / name)
        change(tools, bench / name, files)
    return bench / "ours", bench / "theirs"


def tree(tools: Tools, folder: Path) -> str:
    return tools.git(folder, "rev-parse", "HEAD^{tree}").text


def names(tools: Tools, folder: Path) -> list[str]:
    return tools.git(folder, "ls-files", "-z").text.split("\0")[:-1]


def by_annex(tools: Tools, folder: Path) -> None:
    tools.git(folder, "merge", "-q", "origin/main", exits=1)
    tools.annex(folder, "resolvemerge")


@pytest.mark.parametrize("name", SCENES)
def test_each_tool_in_either_clone_comes_to_the_same_tree(
    tools: Tools, shelved: Path, bench: Path, name: str
) -> None:
    scene = SCENES[name]
    trees = {}
    for number, folder in enumerate(diverged(tools, shelved, bench, scene)):
        tools.git(folder, "fetch", "-q", "origin")
        # By one tool here and by the other there, or there and here; a deep run does all four.
        both = ("hold", "annex")
        for tool in both if DEEP else [both[(number + list(SCENES).index(name)) % 2]]:
            copy = bench / f"{folder.name} by {tool}"
            tools.copy(folder, copy)
            if tool == "annex":
                by_annex(tools, copy)
            else:
                tools.hold(copy, "update")
                assert tools.porcelain(copy) == []  # git-annex may leave a file behind
            trees[copy.name] = tree(tools, copy)
            found = names(tools, copy)
            assert set(scene.kept) <= set(found)
            assert len([one for one in found if ".variant-" in one]) == scene.variants
    assert len(trees) == (4 if DEEP else 2)
    assert len(set(trees.values())) == 1, trees


@pytest.mark.parametrize("name", ["both unlocked", "several at once"])
def test_after_both_have_resolved_they_join_without_a_word_and_nothing_is_lost(
    tools: Tools, shelved: Path, bench: Path, name: str
) -> None:
    scene = SCENES[name]
    ours, theirs = diverged(tools, shelved, bench, scene)
    tools.git(theirs, "fetch", "-q", "origin")
    tools.hold(ours, "update")
    by_annex(tools, theirs)
    told = tools.hold(ours, "update", "--json").records()
    assert "warning" not in told[-1]
    tools.hold(theirs, "update")
    assert tree(tools, ours) == tree(tools, theirs)
    for folder in (ours, theirs):
        tools.hold(folder, "get")
        contents = {(folder / one).read_bytes() for one in names(tools, folder)}
        assert {*map(body, scene.ours.values()), *map(body, scene.theirs.values())} <= contents
        tools.settled(folder)
        tools.fsck("annex", folder)


def test_what_became_of_each_file_is_told(tools: Tools, shelved: Path, bench: Path) -> None:
    ours, _ = diverged(tools, shelved, bench, SCENES["several at once"])
    told = tools.hold(ours, "update", "--json").records()
    resolved = told[-1]["resolved"]
    assert isinstance(resolved, dict)
    assert sorted(resolved["both.txt"]) == sorted(one.name for one in ours.glob("both.*"))
    assert resolved.keys() == {"both.txt", "noext"}
    assert "both changed: both.txt is now both.variant-" in str(told[-1]["warning"])
    message, parents = tools.git(ours, "log", "-1", "--format=%s%n%P").text.splitlines()
    assert (message, len(parents.split())) == ("git-annex automatic merge conflict fix", 2)


def test_a_variant_takes_no_file_s_place(tools: Tools, shelved: Path, bench: Path) -> None:
    ours, _ = diverged(tools, shelved, bench, SCENES["both changed"])
    tools.copy(ours, bench / "first")
    tools.hold(bench / "first", "update")
    variant = next((bench / "first").glob("both.variant-*")).name
    change(tools, ours, {variant: b"another's"})
    before = tools.git(ours, "rev-parse", "HEAD").text
    tools.hold(ours, "update", exits=4)
    assert tools.git(ours, "rev-parse", "HEAD").text == before
    assert (ours / variant).read_bytes() == b"another's"
    tools.settled(ours)


def test_who_does_not_want_it_is_left_the_conflict(
    tools: Tools, shelved: Path, bench: Path
) -> None:
    ours, _ = diverged(tools, shelved, bench, SCENES["both changed"])
    before = tools.git(ours, "rev-parse", "HEAD").text
    tools.hold(ours, "update", "--no-resolve", exits=4)
    tools.git(ours, "config", "annex.resolvemerge", "false")
    told = tools.hold(ours, "update", "--json", exits=4).records()
    assert "both.txt" in str(told[-1]["error"])
    assert tools.git(ours, "rev-parse", "HEAD").text == before
    assert (ours / "both.txt").read_bytes() == b"ours"
    tools.settled(ours)


@pytest.mark.parametrize(
    "scene",
    [
        Scene({"plain.txt": b"git ours"}, {"plain.txt": b"git theirs"}, 0),
        Scene({"plain.txt": b"git ours"}, {"plain.txt": None}, 0),
        Scene(
            {"plain.txt": b"git ours", "both.txt": b"ours"},
            {"plain.txt": b"git theirs", "both.txt": b"theirs"},
            0,
        ),
        Scene(
            {"plain.txt": b"git ours", "unlocked.txt": b"unlocked ours"},
            {"plain.txt": b"git theirs", "unlocked.txt": b"unlocked theirs"},
            0,
        ),
    ],
    ids=["changed", "removed", "beside annexed", "beside unlocked"],
)
def test_a_conflict_in_git_leaves_all_as_it_was(
    tools: Tools, shelved: Path, bench: Path, scene: Scene
) -> None:
    ours, _ = diverged(tools, shelved, bench, scene)
    before = tools.git(ours, "rev-parse", "HEAD").text
    told = tools.hold(ours, "update", "--json", exits=4).records()
    assert "plain.txt" in str(told[-1]["error"])
    assert tools.git(ours, "rev-parse", "HEAD").text == before
    for name, content in scene.ours.items():
        assert (ours / name).read_bytes() == body(content)
    tools.settled(ours)
    assert "CONFLICT" in tools.git(ours, "merge", "origin/main", exits=1).text
