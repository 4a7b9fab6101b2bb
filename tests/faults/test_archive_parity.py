"""Parity of pieces: any m are computed again, and nothing wrong is, whatever is lost or damaged."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from depth import DEEP
from scenes import HOLD, Ran, environment, hold, must
from warm_hold import run_program

from holdfast.core.errors import ProtocolError
from holdfast.wire.car import CarReader
from holdfast.wire.parity import SEGMENT, decode_parity_head
from holdfast.wire.piece import commit

pytest.importorskip("pyeclib")

SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.randrange(1 << 30)
KILL_AT = Path(__file__).with_name("kill_at.py")
START = b"\x3a\xa2\x65roots"
SIZES = (2_500_000, 70_000, 3 * SEGMENT - 1, 1_000, SEGMENT)


def _write(folder: Path, content: bytes) -> Path:
    path = folder / f"{commit(content).v2}.car"
    path.write_bytes(content)
    return path


def _pieces(folder: Path, seed: int = 5) -> list[Path]:
    """Files that begin as pieces do: what is in them matters to nobody here."""
    folder.mkdir()
    chance = random.Random(seed)
    return [_write(folder, START + chance.randbytes(size - len(START))) for size in SIZES]


def _all(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _records(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.out.splitlines()]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pieces in a group of four and one of one, with two of parity each."""
    folder = tmp_path_factory.mktemp("parity")
    _pieces(folder / "pieces")
    must(folder, HOLD, "archive", "parity", "pieces", "--parity", "4+2")
    return folder


@pytest.fixture
def pieces(scene: Path, tmp_path: Path) -> Path:
    shutil.copytree(scene / "pieces", tmp_path / "pieces")
    return tmp_path / "pieces"


def _groups(pieces: Path) -> list[tuple[list[str], list[str]]]:
    """The members of each group, and its parity pieces in order."""
    found: dict[bytes, tuple[list[str], dict[int, str]]] = {}
    for path in pieces.glob("*.car"):
        try:
            head = decode_parity_head(path.read_bytes()[: 64 << 10])
        except ProtocolError:
            continue
        names = [f"{member.text}.car" for member in head.group.members]
        found.setdefault(head.group.cid, (names, {}))[1][head.number] = path.name
    pairs = [(names, [parities[n] for n in sorted(parities)]) for names, parities in found.values()]
    return sorted(pairs, key=lambda pair: -len(pair[0]))


def test_pieces_stay_as_they_are_and_parity_pieces_are_sound_cars(scene: Path) -> None:
    plain = _pieces(scene / "again")
    for path in plain:
        assert (scene / "pieces" / path.name).read_bytes() == path.read_bytes()
    (four, parities), (one, others) = _groups(scene / "pieces")
    assert (len(four), len(parities), len(one), len(others)) == (4, 2, 1, 2)
    for name in (*parities, *others):
        content = (scene / "pieces" / name).read_bytes()
        assert name == f"{commit(content).v2}.car"
        blocks = list(CarReader([content]))  # checks every block
        data = blocks[2:]
        longest = max(
            (scene / "pieces" / n).stat().st_size for n in (four if name in parities else one)
        )
        assert sum(len(section.block) for section in data) == longest


def test_any_two_of_a_group_are_computed_again(pieces: Path) -> None:
    before = _all(pieces)
    (four, parities), _ = _groups(pieces)
    members = [*four, *parities]
    # Without any parity, nothing tells of the group: `hold archive parity` makes it again.
    pairs = [(a, b) for a in range(6) for b in range(a) if b < len(four)]
    for pair in pairs if DEEP else random.Random(SEED).sample(pairs, 4):
        for number in pair:
            (pieces / members[number]).unlink()
        ran = must(pieces.parent, HOLD, "archive", "rebuild", "pieces", "--json")
        back = {r["path"] + ".car" for r in _records(ran) if r["status"] == "ok"}
        assert back == {members[number] for number in pair}, (pair, SEED)
        assert _all(pieces) == before


def test_damaged_pieces_count_as_lost(pieces: Path) -> None:
    before = _all(pieces)
    (four, parities), _ = _groups(pieces)
    for name in (four[0], parities[1]):
        content = bytearray(before[name])
        content[len(content) // 2] ^= 0x40
        (pieces / name).write_bytes(content)
    ran = must(pieces.parent, HOLD, "archive", "rebuild", "pieces", "--json")
    assert {r["path"] + ".car" for r in _records(ran) if r["status"] == "ok"} == {
        four[0], parities[1],
    }  # fmt: skip
    assert _all(pieces) == before


def test_parity_whose_head_is_damaged_is_made_again_and_all_is_well(pieces: Path) -> None:
    before = _all(pieces)
    (_, parities), (_, others) = _groups(pieces)
    content = bytearray(before[parities[0]])
    content[200] ^= 1
    (pieces / parities[0]).write_bytes(content)
    must(pieces.parent, HOLD, "archive", "rebuild", "pieces")
    assert _all(pieces) == before
    # Where nothing else tells of its group it is not made, which is told.
    (pieces / parities[0]).write_bytes(content)
    (pieces / parities[1]).unlink()
    assert hold(pieces.parent, "archive", "rebuild", "pieces").code == 1
    for name in others:
        (pieces / name).unlink()
    assert hold(pieces.parent, "archive", "rebuild", "pieces").code == 1


def test_a_piece_under_the_name_of_one_that_is_lost_is_not_lost_for_it(pieces: Path) -> None:
    before = _all(pieces)
    (four, _), _ = _groups(pieces)
    (pieces / four[1]).rename(pieces / four[0])
    must(pieces.parent, HOLD, "archive", "rebuild", "pieces")
    left = _all(pieces)
    assert left[four[0]] == before[four[0]]
    assert {*left.values()} == {*before.values()}


def test_a_link_under_the_name_of_a_lost_piece_gives_way_and_not_what_it_leads_to(
    pieces: Path,
) -> None:
    before = _all(pieces)
    (four, _), _ = _groups(pieces)
    (pieces / four[1]).rename(pieces.parent / "elsewhere.car")
    (pieces / four[0]).unlink()
    (pieces / four[0]).symlink_to("../elsewhere.car")
    must(pieces.parent, HOLD, "archive", "rebuild", "pieces", "elsewhere.car")
    assert (pieces.parent / "elsewhere.car").read_bytes() == before[four[1]]
    assert not (pieces / four[0]).is_symlink()
    del before[four[1]]
    assert _all(pieces) == before


def test_parity_pieces_that_changed_names_are_what_they_are(pieces: Path) -> None:
    before = _all(pieces)
    (four, parities), _ = _groups(pieces)
    for name in four[:2]:
        (pieces / name).unlink()
    (pieces / parities[0]).rename(pieces / "held")
    (pieces / parities[1]).rename(pieces / parities[0])
    (pieces / "held").rename(pieces / parities[1])
    must(pieces.parent, HOLD, "archive", "rebuild", "pieces")
    left = _all(pieces)
    assert {name: left[name] for name in four} == {name: before[name] for name in four}
    assert {*left.values()} == {*before.values()}


def test_one_lost_too_many_is_told_and_nothing_is_touched(pieces: Path) -> None:
    (four, parities), _ = _groups(pieces)
    for name in (four[1], four[2], parities[0]):
        (pieces / name).unlink()
    left = _all(pieces)
    ran = hold(pieces.parent, "archive", "rebuild", "pieces", "--json")
    assert ran.code == 3, ran.text
    [record] = [r for r in _records(ran) if r["status"] == "impossible"]
    assert record["error"]["code"] == "H941"
    assert set(record["lost"]) >= {four[1].removesuffix(".car"), four[2].removesuffix(".car")}
    assert len(record["lost"]) == 3
    assert {Path(name).name for name in record["whole"]} == {four[0], four[3], parities[1]}
    assert record["needed"] == 4
    assert _all(pieces) == left


def test_pieces_and_parity_of_other_groups_do_not_disturb(pieces: Path) -> None:
    before = _all(pieces)
    _pieces(pieces.parent / "others", seed=6)
    must(pieces.parent, HOLD, "archive", "parity", "others", "--parity", "3+1")
    (four, _), _ = _groups(pieces)
    (pieces / four[2]).unlink()
    # Another piece under the name of the one that is lost.
    shutil.copy(next((pieces.parent / "others").glob("*.car")), pieces / four[2])
    words = ["archive", "rebuild", "pieces", "others", "--write", "back", "--json"]
    must(pieces.parent, HOLD, *words)
    assert _all(pieces.parent / "back") == {four[2]: before[four[2]]}


def test_no_parity_is_made_of_a_damaged_piece(tmp_path: Path) -> None:
    paths = _pieces(tmp_path / "pieces")
    content = bytearray(paths[0].read_bytes())
    content[-1] ^= 1
    paths[0].write_bytes(content)
    before = set(_all(tmp_path / "pieces"))
    ran = hold(tmp_path, "archive", "parity", "pieces", "--parity", "5+1", "--json")
    assert ran.code == 1, ran.text
    assert [r["error"]["code"] for r in _records(ran) if "error" in r] == ["H920"]
    assert set(_all(tmp_path / "pieces")) == before


def test_made_again_it_makes_only_what_lacks(pieces: Path) -> None:
    before = _all(pieces)
    _, (_, others) = _groups(pieces)
    (pieces / others[0]).unlink()
    ran = must(pieces.parent, HOLD, "archive", "parity", "pieces", "--parity", "9+1", "--json")
    assert [r["path"] + ".car" for r in _records(ran)] == [others[0]]
    assert _all(pieces) == before
    again = must(pieces.parent, HOLD, "archive", "parity", "pieces", "--parity", "9+1", "--json")
    assert [r["status"] for r in _records(again)] == ["notneeded"]


@pytest.mark.parametrize("work", ["parity", "rebuild"])
def test_killed_before_any_change_it_comes_to_the_same_end(
    work: str, scene: Path, tmp_path: Path
) -> None:
    print(f"FAULTS_SEED={SEED}")
    whole = _all(scene / "pieces")
    (four, parities), (_, others) = _groups(scene / "pieces")
    lost = [*parities, *others] if work == "parity" else [four[0], parities[0]]
    words = ["archive", work, "pieces", *(["--parity", "4+2"] if work == "parity" else [])]

    def begin(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(scene / "pieces", folder / "pieces")
        for one in lost:
            (folder / "pieces" / one).unlink()
        return folder

    (tmp_path / "elsewhere").mkdir()
    told = environment() | {"TMPDIR": str(tmp_path / "elsewhere")}

    def run_at(folder: Path, point: int) -> int:
        call = [sys.executable, str(KILL_AT), str(folder / "count"), str(point), *words]
        return run_program(call, folder, told).returncode

    folder = begin("count")
    assert run_at(folder, 0) == 0
    changes = int((folder / "count").read_text())
    assert changes >= len(lost)
    points = range(1, changes + 1)
    for point in points if DEEP else random.Random(SEED).sample(points, min(5, changes)):
        folder = begin(f"at-{point}")
        assert run_at(folder, point) == -signal.SIGKILL
        assert os.listdir(tmp_path / "elsewhere") == [], (point, SEED)
        for path in (folder / "pieces").iterdir():
            assert path.name.startswith(".hold-parity-") or path.read_bytes() == whole[path.name]
        must(folder, HOLD, *words)
        assert _all(folder / "pieces") == whole, (point, SEED)


def test_restore_passes_parity_over(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/a").write_bytes(random.Random(1).randbytes(5_000_000))
    words = ["--folder", "plain", "--state", "state", "--piece-size", "4MiB", "--parity", "2+1"]
    must(tmp_path, HOLD, "archive", "pack", *words, "--write", "pieces")
    assert len(_groups(tmp_path / "pieces")) == 1
    ran = must(tmp_path, HOLD, "archive", "restore", "pieces", "--to", "back", "--json")
    assert [r for r in _records(ran) if r["status"] not in ("ok", "notneeded")] == []
    assert (tmp_path / "back/a").read_bytes() == (tmp_path / "plain/a").read_bytes()


@pytest.mark.parametrize("wish", ["4", "4+0", "0+2", "200+56", "4-2", "+"])
def test_numbers_that_make_no_group_are_refused(wish: str, tmp_path: Path) -> None:
    _pieces(tmp_path / "pieces")
    ran = hold(tmp_path, "archive", "parity", "pieces", "--parity", wish)
    assert (ran.code, "H103" in ran.err) == (2, True), ran.text
