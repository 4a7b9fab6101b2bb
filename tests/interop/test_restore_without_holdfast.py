"""The page about restoring without us, done as it is written by somebody who has not got us."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import sys
from pathlib import Path

import pytest
from warm_hold import run_program

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "restore-without-holdfast.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def _run(folder: Path, *words: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = {
        **kept, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder), "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
    }  # fmt: skip
    done = run_program(words, folder, environment)
    assert done.returncode == 0, f"{words}: {done.stdout!r}\n{done.stderr!r}"
    return done.stdout.decode()


def _files(folder: Path) -> dict[str, str]:
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if name.parts[0] != ".git" and path.is_file():
            found[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    if shutil.which("git-annex", path=f"{BIN}:{os.environ['PATH']}") is None:
        pytest.skip("git-annex is not installed")
    chance = random.Random(2)
    hold, main = str(BIN / "hold"), tmp_path / "main"
    _run(tmp_path, hold, "create", "-q", "--profile", "text2git", "main")
    (main / "sub/deep").mkdir(parents=True)
    for number in range(8):
        (main / f"sub/{number}.nii.gz").write_bytes(chance.randbytes(900_000))
    (main / "sub/deep/notes.txt").write_text("in git\n")
    (main / "large.dat").write_bytes(chance.randbytes(5_000_000))
    (main / "link").symlink_to("large.dat")
    _run(main, hold, "save", "-q", "-m", "one")
    pack = (hold, "archive", "pack", "-q", "--write", "../pieces", "--piece-size", "4MiB")
    _run(main, *pack)
    (main / "sub/1.nii.gz").rename(main / "moved.nii.gz")
    (main / "sub/2.nii.gz").unlink()
    (main / "new.dat").write_bytes(chance.randbytes(10_000))
    _run(main, hold, "unlock", "-q", "sub/3.nii.gz")
    _run(main, hold, "save", "-q", "-m", "two")
    _run(main, *pack)
    return tmp_path


def test_a_stranger_restores_a_data_set_by_the_page(scene: Path) -> None:
    stranger = scene / "stranger"
    stranger.mkdir()
    shutil.copytree(scene / "pieces", stranger / "pieces")
    assert len(list((stranger / "pieces").iterdir())) > 3
    [program] = _blocks("python")
    (stranger / "read_pieces.py").write_text(program)
    read, history, content = _blocks("sh")
    said = _run(stranger, "bash", "-ec", read)
    assert said == "snapshots: 0 1\n"
    assert _files(stranger / "out/files") == _files(scene / "main")
    _run(stranger, "bash", "-ec", history)
    _run(stranger, "bash", "-ec", content)
    data = stranger / "data"
    commit = _run(scene / "main", "git", "rev-parse", "HEAD")
    assert _run(data, "git", "rev-parse", "HEAD") == commit
    assert _run(data, "git", "status", "--porcelain") == ""
    assert _files(data) == _files(scene / "main")


def test_a_stranger_restores_an_earlier_version_and_hears_of_damage(scene: Path) -> None:
    [program] = _blocks("python")
    (scene / "read_pieces.py").write_text(program)
    said = _run(scene, "env", "SNAPSHOT=0", sys.executable, "read_pieces.py", "old",
                *map(str, (scene / "pieces").iterdir()))  # fmt: skip
    assert said == "snapshots: 0 1\n"
    names = set(_files(scene / "old/files"))
    assert "sub/2.nii.gz" in names and "new.dat" not in names
    path = max((scene / "pieces").iterdir(), key=lambda one: one.stat().st_size)
    data = bytearray(path.read_bytes())
    data[2_000_000] ^= 1
    path.write_bytes(data)
    said = _run(scene, sys.executable, "read_pieces.py", "harmed",
                *map(str, (scene / "pieces").iterdir()))  # fmt: skip
    assert f"{path} is damaged before byte" in said
    assert "the piece that has it is missing, or damaged" in said
