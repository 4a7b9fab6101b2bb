"""A place made of damaged pieces gives what is whole in them, and never says more than it can prove."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from piece_forger import Forger, forge_snapshot
from scenes import HOLD, contents, must, run
from test_pieces_faults import content, flip, place, presence

from holdfast.archive import piece_ends
from holdfast.archive.piece_ends import FoundPiece, salvage_end
from holdfast.archive.pieces import FilePiece
from holdfast.archive.pieces_store import PiecesStore
from holdfast.core.errors import HoldError
from holdfast.core.key import Key
from holdfast.core.place import Presence
from holdfast.testing.store_contract import key_of
from holdfast.wire.archive_manifest import FOOTER_SIZE, Footer, decode_footer

LARGE = random.Random(2).randbytes(2_600_000)
SMALL = {key_of(b"%04d" % n + b"." * 3000): b"%04d" % n + b"." * 3000 for n in range(30)}
SUMMED = random.Random(5).randbytes(50_000)
BY_SUM = Key(b"MD5E-s50000--%s.dat" % hashlib.md5(SUMMED).hexdigest().encode())
LARGE_KEY = key_of(LARGE, b".dat")
HASHED = {LARGE_KEY: LARGE, BY_SUM: SUMMED, **SMALL}
UNHASHED = {Key(b"WORM-s9-m1--nine"): b"ninebytes"}
OTHER = {key_of(b"in a whole piece"): b"in a whole piece"}
Damage = Callable[[Path, Footer], None]


def footer_of(path: Path) -> Footer:
    data = path.read_bytes()
    return decode_footer(data[-FOOTER_SIZE:], len(data))


def no_footer(path: Path, footer: Footer) -> None:
    flip(path, path.stat().st_size - 50)


def no_manifest(path: Path, footer: Footer) -> None:
    flip(path, footer.manifest_offset + footer.manifest_length // 2)


def no_rows(path: Path, footer: Footer) -> None:
    flip(path, footer.index_offset + 60)


def no_end(path: Path, footer: Footer) -> None:
    no_footer(path, footer)
    no_manifest(path, footer)


def nothing(path: Path, footer: Footer) -> None:
    no_end(path, footer)
    no_rows(path, footer)


def cut_before_index(path: Path, footer: Footer) -> None:
    os.truncate(path, footer.index_offset)


def cut_by_a_byte(path: Path, footer: Footer) -> None:
    os.truncate(path, path.stat().st_size - 1)


WITH_ROWS = (no_footer, no_manifest, no_end, cut_by_a_byte)
WITHOUT_ROWS = (no_rows, nothing, cut_before_index)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """The piece that is to be damaged; another is beside it."""
    folder = tmp_path / "pieces"
    folder.mkdir()
    _, ref = forge_snapshot(folder, OTHER, 0, ())
    path, _ = forge_snapshot(folder, {**HASHED, **UNHASHED}, 1, (ref,))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PiecesStore]:
    """Opened when it is first asked."""
    found = place(tmp_path / "annex", directory=str(tmp_path / "pieces"), dataset="id")
    yield found
    found.close()


@pytest.mark.parametrize("damage", WITH_ROWS)
def test_where_the_end_is_damaged_all_that_rows_tell_is_there(
    store: PiecesStore, damaged: Path, damage: Damage
) -> None:
    damage(damaged, footer_of(damaged))
    for key, data in {**HASHED, **UNHASHED, **OTHER}.items():
        assert presence(store, key) is Presence.PRESENT
        assert content(store, key) == data
    assert any(damaged.name in error.what for error in store.index.faults)


@pytest.mark.parametrize("damage", WITHOUT_ROWS)
def test_where_rows_are_lost_all_that_a_hash_proves_is_there_and_nothing_else(
    store: PiecesStore, damaged: Path, damage: Damage
) -> None:
    damage(damaged, footer_of(damaged))
    for key, data in {**HASHED, **OTHER}.items():
        assert presence(store, key) is Presence.PRESENT
        assert content(store, key) == data
    # Its bytes are there; that they are its own nothing proves.
    [unhashed] = UNHASHED
    assert presence(store, unhashed) is Presence.UNKNOWN
    with pytest.raises(HoldError, match=f"{damaged.name} is damaged at byte"):
        content(store, unhashed)
    assert presence(store, key_of(b"never packed")) is Presence.UNKNOWN


@pytest.mark.parametrize("damage", [no_rows, nothing])
def test_content_with_a_flipped_bit_whose_row_is_lost_is_no_copy(
    store: PiecesStore, damaged: Path, damage: Damage
) -> None:
    data = damaged.read_bytes()
    small = next(iter(SMALL))
    flip(damaged, data.index(LARGE[2_000_000:2_000_100]))
    flip(damaged, data.index(SMALL[small]) + 2000)
    flip(damaged, data.index(SUMMED) + 1)
    damage(damaged, footer_of(damaged))
    for key in (LARGE_KEY, small, BY_SUM):
        assert presence(store, key) is Presence.UNKNOWN
        with pytest.raises(HoldError):
            content(store, key)
    for key in list(SMALL)[1:]:
        assert content(store, key) == SMALL[key]


def test_a_piece_cut_in_the_middle_gives_what_stands_before_the_cut(
    store: PiecesStore, damaged: Path
) -> None:
    data = damaged.read_bytes()
    keys = list(SMALL)
    os.truncate(damaged, data.index(SMALL[keys[10]]) + 1500)
    there = {LARGE_KEY, BY_SUM, *keys[:10]}
    for key, wanted in HASHED.items():
        if key in there:
            assert presence(store, key) is Presence.PRESENT
            assert content(store, key) == wanted
        else:
            assert presence(store, key) is Presence.UNKNOWN


def test_what_was_found_is_looked_at_again_each_time_it_is_asked_for(
    store: PiecesStore, damaged: Path
) -> None:
    nothing(damaged, footer_of(damaged))
    small = next(iter(SMALL))
    assert presence(store, small) is presence(store, LARGE_KEY) is Presence.PRESENT
    at = damaged.read_bytes().index(SMALL[small])
    flip(damaged, at + 100)
    assert presence(store, small) is not Presence.PRESENT
    assert presence(store, LARGE_KEY) is Presence.PRESENT
    damaged.unlink()
    assert presence(store, LARGE_KEY) is not Presence.PRESENT
    assert presence(store, next(iter(OTHER))) is Presence.PRESENT


def test_where_nothing_but_damaged_pieces_is_left_they_are_used_all_the_same(
    store: PiecesStore, damaged: Path
) -> None:
    for path in damaged.parent.iterdir():
        if path != damaged:
            path.unlink()
    no_manifest(damaged, footer_of(damaged))
    for key, data in {**HASHED, **UNHASHED}.items():
        assert content(store, key) == data


def test_a_piece_inside_of_a_file_is_not_taken_for_the_piece(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", Forger()
    inside = Forger()
    inside.annexed(b"files/x", key_of(b"inside"), b"inside")
    inside.write(inner, inside.folder([]))
    data = inner.read_bytes()
    outer.annexed(b"files/inner", key_of(data), data)
    path = tmp_path / "outer"
    outer.write(path, outer.folder([]))
    no_end(path, footer_of(path))
    assert salvage_end(FilePiece(os.fsencode(path))) is None
    whole = tmp_path / "whole"
    outer = Forger()
    outer.annexed(b"files/inner", key_of(data), data)
    outer.write(whole, outer.folder([]))
    no_footer(whole, footer_of(whole))
    found = salvage_end(FilePiece(os.fsencode(whole)))
    assert isinstance(found, FoundPiece)
    assert [part.first for part in found.manifest.parts] == [b"files/inner"]


def test_of_a_large_piece_without_a_footer_only_the_end_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forger = Forger()
    for number in range(6):
        data = random.Random(number).randbytes(2_000_000)
        forger.annexed(b"files/%d" % number, key_of(data), data)
    path = tmp_path / "piece"
    forger.write(path, forger.folder([]))
    no_footer(path, footer_of(path))
    monkeypatch.setattr(piece_ends, "_TAIL", 1 << 20)
    asked: list[int] = []
    real = FilePiece.iter_range

    def iter_range(self: FilePiece, offset: int, length: int) -> Iterator[bytes]:
        asked.append(length)
        return real(self, offset, length)

    monkeypatch.setattr(FilePiece, "iter_range", iter_range)
    assert isinstance(salvage_end(FilePiece(os.fsencode(path))), FoundPiece)
    assert sum(asked) < 2 << 20


# as people use it


@pytest.mark.parametrize("damage", [no_manifest, no_rows, nothing])
def test_a_clone_gets_its_content_from_damaged_pieces(tmp_path: Path, damage: Damage) -> None:
    main, chance = tmp_path / "main", random.Random(7)
    must(tmp_path, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    for number, size in enumerate((5, 40_000, 1_400_000, 2_900_000)):
        (main / f"{number}.dat").write_bytes(chance.randbytes(size))
    must(main, HOLD, "save", "-q", "-m", "all")
    must(main, HOLD, "archive", "pack", "-q", "--write", "../pieces", "--piece-size", "4MiB")
    must(tmp_path, HOLD, "clone", "-q", "main", "clone")
    clone = tmp_path / "clone"
    must(clone, "git", "remote", "remove", "origin")
    must(clone, HOLD, "archive", "place", "-q", "cold", "../pieces")
    for path in (tmp_path / "pieces").iterdir():
        damage(path, footer_of(path))
    # The ledger is told that nothing of it is gone, and of the damage.
    done = run(clone, HOLD, "archive", "place", "cold")
    assert done.code == 1 and "is damaged at byte" in done.text, done.text
    assert "are gone" not in done.text
    must(clone, HOLD, "get", "-q")
    assert contents(clone) == contents(main)
    # A place that is made of them only now is told of what is in them.
    must(clone, HOLD, "drop", "-q", "--force", "a test", ".")
    if damage is no_rows:
        done = run(clone, HOLD, "archive", "place", "late", "../pieces", "--json")
        assert done.code == 1 and '"recorded": 4' in done.out, done.text
        must(clone, HOLD, "get", "-q", "--from", "late")
        assert contents(clone) == contents(main)
    else:  # nothing tells of which data set they are
        done = run(clone, HOLD, "archive", "place", "late", "../pieces")
        assert done.code == 1 and "is damaged at byte" in done.text, done.text
        assert "late" not in must(clone, "git", "remote").out
