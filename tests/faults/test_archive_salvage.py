"""Pieces whose index is damaged: what is provable is restored, what is not is listed."""

from __future__ import annotations

import os
import random
import shutil
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from archive_scene import served
from depth import times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from piece_anatomy import Anatomy, Range
from scenes import HOLD, must, run

from holdfast.api.archive_restore import iter_archive_restore
from holdfast.core.errors import HoldError
from holdfast.core.outcome import Outcome, Report, watch

Damage = dict[Path, Callable[[bytes], bytes]]
Hits = Mapping[Path, Sequence[int]]
"""Where each piece has other bytes, in order."""


@dataclass(repr=False)
class Scene:
    """A plain folder in pieces, and what it is made of."""

    scans: Path
    pieces: list[Path]
    anatomy: Anatomy

    @property
    def last(self) -> Path:
        return self.anatomy.last


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("salvage")
    chance = random.Random(9)
    scans = folder / "scans"
    (scans / "a/deep").mkdir(parents=True)
    for number in range(12):
        (scans / f"a/{number:02}").write_bytes(chance.randbytes(chance.randrange(1, 90_000)))
        (scans / f"a/deep/{number:02}").write_bytes(chance.randbytes(300))
    for number in range(3):
        (scans / f"b{number}").write_bytes(chance.randbytes(2_500_000 + number))
    (scans / "link").symlink_to("a/01")
    (scans / "z").write_bytes(b"last")
    must(folder, HOLD, "archive", "pack", "-q", "--folder", "scans", "--state", "state", "--write",
         "pieces", "--piece-size", "4MiB")  # fmt: skip
    pieces = sorted((folder / "pieces").iterdir())
    return Scene(scans, pieces, Anatomy.of(pieces))


def _look(folder: Path) -> dict[str, bytes]:
    """All files and symlinks of a folder."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = b"-> " + os.fsencode(os.readlink(path))
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def _flip(*places: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        out = bytearray(data)
        for place in places:
            out[place] ^= 1 << place % 8
        return bytes(out)

    return change


def _damaged(scene: Scene, folder: Path, damage: Damage) -> None:
    folder.mkdir()
    for path in scene.pieces:
        change = damage.get(path, lambda data: data)
        if data := change(path.read_bytes()):
            (folder / path.name).write_bytes(data)


def _restore(folder: Path) -> tuple[str, int]:
    """What was told, and the exit code."""
    report, outcomes = Report(), list[Outcome]()
    try:
        target = os.fsencode(folder / "out")
        outcomes += watch(iter_archive_restore([str(folder / "pieces")], target), report)
    except HoldError as error:
        return f"{_text(outcomes)}\n{error.what} {error.why}", error.exit_code
    return _text(outcomes), report.exit_code


def _text(outcomes: Iterable[Outcome]) -> str:
    return "\n".join(
        f"{one.path} {one.note} {one.error.what if one.error else ''}" for one in outcomes
    )


def _check(scene: Scene, folder: Path, wanted: set[str]) -> tuple[str, int]:
    """All that is wanted is restored, nothing is wrong, and what is not there is listed."""
    text, code = _restore(folder)
    truth = _look(scene.scans)
    found = _look(folder / "out") if (folder / "out").exists() else {}
    assert found.items() <= truth.items()
    assert wanted <= found.keys(), (wanted - found.keys(), text)
    assert set(os.listdir(folder)) <= {"pieces", "out"}
    for path in truth.keys() - found.keys():
        names = [path, *(str(one) for one in Path(path).parents), "the root"]
        assert any(name in text for name in names), (path, text)
    if truth.keys() - found.keys():
        assert code, text
    return text, code


def _whole(ranges: Iterable[Range], hits: Hits) -> bool:
    return not any(_is_hit(one, hits.get(one.piece, ())) for one in ranges)


def _is_hit(one: Range, places: Sequence[int]) -> bool:
    first = bisect_left(places, one.start)
    return first < len(places) and places[first] < one.end


def _provable(scene: Scene, hits: Hits) -> set[str]:
    """The files that have to come out when these bytes are changed."""
    body, last = scene.anatomy, scene.last
    knows_root = _whole([body.manifest_at[last]], hits) or (
        _whole([body.headers[last], *body.readme], hits)
    )
    by_row = set[str]()
    for piece in scene.pieces:
        if _whole([body.manifest_at[piece]], hits):
            for part, paths in body.parts[piece]:
                if _whole([part], hits):
                    by_row |= paths
    found = set()
    for path, blocks in body.files.items():
        by_tree = _whole(body.folders[path], hits)
        if knows_root and _whole(blocks, hits) and (by_tree or f"files/{path}" in by_row):
            found.add(path)
    return found


def _middle(one: Range) -> int:
    return (one.start + 40 + one.end) // 2


def _places(scene: Scene) -> dict[str, tuple[Path, int]]:
    body, last = scene.anatomy, scene.last
    other = next(path for path in scene.pieces if path != last)
    return {
        "rows": (other, _middle(body.parts[other][0][0])),
        "rows of the last": (last, _middle(body.parts[last][0][0])),
        "manifest": (other, _middle(body.manifest_at[other])),
        "manifest of the last": (last, _middle(body.manifest_at[last])),
        "footer": (other, body.footer_at[other].end - 90),
        "footer of the last": (last, body.footer_at[last].end - 50),
        "folder": (body.folders["a/deep/00"][-1].piece, _middle(body.folders["a/deep/00"][-1])),
        "root": (body.folders["z"][0].piece, _middle(body.folders["z"][0])),
        "leaf": (body.files["b1"][1].piece, _middle(body.files["b1"][1])),
        "length of a leaf": (body.files["a/05"][0].piece, body.files["a/05"][0].start),
        "head of a part": (last, body.parts[last][0][0].start),
        "header": (last, 30),
    }  # fmt: skip


_CASES = (
    "rows", "rows of the last", "manifest", "manifest of the last", "footer", "footer of the last",
    "folder", "root", "leaf", "length of a leaf", "head of a part", "header",
)  # fmt: skip


@pytest.mark.parametrize("case", _CASES)
def test_a_flipped_bit_costs_the_files_whose_own_blocks_it_hits_and_no_others(
    scene: Scene, tmp_path: Path, case: str
) -> None:
    piece, place = _places(scene)[case]
    _damaged(scene, tmp_path / "pieces", {piece: _flip(place)})
    wanted = _provable(scene, {piece: [place]})
    assert len(wanted) >= len(scene.anatomy.files) - 1
    text, code = _check(scene, tmp_path, wanted)
    if case in ("header", "head of a part"):  # nothing leads by these
        assert code == 0, text
    else:
        assert code == 1 and f"{piece.name} is damaged at byte" in text, text


def test_all_parts_of_rows_and_manifests_at_once_cost_nothing_but_modes(
    scene: Scene, tmp_path: Path
) -> None:
    body = scene.anatomy
    damage: Damage = {}
    for piece in scene.pieces:
        at = [_middle(part) for part, _ in body.parts[piece]]
        damage[piece] = _flip(*at, _middle(body.manifest_at[piece]))
    _damaged(scene, tmp_path / "pieces", damage)
    text, code = _check(scene, tmp_path, set(body.files))
    assert code == 1
    assert f"{len(body.files)} files were found by their blocks" in text, text


@pytest.mark.parametrize("tenth", range(10))
def test_a_last_piece_that_is_cut_off_costs_what_is_behind_the_cut(
    scene: Scene, tmp_path: Path, tenth: int
) -> None:
    last = scene.last
    size = last.stat().st_size
    end = scene.anatomy.manifest_at[last].start
    cut = [size - 1, size - 50, size - 130, end + 10, end, size // 2, size // 3, 60, 30, 1][tenth]
    _damaged(scene, tmp_path / "pieces", {last: lambda data: data[:cut]})
    hits = {last: range(cut, size)}
    text, code = _check(scene, tmp_path, _provable(scene, hits) if cut >= end else set())
    assert code in (1, 3), text
    if cut >= end:
        assert set(_look(tmp_path / "out")) == set(scene.anatomy.files)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.8, 0.98])
def test_another_piece_that_is_cut_off_costs_what_is_behind_the_cut(
    scene: Scene, tmp_path: Path, share: float
) -> None:
    piece = next(path for path in scene.pieces if path != scene.last)
    size = piece.stat().st_size
    cut = int(size * share)
    _damaged(scene, tmp_path / "pieces", {piece: lambda data: data[:cut]})
    wanted = _provable(scene, {piece: range(cut, size)})
    assert wanted
    text, code = _check(scene, tmp_path, wanted)
    assert code in (1, 3) and f"{piece.name} is damaged at byte" in text, text


@pytest.mark.parametrize("more", [-133, -97, -1, 1, 97, 3_000_000])
@pytest.mark.parametrize("number", range(2))
def test_a_footer_that_is_cut_short_or_followed_by_something_costs_nothing(
    scene: Scene, tmp_path: Path, number: int, more: int
) -> None:
    piece = scene.pieces[number]
    change = (lambda data: data[:more]) if more < 0 else (lambda data: data + bytes(more))
    _damaged(scene, tmp_path / "pieces", {piece: change})
    text, code = _check(scene, tmp_path, set(scene.anatomy.files))
    assert code == 1 and f"{piece.name} is damaged at byte" in text, text
    assert "another archive" not in text and "is not here" not in text, text


def test_a_piece_that_is_gone_costs_what_is_in_it(scene: Scene, tmp_path: Path) -> None:
    piece = next(path for path in scene.pieces if path != scene.last)
    _damaged(scene, tmp_path / "pieces", {piece: lambda _: b""})
    wanted = _provable(scene, {piece: range(piece.stat().st_size)})
    text, code = _check(scene, tmp_path, wanted)
    assert code == 3 and piece.stem in text, text


def test_modes_are_those_of_the_rows_where_these_are_whole(scene: Scene, tmp_path: Path) -> None:
    last, body = scene.last, scene.anatomy
    (scene.scans / "z").chmod(0o600)  # not what was packed
    _damaged(scene, tmp_path / "pieces", {last: _flip(_middle(body.manifest_at[last]))})
    _check(scene, tmp_path, set(body.files))
    assert (tmp_path / "out/z").stat().st_mode & 0o777 == 0o644


def test_pieces_at_urls_are_gone_through_by_ranges(scene: Scene, tmp_path: Path) -> None:
    body = scene.anatomy
    damage: Damage = {}
    for piece in scene.pieces:
        damage[piece] = _flip(_middle(body.parts[piece][0][0]), _middle(body.manifest_at[piece]))
    _damaged(scene, tmp_path / "pieces", damage)
    with served(tmp_path / "pieces") as (url, asked):
        urls = [f"{url}/{piece.name}" for piece in scene.pieces]
        done = run(tmp_path, HOLD, "-c", "annex.security.allowed-ip-addresses=127.0.0.1", "archive",
                   "restore", *urls, "--to", "out")  # fmt: skip
    assert done.code == 1 and "is damaged at byte" in done.text, done.text
    assert _look(tmp_path / "out") == _look(scene.scans), done.text
    # Gone through twice, 64 KiB at a time, and read.
    sizes = [piece.stat().st_size for piece in scene.pieces]
    windows = sum(size // 65_536 + 1 for size in sizes)
    assert len(asked) < 2 * windows + len(body.blocks) + 10 * len(sizes)
    assert sum(asked) < 2.5 * sum(sizes)


def test_a_drill_proves_what_is_found_by_its_blocks(scene: Scene, tmp_path: Path) -> None:
    piece, place = _places(scene)["rows"]
    _damaged(scene, tmp_path / "pieces", {piece: _flip(place)})
    done = run(tmp_path, HOLD, "archive", "drill", "pieces", "--sample", "1000")
    assert done.code == 1, done.text
    count = len(scene.anatomy.files)
    assert f"{count} of {count} files" in done.text, done.text
    assert "were found by their blocks" in done.text


def test_a_split_file_is_found_where_its_folder_and_a_part_of_its_rows_are_lost(
    scene: Scene, tmp_path: Path
) -> None:
    body, last = scene.anatomy, scene.last
    other = next(path for path in scene.pieces if path != last)
    split = next(
        path for path, at in body.files.items() if {one.piece for one in at} == {other, last}
    )
    folder = body.folders[split][-1]
    hits = {other: [_middle(body.parts[other][0][0])], folder.piece: [folder.start]}
    _damaged(scene, tmp_path / "pieces", {path: _flip(*at) for path, at in hits.items()})
    wanted = _provable(scene, hits)
    assert split in wanted
    _check(scene, tmp_path, wanted)


@settings(
    max_examples=times(8, 400), deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture], report_multiple_bugs=False,
)  # fmt: skip
@given(data=st.data())
def test_whatever_bits_flip_nothing_is_wrong_and_all_that_is_provable_is_there(
    scene: Scene, tmp_path: Path, data: st.DataObject
) -> None:
    damage: Damage = {}
    hits: dict[Path, list[int]] = {}
    for _ in range(data.draw(st.integers(1, 4))):
        piece = data.draw(st.sampled_from(scene.pieces))
        size = piece.stat().st_size
        # Half of them where the index is.
        index = scene.anatomy.parts[piece][0][0].start
        start = data.draw(st.sampled_from([0, index - 3000, index]))
        hits.setdefault(piece, []).append(data.draw(st.integers(max(0, start), size - 1)))
    for piece, places in hits.items():
        hits[piece] = places = sorted(set(places))
        damage[piece] = _flip(*places)
    folder = tmp_path / "example"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    _damaged(scene, folder / "pieces", damage)
    _check(scene, folder, _provable(scene, hits))
