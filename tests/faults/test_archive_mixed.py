"""Folders with more in them than one archive: what is of which is told, and ours is restored."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

from scenes import HOLD, contents, must, run

SIZE = ("--piece-size", "4MiB")


def _packed(folder: Path, name: str, seed: int, pieces: str, versions: int = 1) -> Path:
    main = folder / name
    must(folder, HOLD, "create", "-q", "--profile", "all-annexed", name)
    for number in range(versions):
        (main / f"{number}.dat").write_bytes(random.Random(seed + number).randbytes(40_000))
        must(main, HOLD, "save", "-q", "-m", str(number))
        must(main, HOLD, "archive", "pack", "-q", "--write", f"../{pieces}", *SIZE)
    return main


def test_of_two_archives_that_are_as_large_one_is_asked_for(tmp_path: Path) -> None:
    _packed(tmp_path, "one", 1, "pieces")
    _packed(tmp_path, "two", 2, "pieces")
    done = run(tmp_path, HOLD, "archive", "restore", "pieces", "--to", "out")
    assert done.code == 4 and "is of another archive" in done.err, done.text
    assert done.err.count("pieces/bafkzcib") >= 2 and not (tmp_path / "out").exists()


def test_of_two_archives_the_larger_one_is_restored_and_the_other_told_by_piece(
    tmp_path: Path,
) -> None:
    one = _packed(tmp_path, "one", 1, "pieces", 2)
    _packed(tmp_path, "two", 2, "others")
    [other] = (tmp_path / "others").iterdir()
    shutil.copy(other, tmp_path / "pieces")
    done = run(tmp_path, HOLD, "archive", "restore", "pieces", "--to", "out", "--json")
    told = [json.loads(line) for line in done.out.splitlines()]
    errors = [record["error"]["what"] for record in told if "error" in record]
    assert done.code == 4 and len(errors) == 1 and other.name in errors[0], done.text
    assert contents(tmp_path / "out") == contents(one)


def test_two_archives_of_the_same_data_set_are_not_mixed(tmp_path: Path) -> None:
    one = _packed(tmp_path, "one", 1, "pieces", 2)
    shutil.rmtree(one / ".git/annex/hold-archive")
    must(one, HOLD, "archive", "pack", "-q", "--write", "../others", *SIZE)
    [other] = (tmp_path / "others").iterdir()
    shutil.copy(other, tmp_path / "pieces")
    done = run(tmp_path, HOLD, "archive", "restore", "pieces", "--to", "out", "--json")
    assert done.code == 4 and other.name in done.out and "another try" in done.out, done.text
    assert contents(tmp_path / "out") == contents(one)


def test_foreign_files_are_passed_over_and_a_hole_in_the_chain_is_named(tmp_path: Path) -> None:
    one = _packed(tmp_path, "one", 1, "pieces", 3)
    pieces = tmp_path / "pieces"
    (pieces / "README").write_text("mine")
    (pieces / "thing.car").write_bytes(os.urandom(500))
    (pieces / "deep").mkdir()
    (pieces / "deep/empty").touch()
    must(tmp_path, HOLD, "archive", "restore", "pieces", "--to", "all")
    assert contents(tmp_path / "all") == contents(one)
    listed = must(tmp_path, HOLD, "archive", "restore", "pieces", "--list", "--json")
    [middle] = json.loads(listed.out.splitlines()[1])["pieces"]
    (tmp_path / middle).unlink()
    done = run(tmp_path, HOLD, "archive", "restore", "pieces", "--to", "out", "--json")
    assert done.code == 3 and Path(middle).stem in done.out, done.text
    assert contents(tmp_path / "out") == {
        path: digest for path, digest in contents(one).items() if path != "1.dat"
    }
