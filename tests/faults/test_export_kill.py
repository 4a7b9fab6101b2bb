"""An export killed anywhere: no half file under a name, and the same command completes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from depth import DEEP
from scenes import environment
from warm_hold import run_program

KILL_AT = Path(__file__).with_name("kill_at.py")
SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.randrange(1 << 30)
OLD = {"gone.bin": b"gone" * 9, "moved.bin": b"moved" * 9, "same.bin": b"s", "swap": b"old!"}
NEW = {"come.bin": b"c" * 70_000, "moved 2.bin": b"moved" * 9, "same.bin": b"s", "swap": b"new!"}


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, env=environment(), check=True, capture_output=True
    )
    return done.stdout.decode()


def hold(folder: Path, *words: str, kill_at: int | None = None, counted: Path | None = None) -> int:
    start = [sys.executable, "-m", "holdfast"]
    if kill_at is not None:
        start = [sys.executable, str(KILL_AT), str(counted), str(kill_at)]
    command = [*start, *words]
    return run_program(command, folder, environment(), 60).returncode


def save(folder: Path, files: dict[str, bytes]) -> None:
    for path in folder.iterdir():
        if path.name not in (".git", ".gitattributes", ".datalad"):
            path.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    assert hold(folder, "save") == 0


def seen(there: Path) -> dict[str, bytes]:
    files = (p for p in there.rglob("*") if p.is_file())
    shown = (p for p in files if not any(n[0] == "." for n in p.relative_to(there).parts))
    return {p.name: p.read_bytes() for p in shown}


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A clone whose first version was exported, and a second one that was not."""
    assert hold(tmp_path, "create", "--profile", "all-annexed", "bench/main") == 0
    folder, there = tmp_path / "bench" / "main", tmp_path / "bench" / "there"
    words = ["type=directory", f"directory={there}", "exporttree=yes", "encryption=none"]
    save(folder, OLD)
    assert hold(folder, "siblings", "add", "x", *words) == 0
    assert hold(folder, "export-tree", "x") == 0
    assert seen(there) == OLD
    save(folder, NEW)
    return tmp_path / "bench"


def test_an_export_killed_before_any_change_to_the_disk_completes_when_run_again(
    bench: Path, tmp_path: Path
) -> None:
    print(f"FAULTS_SEED={SEED}")
    counted, trial = tmp_path / "count", tmp_path / "first"
    os.rename(bench, tmp_path / "kept")
    shutil.copytree(tmp_path / "kept", bench, symlinks=True)
    assert hold(bench / "main", "export-tree", "x", kill_at=0, counted=counted) == 0
    assert seen(bench / "there") == NEW
    moments = range(1, int(counted.read_text()))
    for number in moments if DEEP else random.Random(SEED).sample(moments, 2):
        os.rename(bench, trial)
        shutil.rmtree(trial)
        shutil.copytree(tmp_path / "kept", bench, symlinks=True)
        killed = hold(bench / "main", "export-tree", "x", kill_at=number, counted=counted)
        assert killed == -9, number
        for name, data in seen(bench / "there").items():
            assert data in (OLD.get(name), NEW.get(name)), (name, number)
        assert hold(bench / "main", "export-tree", "x") == 0, number
        assert seen(bench / "there") == NEW, number
        log = git(bench / "main", "show", "git-annex:export.log").split()
        assert len(log) == 3, number
        assert not (bench / "there" / ".hold-export").exists(), number


@pytest.mark.parametrize("left", ["hold-0011223344556677", "hold-0011223344556677.new"])
def test_what_a_killed_run_left_goes_where_there_is_nothing_more_to_put(
    bench: Path, left: str
) -> None:
    assert hold(bench / "main", "export-tree", "x") == 0
    # killed while it removed its own folder, of which the lock was gone, or before it had locked it
    (bench / "there" / ".hold-export" / "tmp" / left).mkdir(parents=True)
    assert hold(bench / "main", "export-tree", "x") == 0
    assert not (bench / "there" / ".hold-export").exists()
    assert seen(bench / "there") == NEW
