"""Removing a whole data set: refused while anything is only there, and never half done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from depth import spread
from warm_hold import run_program

import holdfast as hf
from holdfast.core.errors import HoldError, PlaceUnavailableError, PolicyError, UsageError
from holdfast.dataset import removing

KILL_AT = Path(__file__).parent / "kill_at.py"


@pytest.fixture(autouse=True)
def nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        '[user]\n\tname = Test\n\temail = test@example.org\n[protocol "file"]\n\tallow = always\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A data set with a file in git and one in the annex."""
    folder = tmp_path / "study"
    hf.create(folder, profile="all-annexed")
    (folder / "scan.dat").write_bytes(b"scan" * 100)
    (folder / ".bidsignore").write_text("in git\n")
    save(folder)
    return folder


@pytest.fixture
def clone(study: Path, tmp_path: Path) -> Path:
    """A clone of it that has all content."""
    hf.clone(study, tmp_path / "clone")
    with hf.open_dataset(tmp_path / "clone") as dataset:
        hf.get(dataset)
    return tmp_path / "clone"


def save(folder: Path) -> None:
    with hf.open_dataset(folder) as dataset:
        hf.save(dataset)


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def everything(folder: Path) -> list[str]:
    found = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    return sorted(name for name in found if "/objects/" not in name.replace("annex/objects", ""))


def refused(folder: Path) -> HoldError:
    """Try to remove; nothing may have changed but for git objects that siblings gave."""
    before = everything(folder)
    with pytest.raises(PolicyError) as caught:
        hf.remove(folder)
    assert everything(folder) == before
    assert left(folder) == []
    assert caught.value.exit_code == 4
    return caught.value


def left(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder.parent) if name.startswith(".hold")]


def test_a_clone_with_all_of_it_elsewhere_goes(study: Path, clone: Path) -> None:
    [outcome] = hf.iter_remove(clone)
    assert outcome.good
    assert not clone.exists()
    assert left(clone) == []
    assert (study / "scan.dat").read_bytes() == b"scan" * 100


def test_without_a_sibling_it_stays(study: Path) -> None:
    assert "there is no sibling" in refused(study).why


def test_what_is_not_saved_keeps_it(clone: Path) -> None:
    (clone / "new.txt").write_text("not saved")
    assert "not saved yet: new.txt" in refused(clone).why


def test_a_version_that_is_only_here_keeps_it(clone: Path) -> None:
    (clone / ".bidsignore").write_text("changed\n")
    save(clone)
    assert "nowhere else" in refused(clone).what


def test_a_branch_that_nobody_looks_at_keeps_it(clone: Path) -> None:
    git(clone, "checkout", "-q", "-b", "side")
    git(clone, "commit", "-q", "--allow-empty", "-m", "only here")
    git(clone, "checkout", "-q", "-")
    assert "side" in refused(clone).why


def test_a_stash_keeps_it(clone: Path) -> None:
    (clone / ".bidsignore").write_text("changed\n")
    git(clone, "stash")
    assert "stash@{0}" in refused(clone).why


def test_a_tag_with_a_message_keeps_it(clone: Path) -> None:
    git(clone, "tag", "-a", "v1", "-m", "the one of the paper")
    assert "tags/v1" in refused(clone).why


def test_a_detached_head_keeps_it(clone: Path) -> None:
    git(clone, "checkout", "-q", "--detach")
    git(clone, "commit", "-q", "--allow-empty", "-m", "only here")
    assert "HEAD" in refused(clone).why


def test_a_fact_of_the_ledger_that_is_only_here_keeps_it(clone: Path) -> None:
    with hf.open_dataset(clone) as dataset:
        from holdfast.dataset.ledger_write import now, record
        from holdfast.wire.logs import set_copies

        record(dataset.repository, [(b"numcopies.log", lambda old: set_copies(old, 1, now()))])
    assert "numcopies.log" in refused(clone).why


def test_a_sibling_that_does_not_answer_does_not_count(study: Path, clone: Path) -> None:
    study.rename(study.with_name("gone"))
    assert "origin" in refused(clone).why


def test_a_sibling_that_went_on_still_has_our_versions(study: Path, clone: Path) -> None:
    (study / "more.dat").write_text("more")
    save(study)
    hf.remove(clone)
    assert not clone.exists()


def test_content_that_is_only_here_keeps_it(study: Path, clone: Path) -> None:
    with hf.open_dataset(study) as dataset:
        hf.drop(dataset, [b"scan.dat"], force_reason="to see what happens")
    error = refused(clone)
    assert "1 of its contents are nowhere else" in error.what
    assert "origin: does not have it" in error.why


def test_of_two_names_the_one_with_the_usual_rule_keeps_it(study: Path, tmp_path: Path) -> None:
    (study / "raw").mkdir()
    (study / "raw/scan.dat").write_bytes(b"scan" * 100)
    with (study / ".gitattributes").open("a") as rules:
        rules.write("raw/* annex.numcopies=1\n")
    save(study)
    hf.clone(study, tmp_path / "clone")
    with hf.open_dataset(tmp_path / "clone") as dataset:
        hf.get(dataset)
        hf.config(dataset, ["annex.numcopies=2"], shared=True)
    git(tmp_path / "clone", "push", "-q", "origin", "git-annex")
    assert "1 of its contents are nowhere else" in refused(tmp_path / "clone").what


def test_a_copy_that_somebody_relies_on_keeps_it(clone: Path) -> None:
    content = (clone / "scan.dat").resolve()
    content.parent.chmod(0o755)
    lock = content.with_name(content.name + ".lck")
    lock.touch()
    holder = subprocess.Popen(
        [
            sys.executable, "-c",
            "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_SH);"
            "print('held', flush=True); sys.stdin.read()",
            lock,
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(PlaceUnavailableError, match="in use"):
            hf.remove(clone)
    finally:
        holder.communicate()
    assert (clone / "scan.dat").read_bytes() == b"scan" * 100
    assert left(clone) == []
    hf.remove(clone)
    assert not clone.exists()


def test_force_removes_it_and_keeps_who_and_why(study: Path, tmp_path: Path) -> None:
    hf.remove(study, force_reason="made by mistake")
    assert not study.exists()
    [line] = (tmp_path / "home/.local/state/holdfast/waivers.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert record["why"] == "made by mistake"
    assert record["removed"] == str(study)
    assert record["who"]


def test_a_folder_inside_is_not_taken_for_the_whole(study: Path) -> None:
    with pytest.raises(UsageError, match="is a folder in the data set"):
        hf.remove(study / ".datalad", force_reason="no")
    assert (study / ".datalad/config").exists()
    assert left(study / ".datalad") == []


def test_where_there_is_nothing_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(HoldError, match="is not in a data set"):
        hf.remove(tmp_path / "nothing")
    assert left(tmp_path / "nothing") == []


def test_in_a_data_set_an_empty_folder_stays(study: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    hf.create(outer)
    hf.clone(study, outer / "inner")
    save(outer)
    hf.remove(outer / "inner")
    assert os.listdir(outer / "inner") == []
    assert git(outer, "status", "--porcelain", "--", "inner") == ""


def test_a_submodule_made_by_git_goes_with_its_git_directory(study: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    hf.create(outer)
    git(outer, "submodule", "--quiet", "add", str(study), "inner")
    git(outer, "commit", "-qm", "inner")
    hf.remove(outer / "inner")
    assert os.listdir(outer / "inner") == []
    assert not (outer / ".git/modules/inner").exists()
    assert git(outer, "status", "--porcelain") == ""


def test_a_data_set_inside_is_looked_at_too(study: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    hf.create(outer)
    hf.clone(study, outer / "inner")
    save(outer)
    hf.clone(outer, tmp_path / "mine")
    hf.clone(study, tmp_path / "mine/inner")
    (tmp_path / "mine/inner/new.txt").write_text("not saved")
    error = refused(tmp_path / "mine")
    assert "inner" in error.what or "inner" in error.why


def test_write_protected_folders_are_no_hindrance(tmp_path: Path) -> None:
    deep = tmp_path / "a/b"
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    (deep / "link").symlink_to(tmp_path)
    (deep / "file").chmod(0o444)
    deep.chmod(0o555)
    (tmp_path / "a").chmod(0o555)
    removing.delete_tree(os.fsencode(tmp_path / "a"))
    assert not (tmp_path / "a").exists()
    assert tmp_path.exists()


TRIALS = 4


def some(total: int, case: str) -> Sequence[int]:
    """Moments spread over a command that makes so many changes."""
    return spread(range(1, total + 1), TRIALS, case)


def changes_of(*words: str) -> int:
    count = Path("count")
    assert _run(sys.executable, KILL_AT, count, "0", *words).returncode == 0
    return int(count.read_text())


def kill_at(number: int, *words: str) -> None:
    _run(sys.executable, KILL_AT, "count", str(number), *words)


def again(*words: str) -> subprocess.CompletedProcess[bytes]:
    return _run(sys.executable, "-m", "holdfast", *words)


def _run(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
    return run_program(words, Path.cwd(), os.environ | {"LC_ALL": "C.UTF-8"})


def test_killed_anywhere_the_next_removal_finishes(clone: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-a", clone, "probe"], check=True)
    total = changes_of("remove", "probe")
    assert total > 20
    for number in some(total, "remove"):
        subprocess.run(["cp", "-a", clone, "trial"], check=True)
        kill_at(number, "remove", "trial")
        done = again("remove", "trial")
        gone = not Path("trial").exists()
        assert gone, (number, done.stderr)
        assert done.returncode == 0 or b"H101" in done.stderr, (number, done.stderr)
        stray = [
            name for name in os.listdir(".") if name.startswith(".hold") and name[-4:] != ".lck"
        ]
        assert stray == [], number
        for name in os.listdir("."):
            if name.startswith(".hold"):
                os.unlink(name)


def test_killed_anywhere_a_refused_removal_loses_nothing(study: Path) -> None:
    for number in spread(range(1, 40), TRIALS, "refused"):
        kill_at(number, "remove", "study")
    assert (study / "scan.dat").read_bytes() == b"scan" * 100
    refused(study)


def test_killed_anywhere_the_next_clone_is_whole(study: Path) -> None:
    total = changes_of("clone", str(study), "probe")
    for number in some(total, "clone"):
        kill_at(number, "clone", str(study), "trial")
        done = again("clone", str(study), "trial")
        assert done.returncode == 0 or b"already a data set" in done.stderr, (number, done.stderr)
        assert git(Path("trial"), "status", "--porcelain") == ""
        with hf.open_dataset("trial") as dataset:
            hf.get(dataset)
        hf.remove("trial")


def test_two_at_once_do_not_meet(clone: Path) -> None:
    lock = clone.with_name(".hold-removing-clone.lck")
    code = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    other.stdout.readline()
    try:
        with pytest.raises(PlaceUnavailableError, match="another program"):
            hf.remove(clone)
    finally:
        other.communicate()
    assert clone.exists()


def test_what_git_ignores_keeps_it(clone: Path) -> None:
    exclude = clone / ".git" / "info" / "exclude"
    exclude.write_text("*.o\ncache/\n")
    (clone / "cache").mkdir()
    (clone / "cache" / "deep").write_text("made")
    (clone / "result.o").write_text("a result")
    error = refused(clone)
    assert error.code == "H409"
    assert "cache/" in error.why
    assert "result.o" in error.why
    assert "--force REASON" in error.hint


def test_an_empty_folder_that_git_ignores_keeps_nothing(clone: Path) -> None:
    (clone / ".git" / "info" / "exclude").write_text("cache/\n")
    (clone / "cache").mkdir()
    hf.remove(clone)
    assert not clone.exists()


def test_what_git_ignores_goes_when_forced(clone: Path) -> None:
    (clone / ".git" / "info" / "exclude").write_text("*.o\n")
    (clone / "result.o").write_text("a result")
    hf.remove(clone, force_reason="made again in a minute")
    assert not clone.exists()
