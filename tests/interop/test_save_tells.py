"""What save says is what it did; and it takes in whatever lies in a folder, or says why not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Tools


@pytest.fixture
def study(tools: Tools, bench: Path) -> Path:
    """A data set with two files in git and one in the annex."""
    folder = bench / "study"
    tools.hold(bench, "create", folder)
    tools.write(folder, {"a.txt": b"a\n", "b.txt": b"b\n", "scan.dat": b"\0scan" * 20_000})
    tools.hold(folder, "save")
    return folder


def saved(tools: Tools, folder: Path, *words: str, exits: int = 0) -> list[tuple[str, str]]:
    """Save, and give what was done to which path."""
    told = tools.hold(folder, "save", "--json", *words, exits=exits).records()
    return [(str(r["action"]), str(r["path"])) for r in told if "path" in r]


# names that git could take for something else


@pytest.mark.parametrize("name", ["HEAD", "main", "git-annex"])
def test_a_file_may_be_called_as_a_version_is(tools: Tools, study: Path, name: str) -> None:
    tools.write(study, {name: b"a file\n"})
    assert saved(tools, study) == [("add", name)]
    tools.hold(study, "log")
    tools.hold(study, "diff")
    tools.hold(study, "unused")
    (study / name).write_bytes(b"changed\n")
    assert saved(tools, study, name) == [("modify", name)]
    tools.write(study, {"c.txt": b"c\n"})
    tools.git(study, "add", "c.txt")
    tools.git(study, "commit", "-q", "-m", "the hook looks too")
    tools.settled(study)


# what did not change


def touch(folder: Path, *names: str) -> None:
    """Give files another time, as an editor that writes the same does."""
    for name in names:
        os.utime(folder / name, (1_500_000_000, 1_500_000_000), follow_symlinks=False)


def versions(tools: Tools, folder: Path) -> list[str]:
    return tools.git(folder, "log", "--format=%s").text.splitlines()


def test_files_that_were_only_touched_are_not_told_of(tools: Tools, study: Path) -> None:
    before = versions(tools, study)
    touch(study, "a.txt", "b.txt", "scan.dat")
    assert saved(tools, study) == []
    assert versions(tools, study) == before
    assert tools.git(study, "diff-files").text == ""
    tools.settled(study)


def test_the_message_counts_what_the_version_changes(tools: Tools, study: Path) -> None:
    touch(study, "a.txt", "b.txt")
    tools.write(study, {"new.txt": b"new\n"})
    assert saved(tools, study) == [("add", "new.txt")]
    assert versions(tools, study)[0] == "Save 1 added"
    assert tools.git(study, "diff-files").text == ""
    assert saved(tools, study) == []


def test_unlocked_files_that_were_only_touched_are_not_told_of(tools: Tools, study: Path) -> None:
    tools.hold(study, "unlock", "scan.dat")
    assert saved(tools, study) == [("modify", "scan.dat")]
    touch(study, "scan.dat")
    assert saved(tools, study) == []
    assert tools.git(study, "diff-files").text == ""
    (study / "scan.dat").write_bytes(b"\0other" * 20_000)
    touch(study, "a.txt")
    assert saved(tools, study) == [("modify", "scan.dat")]
    (study / "scan.dat").chmod(0o755)
    assert saved(tools, study) == [("modify", "scan.dat")]
    tools.settled(study)


def test_other_kinds_and_names_of_the_same_are_told_of(tools: Tools, study: Path) -> None:
    (study / "a.txt").rename(study / "c.txt")
    (study / "b.txt").unlink()
    (study / "b.txt").symlink_to("c.txt")
    assert saved(tools, study) == [("delete", "a.txt"), ("modify", "b.txt"), ("add", "c.txt")]
    assert versions(tools, study)[0] == "Save 1 added, 1 deleted, 1 modified"
    tools.settled(study)


def test_a_change_taken_back_after_it_was_staged_is_none(tools: Tools, study: Path) -> None:
    (study / "a.txt").write_bytes(b"other\n")
    tools.git(study, "add", "a.txt")
    (study / "a.txt").write_bytes(b"a\n")
    tools.git(study, "rm", "-q", "--cached", "b.txt")
    before = versions(tools, study)
    assert saved(tools, study) == []
    assert versions(tools, study) == before
    tools.settled(study)


def test_with_hooks_git_makes_the_version_of_what_changed(tools: Tools, study: Path) -> None:
    hook = study / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o755)
    touch(study, "a.txt", "scan.dat")
    assert saved(tools, study) == []
    (study / "b.txt").write_bytes(b"other\n")
    touch(study, "a.txt")
    assert saved(tools, study, "a.txt", "b.txt") == [("modify", "b.txt")]
    assert versions(tools, study)[0] == "Save 1 modified"
    tools.settled(study)


def test_content_put_where_its_pointer_was_is_known_to_be_here(tools: Tools, study: Path) -> None:
    tools.hold(study, "unlock", "scan.dat")
    tools.hold(study, "save")
    clone = study.parent / "clone"
    tools.hold(study.parent, "clone", study, clone)
    assert saved(tools, clone) == []
    (clone / "scan.dat").write_bytes((study / "scan.dat").read_bytes())
    tools.hold(clone, "save")
    assert tools.here("annex", clone) == {b"scan.dat"}
    assert tools.uuid(clone) in tools.whereis("annex", clone)["scan.dat"]
    tools.settled(clone)


# content that comes under another name


def test_unlocked_files_that_waited_for_saved_content_are_filled(tools: Tools, study: Path) -> None:
    content = (study / "scan.dat").read_bytes()
    (study / "same.dat").write_bytes(content)
    (study / "run.dat").write_bytes(content)
    tools.hold(study, "save")
    tools.hold(study, "unlock", "scan.dat", "run.dat")
    (study / "run.dat").chmod(0o755)
    tools.hold(study, "save")
    for clone in (study.parent / "first", study.parent / "second"):
        tools.hold(study.parent, "clone", study, clone)
    by_name, all_at_once = study.parent / "first", study.parent / "second"
    assert (by_name / "scan.dat").read_bytes().startswith(b"/annex/objects/")

    (by_name / "copy.dat").write_bytes(content)
    assert saved(tools, by_name, "copy.dat") == [("add", "copy.dat")]

    # Some of those that wait are in the same save: touched, moved, with another mode.
    (all_at_once / "copy.dat").write_bytes(content)
    (all_at_once / "scan.dat").rename(all_at_once / "moved.dat")
    (all_at_once / "run.dat").chmod(0o644)
    saved(tools, all_at_once)

    for folder, names in (
        (by_name, ("scan.dat", "run.dat")),
        (all_at_once, ("moved.dat", "run.dat")),
    ):
        for name in names:
            assert (folder / name).read_bytes() == content, (folder, name)
        assert tools.git(folder, "diff-files", "--", *names).text == ""
        assert saved(tools, folder) == []
        tools.settled(folder)
    assert os.access(by_name / "run.dat", os.X_OK)
    assert not os.access(all_at_once / "run.dat", os.X_OK)


# what git ignores


def test_an_ignored_file_that_was_named_is_told_of(tools: Tools, study: Path) -> None:
    tools.write(study, {".gitignore": b"# made\n*.o\ncache/\n", "new.txt": b"new\n"})
    tools.hold(study, "save")
    tools.write(study, {"res*.o": b"o", ":x.o": b"o", "cache/deep": b"d", "a.txt": b"changed\n"})
    told = tools.hold(
        study, "save", "--json", "res*.o", ":x.o", "cache", "cache/deep", "a.txt", exits=4
    ).records()
    failed = {str(r["path"]): r["error"] for r in told if r["status"] == "impossible"}
    assert list(failed) == ["res*.o", ":x.o", "cache", "cache/deep"]
    assert "line 2 of .gitignore" in str(failed["res*.o"])
    assert "line 3 of .gitignore" in str(failed["cache/deep"])
    assert "git add -f" in str(failed[":x.o"])
    assert tools.git(study, "log", "-1", "--format=%s").text == "Save 1 modified\n"


def test_an_ignored_file_that_git_knows_is_saved(tools: Tools, study: Path) -> None:
    tools.write(study, {".gitignore": b"cache/\n", "cache/kept": b"1\n", "cache/not": b"1\n"})
    tools.git(study, "add", "-f", "cache/kept")
    assert saved(tools, study, "cache") == [("add", "cache/kept")]
    (study / "cache" / "kept").write_bytes(b"2\n")
    assert saved(tools, study, "cache/kept") == [("modify", "cache/kept")]


# what may not be read


def bound(tools: Tools, folder: Path, *words: str, exits: int) -> list[dict[str, Any]]:
    """Call hold as somebody whom permissions bind, and give what it tells."""
    hold = shutil.which("hold", path=tools.environment["PATH"])
    assert hold is not None
    command = [hold, *words, "--json"]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("permissions do not bind root, and there is no setpriv")
        command[:0] = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    done = subprocess.run(
        command, cwd=folder, env=tools.environment, capture_output=True, check=False
    )
    assert done.returncode == exits, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def codes(told: list[dict[str, Any]]) -> dict[str, str]:
    """The code of each failure."""
    return {r["path"]: r["error"]["code"] for r in told if "error" in r}


def test_folders_and_files_that_may_not_be_read_are_told_of(tools: Tools, study: Path) -> None:
    tools.write(study, {"closed/x": b"1\n", "secret.txt": b"2\n", "open.txt": b"3\n"})
    tools.write(study, {"known/x": b"1\n"})
    tools.hold(study, "save", "known")
    for name in ("closed", "known", "secret.txt"):
        (study / name).chmod(0)
    told = codes(bound(tools, study, "status", exits=4))
    assert told == dict.fromkeys(["closed", "known"], "H410")
    added = bound(tools, study, "annex", "add", "closed", "known", exits=1)
    assert {r["file"]: r["success"] for r in added} == {"closed": False, "known": False}
    assert codes(bound(tools, study, "save", exits=4)) == dict.fromkeys(
        ["closed", "known", "secret.txt"], "H410"
    )
    assert tools.git(study, "log", "-1", "--format=%s").text == "Save 1 added\n"
    for name in ("closed", "known", "secret.txt"):
        (study / name).chmod(0o755)
    assert saved(tools, study) == [("add", "closed/x"), ("add", "secret.txt")]
