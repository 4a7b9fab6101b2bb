"""Siblings made by us: DataLad pushes to them, and clones of them have what was pushed."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.testing.forge_server import TOKEN, ForgeServer

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop
FILES = {"big.dat": os.urandom(50_000), "sub/a b.txt": b"one\n"}
needs_datalad = pytest.mark.skipif(
    shutil.which("datalad") is None, reason="DataLad is not installed"
)


@pytest.fixture(scope="module")
def saved(tools: Tools, shelf: Path) -> Path:
    folder = tools.create("hold", shelf / "saved")
    tools.write(folder, FILES)
    tools.save("hold", folder)
    return folder


@pytest.fixture
def ours(tools: Tools, saved: Path, bench: Path) -> Path:
    tools.copy(saved, bench / "ours")
    return bench / "ours"


def config(tools: Tools, folder: Path, name: str) -> str | None:
    told = tools.git(folder, "config", name, exits=None)
    return told.text.strip() if told.code == 0 else None


# folders


@needs_datalad
def test_datalad_pushes_to_a_folder_with_files_that_we_made(
    tools: Tools, ours: Path, bench: Path
) -> None:
    for _ in range(2):
        told = tools.hold(ours, "create-sibling", "--json", "../there").records()
        assert [(r["status"], r["path"]) for r in told if r.get("action")] == [("ok", "there")]
    assert config(tools, ours, "remote.there.annex-uuid") == tools.uuid(bench / "there")
    tools.datalad(ours, "push", "--to", "there")
    assert (bench / "there/big.dat").read_bytes() == FILES["big.dat"]
    tools.settled(bench / "there")


def test_a_bare_folder_for_a_group_is_open_to_the_group(
    tools: Tools, ours: Path, bench: Path
) -> None:
    tools.hold(ours, "create-sibling", "--bare", "--shared", "group", "-s", "g", "../there.git")
    there = bench / "there.git"
    for folder in (there, there / "objects", there / "annex"):
        mode = folder.stat().st_mode
        assert mode & stat.S_IWGRP, folder
        assert mode & stat.S_ISGID, folder
    tools.annex(ours, "copy", "-q", "--to", "g")
    tools.git(ours, "fetch", "-q", "g")
    tools.annex(ours, "merge", "-q")
    tools.git(ours, "push", "-q", "g", "main", "git-annex")
    tools.hold(bench, "clone", there, "mine")
    tools.hold(bench / "mine", "get")
    assert (bench / "mine/big.dat").read_bytes() == FILES["big.dat"]


@needs_datalad
def test_siblings_by_ssh_take_what_datalad_pushes(
    tools: Tools, ours: Path, bench: Path, ssh_environment: dict[str, str]
) -> None:
    url = f"ssh://127.0.0.1{bench}/it's there"
    tools.hold(ours, "create-sibling", "-s", "far", url, **ssh_environment)
    tools.hold(ours, "create-sibling", "-s", "far", url, **ssh_environment)
    tools.datalad(ours, "push", "--to", "far", **ssh_environment)
    tools.hold(bench, "clone", url, "mine", **ssh_environment)
    tools.hold(bench / "mine", "get", **ssh_environment)
    assert (bench / "mine/big.dat").read_bytes() == FILES["big.dat"]


@needs_datalad
def test_siblings_that_datalad_made_are_cloned_and_got(
    tools: Tools, ours: Path, bench: Path, ssh_environment: dict[str, str]
) -> None:
    tools.datalad(ours, "create-sibling", "-s", "there", bench / "there")
    tools.hold(ours, "create-sibling", "../there")
    tools.datalad(ours, "push", "--to", "there")
    url = f"ssh://127.0.0.1{bench}/there"
    for source, name in ((url, "by-ssh"), (str(bench / "there"), "by-path")):
        tools.hold(bench, "clone", source, name, **ssh_environment)
        tools.hold(bench / name, "get", **ssh_environment)
        assert (bench / name / "big.dat").read_bytes() == FILES["big.dat"]


def test_what_is_there_already_is_not_taken_over(tools: Tools, ours: Path, bench: Path) -> None:
    tools.write(bench / "full", {"a file": b"mine"})
    told = tools.hold(ours, "create-sibling", "../full", exits=4)
    assert "H368" in told.all_text
    other = tools.create("annex", bench / "other")
    tools.write(other, FILES)
    tools.save("annex", other)
    before = tools.git(other, "for-each-ref").text
    assert "H368" in tools.hold(ours, "create-sibling", "../other", exits=4).all_text
    tools.hold(ours, "create-sibling", "--existing", "skip", "../other")
    assert tools.git(other, "for-each-ref").text == before
    assert config(tools, ours, "remote.other.url") is None


def test_a_name_that_is_taken_is_not_given_away(tools: Tools, ours: Path) -> None:
    tools.hold(ours, "create-sibling", "-s", "one", "../one")
    before = (ours / ".git/config").read_bytes()
    assert "H364" in tools.hold(ours, "create-sibling", "-s", "one", "../two", exits=4).all_text
    tools.hold(ours, "create-sibling", "-s", "one", "--existing", "skip", "../two")
    assert (ours / ".git/config").read_bytes() == before
    tools.hold(ours, "create-sibling", "-s", "one", "--existing", "reconfigure", "../two")
    assert str(config(tools, ours, "remote.one.url")).endswith("/two")


def test_a_sibling_may_depend_on_another(tools: Tools, ours: Path) -> None:
    tools.hold(ours, "create-sibling", "../one")
    tools.hold(ours, "create-sibling", "--publish-depends", "one", "../two")
    assert config(tools, ours, "remote.two.datalad-publish-depends") == "one"
    wrong = tools.hold(ours, "create-sibling", "--publish-depends", "none", "../three", exits=1)
    assert "H305" in wrong.all_text


@needs_datalad
def test_one_special_remote_holds_content_and_git(tools: Tools, ours: Path, bench: Path) -> None:
    if shutil.which("git-remote-annex") is None:
        pytest.skip("git-annex has no git-remote-annex here")
    (bench / "drive").mkdir()
    for _ in range(2):
        tools.hold(
            ours, "create-sibling", "-s", "d", "special", "type=directory",
            f"directory={bench}/drive",
        )  # fmt: skip
    tools.datalad(ours, "push", "--to", "d")
    uuid = config(tools, ours, "remote.d.annex-uuid")
    url = f"annex::{uuid}?encryption=none&type=directory&directory={bench}/drive"
    tools.git(bench, "clone", "-q", url, "mine")
    tools.annex(bench / "mine", "get", "-q", ".")
    assert (bench / "mine/big.dat").read_bytes() == FILES["big.dat"]


def test_a_secret_is_not_taken_from_the_words_of_a_call(tools: Tools, ours: Path) -> None:
    words = ("create-sibling", "s3", "bucket=b", "secret_key=x")
    assert "by environment" in tools.hold(ours, *words, exits=2).all_text


# sites


@pytest.fixture(params=["gitea", "gogs", "github", "gitlab", "gin"])
def site(request: pytest.FixtureRequest, bench: Path) -> Iterator[ForgeServer]:
    with ForgeServer(bench / "site", request.param) as server:
        yield server


def variable(site: ForgeServer) -> dict[str, str]:
    return {f"{site.kind.upper()}_TOKEN": TOKEN}


def test_a_repository_on_a_site_is_made_once_and_takes_a_push(
    tools: Tools, ours: Path, site: ForgeServer
) -> None:
    words = ("create-sibling", "--site", site.url, "--private", site.kind, "lab/study")
    first = tools.hold(ours, *words, **variable(site))
    assert [body.get("private", body.get("visibility")) for body in site.bodies] in (
        [True],
        ["private"],
    )
    assert tools.hold(ours, *words, **variable(site)).text != ""
    assert len(site.bodies) == 1
    tools.git(ours, "push", "-q", site.kind, "main", "git-annex")
    assert (site.folder / "lab/study.git/HEAD").exists()
    ignored = config(tools, ours, f"remote.{site.kind}.annex-ignore")
    assert ignored == (None if site.kind == "gin" else "true")
    for told in (first.all_text, (ours / ".git/config").read_text()):
        assert TOKEN not in told


def test_a_site_tells_why_not(tools: Tools, ours: Path, bench: Path) -> None:
    with ForgeServer(bench / "site", "gitea") as site:
        words = ("create-sibling", "--site", site.url, "gitea")
        none = tools.hold(ours, *words, "study", exits=4, GIT_CONFIG_GLOBAL=os.devnull)
        assert "H366" in none.all_text
        wrong = tools.hold(ours, *words, "study", exits=4, GITEA_TOKEN="an-old-token")
        assert "H367" in wrong.all_text
        assert "an-old-token" not in wrong.all_text
        tools.hold(ours, *words, "study", **variable(site))
        tools.git(ours, "remote", "remove", "gitea")
        assert "H368" in tools.hold(ours, *words, "study", exits=4, **variable(site)).all_text
        tools.hold(ours, *words, "study", "--existing", "skip", **variable(site))
        assert config(tools, ours, "remote.gitea.url") is None
        tools.hold(ours, *words, "study", "--existing", "reconfigure", **variable(site))
        assert config(tools, ours, "remote.gitea.url") is not None
    gone = tools.hold(ours, *words, "other", exits=3, **variable(site))
    assert "H301" in gone.all_text


def test_reading_by_https_and_pushing_by_ssh(tools: Tools, ours: Path, bench: Path) -> None:
    with ForgeServer(bench / "site", "gitea") as site:
        words = ("create-sibling", "--site", site.url, "--access", "https-ssh", "gitea", "study")
        tools.hold(ours, *words, **variable(site))
    assert config(tools, ours, "remote.gitea.pushurl") == "git@127.0.0.1:ada/study.git"
