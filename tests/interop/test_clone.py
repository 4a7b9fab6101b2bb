"""Clones: what git-annex and DataLad make of them, and the same settings as theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.core.errors import ConflictError, HoldError, UsageError
from holdfast.dataset.config import Config

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("git-annex") is None, reason="no git-annex on PATH"),
]

PROJECT = Path(__file__).resolve().parents[2]
BUNDLE = (
    Path(os.environ.get("HOLDFAST_SHARED") or PROJECT.parent / "shared") / "data/ds000001.bundle"
)


@pytest.fixture(autouse=True)
def nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        '[user]\n\tname = Test\n\temail = test@example.org\n[protocol "file"]\n\tallow = always\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A data set of git-annex's, with a locked and an unlocked file."""
    folder = tmp_path / "origin"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "annex", "init", "-q", "the origin")
    (folder / "locked.dat").write_text("locked content")
    (folder / "loose.dat").write_text("unlocked content")
    git(folder, "annex", "add", "-q", ".")
    git(folder, "annex", "unlock", "-q", "loose.dat")
    git(folder, "commit", "-qm", "first")
    return folder


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def settings(folder: Path, name: str) -> dict[str, str]:
    listing = subprocess.run(
        ["git", "config", "--list", "-z"], cwd=folder, check=True, capture_output=True
    ).stdout
    return Config(listing).sections("remote").get(name, {})


def test_a_clone_knows_its_origin_and_is_clean(origin: Path, tmp_path: Path) -> None:
    hf.clone(origin, tmp_path / "mine")
    mine = tmp_path / "mine"
    assert settings(mine, "origin")["annex-uuid"] == git(origin, "config", "annex.uuid")
    assert settings(mine, "origin")["url"] == str(origin)
    assert git(mine, "status", "--porcelain") == ""
    assert git(mine, "config", "annex.uuid") != git(origin, "config", "annex.uuid")


def test_git_annex_gets_drops_and_checks_in_our_clone(origin: Path, tmp_path: Path) -> None:
    hf.clone(origin, tmp_path / "mine")
    mine = tmp_path / "mine"
    git(mine, "annex", "get", "-q", ".")
    assert (mine / "locked.dat").read_text() == "locked content"
    assert (mine / "loose.dat").read_text() == "unlocked content"
    git(mine, "annex", "fsck", "-q")
    git(mine, "annex", "drop", "-q", ".")
    assert not (mine / "locked.dat").exists()
    assert git(mine, "status", "--porcelain") == ""


@pytest.mark.skipif(shutil.which("datalad") is None, reason="no datalad on PATH")
def test_datalad_gets_and_saves_in_our_clone(origin: Path, tmp_path: Path) -> None:
    hf.clone(origin, tmp_path / "mine")
    mine = tmp_path / "mine"
    (mine / "new.dat").write_text("new content")
    for words in (["get", "locked.dat"], ["save", "-m", "more"]):
        done = subprocess.run(
            ["datalad", "-C", str(mine), *words], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (mine / "locked.dat").read_text() == "locked content"
    assert git(mine, "annex", "find", "--format=${file}\\n") == "locked.dat\nnew.dat"


def test_unlocked_files_stay_pointers(origin: Path, tmp_path: Path) -> None:
    hf.clone(origin, tmp_path / "mine")
    assert (tmp_path / "mine/loose.dat").read_text().startswith("/annex/objects/")


def test_a_file_address_is_a_path(origin: Path, tmp_path: Path) -> None:
    hf.clone(f"file://{origin}", tmp_path / "mine")
    known = settings(tmp_path / "mine", "origin")["annex-uuid"]
    assert known == git(origin, "config", "annex.uuid")


def test_a_bare_repository_and_a_name_with_spaces_can_be_cloned(
    origin: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(origin), "o dd é.git")
    hf.clone("o dd é.git")
    assert (tmp_path / "o dd é/locked.dat").is_symlink()


def test_a_store_of_datalads_is_cloned_by_id(origin: Path, tmp_path: Path) -> None:
    inside = tmp_path / "store/fa5"
    inside.mkdir(parents=True)
    git(tmp_path, "clone", "-q", "--bare", str(origin), str(inside / "9b22f-9ab6"))
    hf.clone(f"ria+file://{tmp_path}/store#fa59b22f-9ab6", "mine")
    candidate = git(
        tmp_path / "mine", "config", "datalad.get.subdataset-source-candidate-200origin"
    )
    assert candidate == f"ria+file://{tmp_path}/store#{{id}}"


def test_plain_git_stays_plain(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "plain")
    git(tmp_path / "plain", "commit", "-q", "--allow-empty", "-m", "first")
    [outcome] = hf.iter_clone("plain", "mine")
    assert "plain git" in outcome.note
    assert "annex.uuid" not in git(tmp_path / "mine", "config", "--list")


def test_data_sets_inside_are_not_brought_along(origin: Path, tmp_path: Path) -> None:
    git(origin, "submodule", "--quiet", "add", str(origin), "inner")
    git(origin, "commit", "-qm", "inner")
    hf.clone(origin, "mine")
    assert os.listdir(tmp_path / "mine/inner") == []


def test_special_remotes_are_set_up_as_git_annex_does(origin: Path, tmp_path: Path) -> None:
    (tmp_path / "rsync").mkdir()
    for words in (
        ["r", "type=rsync", f"rsyncurl={tmp_path}/rsync", "encryption=none"],
        ["w", "type=web", "urlinclude=*"],
        ["d", "type=directory", f"directory={tmp_path}/rsync", "encryption=none"],
        ["--sameas=r", "h", "type=httpalso", "url=http://127.0.0.1:1/x"],
    ):
        git(origin, "annex", "initremote", "-q", *words, "autoenable=true")
    hf.clone(origin, "ours")
    git(tmp_path, "clone", "-q", str(origin), "theirs")
    git(tmp_path / "theirs", "annex", "init", "-q", "theirs")
    for name in ("r", "w", "d", "h"):
        assert settings(tmp_path / "ours", name) == settings(tmp_path / "theirs", name), name
    assert settings(tmp_path / "ours", "r")["annex-verified"] == "automatic"


@pytest.mark.shared
@pytest.mark.skipif(not BUNDLE.exists(), reason="the real data sets are not there")
def test_a_bundle_of_openneuro_is_cloned_with_its_public_bucket(tmp_path: Path) -> None:
    hf.clone(BUNDLE)
    mine = tmp_path / "ds000001"
    git(tmp_path, "clone", "-q", str(BUNDLE), "theirs")
    git(tmp_path / "theirs", "annex", "init", "-q", "theirs")
    assert settings(mine, "s3-PUBLIC") == settings(tmp_path / "theirs", "s3-PUBLIC")
    assert settings(mine, "s3-PUBLIC-unversioned") == {}
    assert settings(mine, "origin")["url"] == str(BUNDLE)
    assert git(mine, "rev-parse", "origin/git-annex") == git(
        tmp_path / "theirs", "rev-parse", "origin/git-annex"
    )
    assert git(mine, "annex", "find", "--in=s3-PUBLIC") == git(
        tmp_path / "theirs", "annex", "find", "--in=s3-PUBLIC"
    )


def test_a_folder_that_is_full_is_left_alone(origin: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(ConflictError, match="already a folder with files in it"):
        hf.clone(origin, "mine")
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"


def test_an_empty_folder_is_filled_and_keeps_its_permissions(origin: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o750)
    hf.clone(origin, "mine")
    assert (tmp_path / "mine/locked.dat").is_symlink()
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o750


def test_the_current_folder_can_be_cloned_into(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    hf.clone(origin, ".")
    assert Path("locked.dat").is_symlink()


@pytest.mark.parametrize("there", [False, True])
def test_a_failed_clone_leaves_nothing(tmp_path: Path, there: bool) -> None:
    before = set(tmp_path.iterdir())
    target = tmp_path / "new/deep/mine"
    if there:
        target.mkdir(parents=True)
        before.add(tmp_path / "new")
    with pytest.raises(HoldError, match="git clone failed") as caught:
        hf.clone(tmp_path / "nowhere", target)
    assert "does not exist" in caught.value.why
    assert caught.value.safe == "nothing was changed"
    assert set(tmp_path.iterdir()) == before
    assert not there or os.listdir(target) == []


def test_a_server_that_does_not_answer_is_asked_once(tmp_path: Path) -> None:
    with pytest.raises(HoldError) as caught:
        hf.clone("http://127.0.0.1:1/study")
    assert caught.value.why.count("127.0.0.1") <= 2
    assert "/.git" not in caught.value.why
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_what_ssh_says_of_a_failed_clone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = tmp_path / "home/ssh"
    line = "ssh: connect to host there port 1: Connection refused"
    ssh.write_text(f"#!/bin/sh\necho '{line}' >&2\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(ssh))
    with pytest.raises(HoldError, match="git clone failed") as caught:
        hf.clone("ssh://there:1/study")
    assert caught.value.why.count(line) == 1
    assert "Please make sure" not in caught.value.why


def test_a_source_without_a_name_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which folder"):
        hf.clone(".")
