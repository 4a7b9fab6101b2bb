"""Repositories that we cannot save in: what to do about it is said, and doing it helps."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import holdfast as hf

FORMS = {
    "split": (["update-index", "--split-index"], "git update-index --no-split-index"),
    "sparse": (
        ["sparse-checkout", "set", "--cone", "--sparse-index", "sub"],
        "git sparse-checkout reapply --no-sparse-index",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ada@example.org")
    hf.create(tmp_path / "d", profile="all-annexed")
    for name in ("sub", "other"):
        (tmp_path / "d" / name).mkdir()
        (tmp_path / "d" / name / "file").write_text(f"content of {name}")
    with hf.open_dataset(tmp_path / "d") as dataset:
        hf.save(dataset)
    return tmp_path / "d"


@pytest.mark.parametrize("form", FORMS)
def test_an_index_that_git_alone_can_handle_is_made_whole_by_the_step_named(
    folder: Path, form: str
) -> None:
    before, step = FORMS[form]
    _git(folder, *before)
    (folder / "sub" / "new").write_text("new content")
    with hf.open_dataset(folder) as dataset:
        with pytest.raises(hf.ProtocolError, match=form) as refused:
            hf.save(dataset)
        assert "b'" not in refused.value.why
        assert refused.value.hint.startswith(step)
        _git(folder, *step.split()[1:])
        assert hf.save(dataset).count(hf.Status.OK) >= 1
    assert _git(folder, "status", "--porcelain") == ""


@pytest.mark.parametrize("verb", ["save", "lock", "unlock"])
def test_a_bare_repository_has_no_files_to_work_on(tmp_path: Path, verb: str) -> None:
    bare = tmp_path / "bare.git"
    _git(tmp_path, "init", "-q", "--bare", str(bare))
    hf.create(bare, force=True)
    with hf.open_dataset(bare) as dataset, pytest.raises(hf.UsageError, match="bare") as refused:
        getattr(hf, verb)(dataset)
    assert "clone" in refused.value.what


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
