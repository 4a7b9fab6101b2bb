"""Where a data set can be made and opened: bare repositories, git's own folders, odd names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.cli.main import run
from holdfast.core.errors import HoldError


@pytest.fixture(autouse=True)
def nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Test\n\temail = test@example.org\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("HOLDFAST_DATASET", raising=False)
    monkeypatch.chdir(tmp_path)


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A bare git repository with one version."""
    git(tmp_path, "init", "-q", "plain")
    git(tmp_path / "plain", "commit", "-q", "--allow-empty", "-m", "first")
    git(tmp_path, "clone", "-q", "--bare", "plain", "b.git")
    return tmp_path / "b.git"


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_bare_repository_gets_an_annex_and_nothing_else(bare: Path) -> None:
    before, head = everything(bare), git(bare, "rev-parse", "HEAD")
    assert run(["create", "--force", "b.git"]) == 0
    new = {name.split("/")[0] for name in everything(bare) - before}
    assert new == {"annex", "objects", "refs"}
    assert git(bare, "rev-parse", "HEAD") == head
    assert git(bare, "config", "core.bare") == "true\n"
    uuid = git(bare, "config", "annex.uuid").strip()
    assert uuid in git(bare, "show", "git-annex:uuid.log")
    assert git(bare, "config", "annex.version") == "10\n"
    assert run(["-d", "b.git", "info"]) == 0


def test_a_bare_repository_is_a_repository_already(
    bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(tmp_path, "init", "-q", "--bare", "empty.git")
    for name in ("b.git", "empty.git"):
        before = everything(tmp_path / name)
        assert run(["create", name]) == 4
        assert "H113" in capsys.readouterr().err
        assert everything(tmp_path / name) == before
        assert run(["create", "--force", name]) == 0
        assert run(["create", name]) == 4
        assert "is already a data set" in capsys.readouterr().err


def test_what_a_bare_repository_cannot_have_is_refused(bare: Path) -> None:
    before = everything(bare)
    for words in (["--no-annex"], ["--backend", "MD5E"], ["--profile", "yoda"]):
        assert run(["create", "--force", *words, "b.git"]) == 2
    assert everything(bare) == before


def test_a_plain_bare_repository_is_told_how_it_becomes_a_data_set(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-d", "b.git", "status"]) == 1
    shown = capsys.readouterr().err
    assert "H102" in shown
    words = shown.split("hold create")[1].split("    (")[0].split()
    assert run(["create", *words]) == 0


@pytest.mark.parametrize(
    "inside", ["p1/.git", "p1/.git/objects", "p1/.git/new", "b.git/refs", "b.git/new"]
)
def test_nothing_is_made_inside_of_gits_own_folders(
    bare: Path, tmp_path: Path, inside: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["create", "p1"]) == 0
    before = everything(tmp_path)
    for words in ([], ["--force"]):
        assert run(["create", *words, inside]) == 2
        assert "H123" in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_a_work_tree_in_a_bare_repositorys_folder_is_one_of_its_own(
    bare: Path, tmp_path: Path
) -> None:
    git(bare, "worktree", "add", "-q", "main", "HEAD")
    assert run(["create", "--force", "b.git/main"]) == 0


def test_gits_own_folder_is_not_taken_for_the_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["create", "p1"]) == 0
    capsys.readouterr()
    assert run(["-d", "p1/.git", "status"]) == 2
    assert "H123" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x\ny", "x\n", "\nx", "a\nb\n\nc"])
def test_a_name_with_a_line_end_is_a_name(tmp_path: Path, name: str) -> None:
    assert run(["create", name]) == 0
    folder = tmp_path / name
    (folder / "a.dat").write_bytes(os.urandom(70_000))
    (folder / "sub").mkdir()
    assert run(["-d", name, "save"]) == 0
    assert (folder / "a.dat").is_symlink() and (folder / "a.dat").exists()
    assert run(["-d", f"{name}/sub", "status"]) == 0
    assert git(folder, "status", "--porcelain") == ""
    assert run(["clone", name, f"{name}clone"]) == 0
    assert run(["-d", f"{name}clone", "get"]) == 0
    assert (tmp_path / f"{name}clone" / "a.dat").exists()


def test_a_folder_that_is_not_there_is_called_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "f").write_bytes(b"")
    for name in ("nosuch", "f"):
        assert run(["-d", name, "status"]) == 1
        shown = capsys.readouterr().err
        assert shown.startswith("✗ H122") and name in shown and "Traceback" not in shown
        with pytest.raises(HoldError) as caught:
            hf.open_dataset(name)
        assert caught.value.code == "H122"


def test_a_git_that_is_not_there_is_still_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["status"]) == 1
    assert "H111" in capsys.readouterr().err


def test_nothing_can_be_made_below_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "f").write_bytes(b"")
    for name in ("f/x", "f/x/y", "f"):
        assert run(["create", name]) == 4
        shown = capsys.readouterr().err
        assert shown.startswith("✗ H113") and "is already a file" in shown
        assert "Traceback" not in shown


def test_a_description_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["create", "--description", "a\nb", "x"]) == 2
    assert "more than one line" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_what_is_made_without_an_annex_is_said_to_be_for_git_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["create", "--no-annex", "na"]) == 0
    assert "git add and git commit" in capsys.readouterr().out
    for verb in ("status", "save"):
        assert run(["-d", "na", verb]) == 1
        shown = capsys.readouterr().err
        assert "H102" in shown and ".noannex" in shown and "git commit" in shown
        assert "hold create" not in shown
