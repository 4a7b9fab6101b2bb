"""Content sent to other places, moved and dropped there; git-annex agrees with what is then so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

FILES = {"a.dat": b"a" * 3000, "sub/b.dat": b"b" * 5000, "sub/c.dat": b"c"}
NAMES = set(map(os.fsencode, FILES))


@pytest.fixture
def here(tools: Tools, tmp_path: Path) -> Path:
    """A data set with content, and two siblings that have none."""
    folder = tools.create("hold", tmp_path / "here")
    tools.write(folder, FILES)
    tools.save("hold", folder)
    for name in ("tape", "drive"):
        tools.clone("hold", folder, tmp_path / name)
        tools.hold(folder, "siblings", "add", name, f"../{name}")
    return folder


@pytest.fixture
def tape(here: Path) -> Path:
    return here.parent / "tape"


def counts(tools: Tools, folder: Path) -> dict[str, int]:
    return {path: len(places) for path, places in tools.whereis("annex", folder).items()}


def settled(tools: Tools, *folders: Path) -> None:
    for folder in folders:
        tools.fsck("annex", folder)
        tools.settled(folder)


def test_copies_are_there_and_both_ledgers_know(tools: Tools, here: Path, tape: Path) -> None:
    told = tools.hold(here, "copy", "--to", "tape", "--json").records()
    assert {r["path"] for r in told if r["status"] == "ok"} == set(FILES)
    assert tools.here("annex", tape) == NAMES
    assert counts(tools, here) == counts(tools, tape) == dict.fromkeys(FILES, 2)
    again = tools.hold(here, "copy", "--to", "tape", "--json").records()
    assert {r["status"] for r in again} == {"notneeded"}
    settled(tools, here, tape)


def test_unlocked_files_there_are_filled(tools: Tools, here: Path, tape: Path) -> None:
    tools.annex(tape, "unlock", "a.dat")
    tools.hold(here, "copy", "--to", "tape", "a.dat")
    assert (tape / "a.dat").read_bytes() == FILES["a.dat"]
    tools.hold(here, "drop", "--from", "tape", "a.dat")
    assert b"/annex/objects/" in (tape / "a.dat").read_bytes()


def test_a_named_file_that_is_not_here_is_told(tools: Tools, here: Path, tape: Path) -> None:
    told = tools.hold(tape, "copy", "--to", "origin", "a.dat", "--json", exits=1).records()
    assert [r["status"] for r in told] == ["error"]
    assert tools.hold(tape, "copy", "--to", "origin", "--json").records() == []


def test_what_was_moved_is_there_alone(tools: Tools, here: Path, tape: Path) -> None:
    tools.hold(here, "move", "--to", "tape", "sub")
    assert tools.here("annex", here) == {b"a.dat"}
    assert tools.here("annex", tape) == {b"sub/b.dat", b"sub/c.dat"}
    assert counts(tools, here) == dict.fromkeys(FILES, 1)
    tools.hold(here, "move", "--from", "tape")
    assert tools.here("annex", here) == NAMES
    assert tools.here("annex", tape) == set()
    settled(tools, here, tape)


def test_a_move_never_lowers_the_count_below_the_rule(tools: Tools, here: Path, tape: Path) -> None:
    tools.hold(here, "copy", "--to", "tape")
    tools.annex(here, "numcopies", "2")
    tools.hold(here, "move", "--to", "tape", exits=4)
    assert tools.here("annex", here) == tools.here("annex", tape) == NAMES
    tools.hold(here, "copy", "--to", "drive", "a.dat")
    tools.hold(here, "move", "--to", "tape", "a.dat")
    assert tools.here("annex", here) == NAMES - {b"a.dat"}


def test_nothing_is_dropped_there_without_proof(tools: Tools, here: Path, tape: Path) -> None:
    tools.hold(here, "move", "--to", "tape")
    told = tools.hold(here, "drop", "--from", "tape", ".", "--json", exits=4).records()
    assert {r["status"] for r in told} == {"impossible"}
    assert tools.here("annex", tape) == NAMES
    tools.hold(here, "get", "a.dat")
    tools.hold(here, "drop", "--from", "tape", "a.dat")
    assert tools.here("annex", tape) == NAMES - {b"a.dat"}
    settled(tools, here, tape)


def test_a_forced_drop_there_is_recorded(tools: Tools, here: Path, tape: Path) -> None:
    tools.hold(here, "move", "--to", "tape", "a.dat")
    tools.hold(here, "drop", "--from", "tape", "--force", "a trial", "a.dat")
    assert tools.here("annex", tape) == set()
    assert "a trial" in (here / ".git/annex/hold-waivers.jsonl").read_text()


def test_what_a_place_must_keep_is_not_dropped_there(tools: Tools, here: Path, tape: Path) -> None:
    tools.hold(here, "copy", "--to", "tape")
    tools.hold(here, "siblings", "configure", "tape", "--required", "include=sub/*")
    tools.hold(here, "drop", "--from", "tape", ".", exits=4)
    assert tools.here("annex", tape) == {b"sub/b.dat", b"sub/c.dat"}


@pytest.mark.parametrize("verb", ["copy", "move"])
def test_from_one_place_to_another_leaves_nothing_here(
    tools: Tools, here: Path, tape: Path, verb: str
) -> None:
    tools.hold(here, "move", "--to", "tape", "sub")
    tools.hold(here, verb, "--from", "tape", "--to", "drive")
    assert tools.here("annex", here.parent / "drive") == {b"sub/b.dat", b"sub/c.dat"}
    assert tools.here("annex", here) == {b"a.dat"}
    left = {b"sub/b.dat", b"sub/c.dat"} if verb == "copy" else set()
    assert tools.here("annex", tape) == left
    settled(tools, here, tape, here.parent / "drive")


def test_damaged_content_is_not_passed_on(tools: Tools, here: Path, tape: Path) -> None:
    damaged = (here / "a.dat").resolve()
    damaged.chmod(0o644)
    damaged.write_bytes(b"x" * 3000)
    told = tools.hold(here, "move", "--to", "tape", "--json", exits=1).records()
    assert [r["path"] for r in told if r["status"] == "error"] == ["a.dat"]
    assert tools.here("annex", tape) == NAMES - {b"a.dat"}
    assert counts(tools, here)["a.dat"] == 1


def test_a_dry_run_tells_and_does_nothing(tools: Tools, here: Path, tape: Path) -> None:
    (row,) = tools.hold(here, "copy", "--to", "tape", "--dry-run", "--json").records()
    assert (row["files"], row["size"], row["inodes"]) == (3, 8001, 6)
    assert tools.here("annex", tape) == set()
    tools.hold(here, "move", "--to", "tape", "a.dat")
    rows = tools.hold(here, "get", "--dry-run", "--json").records()
    assert [(r["action"], r["source"], r["files"]) for r in rows] == [("get", "tape", 1)]
    assert tools.here("annex", here) == NAMES - {b"a.dat"}


def test_the_plan_of_policy_comes_true(tools: Tools, here: Path, tape: Path) -> None:
    tools.hold(here, "siblings", "configure", "tape", "--wanted", "include=sub/*")
    (row,) = tools.hold(here, "plan", "--json").records()
    assert (row["action"], row["target"], row["files"]) == ("copy", "tape", 2)
    wanted = tools.annex(here, "find", "--want-get-by=tape").output.split()
    tools.hold(here, "copy", "--to", "tape", "--auto")
    assert tools.here("annex", tape) == set(wanted) == {b"sub/b.dat", b"sub/c.dat"}
    assert tools.hold(here, "plan", "--json").records() == []
    tools.hold(here, "siblings", "configure", "tape", "--wanted", "nothing")
    (row,) = tools.hold(here, "plan", "--json").records()
    assert (row["action"], row["source"], row["files"]) == ("drop", "tape", 2)


def test_siblings_say_how_much_a_place_may_hold(tools: Tools, here: Path, tape: Path) -> None:
    def limit() -> object:
        (row,) = tools.hold(here, "siblings", "list", "tape", "--json").records()
        return row["max_size"]

    assert limit() is None
    tools.hold(here, "siblings", "configure", "tape", "--max-size", "1.5 kb")
    assert limit() == 1500
    assert tools.annex(here, "maxsize", "tape", "--bytes").text.split()[0] == "1500"
    assert "holds at most 1.5 kB" in tools.hold(here, "siblings", "list", "tape").text
    tools.annex(here, "maxsize", "tape", "2000")
    assert limit() == 2000
    tools.hold(here, "siblings", "configure", "tape", "--max-size", "")
    assert limit() is None
    assert tools.annex(here, "maxsize", "tape", "--bytes").text.split() == []
    for wrong in ("much", "-3kb"):
        tools.hold(here, "siblings", "configure", "tape", f"--max-size={wrong}", exits=2)


def test_siblings_say_what_git_annex_says(tools: Tools, here: Path, tape: Path) -> None:
    tools.hold(
        here, "siblings", "configure", "tape", "--wanted", "include=*.dat", "--group", "backup",
        "--trust", "untrusted", "--description", "a tape",
    )  # fmt: skip
    assert tools.annex(here, "wanted", "tape").text == "include=*.dat\n"
    assert tools.annex(here, "group", "tape").text == "backup\n"
    tools.annex(here, "required", "tape", "include=a*")
    tools.annex(here, "ungroup", "tape", "backup")
    (row,) = tools.hold(here, "siblings", "list", "tape", "--json").records()
    assert row["description"] == "a tape"
    assert row["trust"] == "untrusted"
    assert (row["groups"], row["wanted"], row["required"]) == ([], "include=*.dat", "include=a*")
    tools.hold(here, "siblings", "configure", "tape", "--wanted", "no such term", exits=2)
    tools.hold(here, "siblings", "remove", "tape")
    told = tools.hold(here, "siblings", "--json").records()
    assert [r["name"] for r in told] == ["here", "drive"]
