"""What a folder may hold and how it changes: empty, linked, renamed, turned into something else."""

from __future__ import annotations

import os
from itertools import permutations, product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

TWO = ("hold", "annex")
TURNS = list(permutations(TWO))
PROFILES = ("mixed", "all-annexed", "text2git", "yoda", "bids")


@pytest.mark.parametrize(("saver", "other"), [*TURNS, ("datalad", "hold")])
def test_empty_files_are_annexed_got_and_dropped(
    tools: Tools, bench: Path, saver: str, other: str
) -> None:
    folder = tools.create(saver, bench / "study")
    tools.write(folder, {"empty": b"", "sub/also empty.nii": b""})
    tools.save(saver, folder)
    assert tools.is_clean(other, folder)
    tools.fsck(other, folder)
    clone = tools.clone(other, folder, bench / "clone")
    tools.get(other, clone)
    assert (clone / "empty").read_bytes() == (clone / "sub" / "also empty.nii").read_bytes() == b""
    tools.drop("annex", clone)
    assert tools.here("hold", clone) == set()
    tools.settled(clone)
    tools.settled(folder)


@pytest.mark.parametrize(("saver", "other"), [*TURNS, ("hold", "datalad"), ("datalad", "hold")])
def test_links_that_are_not_annexed_stay_links(
    tools: Tools, bench: Path, saver: str, other: str
) -> None:
    folder = tools.create(saver, bench / "study")
    tools.write(folder, {"sub/scan.dat": b"scan"})
    links = {
        "to-file": "sub/scan.dat", "to-folder": "sub", "dangling": "no/such/thing",
        "absolute": "/etc/hostname", "sub/up": "../to-file", "looks-annexed": "annex/objects/x",
    }  # fmt: skip
    for name, target in links.items():
        (folder / name).symlink_to(target)
    tools.save(saver, folder)
    assert tools.is_clean(other, folder)
    assert {name: os.readlink(folder / name) for name in links} == links
    assert set(tools.whereis("hold", folder)) == set(tools.whereis("annex", folder))
    (folder / "dangling").unlink()
    (folder / "dangling").symlink_to("elsewhere/now")
    tools.save(other, folder)
    assert tools.is_clean(saver, folder)
    tools.settled(folder)


@pytest.mark.parametrize(("saver", "other"), TURNS)
def test_files_folders_and_links_turn_into_each_other(
    tools: Tools, bench: Path, saver: str, other: str
) -> None:
    folder = tools.create(other, bench / "study")
    tools.write(folder, {"file": b"1", "folder/in": b"2", "link-target": b"3", "in-git": b"4"})
    (folder / "link").symlink_to("link-target")
    tools.save(other, folder)
    (folder / "file").unlink()
    tools.write(folder, {"file/now/a/folder": b"5"})
    (folder / "folder" / "in").unlink()
    (folder / "folder").rmdir()
    tools.write(folder, {"folder": b"a file now"})
    (folder / "link").unlink()
    tools.write(folder, {"link": b"content now"})
    (folder / "link-target").unlink()
    (folder / "link-target").symlink_to("folder")
    if saver == "annex":
        # git-annex's add puts the old link back instead.
        tools.git(folder, "add", "link-target")
    tools.save(saver, folder)
    assert tools.is_clean(saver, folder)
    assert tools.is_clean(other, folder)
    assert (folder / "file" / "now" / "a" / "folder").read_bytes() == b"5"
    assert (
        (folder / "folder").read_bytes() == (folder / "link-target").read_bytes() == b"a file now"
    )
    annexed = {"file/now/a/folder", "folder", "link", "in-git"}
    assert set(tools.whereis("hold", folder)) == set(tools.whereis("annex", folder)) == annexed
    tools.settled(folder)


@pytest.mark.parametrize("other", TWO)
def test_links_of_files_moved_by_hand_or_by_git_lead_to_their_content(
    tools: Tools, bench: Path, other: str
) -> None:
    folder = tools.create(other, bench / "study")
    tools.write(folder, {"a.dat": b"a", "sub/b.dat": b"b", "sub/deep/c.dat": b"c"})
    tools.save(other, folder)
    (folder / "new" / "deeper").mkdir(parents=True)
    tools.git(folder, "mv", "a.dat", "new/deeper/a.dat")
    (folder / "sub" / "deep").rename(folder / "deep")
    (folder / "sub" / "b.dat").rename(folder / "b.dat")
    tools.hold(folder, "save", "-m", "moved")
    names = {"new/deeper/a.dat": b"a", "b.dat": b"b", "deep/c.dat": b"c"}
    assert {name: (folder / name).read_bytes() for name in names} == names
    assert set(tools.whereis("hold", folder)) == set(tools.whereis("annex", folder)) == set(names)
    tools.fsck("annex", folder)
    tools.settled(folder)


def test_git_commit_alone_mends_the_links_of_moved_files(tools: Tools, bench: Path) -> None:
    folder = tools.create("hold", bench / "study")
    tools.write(folder, {"a.dat": b"a"})
    tools.save("hold", folder)
    (folder / "below" / "here").mkdir(parents=True)
    tools.git(folder, "mv", "a.dat", "below/here/a.dat")
    tools.git(folder, "commit", "-q", "-m", "moved")
    assert (folder / "below" / "here" / "a.dat").read_bytes() == b"a"
    tools.settled(folder)


@pytest.mark.parametrize("maker", ["hold", "annex", "datalad"])
def test_saving_some_paths_leaves_all_else_as_it_was(tools: Tools, bench: Path, maker: str) -> None:
    folder = tools.create(maker, bench / "study")
    tools.write(folder, {"a": b"1", "b": b"2", "sub/c": b"3", "gone": b"4"})
    tools.save(maker, folder)
    for name in ("a", "b"):
        (folder / name).unlink()
    tools.write(folder, {"a": b"new a", "b": b"new b", "staged": b"5", "sub/d": b"6", "new": b"7"})
    (folder / "gone").unlink()
    tools.annex(folder, "add", "-q", "staged")
    tools.hold(folder, "save", "-m", "some", "a", "sub")
    assert tools.porcelain(folder) == [" T b", " D gone", "A  staged", "?? new"]
    changed = tools.git(folder, "show", "--format=", "--name-only", "HEAD").text.split()
    assert changed == ["a", "sub/d"]
    assert (folder / "a").read_bytes() == b"new a"
    tools.hold(folder, "save", "gone")
    assert tools.porcelain(folder) == [" T b", "A  staged", "?? new"]
    tools.save(maker, folder)
    assert all(tools.is_clean(tool, folder) for tool in TWO)
    tools.settled(folder)


def test_what_git_add_staged_becomes_part_of_the_version(tools: Tools, bench: Path) -> None:
    folder = tools.create("hold", bench / "study")
    tools.write(folder, {"by-git": b"stays in git", "twice": b"first"})
    tools.git(folder, "add", "by-git", "twice")
    tools.write(folder, {"twice": b"second", "plain": b"new"})
    tools.hold(folder, "save", "-m", "all")
    assert (folder / "twice").read_bytes() == b"second"
    assert not tools.is_annexed(folder, "by-git")
    assert tools.is_annexed(folder, "plain")
    assert all(tools.is_clean(tool, folder) for tool in TWO)
    tools.settled(folder)


@pytest.mark.parametrize("saver", TWO)
def test_ignored_files_and_the_executable_bit_of_git_files(
    tools: Tools, bench: Path, saver: str
) -> None:
    folder = tools.create(saver, bench / "study")
    rules = b"*.txt annex.largefiles=nothing\n"
    tools.write(
        folder, {".gitignore": b"*.log\n", ".gitattributes": rules, "run.txt": b"#!/bin/sh\n"}
    )
    tools.write(folder, {"x.log": b"ignored", "sub/y.log": b"ignored"})
    tools.save(saver, folder)
    (folder / "run.txt").chmod(0o755)
    tools.save(saver, folder)
    assert tools.git(folder, "ls-files", "-s", "run.txt").text.startswith("100755")
    assert (folder / "x.log").read_bytes() == b"ignored"
    assert not tools.git(folder, "ls-files", "*.log").text
    assert all(tools.is_clean(tool, folder) for tool in TWO)
    tools.settled(folder)


def samples() -> dict[str, bytes]:
    text = b"a,b\n1,2\n"
    return {
        "small.txt": text, "table.tsv": text, "side.json": b"{}\n", "README.md": text,
        "CHANGES": text, "code/run.py": text, "code/blob.bin": bytes(100), "empty": b"",
        "image.nii.gz": b"\x1f\x8b" + bytes(range(256)) * 4, "latin.txt": b"caf\xe9\n",
        "utf16.txt": "text".encode("utf-16"), "large.txt": b"x" * 70_000, "edge": b"x" * 65_536,
        "over": b"x" * 65_537, ".hidden": text, ".dir/file": bytes(100), "sub/.gitignore": b"",
        "sub/CHANGELOG.md": text, "sub/README": text, "a.bval": b"0 1\n", "sub/large.bin": bytes(70_000),
    }  # fmt: skip


def annexed_of(tools: Tools, folder: Path) -> set[str]:
    return {name for name in samples() if tools.is_annexed(folder, name)}


@pytest.mark.parametrize("profile", PROFILES)
def test_all_put_the_same_files_into_git_in_each_profile(
    tools: Tools, bench: Path, profile: str
) -> None:
    found = {}
    tools.hold(bench, "create", "--profile", profile, "hold")
    tools.git(bench, "clone", "-q", "hold", "annex")
    tools.annex(bench / "annex", "init", "-q")
    for saver in TWO:
        tools.write(bench / saver, samples())
        tools.save(saver, bench / saver)
        found[saver] = annexed_of(tools, bench / saver)
        tools.settled(bench / saver)
    assert found["hold"] == found["annex"]
    assert "image.nii.gz" in found["hold"] or profile in ("mixed", "bids")
    assert all(tools.is_clean("hold", bench / saver) for saver in TWO)


@pytest.mark.parametrize("procedure", ["text2git", "yoda"])
def test_a_profile_decides_as_the_datalad_procedure_of_its_name(
    tools: Tools, bench: Path, procedure: str
) -> None:
    tools.hold(bench, "create", "--profile", procedure, "hold")
    tools.datalad(bench, "create", "-c", procedure, "datalad")
    found = {}
    for saver in ("hold", "datalad"):
        folder = bench / saver
        visible = {name: data for name, data in samples().items() if "/." not in f"/{name}"}
        tools.write(folder, visible)
        tools.save(saver, folder)
        found[saver] = {name for name in visible if tools.is_annexed(folder, name)}
        tools.settled(folder)
    assert found["hold"] == found["datalad"]


@pytest.mark.parametrize(("saver", "dotfiles"), list(product(TWO, ("true", "false"))))
def test_dotfiles_go_to_the_annex_only_where_wanted(
    tools: Tools, bench: Path, saver: str, dotfiles: str
) -> None:
    folder = tools.create("annex", bench / "study")
    tools.git(folder, "config", "annex.dotfiles", dotfiles)
    tools.write(folder, {".hidden": b"1", ".dir/file": b"2", "a/.b/c": b"3", "plain": b"4"})
    tools.save(saver, folder)
    for name in (".hidden", ".dir/file", "a/.b/c"):
        assert tools.is_annexed(folder, name) == (dotfiles == "true")
    assert tools.is_annexed(folder, "plain")
    tools.settled(folder)


@pytest.mark.parametrize(
    "rule",
    [
        "nothing", "anything", "largerthan=5b", "(largerthan=5b and include=*.dat)",
        "not (include=*.txt or include=*.md)", "include=sub/*", "mimeencoding=binary",
    ],
)  # fmt: skip
def test_largefiles_of_git_config_and_of_the_data_set_decide_alike(
    tools: Tools, bench: Path, rule: str
) -> None:
    files = {"a.dat": b"short", "b.dat": b"longer than five", "c.txt": b"text of more than five"}
    files |= {"sub/d.md": b"#", "sub/e.bin": bytes(9)}
    found = []
    for saver, place in product(TWO, ("git", "ledger")):
        folder = tools.create("annex", bench / f"{saver}-{place}")
        if place == "git":
            tools.git(folder, "config", "annex.largefiles", rule)
        else:
            tools.annex(folder, "config", "--set", "annex.largefiles", rule)
        tools.write(folder, files)
        tools.save(saver, folder)
        found.append({name for name in files if tools.is_annexed(folder, name)})
        assert tools.porcelain(folder) == []
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("saver", TWO)
def test_two_files_of_one_content_share_it(tools: Tools, bench: Path, saver: str) -> None:
    folder = tools.create(saver, bench / "study")
    tools.write(folder, {"a.dat": b"same", "sub/b.dat": b"same"})
    os.link(folder / "a.dat", folder / "c.dat")
    tools.save(saver, folder)
    keys = tools.keys(folder)
    assert len({keys[name] for name in (b"a.dat", b"sub/b.dat", b"c.dat")}) == 1
    clone = tools.clone("hold" if saver == "annex" else "annex", folder, bench / "clone")
    tools.get("hold", clone, "a.dat")
    assert (clone / "sub" / "b.dat").read_bytes() == b"same"
    assert tools.here("hold", clone) == tools.here("annex", clone)
    tools.settled(folder)
    tools.settled(clone)
