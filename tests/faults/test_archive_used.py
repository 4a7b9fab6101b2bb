"""An archive as people use it: what they are told is true, and what they meant is done."""

from __future__ import annotations

import json
import os
import random
import shutil
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from scenes import HOLD, Ran, hold, must

import holdfast as hf
from holdfast.api.piece_places import open_piece_place

PIECE = "4MiB"


def _records(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.out.splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("used")
    must(folder, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    chance = random.Random(3)
    for name in ("one.dat", "two.dat"):
        (folder / "main" / name).write_bytes(chance.randbytes(50_000))
    must(folder / "main", HOLD, "save", "-q", "-m", "files")
    return folder


@pytest.fixture
def main(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "main", tmp_path / "main", symlinks=True)
    return tmp_path / "main"


def test_parity_beside_pieces_is_no_damaged_piece_to_a_place(main: Path) -> None:
    must(main, HOLD, "archive", "pack", "-q", "--write", "../pieces", "--parity", "2+1")
    ran = hold(main, "archive", "place", "cold", "../pieces", "--json")
    assert ran.code == 0
    assert [one["status"] for one in _records(ran)] == ["ok"]
    [again] = _records(hold(main, "archive", "place", "cold", "--json"))
    assert (again["status"], again["pieces"]) == ("notneeded", 1)


def test_a_plan_of_which_nothing_is_packed_is_made_anew(main: Path) -> None:
    must(main, HOLD, "archive", "plan", "-q")
    must(main, HOLD, "archive", "plan", "-q", "--piece-size", PIECE)
    (main / "later.dat").write_bytes(b"later")
    must(main, HOLD, "save", "-q", "-m", "more")
    must(main, HOLD, "archive", "pack", "-q", "--write", "../pieces", "--piece-size", "8MiB")
    must(main, HOLD, "archive", "restore", "-q", "../pieces", "--to", "../again")
    assert (main.parent / "again/later.dat").read_bytes() == b"later"


def test_a_plan_in_the_clear_keeps_nobody_from_encrypting(main: Path) -> None:
    must(main, HOLD, "archive", "plan", "-q")
    must(main, HOLD, "archive", "pack", "-q", "--encrypt", "--keys", "../keys", "--write", "../to")
    [piece] = (main.parent / "to").iterdir()
    assert (main / "one.dat").read_bytes()[:40] not in piece.read_bytes()
    assert b"one.dat" not in piece.read_bytes()


def test_a_file_that_came_to_a_plain_folder_after_its_plan_is_packed(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/one").write_text("one")
    words = ("archive", "pack", "--folder", "scans", "--state", "notes", "--write", "pieces")
    must(tmp_path, HOLD, "archive", "plan", "-q", *words[2:6])
    (tmp_path / "scans/two").write_text("two")
    must(tmp_path, HOLD, *words, "-q")
    must(tmp_path, HOLD, "archive", "restore", "-q", "pieces", "--to", "again")
    assert (tmp_path / "again/two").read_text() == "two"


@pytest.mark.parametrize("words", [(), ("--encrypt", "--keys", "../keys")], ids=["clear", "age"])
def test_pack_and_check_tell_what_had_to_be_left_out_and_why(
    main: Path, words: tuple[str, ...]
) -> None:
    must(main, HOLD, "drop", "-q", "--force", "a test", "two.dat")
    planned = hold(main, "archive", "plan", *words)
    assert "1 missing (-v lists them)" in planned.out
    packed = hold(main, "archive", "pack", *words, "--json")
    assert _records(packed)[-1]["missing"] == 1
    ran = hold(main, "archive", "check", "--json", "--html", "../page.html")
    told = {one.get("path"): one for one in _records(ran)}
    why = told["two.dat"]["left_out"]
    assert why.startswith("left out of snapshot 0: it was not here")
    assert "left_out" not in told["one.dat"]
    assert why in (main.parent / "page.html").read_text()
    shown = hold(main, "archive", "check").out
    assert "in no piece: 1 file, 50 kB" in shown and why in shown


def test_what_was_taken_in_later_is_left_out_no_more(main: Path) -> None:
    content = (main / "two.dat").read_bytes()
    must(main, HOLD, "drop", "-q", "--force", "a test", "two.dat")
    first = hold(main, "archive", "pack")
    assert "without the content of 1 file: hold archive check says why" in first.out
    (main / "two.dat").unlink()
    (main / "two.dat").write_bytes(content)
    must(main, HOLD, "save", "-q", "-m", "it came back")
    must(main, HOLD, "archive", "pack", "-q")
    assert "in no piece" not in hold(main, "archive", "check").out


@pytest.mark.parametrize("target", ["file", "file/below"])
def test_pieces_cannot_be_written_below_a_file(main: Path, target: str) -> None:
    (main.parent / "file").touch()
    ran = hold(main, "archive", "pack", "--write", f"../{target}")
    assert ran.code == 2 and "H411" in ran.err


@pytest.mark.parametrize("target", ["..", "nowhere/page.html"])
def test_where_a_page_cannot_be_written_nothing_is_asked(main: Path, target: str) -> None:
    ran = hold(main, "archive", "check", "--html", target)
    assert ran.code == 2 and "H411" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("work", ["restore", "drill", "rebuild", "parity"])
def test_pieces_that_are_not_there_are_told_as_that(main: Path, work: str) -> None:
    words = ("--parity", "2+1") if work == "parity" else ()
    ran = hold(main, "archive", work, "../nowhere", *words)
    assert ran.code == 1 and "H122" in ran.err, ran.err


def test_what_is_to_be_done_has_to_be_said_and_nothing_more(main: Path) -> None:
    ran = hold(main, "archive")
    assert ran.code == 2
    assert "required: WORK\n" in ran.err


def test_python_packs_with_all_that_the_command_has(main: Path) -> None:
    pieces, sent = main.parent / "pieces", main.parent / "sent"
    with hf.open_dataset(main) as dataset:
        options = hf.PackOptions(hf.ParityPlan(2, 1))
        hf.archive_pack(hf.archive_of(dataset), write=os.fsencode(pieces), options=options)
        with open_piece_place(f"{sent}/", None) as place:
            report = hf.archive_pack(hf.archive_of(dataset), to=hf.Destination(place))
    assert len(list(pieces.iterdir())) == 2
    assert {one.name for one in sent.glob("*.car")} < {one.name for one in pieces.iterdir()}
    assert report.counts["send", hf.Status.OK] == 1
    shutil.rmtree(main / ".git/annex/hold-archive")
    with hf.open_dataset(main) as dataset:
        known = hf.PackOptions(known=[str(sent)])
        again = hf.archive_pack(hf.archive_of(dataset), options=known)
    assert again.counts["pack", hf.Status.NOT_NEEDED] == 1


def test_packing_at_once_and_telling_of_each_piece_take_the_same() -> None:
    one, all_ = (set(signature(f).parameters) for f in (hf.iter_archive_pack, hf.archive_pack))
    assert one - all_ == {"progress"} and all_ < one


@pytest.mark.parametrize("plain", [False, True])
def test_a_glob_that_matches_nothing_is_told_and_the_others_are_restored(
    main: Path, plain: bool
) -> None:
    source = main
    (main / "own.txt").write_text("git's own\n")
    must(main, "git", "add", "own.txt")
    must(main, "git", "-c", "annex.largefiles=nothing", "commit", "-q", "-m", "own")
    if plain:
        source = main.parent / "plain"
        source.mkdir()
        for name in ("one.dat", "own.txt"):
            (source / name).write_bytes((main / name).read_bytes())
    where = [] if not plain else ["--folder", os.fspath(source), "--state", "../state"]
    must(main, HOLD, "archive", "pack", "-q", "--write", "../pieces", *where)
    words = ("--only", "one.*", "--only", "own.txt", "--only", "nothing/*")
    ran = hold(main, "archive", "restore", "../pieces", "--to", "../again", *words)
    assert ran.code == 1
    assert "no file matches --only nothing/*" in ran.err
    assert "own.txt" not in ran.err
    assert (main.parent / "again/one.dat").stat().st_size == 50_000
