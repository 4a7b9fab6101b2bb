"""Notes made anew from pieces: what is in them is not packed again, wherever it was packed."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest
from scenes import HOLD, Ran, contents, must, run

from holdfast import open_dataset
from holdfast.api.archive import PackOptions, archive_of, iter_archive_pack
from holdfast.archive.piece_making import PieceMaker
from holdfast.wire.piece import PLAIN, PieceHasher

SIZE = ("--piece-size", "4MiB")
PACK = ("archive", "pack", "--json", "--write", "../pieces", *SIZE)


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A data set with two snapshots in pieces."""
    main, chance = tmp_path / "main", random.Random(2)
    must(tmp_path, HOLD, "create", "-q", "--profile", "text2git", "main")
    (main / "sub").mkdir()
    for number in range(8):
        (main / f"sub/{number}.dat").write_bytes(chance.randbytes(200_000))
    (main / "large.dat").write_bytes(chance.randbytes(5_000_000))
    (main / "long.txt").write_text(chance.randbytes(150_000).hex())
    (main / "link").symlink_to("long.txt")
    must(main, HOLD, "save", "-q", "-m", "one")
    must(main, HOLD, *PACK)
    (main / "second.dat").write_bytes(chance.randbytes(150_000))
    must(main, HOLD, "save", "-q", "-m", "two")
    must(main, "git", "tag", "two")
    must(main, HOLD, *PACK)
    return main


def _new_bytes(main: Path, *words: str) -> int:
    """How many bytes of pieces a third snapshot takes."""
    (main / "third.txt").write_text("third\n")
    must(main, HOLD, "save", "-q", "-m", "three")
    before = set((main.parent / "pieces").iterdir())
    must(main, HOLD, *PACK, *words)
    new = set((main.parent / "pieces").iterdir()) - before
    return sum(path.stat().st_size for path in new)


def _restored(main: Path, number: str) -> Path:
    out = main.parent / f"out{number}"
    must(main.parent, HOLD, "archive", "restore", "pieces", "--at", number, "--to", str(out))
    return out


@pytest.mark.parametrize("words", [(), ("--known", "../pieces")])
def test_notes_that_are_lost_are_made_from_the_pieces(main: Path, words: tuple[str, ...]) -> None:
    shutil.rmtree(main / ".git/annex/hold-archive")
    again = must(main, HOLD, *PACK, *words)
    assert [json.loads(line)["status"] for line in again.out.splitlines()] == ["ok", "notneeded"]
    assert _new_bytes(main) < 20_000
    assert contents(_restored(main, "2")) == contents(main)
    assert must(_restored(main, "1"), "git", "tag").out == "two\n"


def test_another_machine_goes_on_with_an_archive_and_the_first_goes_on_after_it(
    main: Path,
) -> None:
    must(main.parent, HOLD, "clone", "-q", "main", "other")
    other = main.parent / "other"
    must(other, HOLD, "get", "-q")
    assert _new_bytes(other, "--known", "../pieces") < 20_000
    must(main, "git", "pull", "-q", "../other")
    (main / "fourth.dat").write_bytes(random.Random(4).randbytes(1000))
    must(main, HOLD, "save", "-q", "-m", "four")
    must(main, HOLD, *PACK, "--known", "../pieces")
    listed = must(main.parent, HOLD, "archive", "restore", "pieces", "--list", "--json")
    assert [json.loads(line)["snapshot"] for line in listed.out.splitlines()] == [0, 1, 2, 3]
    assert contents(_restored(main, "3")) == contents(main)


def test_what_is_in_a_missing_piece_is_packed_again(main: Path) -> None:
    shutil.rmtree(main / ".git/annex/hold-archive")
    listed = must(main.parent, HOLD, "archive", "restore", "pieces", "--list", "--json")
    first = json.loads(listed.out.splitlines()[0])["pieces"]
    for name in first:
        (main.parent / name).unlink()
    assert _new_bytes(main) > 6_000_000
    assert contents(_restored(main, "2")) == contents(main)


def _begin(main: Path) -> None:
    """Pack the next snapshot, and be killed before its piece ends."""
    if not (child := os.fork()):
        try:
            PieceMaker.end = lambda *_: os._exit(9)  # type: ignore[assignment, return-value]
            with open_dataset(main) as dataset:
                options = PackOptions(known=[str(main.parent / "pieces")], kernel=PLAIN)
                write = os.fsencode(main.parent / "new")
                archive = archive_of(dataset)
                list(iter_archive_pack(archive, write=write, piece_size=16 << 20, options=options))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def _without_the_first(main: Path) -> Path:
    """Lose the notes, and have the pieces of the first snapshot somewhere else, which is told."""
    shutil.rmtree(main / ".git/annex/hold-archive")
    listed = must(main.parent, HOLD, "archive", "restore", "pieces", "--list", "--json")
    away = main.parent / "away"
    away.mkdir()
    for name in json.loads(listed.out.splitlines()[0])["pieces"]:
        (main.parent / name).rename(away / Path(name).name)
    (main / "third.dat").write_bytes(random.Random(3).randbytes(900))
    must(main, HOLD, "save", "-q", "-m", "three")
    return away


def test_what_is_known_of_a_snapshot_that_is_begun_moves_nothing_that_is_packed(main: Path) -> None:
    away = _without_the_first(main)
    _begin(main)
    content = (main / "third.dat").resolve()
    content.parent.chmod(0o755)
    content.chmod(0o644)
    content.write_bytes(random.Random(4).randbytes(900))
    words = ("archive", "pack", "--json", "--write", "../new", "--piece-size", "16MiB")
    done = run(main, HOLD, *words, "--known", "../pieces", "--known", "../away")
    assert done.code == 1 and "third.dat" in done.text, done.text
    for piece in [*away.iterdir(), *(main.parent / "new").iterdir()]:
        piece.rename(main.parent / "pieces" / piece.name)
    for path in (main.parent / "pieces").glob("*.car"):
        hasher = PieceHasher(PLAIN)
        hasher.update(path.read_bytes())
        assert hasher.digest().v2 == path.stem
    out = main.parent / "out2"
    done = run(main.parent, HOLD, "archive", "restore", "pieces", "--at", "2", "--to", str(out))
    assert done.code == 3 and "1 of 12 items failed" in done.text, done.text


def test_what_becomes_known_of_a_snapshot_that_is_planned_alone_is_not_packed(main: Path) -> None:
    away = _without_the_first(main)
    words = ("archive", "pack", "--json", "--write", "../new", *SIZE, "--known", "../pieces")
    with open_dataset(main) as dataset:
        archive, options = archive_of(dataset), PackOptions(known=[str(main.parent / "pieces")])
        outcomes = iter_archive_pack(archive, piece_size=4 << 20, options=options)
        while next(outcomes).path != "known":
            pass
        outcomes.close()
    planned = must(main, HOLD, "archive", "plan", *SIZE, "--json").out
    assert len(planned.splitlines()) > 2
    must(main, HOLD, *words, "--known", str(away))
    assert sum(path.stat().st_size for path in (main.parent / "new").iterdir()) < 1_000_000


def test_pieces_of_another_data_set_are_refused(main: Path, tmp_path: Path) -> None:
    must(tmp_path, HOLD, "create", "-q", "stranger")
    (tmp_path / "stranger/file.txt").write_text("x")
    must(tmp_path / "stranger", HOLD, "save", "-q", "-m", "x")
    done = run(tmp_path / "stranger", HOLD, *PACK, "--known", "../pieces")
    assert (done.code == 4 and "H922" in done.text) or "is of another archive" in done.text, (
        done.text
    )
    # Beside them, it begins an archive of its own.
    done = must(tmp_path / "stranger", HOLD, *PACK)
    assert '"snapshot": 0' in done.out


def test_without_the_last_piece_of_the_newest_snapshot_nothing_is_packed(main: Path) -> None:
    shutil.rmtree(main / ".git/annex/hold-archive")
    listed = must(main.parent, HOLD, "archive", "restore", "pieces", "--list", "--json")
    [first, _] = [json.loads(line)["pieces"] for line in listed.out.splitlines()]
    for name in (*first[1:], json.loads(listed.out.splitlines()[1])["pieces"][0]):
        (main.parent / name).unlink()
    done: Ran = run(main, HOLD, *PACK)
    assert done.code == 3 and "is not here" in done.text, done.text


@pytest.mark.parametrize("damage", ["longer", "flipped", "footer", "header"])
def test_of_a_newest_piece_that_is_damaged_no_name_is_noted(main: Path, damage: str) -> None:
    shutil.rmtree(main / ".git/annex/hold-archive")
    listed = must(main.parent, HOLD, "archive", "restore", "pieces", "--list", "--json")
    last = main.parent / json.loads(listed.out.splitlines()[1])["pieces"][-1]
    data = bytearray(last.read_bytes())
    if damage == "longer":
        data += b"x"
    else:
        data[{"flipped": 1000, "footer": len(data) - 50, "header": 30}[damage]] ^= 1
    last.unlink()
    last.with_name("last").write_bytes(data)
    done: Ran = run(main, HOLD, *PACK)
    assert done.code == 1 and "/last " in done.text, done.text
    assert not (main / ".git/annex/hold-archive/snapshots").exists()


def test_a_newest_piece_under_any_name_is_noted_as_what_it_is(main: Path) -> None:
    notes = main / ".git/annex/hold-archive/snapshots"
    before = notes.read_text()
    shutil.rmtree(notes.parent)
    for number, piece in enumerate(sorted((main.parent / "pieces").iterdir())):
        piece.rename(piece.with_name(str(number)))
    must(main, HOLD, *PACK)
    told = [
        [json.loads(line)["piece"] for line in text.splitlines()]
        for text in (before, notes.read_text())
    ]
    assert told[0] == told[1]


def test_a_plain_folder_goes_on_with_its_snapshots(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/a").write_text("a")
    words = ("archive", "pack", "-q", "--folder", "scans", "--write", "pieces", *SIZE, "--state")
    must(tmp_path, HOLD, *words, "state")
    (tmp_path / "scans/b").write_text("b")
    must(tmp_path, HOLD, *words, "again", "--known", "pieces")
    listed = must(tmp_path, HOLD, "archive", "restore", "pieces", "--list", "--json")
    assert [json.loads(line)["snapshot"] for line in listed.out.splitlines()] == [0, 1]
