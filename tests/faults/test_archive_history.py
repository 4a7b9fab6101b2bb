"""Tags and branches in archives: each version is restored with those that it had."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from archive_versions import tags_of
from scenes import HOLD, contents, hold, must, run

PACK = ("archive", "pack", "-q", "--write", "../pieces", "--piece-size", "4MiB")


@pytest.fixture
def main(tmp_path: Path) -> Path:
    main = tmp_path / "main"
    must(tmp_path, HOLD, "create", "-q", "--profile", "text2git", "main")
    (main / "one.txt").write_text("one\n")
    (main / "one.dat").write_bytes(random.Random(1).randbytes(5000))
    must(main, HOLD, "save", "-q", "-m", "one")
    return main


def _beside(main: Path, name: str, size: int = 10) -> None:
    """A branch with a commit and a file of its own."""
    was = must(main, "git", "symbolic-ref", "--short", "HEAD").out.strip()
    must(main, "git", "checkout", "-q", "-b", name)
    (main / f"{name}.txt").write_text(random.Random(name).randbytes(size).hex())
    must(main, "git", "add", f"{name}.txt")
    must(main, "git", "commit", "-q", "-m", name)
    must(main, "git", "checkout", "-q", was)


def _heads(folder: Path) -> list[str]:
    listed = must(folder, "git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads")
    return [line for line in listed.out.splitlines() if not line.endswith("/git-annex")]


def _restore(main: Path, number: int) -> Path:
    out = main.parent / f"out{number}"
    must(main.parent, HOLD, "archive", "restore", "pieces", "--at", str(number), "--to", str(out))
    must(out, "git", "fsck", "--no-dangling")
    assert not must(out, "git", "for-each-ref", "refs/hold-archive", "refs/remotes").out
    assert contents(out) == contents(main)
    return out


def test_each_snapshot_has_the_tags_of_its_time(main: Path) -> None:
    _beside(main, "side")
    must(main, "git", "tag", "light")
    must(main, "git", "tag", "-a", "-m", "words", "heavy")
    must(main, "git", "tag", "aside/one", "side")
    must(main, "git", "tag", "blob", "HEAD:one.txt")
    tags = []
    for change in (
        ("version",),
        ("tag", "-a", "-m", "later", "later"),
        ("tag", "-d", "light", "aside/one"),
        ("tag", "-f", "aside", "heavy"),
    ):
        must(main, "git", *change)
        must(main, HOLD, *PACK)
        tags.append(tags_of(main))
    assert len(set(tags)) == 4
    again = must(main, HOLD, "archive", "pack", "--json")
    assert '"notneeded"' in again.out
    for number, wanted in enumerate(tags):
        out = _restore(main, number)
        assert tags_of(out) == wanted
        assert len(_heads(out)) == 1


@pytest.mark.parametrize("name", [b"same", "ünï/x".encode(), b"br\xff"])
def test_a_branch_is_restored_whatever_it_is_called(main: Path, name: bytes) -> None:
    text = os.fsdecode(name)
    must(main, "git", "checkout", "-q", "-b", text)
    must(main, "git", "tag", text)
    must(main, HOLD, *PACK)
    out = _restore(main, 0)
    assert [line.split(" ", 1)[1] for line in _heads(out)] == [f"refs/heads/{text}"]
    assert tags_of(out) == tags_of(main)
    if text.isprintable():
        assert must(out, "git", "symbolic-ref", "HEAD").out == f"refs/heads/{text}\n"
    assert '"notneeded"' in must(main, HOLD, "archive", "pack", "--json").out


def test_other_branches_come_where_that_is_wished(main: Path) -> None:
    _beside(main, "side")
    must(main, "git", "branch", "synced/main")
    must(main, HOLD, *PACK)
    must(main, HOLD, *PACK, "--branches")
    _beside(main, "deep")
    must(main, HOLD, *PACK, "--branches")
    wanted = [line for line in _heads(main) if "synced" not in line]
    assert len(_heads(_restore(main, 0))) == 1
    assert _heads(_restore(main, 1)) == [line for line in wanted if not line.endswith("/deep")]
    assert _heads(_restore(main, 2)) == wanted


def test_commits_beside_the_version_are_packed_once(main: Path) -> None:
    _beside(main, "side", 300_000)
    must(main, "git", "tag", "aside", "side")
    must(main, HOLD, *PACK)
    before = set((main.parent / "pieces").iterdir())
    (main / "one.txt").write_text("two\n")
    must(main, HOLD, "save", "-q", "-m", "two")
    must(main, HOLD, *PACK)
    [new] = set((main.parent / "pieces").iterdir()) - before
    assert new.stat().st_size < 50_000
    assert tags_of(_restore(main, 1)) == tags_of(main)


def test_a_snapshot_begun_without_other_branches_is_not_taken_for_one_with_them(
    main: Path,
) -> None:
    _beside(main, "side")
    must(main, HOLD, "archive", "plan", "--piece-size", "4MiB")
    refused = hold(main, *PACK, "--branches")
    assert refused.code == 4 and "H902" in refused.err, refused.text
    must(main, HOLD, *PACK)


def test_where_later_history_has_to_do_its_tags_are_told_to_be_later(main: Path) -> None:
    must(main, HOLD, *PACK)
    first = set((main.parent / "pieces").iterdir())
    (main / "one.txt").write_text(random.Random(3).randbytes(200_000).hex())
    must(main, HOLD, "save", "-q", "-m", "two")
    must(main, "git", "tag", "later")
    must(main, HOLD, *PACK)
    (main / "one.txt").write_text("three")
    must(main, HOLD, "save", "-q", "-m", "three")
    must(main, HOLD, *PACK)  # its bundle is whole, as the second was large
    second = must(main, "git", "rev-parse", "HEAD~1").out.strip()
    pieces = main.parent / "pieces"
    listed = must(main.parent, HOLD, "archive", "restore", "pieces", "--list", "--json")
    assert listed.out.count('"snapshot"') == 3
    for path in first:
        path.unlink()
    done = run(main.parent, HOLD, "archive", "restore", str(pieces), "--at", second, "--to", "out")
    assert done.code == 3 and "its tags are those of snapshot 2" in done.text, done.text
    assert must(main.parent / "out", "git", "tag").out == "later\n"
