"""Versions that did not get there are told of, whatever the helper says by which git pushes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from holdfast.cli.main import run

PROGRAMS = Path(__file__).parents[1] / "programs"


def test_a_push_that_a_helper_gave_up_without_a_word_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "set"
    assert run(["create", str(folder)]) == 0
    monkeypatch.chdir(folder)
    subprocess.run(["git", "remote", "add", "there", "lost::x"], check=True)
    subprocess.run(["git", "config", "remote.there.annex-ignore", "true"], check=True)
    capsys.readouterr()
    assert run(["push", "--to", "there", "--json"]) == 3
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    lost = {r["path"]: r["error"] for r in told if r.get("status") == "error"}
    assert len(lost) == 2 and "git-annex" in lost
    assert {error["code"] for error in lost.values()} == {"H319"}
    assert all("the bucket is out of order" in error["why"] for error in lost.values())
