"""Damaged repositories: mended, or told in four lines; never silently wrong."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import stat
from pathlib import Path

import pytest
from scenes import (
    HOLD,
    Ran,
    check_ledger,
    contents,
    damage,
    environment,
    hold,
    made,
    must,
    objects,
    run,
)

from holdfast.core.key import Key, object_path, object_path_lower

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("git-annex", path=environment()["PATH"]) is None,
                       reason="the real git-annex is not here"),
]  # fmt: skip


def told_as(ran: Ran, *codes: str) -> bool:
    """Whether a failure is told in four lines with one of these codes, and not as a bug."""
    found = re.findall(r"✗ (H\d+) .*\n  why .*\n  safe .*\n  next .*\n", ran.err)
    return not set(codes).isdisjoint(found) and "Traceback" not in ran.err


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage")
    made(folder / "origin", random.Random(8), 12)
    must(folder, HOLD, "clone", "-q", str(folder / "origin"), "main")
    must(folder / "main", HOLD, "get", "-q")
    return folder


@pytest.fixture
def main(template: Path, tmp_path: Path) -> Path:
    """A full clone; its origin is there too, and whole."""
    shutil.copytree(template / "main", tmp_path / "main", symlinks=True)
    return tmp_path / "main"


def one_object(main: Path, number: int = 4) -> Path:
    """The content of one locked file that is not empty."""
    found = [
        (main / path).resolve()
        for path in sorted(contents(main))
        if (main / path).is_symlink() and (main / path).stat().st_size > 20
    ]
    return found[number]


# content


@pytest.mark.parametrize("cut", [False, True])
def test_damaged_content_is_found_set_aside_and_repaired(main: Path, cut: bool) -> None:
    good = contents(main)
    content = one_object(main)
    damage(content, random.Random(1), cut=cut)
    found = hold(main, "fsck")
    assert found.code != 0 and told_as(found, "H206"), found.text
    assert not content.exists()
    assert (main / ".git/annex/bad" / content.name).exists()
    check_ledger(main)
    must(main, HOLD, "fsck", "--repair")
    assert contents(main) == good
    check_ledger(main)
    must(main, "git", "annex", "fsck")


def test_content_cut_to_nothing_is_found_by_the_fast_check(main: Path) -> None:
    content = one_object(main)
    content.chmod(0o644)
    content.write_bytes(b"")
    found = hold(main, "fsck", "--fast")
    assert found.code != 0 and told_as(found, "H206"), found.text


def test_deleted_content_is_told_to_the_ledger_and_brought_again(main: Path) -> None:
    good = contents(main)
    content = one_object(main)
    content.parent.chmod(0o755)
    content.unlink()
    must(main, HOLD, "fsck")
    check_ledger(main)
    must(main, HOLD, "get", "-q")
    assert contents(main) == good
    check_ledger(main)


def test_a_copy_that_is_damaged_elsewhere_is_not_taken_for_right(main: Path) -> None:
    content = one_object(main)
    must(main, HOLD, "drop", "-q", ".")
    origin = Path(must(main, "git", "config", "remote.origin.url").out.strip())
    copy = main.parent / "origin"
    shutil.copytree(origin, copy, symlinks=True)
    must(main, "git", "remote", "set-url", "origin", str(copy))
    damage(objects(copy)[content.name], random.Random(1))
    ran = hold(main, "get")
    assert ran.code == 3 and told_as(ran, "H205", "H204"), ran.text
    assert content.name not in objects(main)


def test_wrong_permissions_of_content_are_mended(main: Path) -> None:
    content = one_object(main)
    content.chmod(0o644)
    content.parent.chmod(0o755)
    must(main, HOLD, "fsck")
    assert stat.S_IMODE(content.stat().st_mode) == 0o444
    assert stat.S_IMODE(content.parent.stat().st_mode) == 0o555


def test_content_in_the_other_hash_layout_is_used_and_moved_to_its_place(main: Path) -> None:
    good = contents(main)
    content = one_object(main)
    key = Key.from_file_name(content.name.encode())
    root = main / ".git/annex/objects"
    assert root / os.fsdecode(object_path(key)) == content
    other = root / os.fsdecode(object_path_lower(key))
    other.parent.mkdir(parents=True)
    content.parent.chmod(0o755)
    content.rename(other)
    content.parent.rmdir()
    held = [
        json.loads(line)
        for line in must(main, HOLD, "status", "--annex", "--json").out.splitlines()
    ]
    assert all(record.get("present", True) for record in held)
    must(main, HOLD, "fsck")
    assert content.exists() and not other.exists()
    assert contents(main) == good
    must(main, "git", "annex", "fsck")


# git's files


def test_a_corrupt_index_is_told_of_and_nothing_is_written(main: Path) -> None:
    index = main / ".git/index"
    content = bytearray(index.read_bytes())
    content[len(content) // 2] ^= 0xFF
    index.write_bytes(content)
    (main / "new.dat").write_bytes(b"new")
    head = must(main, "git", "rev-parse", "HEAD").out
    saved = hold(main, "save")
    assert saved.code == 1 and told_as(saved, "H121"), saved.text
    # Who only reads it reads it as git does, which checks no checksum then.
    for words in (["get"], ["fsck"], ["status"]):
        ran = hold(main, *words)
        assert ran.code == 0 or re.search(r"✗ H\d+ ", ran.err), f"{words}: {ran.text}"
        assert "Traceback" not in ran.err, f"{words}: {ran.text}"
    assert must(main, "git", "rev-parse", "HEAD").out == head
    assert (main / "new.dat").read_bytes() == b"new"
    # The way out that git names: build the index anew.
    index.unlink()
    must(main, "git", "reset", "-q")
    must(main, HOLD, "save", "-q")


@pytest.mark.parametrize("keep", [0, 12, 100])
def test_a_cut_index_is_told_of(main: Path, keep: int) -> None:
    index = main / ".git/index"
    index.write_bytes(index.read_bytes()[:keep])
    (main / "new.dat").write_bytes(b"new")
    ran = hold(main, "save")
    assert "Traceback" not in ran.err, ran.text
    if ran.code == 0:
        # git takes an empty file for an index without entries; then no file may be taken out.
        assert not must(main, "git", "status", "--porcelain").out
    files = must(main, "git", "ls-tree", "-r", "--name-only", "HEAD").out.splitlines()
    assert len(files) > 10, "files were taken out of the version"


def test_a_cut_pack_is_told_of_and_content_stays(main: Path) -> None:
    must(main, "git", "gc", "-q")
    good = contents(main)
    pack = next((main / ".git/objects/pack").glob("*.pack"))
    pack.chmod(0o644)
    pack.write_bytes(pack.read_bytes()[: pack.stat().st_size // 2])
    (main / "new.dat").write_bytes(b"new")
    for words in (["save"], ["drop", "."], ["fsck"]):
        ran = hold(main, *words)
        assert ran.code != 0, f"{words}: {ran.text}"
        assert "Traceback" not in ran.err, f"{words}: {ran.text}"
    assert {p: d for p, d in contents(main).items() if p in good} == good


# the ledger


def test_a_garbage_line_in_a_location_log_is_passed_over(main: Path) -> None:
    name = one_object(main).name
    uuid = must(main, "git", "config", "annex.uuid").out.strip()
    paths = must(main, "git", "ls-tree", "-r", "--name-only", "git-annex").out.splitlines()
    path = next(p for p in paths if p.endswith(f"{name}.log"))
    text = must(main, "git", "show", f"git-annex:{path}").out
    journal = main / ".git/annex/journal"
    journal.mkdir(exist_ok=True)
    entry = journal / path.replace("_", "__").replace("/", "_")
    entry.write_bytes(b"garbage \xff\xfe\n\n1 2 3 4 5 6\n" + text.encode() + b"99999s 7 nobody\n")
    for words in (["whereis"], ["fsck"], ["drop", "."], ["get"]):
        ran = hold(main, *words)
        assert ran.code == 0, f"{words}: {ran.text}"
    assert uuid in must(main, "git", "show", f"git-annex:{path}").out
    check_ledger(main)


@pytest.mark.parametrize(
    "name", ["not a journal file", "uuid.log", "aaa_bbb_SHA256E-s1--x.log", "\udcff.log"]
)
def test_a_corrupt_journal_file_stops_nobody(main: Path, name: str) -> None:
    journal = main / ".git/annex/journal"
    journal.mkdir(exist_ok=True)
    (journal / name).write_bytes(b"\x00\xff garbage without end")
    for words in (["fsck"], ["drop", "."], ["get"]):
        ran = hold(main, *words)
        assert ran.code == 0, f"{words}: {ran.text}"
    fsck = run(main, "git", "fsck", "--no-progress")
    assert fsck.code == 0, fsck.text
    check_ledger(main)


def test_a_cut_index_of_the_annex_branch_stops_nobody(main: Path) -> None:
    must(main, "git", "annex", "numcopies", "1")
    index = main / ".git/annex/index"
    if not index.exists():
        pytest.skip("git-annex made no index of its own")
    index.write_bytes(index.read_bytes()[:50])
    must(main, HOLD, "drop", "-q", ".")
    must(main, HOLD, "get", "-q")
    check_ledger(main)


def test_a_note_of_unrecorded_keys_that_is_garbage_stops_nobody(main: Path) -> None:
    folder = main / ".git/annex/hold-unrecorded"
    folder.mkdir(exist_ok=True)
    (folder / "abc").write_bytes(b"\xff\x00garbage\nMD5E-s1--nothing\nhalf a li")
    must(main, HOLD, "get", "-q")
    assert not list(folder.iterdir())


def test_a_configuration_that_cannot_be_read_is_told_of(main: Path) -> None:
    with (main / ".git/config").open("a") as file:
        file.write("[section without end\n")
    ran = hold(main, "save")
    assert ran.code != 0 and re.search(r"✗ H\d+ ", ran.err) and "Traceback" not in ran.err, ran.text


def test_a_link_to_content_that_was_cut_off_is_not_taken_for_a_key(main: Path) -> None:
    (main / "odd link").symlink_to(".git/annex/objects/xx/yy/not-a-key")
    (main / "loop").symlink_to("loop")
    must(main, HOLD, "save", "-q")
    assert not must(main, "git", "status", "--porcelain").out
    must(main, HOLD, "fsck", "-q")
