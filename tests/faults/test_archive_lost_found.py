"""What is whole in damaged pieces though nothing proves its name: given where it is asked for."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from archive_scene import archived, copy_pieces
from piece_anatomy import Anatomy, Range
from scenes import HOLD, Ran, contents, must, run

from holdfast.wire.cid import cid_text


@dataclass(repr=False)
class Scene:
    """A folder, or a data set, and its pieces."""

    main: Path
    pieces: list[Path]
    anatomy: Anatomy


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("scans")
    chance = random.Random(3)
    main = folder / "scans"
    (main / "a/deep").mkdir(parents=True)
    for number in range(6):
        (main / f"a/{number}").write_bytes(chance.randbytes(20_000 + number))
        (main / f"a/deep/{number}").write_bytes(chance.randbytes(300))
    (main / "a/large").write_bytes(chance.randbytes(2_500_000))
    (main / "a/link").symlink_to("deep/1")
    for number in range(2):
        (main / f"z{number}").write_bytes(chance.randbytes(2_300_000))
    must(folder, HOLD, "archive", "pack", "-q", "--folder", "scans", "--state", "state", "--write",
         "pieces", "--piece-size", "4MiB")  # fmt: skip
    pieces = sorted((folder / "pieces").iterdir())
    return Scene(main, pieces, Anatomy.of(pieces))


@pytest.fixture(scope="module")
def worms(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A data set whose keys have no hash."""
    folder = tmp_path_factory.mktemp("worms")
    main, chance = folder / "main", random.Random(4)
    must(folder, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    (main / ".gitattributes").write_text("* annex.backend=WORM\n")
    (main / "sub").mkdir()
    for number, size in enumerate((10, 70_000, 1_300_000)):
        (main / f"sub/{number}.worm").write_bytes(chance.randbytes(size))
    must(main, HOLD, "save", "-q", "-m", "all")
    must(main, HOLD, "archive", "pack", "-q", "--write", "../pieces", "--piece-size", "4MiB")
    pieces = sorted((folder / "pieces").iterdir())
    return Scene(main, pieces, Anatomy.of(pieces))


def _damage(scene: Scene, folder: Path, what: Callable[[Path], list[Range]]) -> None:
    """Copy the pieces, with a bit flipped in each of these ranges."""
    (folder / "pieces").mkdir()
    for path in scene.pieces:
        data = bytearray(path.read_bytes())
        for one in what(path):
            data[(one.start + 40 + one.end) // 2] ^= 1
        (folder / "pieces" / path.name).write_bytes(data)


def _restore(folder: Path, *words: str) -> Ran:
    done = run(folder, HOLD, "archive", "restore", "pieces", "--to", "out", *words)
    assert "Traceback" not in done.err, done.text
    assert set(os.listdir(folder)) <= {"out", "pieces", "beside"}
    return done


def _parts(scene: Scene, path: Path) -> list[Range]:
    return [part for part, _ in scene.anatomy.parts[path]]


def _without_names(scene: Scene) -> Callable[[Path], list[Range]]:
    """Nothing names what is in a/ any more: its own block, the root and all rows are damaged."""
    folders = scene.anatomy.folders["a/0" if "a/0" in scene.anatomy.folders else "sub/0.worm"]
    return lambda path: _parts(scene, path) + [one for one in folders if one.piece == path]


def _bytes_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_without_the_option_nothing_is_put_under_a_made_up_name(
    scans: Scene, tmp_path: Path
) -> None:
    _damage(scans, tmp_path, _without_names(scans))
    done = _restore(tmp_path)
    assert done.code, done.text
    assert not (tmp_path / "out/lost+found").exists()
    assert len(list(tmp_path.glob("out/**/*"))) < 3


def test_all_that_is_whole_and_has_no_name_is_given_under_its_cid(
    scans: Scene, tmp_path: Path
) -> None:
    _damage(scans, tmp_path, _without_names(scans))
    done = _restore(tmp_path, "--lost-found")
    assert done.code, done.text
    lost = tmp_path / "out/lost+found"
    found = _bytes_below(lost)
    truth = _bytes_below(scans.main)
    assert sorted(found.values()) != [] and set(truth.values()) <= set(found.values()), done.text
    # A folder whose own block is whole keeps the names in it.
    deep = scans.anatomy.folders["a/deep/0"][-1]
    [cid] = [cid for cid, (at, _) in scans.anatomy.blocks.items() if at == deep]
    assert {name: (lost / cid_text(cid) / name).read_bytes() for name in "012345"} == {
        name: (scans.main / "a/deep" / name).read_bytes() for name in "012345"
    }
    links = [path for path in lost.rglob("*") if path.is_symlink()]
    assert [os.readlink(path) for path in links] == ["deep/1"]
    for name in found:
        [line] = [line for line in done.out.splitlines() if name in line]
        assert " ok " in line, line
    [line] = [line for line in done.out.splitlines() if links[0].name in line]
    assert "at byte " in line and ".car" in line, line


def test_what_was_put_there_is_left_by_the_next_run_and_nothing_is_replaced(
    scans: Scene, tmp_path: Path
) -> None:
    _damage(scans, tmp_path, _without_names(scans))
    _restore(tmp_path, "--lost-found")
    lost = tmp_path / "out/lost+found"
    before = _bytes_below(lost)
    names = sorted(name for name in before if "/" not in name)
    (lost / names[0]).write_bytes(b"mine")
    (lost / names[1]).unlink()
    again = _restore(tmp_path, "--lost-found", "-v")
    assert _bytes_below(lost) == {**before, names[0]: b"mine"}
    [line] = [line for line in again.out.splitlines() if names[0] in line]
    assert " failed " in line, line
    [line] = [line for line in again.out.splitlines() if names[1] in line]
    assert " ok " in line, line
    [line] = [line for line in again.out.splitlines() if names[2] in line]
    assert " not needed" in line, line


def test_a_link_in_the_place_of_lost_and_found_leads_nobody_out(
    scans: Scene, tmp_path: Path
) -> None:
    _damage(scans, tmp_path, _without_names(scans))
    (tmp_path / "beside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/lost+found").symlink_to("../beside")
    done = _restore(tmp_path, "--lost-found")
    assert done.code, done.text
    assert list((tmp_path / "beside").iterdir()) == []
    assert "something else is in its place" in done.text


def test_a_leaf_that_is_damaged_is_told_and_not_given(scans: Scene, tmp_path: Path) -> None:
    leaf = scans.anatomy.files["a/3"][0]
    names = _without_names(scans)
    _damage(scans, tmp_path, lambda path: names(path) + ([leaf] if leaf.piece == path else []))
    done = _restore(tmp_path, "--lost-found")
    assert done.code == 1 and f"{leaf.piece.name} is damaged at byte {leaf.start}" in done.text
    found = set(_bytes_below(tmp_path / "out/lost+found").values())
    truth = _bytes_below(scans.main)
    assert truth.pop("a/3") not in found
    assert set(truth.values()) <= found


def test_rows_of_a_piece_whose_manifest_is_lost_give_what_no_folder_names(
    scans: Scene, tmp_path: Path
) -> None:
    body = scans.anatomy
    [other] = {one.piece for one in body.files["a/0"]}
    assert other != body.last
    folders = body.folders["a/0"]

    def what(path: Path) -> list[Range]:
        at = [one for one in folders if one.piece == path]
        return [*at, body.manifest_at[path]] if path == other else at

    _damage(scans, tmp_path, what)
    done = _restore(tmp_path, "--lost-found")
    found = _bytes_below(tmp_path / "out")
    assert set(_bytes_below(scans.main).values()) <= set(found.values()), done.text
    assert "a row that nothing proves calls it a/0" in done.out, done.text


def test_of_whole_pieces_nothing_is_put_there(scans: Scene, tmp_path: Path) -> None:
    _damage(scans, tmp_path, lambda _: [])
    done = _restore(tmp_path, "--lost-found", "-v")
    assert done.code == 0, done.text
    assert not (tmp_path / "out/lost+found").exists()
    assert "nothing is whole in these pieces that has no name" in done.out


def test_content_of_other_snapshots_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    made = archived(tmp_path / "made", 5)
    folder = tmp_path / "here"
    pieces = copy_pieces(made, folder / "pieces")
    rows = [path for path in pieces.iterdir() if path.stat().st_size > 100_000]
    for path in rows:  # so that all is gone through
        whole = bytearray(path.read_bytes())
        at = len(whole) - 96
        whole[int.from_bytes(whole[at + 32 : at + 40], "little") + 60] ^= 1
        path.write_bytes(whole)
    for number in (0, 3):
        done = run(folder, HOLD, "archive", "restore", "pieces", "--to", f"out{number}",
                   "--lost-found", "--at", str(number))  # fmt: skip
        assert "a part of its index" in done.text, done.text
        assert not (folder / f"out{number}/lost+found").exists(), done.text
        digests = made.versions[number].digests
        assert contents(folder / f"out{number}") == digests, done.text


def test_a_data_set_gets_content_of_keys_without_a_hash(worms: Scene, tmp_path: Path) -> None:
    _damage(worms, tmp_path, _without_names(worms))
    done = _restore(tmp_path, "--lost-found")
    assert done.code == 1, done.text
    found = set(_bytes_below(tmp_path / "out/lost+found").values())
    for number in range(3):
        assert (worms.main / f"sub/{number}.worm").read_bytes() in found, done.text
    status = must(tmp_path / "out", "git", "status", "--porcelain").out
    assert status == "?? lost+found/\n"


def test_words_that_do_not_go_together_are_refused(scans: Scene, tmp_path: Path) -> None:
    _damage(scans, tmp_path, lambda _: [])
    for words in (("--only", "a/*"), ("--list",)):
        done = run(tmp_path, HOLD, "archive", "restore", "pieces", "--lost-found", *words)
        assert done.code == 2 and "--lost-found" in done.err, done.text
    done = run(tmp_path, HOLD, "archive", "drill", "pieces", "--lost-found")
    assert done.code == 2 and "drill takes no --lost-found" in done.err, done.text


def test_of_a_data_set_whose_history_is_lost_the_files_come_as_a_plain_folder(
    worms: Scene, tmp_path: Path
) -> None:
    def bundles(path: Path) -> list[Range]:
        found = worms.anatomy.manifests[path].bundles
        return [Range(path, one.offset, one.offset + one.length) for one in found]

    _damage(worms, tmp_path, bundles)
    done = _restore(tmp_path)
    assert done.code == 1 and not (tmp_path / "out").exists(), done.text
    done = _restore(tmp_path, "--lost-found")
    assert done.code == 1 and "is damaged at byte" in done.text, done.text
    truth = {f"sub/{n}.worm": (worms.main / f"sub/{n}.worm").read_bytes() for n in range(3)}
    found = _bytes_below(tmp_path / "out")
    assert {name: found.get(name) for name in truth} == truth
    assert not (tmp_path / "out/.git").exists()
    (tmp_path / "out/sub/1.worm").unlink()
    again = _restore(tmp_path, "--lost-found")
    assert again.code == 1 and _bytes_below(tmp_path / "out") == found, again.text


def test_files_alone_are_never_put_into_a_repository_or_in_place_of_a_history_that_is_there(
    worms: Scene, tmp_path: Path
) -> None:
    _damage(worms, tmp_path, lambda _: [])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_bytes(b"mine")
    done = _restore(tmp_path, "--lost-found")
    assert done.code == 4 and _bytes_below(tmp_path / "out") == {"mine": b"mine"}, done.text


def test_pieces_that_say_nothing_of_themselves_give_what_is_whole_in_them(
    scans: Scene, tmp_path: Path
) -> None:
    body = scans.anatomy
    folders = {one for ranges in body.folders.values() for one in ranges} | set(body.readme)

    def what(path: Path) -> list[Range]:
        ends = [body.manifest_at[path], body.footer_at[path]]
        return _parts(scans, path) + ends + [one for one in folders if one.piece == path]

    _damage(scans, tmp_path, what)
    done = _restore(tmp_path)
    assert done.code == 1 and not (tmp_path / "out").exists(), done.text
    done = _restore(tmp_path, "--lost-found")
    assert done.code == 1, done.text
    found = set(_bytes_below(tmp_path / "out/lost+found").values())
    assert set(_bytes_below(scans.main).values()) <= found, done.text


def test_without_the_piece_that_history_begins_in_the_files_that_are_here_come_alone(
    tmp_path: Path,
) -> None:
    main = tmp_path / "main"
    must(tmp_path, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    for name in ("old", "new"):
        (main / name).write_bytes(name.encode() * 1000)
        must(main, HOLD, "save", "-q", "-m", name)
        must(main, HOLD, "archive", "pack", "-q", "--write", f"../{name}-pieces")
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "new-pieces").rename(work / "pieces")
    done = _restore(work)
    assert done.code and not (work / "out").exists(), done.text
    for _ in range(2):
        done = _restore(work, "--lost-found")
        assert done.code, done.text
        assert (work / "out/new").read_bytes() == b"new" * 1000
        assert not (work / "out/old").exists() and "old" in done.text, done.text
        assert not (work / "out/.git").exists()
