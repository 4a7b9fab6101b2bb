"""The real git-annex keeps content in a packed store, through `git-annex-remote-holdfast`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not (shutil.which("git-annex") or Path(sys.executable).with_name("git-annex").exists()),
        reason="the real git-annex is not here",
    ),
]
PROGRAM = f"""#!{sys.executable}
import sys
from holdfast.cli.remote_program import run
sys.exit(run())
"""
Annex = Callable[..., str]


@pytest.fixture
def annex(tmp_path: Path) -> Annex:
    """Runs git in a new repository with an annex, which finds our program."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/git-annex-remote-holdfast"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    folders = [tmp_path / "bin", Path(sys.executable).parent]
    environment = {
        **os.environ, "HOME": str(tmp_path),
        "PATH": os.pathsep.join([*map(str, folders), os.environ["PATH"]]),
    }  # fmt: skip
    (tmp_path / "main").mkdir()

    def run(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=tmp_path / "main", env=environment, capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("init", "-q")
    run("annex", "init", "-q", "main")
    return run


def test_git_annex_keeps_content_in_a_packed_store(annex: Annex, tmp_path: Path) -> None:
    contents = {f"{number}.dat": os.urandom(20_000) for number in range(5)}
    for name, data in contents.items():
        (tmp_path / "main" / name).write_bytes(data)
    annex("annex", "add", "-q", ".")
    annex("commit", "-q", "-m", "five files")
    words = ("type=external", "externaltype=holdfast", "store=packed", "encryption=none")
    annex("annex", "initremote", "-q", "pack", *words, f"directory={tmp_path / 'store'}")
    annex("annex", "copy", "-q", "--to", "pack")
    annex("annex", "fsck", "-q", "--from", "pack")
    annex("annex", "drop", "-q", ".")
    annex("annex", "get", "-q", ".")
    assert all((tmp_path / "main" / name).read_bytes() == data for name, data in contents.items())
    annex("annex", "drop", "-q", "--from", "pack", "0.dat")
    assert "0.dat" not in annex("annex", "find", "--in", "pack")
    annex("annex", "fsck", "-q", "--from", "pack")
    assert len(list((tmp_path / "store").rglob("*"))) < 10
