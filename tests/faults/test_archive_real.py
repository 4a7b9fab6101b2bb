"""A real data set in five versions, restored from its pieces: `bench/archive_real.py` in small."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from archive_versions import VERSIONS, differences, pack_versions, save_by_annex
from scenes import environment, must

PROJECT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("HOLDFAST_SHARED") or PROJECT.parent / "shared")
BUNDLE = SHARED / "data/ds000001.bundle"

pytestmark = [
    pytest.mark.interop,
    pytest.mark.shared,
    pytest.mark.skipif(not BUNDLE.exists(), reason="no real data: set HOLDFAST_SHARED"),
    pytest.mark.skipif(shutil.which("git-annex", path=environment()["PATH"]) is None,
                       reason="the real git-annex is not here"),
]  # fmt: skip


def test_versions_of_a_real_data_set_come_back_as_git_and_git_annex_knew_them(
    tmp_path: Path,
) -> None:
    main = tmp_path / "main"
    must(tmp_path, "git", "clone", "-q", str(BUNDLE), "main")
    must(main, "git", "fetch", "-q", "origin", "git-annex:git-annex", "+refs/tags/*:refs/tags/*")
    must(main, "git", "remote", "remove", "origin")
    must(main, "git", "annex", "init", "--quiet")
    packed = pack_versions(main, tmp_path / "pieces", save_by_annex, "4MiB", 3)
    assert len(packed.versions) == VERSIONS and packed.missing(packed.versions[-1])
    subprocess.run(["chmod", "-R", "u+w", main], check=True)
    shutil.rmtree(main)
    for number in (1, 3, 4):
        assert differences(packed, number, tmp_path / f"out{number}") == []
