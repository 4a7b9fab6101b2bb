"""Restoring from pieces alone: every version exactly, whatever is damaged, missing or hostile."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from archive_scene import Archived, archived, copy_pieces, served
from scenes import HOLD, Ran, contents, hold, left_locks, left_scratch, must, run

SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.randrange(1 << 30)
KILL_AT = Path(__file__).with_name("kill_at.py")
LOCAL = ("-c", "annex.security.allowed-ip-addresses=127.0.0.1")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Archived:
    return archived(tmp_path_factory.mktemp("archived"), 11)


def _records(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.out.splitlines()]


def _git_tree(folder: Path, commit: str) -> str:
    return must(folder, "git", "ls-tree", "-r", commit).out


def _check_restored(made: Archived, number: int, out: Path) -> None:
    version = made.versions[number]
    assert must(out, "git", "rev-parse", "HEAD").out.strip() == version.commit
    assert _git_tree(out, "HEAD") == _git_tree(made.main, version.commit)
    assert contents(out) == version.digests
    assert must(out, "git", "status", "--porcelain").out == ""
    must(out, "git", "fsck", "--no-dangling")
    assert not left_locks(out) and not left_scratch(out)


@pytest.mark.parametrize("number", range(4))
def test_each_version_is_restored_as_it_was(made: Archived, tmp_path: Path, number: int) -> None:
    pieces = copy_pieces(made, tmp_path / "pieces")
    version = made.versions[number]
    done = run(tmp_path, HOLD, "archive", "restore", "pieces", "--at", version.commit[:9],
               "--to", "out", "--json")  # fmt: skip
    assert done.code == (3 if version.missing else 0), done.text
    lost = [one for one in _records(done) if one["status"] == "impossible"]
    assert [one["path"] for one in lost] == version.missing
    for one in lost:
        assert one["urls"] == ["https://example.org/lost.dat"]
        assert "https://example.org/lost.dat" in one["error"]["why"]
    shutil.rmtree(pieces)
    _check_restored(made, number, tmp_path / "out")


def test_a_restored_data_set_is_one_to_git_annex(made: Archived, tmp_path: Path) -> None:
    out = tmp_path / "out"
    must(tmp_path, HOLD, "archive", "restore", str(made.all), "--at", "2", "--to", "out")
    checked = must(out, "git", "annex", "fsck", "--json")
    assert all(one["success"] for one in _records(checked))
    here = must(out, "git", "config", "annex.uuid").out.strip()
    for one in _records(must(out, "git", "annex", "whereis", "--json")):
        assert here in [place["uuid"] for place in one["whereis"]], one["file"]
    (out / "more.dat").write_bytes(b"more")
    must(out, "git", "annex", "add", "more.dat")
    must(out, "git", "commit", "-q", "-m", "more")
    must(out, HOLD, "fsck", "-q")


def test_the_newest_version_is_restored_when_none_is_named(made: Archived, tmp_path: Path) -> None:
    done = hold(tmp_path, "archive", "restore", *map(str, made.all.iterdir()), "--to", "out")
    assert done.code == 3
    assert "lost.dat" in done.err and "https://example.org/lost.dat" in done.text
    _check_restored(made, 3, tmp_path / "out")


def test_running_it_again_changes_nothing(made: Archived, tmp_path: Path) -> None:
    words = ("archive", "restore", str(made.all), "--at", "2", "--to", "out", "--json")
    must(tmp_path, HOLD, *words)
    before = must(tmp_path / "out", "git", "for-each-ref").out
    again = must(tmp_path, HOLD, *words)
    assert {one["status"] for one in _records(again)} == {"notneeded"}
    assert must(tmp_path / "out", "git", "for-each-ref").out == before
    assert sorted(os.listdir(tmp_path)) == ["out"]


def test_a_part_comes_with_few_requests_and_few_bytes(tmp_path: Path) -> None:
    chance = random.Random(3)
    must(tmp_path, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    for subject in range(120):
        folder = tmp_path / f"main/sub-{subject:03}"
        folder.mkdir()
        for name in range(5):
            (folder / f"{name}.dat").write_bytes(chance.randbytes(60_000))
    must(tmp_path / "main", HOLD, "save", "-q", "-m", "all")
    must(tmp_path / "main", HOLD, "archive", "pack", "-q", "--write", "../pieces",
         "--piece-size", "64MiB")  # fmt: skip
    [piece] = (tmp_path / "pieces").iterdir()
    with served(tmp_path / "pieces") as (url, asked):
        must(tmp_path, HOLD, *LOCAL, "archive", "restore", f"{url}/{piece.name}", "--to", "out",
             "--only", "sub-077/*")  # fmt: skip
    wanted = {p: d for p, d in contents(tmp_path / "main").items() if p.startswith("sub-077/")}
    assert len(wanted) == 5
    assert wanted.items() <= contents(tmp_path / "out").items()
    assert len(asked) <= 10, asked
    # What is wanted is 300 kB; the rest, with the whole history, is below one per cent.
    assert sum(asked) - 300_000 <= piece.stat().st_size // 100, asked


def test_urls_of_any_name_do_and_a_private_address_has_to_be_allowed(
    made: Archived, tmp_path: Path
) -> None:
    pieces = copy_pieces(made, tmp_path / "pieces")
    with served(pieces) as (url, _):
        urls = [f"{url}/{path.name}" for path in pieces.iterdir()]
        refused = hold(tmp_path, "archive", "restore", *urls, "--to", "out")
        assert refused.code == 4 and not (tmp_path / "out").exists()
        must(tmp_path, HOLD, *LOCAL, "archive", "restore", *urls, "--to", "out", "--at", "2")
    _check_restored(made, 2, tmp_path / "out")


def test_a_data_set_that_had_no_ledger_is_restored_with_its_content(tmp_path: Path) -> None:
    main = tmp_path / "main"
    must(tmp_path, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    (main / "scan").write_bytes(b"scan" * 1000)
    must(main, HOLD, "save", "-q", "-m", "all")
    must(main, "git", "branch", "-q", "-D", "git-annex")
    must(main, HOLD, "archive", "pack", "-q", "--write", "../pieces", "--piece-size", "4MiB")
    must(tmp_path, HOLD, "archive", "restore", "pieces", "--to", "out")
    assert (tmp_path / "out/scan").read_bytes() == b"scan" * 1000
    must(tmp_path / "out", "git", "annex", "fsck", "-q")
    must(tmp_path, HOLD, "archive", "drill", "pieces")
