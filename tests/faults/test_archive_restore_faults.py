"""Pieces that are damaged, missing or of others; runs that are killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from archive_scene import Archived, archived, copy_pieces
from depth import DEEP, times
from scenes import HOLD, Ran, contents, environment, must, run
from warm_hold import run_program

from holdfast.wire.archive_manifest import FOOTER_SIZE, decode_footer, decode_manifest

SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.randrange(1 << 30)
KILL_AT = Path(__file__).with_name("kill_at.py")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Archived:
    return archived(tmp_path_factory.mktemp("archived"), 12)


@pytest.fixture
def pieces(made: Archived, tmp_path: Path) -> Path:
    return copy_pieces(made, tmp_path / "pieces")


def _records(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.out.splitlines()]


def _restore(folder: Path, *words: str) -> Ran:
    return run(folder, HOLD, "archive", "restore", "pieces", "--to", "out", "--json", *words)


def _parts_are_right(made: Archived, out: Path, number: int) -> int:
    """Everything that is there is as it was; gives how many files are."""
    found = contents(out) if out.exists() else {}
    wanted = made.versions[number].digests
    assert found.items() <= wanted.items()
    return len(found)


def _ends(path: Path) -> tuple[int, int, int]:
    """Where parts, manifest and footer begin."""
    data = path.read_bytes()
    footer = decode_footer(data[-FOOTER_SIZE:], len(data))
    return footer.index_offset, footer.manifest_offset, len(data) - FOOTER_SIZE


def _of_snapshot(pieces: Path, snapshot: int, number: int) -> Path:
    for path in sorted(pieces.iterdir()):
        data = path.read_bytes()
        footer = decode_footer(data[-FOOTER_SIZE:], len(data))
        block = data[footer.manifest_offset : footer.manifest_offset + footer.manifest_length]
        manifest = decode_manifest(block)
        if (manifest.snapshot, manifest.number) == (snapshot, number):
            return path
    raise AssertionError("no such piece")


def test_a_flipped_bit_is_told_with_piece_and_offset_and_the_rest_is_restored(
    made: Archived, pieces: Path, tmp_path: Path
) -> None:
    print(f"FAULTS_SEED={SEED}")
    chance = random.Random(SEED)
    path = _of_snapshot(pieces, 0, 0)
    whole = path.read_bytes()
    index, manifest, footer = _ends(path)
    places = [index + 20, manifest + 20, footer - 5, footer + 3, footer + 30, len(whole) - 1, 5]
    places += [chance.randrange(len(whole)) for _ in range(times(1, 40))]
    for place in places:
        data = bytearray(whole)
        data[place] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        done = _restore(tmp_path, "--at", "2")
        assert "Traceback" not in done.err, (place, done.text)
        count = _parts_are_right(made, tmp_path / "out", 2)
        total = len(made.versions[2].digests)
        if done.code == 0:
            assert count == total, place
        else:
            assert f"pieces/{path.name}" in done.text, (place, done.text)
            assert "damaged at byte" in done.text, (place, done.text)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_piece_that_is_cut_short_is_told_and_the_rest_is_restored(
    made: Archived, pieces: Path, tmp_path: Path, share: float
) -> None:
    path = _of_snapshot(pieces, 0, 1)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    done = _restore(tmp_path, "--at", "2", *([str(path)] if not share else []))
    assert done.code == 1, done.text
    told = [one["error"] for one in _records(done) if "error" in one]
    assert any(str(path) in error["what"] or f"pieces/{path.name}" in error["what"]
               for error in told), told  # fmt: skip
    assert _parts_are_right(made, tmp_path / "out", 2) > 3


def test_a_missing_piece_is_named_and_found_later_completes_it(
    made: Archived, pieces: Path, tmp_path: Path
) -> None:
    path = _of_snapshot(pieces, 0, 0)
    name = next(p.name for p in made.pieces[0] if p.read_bytes() == path.read_bytes())
    path.rename(tmp_path / "aside")
    done = _restore(tmp_path, "--at", "2")
    assert done.code == 3, done.text
    whats = [one["error"]["what"] for one in _records(done) if "error" in one]
    assert any(name.removesuffix(".car") in what for what in whats), whats
    there = _parts_are_right(made, tmp_path / "out", 2)
    assert 0 < there < len(made.versions[2].digests)
    (tmp_path / "aside").rename(path)
    again = _restore(tmp_path, "--at", "2")
    assert again.code == 0, again.text
    assert contents(tmp_path / "out") == made.versions[2].digests


def test_a_missing_snapshot_in_the_middle_leaves_the_others(
    made: Archived, pieces: Path, tmp_path: Path
) -> None:
    _of_snapshot(pieces, 1, 0).unlink()
    done = _restore(tmp_path, "--at", "0")
    assert done.code == 0, done.text
    assert contents(tmp_path / "out") == made.versions[0].digests
    other = run(tmp_path, HOLD, "archive", "restore", "pieces", "--at", "2", "--to", "two")
    assert other.code == 3 and "H923" in other.err, other.text
    # Its history came with the bundle of a later snapshot, which is a whole one.
    assert 0 < _parts_are_right(made, tmp_path / "two", 2) < len(made.versions[2].digests)


def test_a_second_copy_stands_in_for_a_damaged_one(
    made: Archived, pieces: Path, tmp_path: Path
) -> None:
    path = _of_snapshot(pieces, 0, 0)
    data = bytearray(path.read_bytes())
    for place in range(100_000, _ends(path)[0], 100_000):
        data[place] ^= 1
    (pieces / "00-copy").write_bytes(data)
    done = _restore(tmp_path, "--at", "2")
    assert done.code == 0, done.text
    assert contents(tmp_path / "out") == made.versions[2].digests


def test_pieces_of_another_data_set_are_told_and_left(
    made: Archived, pieces: Path, tmp_path: Path
) -> None:
    must(tmp_path, HOLD, "create", "-q", "other")
    (tmp_path / "other/file.dat").write_bytes(os.urandom(50_000))
    must(tmp_path / "other", HOLD, "save", "-q", "-m", "other")
    must(tmp_path / "other", HOLD, "archive", "pack", "-q", "--write", "../pieces",
         "--piece-size", "4MiB")  # fmt: skip
    done = _restore(tmp_path, "--at", "2")
    assert done.code == 4, done.text
    told = [one["error"]["what"] for one in _records(done) if "error" in one]
    assert len(told) == 1 and "is of another archive" in told[0] and "bafkzcib" in told[0]
    assert contents(tmp_path / "out") == made.versions[2].digests


def test_what_is_no_piece_is_passed_over_in_a_folder_and_refused_by_name(
    made: Archived, pieces: Path, tmp_path: Path
) -> None:
    (pieces / "notes.txt").write_text("no piece\n" * 50)
    (pieces / "small").write_bytes(b"x")
    assert _restore(tmp_path, "--at", "2").code == 0
    done = run(tmp_path, HOLD, "archive", "restore", "pieces/notes.txt", "--to", "no")
    assert done.code == 1 and "H921" in done.err and "notes.txt" in done.err, done.text
    (tmp_path / "hollow").mkdir()
    done = run(tmp_path, HOLD, "archive", "restore", "hollow", "--to", "no")
    assert done.code == 1 and "H924" in done.err, done.text
    assert not (tmp_path / "no").exists()


def test_a_folder_with_something_else_in_it_is_left_alone(
    made: Archived, pieces: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    done = _restore(tmp_path)
    assert done.code == 4 and "H113" in done.text, done.text
    assert os.listdir(tmp_path / "out") == ["mine"]
    shutil.rmtree(tmp_path / "out")
    assert _restore(tmp_path, "--at", "0").code == 0
    done = _restore(tmp_path, "--at", "1")
    assert done.code == 4 and "H926" in done.text, done.text
    assert contents(tmp_path / "out") == made.versions[0].digests


def test_history_that_is_larger_than_a_piece_is_put_together(tmp_path: Path) -> None:
    main = tmp_path / "main"
    must(tmp_path, HOLD, "create", "-q", "--profile", "text2git", "main")
    (main / "long.txt").write_text(random.Random(4).randbytes(5_000_000).hex())
    must(main, HOLD, "save", "-q", "-m", "long")
    must(main, HOLD, "archive", "pack", "-q", "--write", "../pieces", "--piece-size", "4MiB")
    assert _restore(tmp_path).code == 0
    assert contents(tmp_path / "out") == contents(main)
    must(tmp_path / "out", "git", "fsck", "--no-dangling")
    listed = must(tmp_path, HOLD, "archive", "restore", "pieces", "--list", "--json")
    names = json.loads(listed.out.splitlines()[0])["pieces"]
    for name in names[:-1]:
        (tmp_path / name).unlink()
    done = run(tmp_path, HOLD, "archive", "restore", "pieces", "--to", "two")
    assert done.code == 3 and "H923" in done.err, done.text
    assert not (tmp_path / "two").exists()


# kills


def test_killed_before_any_change_of_a_file_it_completes(
    made: Archived, pieces: Path, tmp_path: Path
) -> None:
    print(f"FAULTS_SEED={SEED}")
    words = ("archive", "restore", "../pieces", "--at", "2", "--to", "out")
    (tmp_path / "count").mkdir()
    done = run_program(
        [sys.executable, str(KILL_AT), str(tmp_path / "changes"), "0", *words],
        tmp_path / "count",
        environment(),
    )
    assert done.returncode == 0, done.stderr
    changes = int((tmp_path / "changes").read_text())
    points = range(1, changes + 1)
    for point in points if DEEP else sorted(random.Random(SEED).sample(points, min(4, changes))):
        folder = tmp_path / f"at-{point}"
        folder.mkdir()
        killed = run_program(
            [sys.executable, str(KILL_AT), str(tmp_path / "changes"), str(point), *words],
            folder,
            environment(),
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        must(folder, HOLD, *words)
        assert contents(folder / "out") == made.versions[2].digests, point
        assert must(folder / "out", "git", "status", "--porcelain").out == "", point
        assert os.listdir(folder) == ["out"], point
        must(folder / "out", "git", "annex", "fsck", "--quiet", "--fast")
        must(folder / "out", "git", "fsck", "--no-dangling")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["chmod", "-R", "u+w", folder], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def test_what_a_run_left_that_was_killed_last_of_all_goes(
    made: Archived, pieces: Path, tmp_path: Path
) -> None:
    _restore(tmp_path, "--at", "2")
    (tmp_path / ".hold-cloning-out.lck").touch()  # its removal is the last thing that is done
    assert _restore(tmp_path, "--at", "2").code == 0
    assert sorted(os.listdir(tmp_path)) == ["out", "pieces"]


def test_so_does_what_a_clone_left_that_was_killed_last_of_all(
    made: Archived, tmp_path: Path
) -> None:
    must(tmp_path, HOLD, "clone", str(made.main), "out")
    (tmp_path / ".hold-cloning-out.lck").touch()
    assert run(tmp_path, HOLD, "clone", str(made.main), "out").code == 4
    assert os.listdir(tmp_path) == ["out"]
