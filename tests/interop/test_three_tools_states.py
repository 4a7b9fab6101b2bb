"""States a repository may be in: detached, linked, bare, nested, merging; and those we refuse."""

from __future__ import annotations

import hashlib
import shutil
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

TWO = ("hold", "annex")
TURNS = list(permutations(TWO))
FILES = {"a.dat": b"a", "sub/b.dat": b"b"}


def study(tools: Tools, maker: str, folder: Path) -> Path:
    tools.create(maker, folder)
    tools.write(folder, FILES)
    tools.save(maker, folder)
    return folder


@pytest.mark.parametrize(("saver", "other"), TURNS)
def test_versions_are_saved_on_a_detached_head(
    tools: Tools, bench: Path, saver: str, other: str
) -> None:
    folder = study(tools, other, bench / "study")
    tools.git(folder, "checkout", "-q", "--detach")
    main = tools.git(folder, "rev-parse", "main").text
    tools.write(folder, {"c.dat": b"c"})
    tools.save(saver, folder)
    assert tools.git(folder, "rev-parse", "main", "HEAD~1").text == main * 2
    assert tools.is_clean(other, folder)
    assert set(tools.whereis(other, folder)) == {*FILES, "c.dat"}
    tools.settled(folder)


@pytest.mark.parametrize(("saver", "other"), TURNS)
def test_a_linked_work_tree_shares_the_annex(
    tools: Tools, bench: Path, saver: str, other: str
) -> None:
    folder = study(tools, other, bench / "study")
    linked = bench / "linked"
    tools.git(folder, "worktree", "add", "-q", str(linked), "-b", "side")
    # git-annex turns the .git file of a work tree into a link when it first runs in it.
    tools.annex(linked, "find")
    tools.write(linked, {"c.dat": b"c"})
    tools.save(saver, linked)
    assert {name: (linked / name).read_bytes() for name in (*FILES, "c.dat")} == {
        **FILES,
        "c.dat": b"c",
    }
    tools.git(folder, "merge", "-q", "--ff-only", "side")
    assert (folder / "c.dat").read_bytes() == b"c"
    for top in (folder, linked):
        assert tools.is_clean(other, top)
        assert tools.whereis("hold", top) == tools.whereis("annex", top)
        tools.settled(top)


def test_a_linked_work_tree_that_only_hold_saw_has_links_that_lead(
    tools: Tools, bench: Path
) -> None:
    folder = study(tools, "hold", bench / "study")
    linked = bench / "linked"
    tools.git(folder, "worktree", "add", "-q", str(linked), "-b", "side")
    tools.write(linked, {"c.dat": b"c"})
    tools.hold(linked, "save", "-m", "side")
    assert (linked / "c.dat").read_bytes() == b"c"
    assert (linked / "a.dat").read_bytes() == b"a"
    tools.settled(linked)


def test_a_sha256_repository_works_with_hold_and_git(tools: Tools, bench: Path) -> None:
    folder = bench / "study"
    tools.git(bench, "init", "-q", "--object-format=sha256", str(folder))
    tools.hold(bench, "create", "--force", "--profile", "all-annexed", str(folder))
    tools.write(folder, FILES)
    tools.hold(folder, "save", "-m", "first")
    tools.hold(folder, "unlock", "a.dat")
    tools.hold(folder, "save", "-m", "unlocked")
    tools.hold(folder, "fsck")
    assert len(tools.git(folder, "rev-parse", "HEAD").text.strip()) == 64
    clone = bench / "clone"
    tools.hold(bench, "clone", folder, clone)
    tools.hold(clone, "get")
    assert (clone / "a.dat").read_bytes() == b"a"
    tools.hold(clone, "drop", ".")
    tools.settled(folder, annex=False)
    tools.settled(clone, annex=False)


@pytest.mark.parametrize(("saver", "other"), TURNS)
def test_the_first_version_is_made_on_an_unborn_branch(
    tools: Tools, bench: Path, saver: str, other: str
) -> None:
    folder = bench / "study"
    tools.git(bench, "init", "-q", str(folder))
    tools.annex(folder, "init", "-q", "study")
    tools.write(folder, FILES)
    assert not tools.is_clean("hold", folder)
    tools.save(saver, folder)
    assert tools.git(folder, "rev-list", "--count", "HEAD").text == "1\n"
    assert tools.is_clean(other, folder)
    tools.fsck(other, folder)
    tools.settled(folder)


def test_a_merge_with_conflicts_is_refused_until_it_is_decided(tools: Tools, bench: Path) -> None:
    folder = study(tools, "hold", bench / "study")
    for branch, content in (("side", b"theirs"), ("main", b"ours")):
        tools.git(folder, "checkout", "-q", "-B", branch)
        if branch == "main":
            tools.git(folder, "reset", "-q", "--hard", "side~1")
        (folder / "a.dat").unlink()
        tools.write(folder, {"a.dat": content})
        tools.hold(folder, "save", "-m", branch)
    tools.git(folder, "merge", "-q", "side", exits=1)
    version = tools.git(folder, "rev-parse", "HEAD").text
    told = tools.hold(folder, "save", exits=4).all_text
    assert "a merge is not finished: a.dat" in told
    assert tools.git(folder, "rev-parse", "HEAD").text == version
    tools.git(folder, "checkout", "-q", "--ours", "a.dat")
    tools.git(folder, "add", "a.dat")
    tools.write(folder, {"c.dat": b"c"})
    tools.hold(folder, "save", "-m", "merged")
    parents = tools.git(folder, "show", "-s", "--format=%P", "HEAD").text.split()
    assert len(parents) == 2
    assert (folder / "a.dat").read_bytes() == b"ours"
    assert tools.is_clean("annex", folder)
    tools.settled(folder)


@pytest.mark.parametrize(("getter", "other"), TURNS)
def test_a_bare_repository_is_a_source(tools: Tools, bench: Path, getter: str, other: str) -> None:
    folder = study(tools, other, bench / "study")
    bare = bench / "bare.git"
    tools.git(bench, "clone", "-q", "--bare", str(folder), str(bare))
    tools.annex(bare, "init", "-q", "bare")
    tools.git(folder, "remote", "add", "bare", str(bare))
    tools.annex(folder, "copy", "-q", "--to", "bare", ".")
    shutil.rmtree(folder / ".git" / "annex" / "objects")
    clone = tools.clone(getter, bare, bench / "clone")
    tools.get(getter, clone)
    assert (clone / "a.dat").read_bytes() == b"a"
    tools.drop(getter, clone)
    tools.get(other, clone)
    assert tools.whereis("hold", clone) == tools.whereis("annex", clone)
    tools.settled(clone)


@pytest.mark.parametrize(("first", "second"), TURNS)
def test_a_clone_of_a_clone_gets_from_the_one_in_between(
    tools: Tools, bench: Path, first: str, second: str
) -> None:
    source = study(tools, first, bench / "source")
    middle = tools.clone(second, source, bench / "middle")
    tools.get(second, middle, "a.dat")
    last = tools.clone(first, middle, bench / "last")
    tools.get(first, last, "a.dat")
    assert (last / "a.dat").read_bytes() == b"a"
    assert not (last / "sub" / "b.dat").exists()
    expected = {tools.uuid(top) for top in (source, middle, last)}
    assert tools.whereis(second, last)["a.dat"] == expected
    assert tools.whereis("hold", last) == tools.whereis("annex", last)
    tools.settled(last)


def lower(folder: Path) -> None:
    """Move all content into the layout of bare repositories."""
    objects = folder / ".git" / "annex" / "objects"
    for content in [path for path in objects.rglob("*") if path.is_file()]:
        digest = hashlib.md5(content.name.encode()).hexdigest()
        target = objects / digest[:3] / digest[3:6] / content.name
        content.parent.chmod(0o755)
        target.mkdir(parents=True)
        content.rename(target / content.name)
        content.parent.rmdir()
        target.chmod(0o555)


@pytest.mark.parametrize("checker", TWO)
def test_content_in_the_other_layout_is_found_and_moved_by_fsck(
    tools: Tools, bench: Path, checker: str
) -> None:
    folder = study(tools, "annex", bench / "study")
    lower(folder)
    assert tools.here("hold", folder) == tools.here("annex", folder)
    assert len(tools.here("hold", folder)) == len(FILES)
    clone = tools.clone("hold", folder, bench / "clone")
    tools.hold(clone, "get")
    run = tools.hold if checker == "hold" else tools.annex
    run(folder, "fsck")
    assert (folder / "a.dat").read_bytes() == b"a"
    tools.settled(folder)
    tools.settled(clone)


def test_an_adjusted_branch_is_read_and_not_saved_on(tools: Tools, bench: Path) -> None:
    folder = study(tools, "annex", bench / "study")
    tools.annex(folder, "adjust", "-q", "--unlock")
    assert tools.is_clean("hold", folder)
    assert tools.whereis("hold", folder) == tools.whereis("annex", folder)
    tools.write(folder, {"c.dat": b"c"})
    before = tools.git(folder, "rev-parse", "HEAD").text
    told = tools.hold(folder, "save", exits=4).all_text
    assert "adjusted" in told
    assert "git annex sync" in told
    assert tools.git(folder, "rev-parse", "HEAD").text == before
    tools.settled(folder, "?? c.dat")


@pytest.mark.parametrize("version", ["8", "9"])
def test_old_annex_versions_are_refused_before_anything_is_written(
    tools: Tools, bench: Path, version: str
) -> None:
    folder = study(tools, "annex", bench / "study")
    tools.git(folder, "config", "annex.version", version)
    tools.write(folder, {"c.dat": b"c"})
    before = tools.git(folder, "show-ref").text
    for words in (["save"], ["get"], ["drop", "a.dat"], ["fsck"], ["unlock"], ["lock"]):
        told = tools.hold(folder, *words, exits=4).all_text
        assert f"annex version {version}" in told
        assert "git annex upgrade" in told
    assert tools.git(folder, "show-ref").text == before
    assert tools.hold(folder, "whereis", "a.dat").text.startswith("a.dat  1 copy")


def test_a_tuned_repository_is_refused(tools: Tools, bench: Path) -> None:
    folder = bench / "study"
    tools.git(bench, "init", "-q", str(folder))
    tools.annex(folder, "init", "-q", "-c", "annex.tune.objecthashlower=true", "tuned")
    tools.write(folder, FILES)
    tools.save("annex", folder)
    before = tools.git(folder, "show-ref").text
    for words in (["save"], ["get"], ["drop", "a.dat"], ["fsck"], ["whereis"]):
        assert "tuned" in tools.hold(folder, *words, exits=4).all_text
    assert tools.git(folder, "show-ref").text == before


@pytest.mark.parametrize(("saver", "other"), [("hold", "datalad"), ("datalad", "hold")])
def test_a_data_set_in_a_data_set_is_one_to_both(
    tools: Tools, bench: Path, saver: str, other: str
) -> None:
    top = study(tools, saver, bench / "top")
    inner = top / "inputs" / "raw"
    inner.parent.mkdir()
    tools.create(saver, inner)
    tools.write(inner, {"raw.dat": b"raw"})
    tools.save(saver, inner)
    tools.save(saver, top)
    assert tools.git(top, "ls-files", "-s", "inputs/raw").text.startswith("160000")
    told = tools.datalad(top, "-f", "json", "subdatasets").records()
    assert [Path(str(record["path"])).name for record in told] == ["raw"]
    modules = (top / ".gitmodules").read_text()
    assert "url = ./inputs/raw" in modules
    assert "datalad-id = " in modules
    assert tools.is_clean(other, top)
    tools.write(inner, {"more.dat": b"more"})
    tools.save(other, inner)
    assert not tools.is_clean("hold", top)
    tools.save(other, top)
    assert all(tools.is_clean(tool, top) for tool in ("hold", "datalad"))
    recorded = tools.git(top, "rev-parse", "HEAD:inputs/raw").text
    assert recorded == tools.git(inner, "rev-parse", "HEAD").text
    tools.settled(inner)
    tools.settled(top)


def test_a_submodule_with_its_git_folder_elsewhere_is_served(tools: Tools, bench: Path) -> None:
    inner = study(tools, "annex", bench / "inner")
    top = tools.create("annex", bench / "top")
    tools.git(top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "in")
    tools.hold(top, "save", "-m", "with a submodule")
    assert tools.is_clean("hold", top)
    tools.hold(top / "in", "get")
    assert (top / "in" / "a.dat").read_bytes() == b"a"
    tools.write(top / "in", {"c.dat": b"c"})
    tools.hold(top / "in", "save", "-m", "more")
    assert (top / "in" / "c.dat").read_bytes() == b"c"
    tools.hold(top, "save", "-m", "newer")
    tools.settled(top / "in")
    tools.settled(top)
