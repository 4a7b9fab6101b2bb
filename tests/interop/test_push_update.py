"""Versions and content pushed to siblings, and brought from them; DataLad works on what came."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

FILES = {"a.dat": b"a" * 3000, "sub/b.dat": b"b" * 5000}
NAMES = set(map(os.fsencode, FILES))


@pytest.fixture
def here(tools: Tools, tmp_path: Path) -> Path:
    folder = tools.create("hold", tmp_path / "here")
    tools.write(folder, FILES)
    tools.save("hold", folder)
    return folder


@pytest.fixture
def hub(tools: Tools, here: Path) -> Path:
    """A bare repository that knows nothing yet."""
    folder = here.parent / "hub.git"
    tools.git(here, "init", "-q", "--bare", folder)
    tools.hold(here, "siblings", "add", "hub", folder)
    return folder


def test_datalad_clones_and_gets_what_was_pushed(
    tools: Tools, here: Path, hub: Path, tmp_path: Path
) -> None:
    tools.hold(here, "push", "--to", "hub")
    clone = tools.clone("datalad", hub, tmp_path / "clone")
    shutil.move(here, tmp_path / "away")
    tools.get("datalad", clone)
    assert {name: (clone / name).read_bytes() for name in FILES} == FILES
    assert tools.here("annex", tmp_path / "away") == NAMES
    tools.annex(hub, "fsck", "--all")


def test_a_push_sends_what_is_new_and_only_that(tools: Tools, here: Path, hub: Path) -> None:
    tools.hold(here, "push")
    tools.write(here, {"new.dat": b"new"})
    tools.save("hold", here)
    told = tools.hold(here, "push", "--json").records()
    assert [r["path"] for r in told if "key" in r] == ["new.dat"]
    assert {r["status"] for r in tools.hold(here, "push", "--json").records()} == {"notneeded"}


def test_what_a_sibling_lost_is_pushed_again(tools: Tools, here: Path, hub: Path) -> None:
    tools.hold(here, "push")
    tools.hold(here, "drop", "--from", "hub", "a.dat")
    told = tools.hold(here, "push", "--json").records()
    assert [r["path"] for r in told if "key" in r] == ["a.dat"]


def test_what_came_here_since_is_pushed_too(
    tools: Tools, here: Path, hub: Path, tmp_path: Path
) -> None:
    other = tools.clone("hold", here, tmp_path / "other")
    tools.hold(other, "siblings", "add", "hub", hub)
    tools.hold(other, "push", "--to", "hub")
    tools.get("hold", other, "a.dat")
    told = tools.hold(other, "push", "--to", "hub", "--json").records()
    assert [r["path"] for r in told if "key" in r] == ["a.dat"]


def test_a_sibling_gets_what_it_wants(tools: Tools, here: Path, hub: Path) -> None:
    tools.hold(here, "push", "--data", "nothing")
    assert tools.annex(hub, "find", "--branch=main").text == ""
    tools.hold(here, "siblings", "configure", "hub", "--wanted", "include=sub/*")
    tools.hold(here, "push")
    assert tools.whereis("hold", here)["a.dat"] == {tools.uuid(here)}
    assert len(tools.whereis("hold", here)["sub/b.dat"]) == 2
    tools.hold(here, "push", "--data", "anything")
    assert len(tools.whereis("hold", here)["a.dat"]) == 2


def test_no_version_goes_where_content_did_not(tools: Tools, here: Path, hub: Path) -> None:
    damaged = (here / "a.dat").resolve()
    damaged.chmod(0o644)
    damaged.write_bytes(b"x" * 3000)
    told = tools.hold(here, "push", "--json", exits=1).records()
    assert "H313" in {r["error"]["code"] for r in told if "error" in r}  # type: ignore[index]
    assert tools.git(hub, "branch", "--list", "main").text == ""


def test_what_somebody_else_pushed_is_not_overwritten(
    tools: Tools, here: Path, hub: Path, tmp_path: Path
) -> None:
    tools.hold(here, "push")
    other = tools.clone("datalad", hub, tmp_path / "other")
    tools.write(other, {"theirs.dat": b"theirs"})
    tools.save("datalad", other)
    tools.datalad(other, "push", "--to", "origin")
    tools.write(here, {"ours.dat": b"ours"})
    tools.save("hold", here)
    tools.hold(here, "push", exits=4)
    tools.hold(here, "update")
    tools.hold(here, "push")
    tools.datalad(other, "update", "--how", "merge")
    assert (other / "ours.dat").is_symlink()
    tools.get("hold", here, "theirs.dat")
    assert (here / "theirs.dat").read_bytes() == b"theirs"
    tools.settled(here)


def test_a_conflict_is_told_and_nothing_is_left_of_the_merge(
    tools: Tools, here: Path, hub: Path, tmp_path: Path
) -> None:
    tools.hold(here, "push")
    other = tools.clone("hold", hub, tmp_path / "other")
    for folder, content in ((other, b"theirs"), (here, b"ours")):
        os.unlink(folder / "a.dat")
        tools.write(folder, {"a.dat": content})
        tools.save("hold", folder)
    tools.hold(other, "push")
    before = tools.git(here, "rev-parse", "HEAD").text
    told = tools.hold(here, "update", "--no-resolve", "--json", exits=4).records()
    assert "a.dat" in told[-1]["error"]["why"]  # type: ignore[index]
    assert tools.git(here, "rev-parse", "HEAD").text == before
    assert (here / "a.dat").read_bytes() == b"ours"
    tools.settled(here)


def test_unlocked_files_are_filled_after_an_update(
    tools: Tools, here: Path, hub: Path, tmp_path: Path
) -> None:
    tools.hold(here, "push")
    other = tools.clone("hold", hub, tmp_path / "other")
    tools.get("hold", other)
    tools.hold(here, "unlock", "a.dat")
    tools.save("hold", here)
    tools.hold(here, "push")
    tools.hold(other, "update")
    assert not (other / "a.dat").is_symlink()
    assert (other / "a.dat").read_bytes() == FILES["a.dat"]
    tools.settled(other)


def test_a_sibling_it_depends_on_is_pushed_to_first(
    tools: Tools, here: Path, hub: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store.git"
    tools.git(here, "init", "-q", "--bare", store)
    tools.hold(here, "siblings", "add", "store", store)
    tools.hold(here, "siblings", "configure", "hub", "--publish-depends", "store")
    told = tools.hold(here, "push", "--to", "hub", "--json").records()
    refs = [r["sibling"] for r in told if r.get("ref") == "refs/heads/main"]
    assert refs == ["store", "hub"]


def test_a_work_tree_gets_the_version_beside_its_branch(
    tools: Tools, here: Path, tmp_path: Path
) -> None:
    work = tools.clone("annex", here, tmp_path / "work")
    tools.hold(here, "siblings", "add", "work", work)
    tools.write(here, {"new.dat": b"new"})
    tools.save("hold", here)
    tools.hold(here, "push")
    tools.hold(work, "update")
    assert (work / "new.dat").read_bytes() == b"new"
    tools.settled(work)


def test_three_levels_are_pushed_and_datalad_gets_them_all(
    tools: Tools, here: Path, tmp_path: Path
) -> None:
    middle, inner = here / "middle", here / "middle/inner"
    tools.hold(here, "create", "-d", ".", "--profile", "all-annexed", "middle")
    tools.hold(middle, "create", "-d", ".", "--profile", "all-annexed", "inner")
    for folder in (middle, inner):
        tools.write(folder, {"deep.dat": folder.name.encode()})
    tools.hold(here, "save", "-r", "-m", "all of it")
    hubs = tmp_path / "hubs"
    for folder in (here, middle, inner):
        hub = hubs / folder.relative_to(here)
        tools.git(here, "init", "-q", "--bare", hub)
        tools.hold(folder, "siblings", "add", "hub", hub)
    tools.hold(here, "push", "-r", "--to", "hub")
    clone = tools.clone("datalad", hubs, tmp_path / "clone")
    shutil.move(here, tmp_path / "away")
    tools.datalad(clone, "get", "-r", ".")
    assert (clone / "a.dat").read_bytes() == FILES["a.dat"]
    assert (clone / "middle/deep.dat").read_bytes() == b"middle"
    assert (clone / "middle/inner/deep.dat").read_bytes() == b"inner"
    tools.write(clone, {"middle/inner/more.dat": b"more"})
    tools.datalad(clone, "save", "-r", "-m", "more")
    tools.datalad(clone, "push", "-r", "--to", "origin")
    away = tmp_path / "away"
    tools.hold(away, "update", "-r")
    tools.hold(away, "get", "-r")
    assert (away / "middle/inner/more.dat").read_bytes() == b"more"
    assert tools.hold(away, "status", "-r", "--json").records() == []
