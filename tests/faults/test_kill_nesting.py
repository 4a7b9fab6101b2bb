"""Data sets inside a data set, made or installed by a command that is killed: never half of one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from depth import spread
from scenes import HOLD, KILLED, kill_at, must, run, wait_for_orphans

TRIALS = 2


@pytest.fixture
def outer(tmp_path: Path) -> Path:
    """A clone of a data set that has one in it, which is not installed; and something to clone."""
    must(tmp_path, HOLD, "create", "-q", "origin")
    must(tmp_path / "origin", HOLD, "create", "-q", "-d", ".", "inner")
    (tmp_path / "origin/inner/data").write_bytes(b"data" * 20_000)
    must(tmp_path / "origin", HOLD, "save", "-q", "-r")
    must(tmp_path, HOLD, "clone", "-q", str(tmp_path / "origin"), "main")
    return tmp_path / "main"


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("get", "-n", "inner"), "inner"),
        (("create", "-d", ".", "new"), "new"),
        (("clone", "-d", ".", "../origin/inner", "raw"), "raw"),
    ],
)
def test_killed_anywhere_the_same_command_completes(
    outer: Path, tmp_path: Path, words: tuple[str, ...], path: str
) -> None:
    counted = tmp_path / "count"
    trial = tmp_path / "trial"

    def copy() -> Path:
        shutil.rmtree(trial, ignore_errors=True)
        trial.mkdir()
        for name in ("origin", "main"):
            shutil.copytree(outer.parent / name, trial / name, symlinks=True)
        return trial / "main"

    assert kill_at(words, copy(), 0, counted).code == 0
    total = int(counted.read_text())
    for number in spread(range(1, total + 1), TRIALS, path):
        main = copy()
        assert kill_at(words, main, number, counted).code == KILLED
        wait_for_orphans(trial)
        seen = main / path / ".git"
        if words[0] != "create" and seen.exists():
            must(main / path, HOLD, "status")
        again = run(main, HOLD, *words)
        if again.code:
            # It was killed after its last step.
            assert run(main, "git", "ls-tree", "HEAD", path).out, (number, again.text)
        assert must(main, HOLD, "status", "-r").out == ""
        assert f'"{path}"' in must(main, HOLD, "subdatasets", "--installed", "--json").out
        left = [one.name for one in (main / ".git/hold-cloning").glob("*")]
        assert left == [], number
