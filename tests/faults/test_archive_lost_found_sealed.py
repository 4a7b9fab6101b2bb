"""What has no name in damaged pieces that are encrypted: decrypted where a key is here, else as it is."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from archive_scene import packed_encrypted
from piece_anatomy import Anatomy, Range
from scenes import HOLD, Ran, contents, must, run

pytest.importorskip("cryptography")
AGE = b"age-encryption.org/v1\n"


@dataclass(repr=False)
class Scene:
    """A folder that was packed, its pieces, and its keys."""

    main: Path
    pieces: list[Path]
    keys: Path
    anatomy: Anatomy

    def tag(self, scope: str) -> str:
        """What stands for a scope in the pieces."""
        lines = (self.keys / f"scope-{scope}/identity").read_text().splitlines()
        [tag] = [line.removeprefix("# tag: ") for line in lines if line.startswith("# tag: ")]
        return tag

    def truth(self, start: str = "") -> set[bytes]:
        """The contents of files below a folder."""
        return {
            path.read_bytes()
            for path in self.main.rglob("*")
            if path.is_file() and str(path.relative_to(self.main)).startswith(start)
        }


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("sealed")
    chance, main = random.Random(3), folder / "scans"
    for subject in ("sub-01", "sub-02"):
        (main / subject).mkdir(parents=True)
        for number in range(4):
            (main / f"{subject}/{number}").write_bytes(chance.randbytes(20_000 + number))
        (main / f"{subject}/large").write_bytes(chance.randbytes(2_500_000))
    (main / "top").write_bytes(b"of all")
    must(folder, HOLD, "archive", "pack", "-q", "--folder", "scans", "--state", "state", "--write",
         "pieces", "--piece-size", "4MiB", "--encrypt-by", "sub-*", "--keys", "keys")  # fmt: skip
    pieces = sorted((folder / "pieces").iterdir())
    return Scene(main, pieces, folder / "keys", Anatomy.of(pieces))


def _damage(scene: Scene, folder: Path, what: Callable[[Path], list[Range]]) -> None:
    """Copy pieces and keys, with a bit flipped in each of these ranges."""
    shutil.copytree(scene.keys, folder / "keys")
    (folder / "pieces").mkdir()
    for path in scene.pieces:
        data = bytearray(path.read_bytes())
        for one in set(what(path)):
            data[(one.start + 40 + one.end) // 2] ^= 1
        (folder / "pieces" / path.name).write_bytes(data)


def _restore(folder: Path, *words: str, keys: str = "keys") -> Ran:
    done = run(folder, HOLD, "archive", "restore", "pieces", "--to", "out", "--keys", keys, *words)
    assert "Traceback" not in done.err, done.text
    return done


def _lost(folder: Path) -> dict[str, bytes]:
    lost = folder / "out/lost+found"
    return {
        str(path.relative_to(lost)): path.read_bytes() for path in lost.rglob("*") if path.is_file()
    }


def _nothing_named(scene: Scene) -> Callable[[Path], list[Range]]:
    """No folder and no row is whole."""
    body = scene.anatomy
    folders = {one for ranges in body.folders.values() for one in ranges}
    return lambda path: (
        [part for part, _ in body.parts[path]] + [one for one in folders if one.piece == path]
    )


def _line(done: Ran, name: str) -> str:
    [line] = [line for line in done.out.splitlines() if name in line]
    return line


def test_what_has_no_name_is_decrypted_where_its_key_is_and_an_age_file_where_it_is_not(
    scans: Scene, tmp_path: Path
) -> None:
    _damage(scans, tmp_path, _nothing_named(scans))
    shutil.rmtree(tmp_path / "keys/scope-sub-01")
    done = _restore(tmp_path, "--lost-found")
    found = _lost(tmp_path)
    opened = {name: data for name, data in found.items() if not name.endswith(".age")}
    sealed = {name: data for name, data in found.items() if name.endswith(".age")}
    assert scans.truth("sub-02") | scans.truth("top") <= set(opened.values()), done.text
    assert not scans.truth("sub-01") & set(found.values())
    assert not [data for data in opened.values() if data.startswith(AGE)]
    assert len(sealed) == 6 and all(data.startswith(AGE) for data in sealed.values())
    assert all("no key that is here opens it" in _line(done, name) for name in sealed)
    some = next(name for name, data in opened.items() if data == b"of all")
    assert "decrypted with a key that is here" in _line(done, some)
    lists = [data for data in opened.values() if data.startswith(b"\x1f\x8b")]
    assert any(b'"sub-02/large"' in gzip.decompress(data) for data in lists)
    # With the key, later, what is there stays, and the rest comes beside it.
    shutil.copytree(scans.keys / "scope-sub-01", tmp_path / "keys/scope-sub-01")
    again = _restore(tmp_path, "--lost-found", "-v")
    assert _lost(tmp_path).items() >= found.items()
    assert scans.truth() <= set(_lost(tmp_path).values()), again.text
    assert " not needed" in _line(again, some) and "failed  lost" not in again.out


def test_what_was_written_over_there_is_told_and_not_replaced(scans: Scene, tmp_path: Path) -> None:
    _damage(scans, tmp_path, _nothing_named(scans))
    _restore(tmp_path, "--lost-found")
    before = _lost(tmp_path)
    [name] = [name for name, data in before.items() if data == b"of all"]
    (tmp_path / "out/lost+found" / name).write_bytes(b"of ALL")
    again = _restore(tmp_path, "--lost-found")
    assert _lost(tmp_path) == {**before, name: b"of ALL"}
    assert " failed " in _line(again, name)


def test_contents_whose_list_is_damaged_are_decrypted_and_a_locked_part_is_told_of_as_a_whole(
    scans: Scene, tmp_path: Path
) -> None:
    ranges = scans.anatomy.files[f"names/{scans.tag('sub-02')}.age"]
    _damage(scans, tmp_path, lambda path: [one for one in ranges if one.piece == path])
    shutil.rmtree(tmp_path / "keys/scope-sub-01")
    done = _restore(tmp_path)
    assert done.code and not (tmp_path / "out/lost+found").exists(), done.text
    done = _restore(tmp_path, "--lost-found")
    assert "5 contents of it are in this version; no key here opens them" in done.text
    found = _lost(tmp_path)
    assert set(found.values()) == scans.truth("sub-02"), done.text
    assert all("no list of names that can be read" in _line(done, name) for name in found)
    assert (tmp_path / "out/top").read_bytes() == b"of all"


def test_without_the_piece_with_the_root_what_is_in_the_others_is_decrypted(
    scans: Scene, tmp_path: Path
) -> None:
    _damage(scans, tmp_path, lambda _: [])
    (tmp_path / "pieces" / scans.anatomy.last.name).unlink()
    done = _restore(tmp_path)
    assert done.code and not (tmp_path / "out").exists(), done.text
    done = _restore(tmp_path, "--lost-found")
    assert done.code, done.text
    found = set(_lost(tmp_path).values())
    here = {
        path
        for path, ranges in scans.anatomy.files.items()
        if path.startswith("data/") and {one.piece for one in ranges} != {scans.anatomy.last}
        and scans.anatomy.last not in {one.piece for one in ranges}
    }  # fmt: skip
    assert here and len(found & scans.truth()) == len(here), done.text


def test_pieces_that_say_nothing_of_themselves_are_tried_with_the_keys_that_are_named(
    scans: Scene, tmp_path: Path
) -> None:
    body, nothing = scans.anatomy, _nothing_named(scans)
    _damage(scans, tmp_path, lambda path: [
        *nothing(path), body.manifest_at[path], body.footer_at[path],
        *(one for one in body.readme if one.piece == path),
    ])  # fmt: skip
    done = run(tmp_path, HOLD, "archive", "restore", "pieces", "--to", "out", "--lost-found")
    assert "Traceback" not in done.err and done.code == 1, done.text
    locked = _lost(tmp_path)
    assert locked and all(name.endswith(".age") for name, data in locked.items() if AGE in data)
    done = _restore(tmp_path, "--lost-found")
    assert scans.truth() <= set(_lost(tmp_path).values()), done.text


def test_of_whole_pieces_and_of_rows_that_a_list_tells_of_nothing_is_put_there(
    scans: Scene, tmp_path: Path
) -> None:
    for name, what in {
        "whole": lambda _: [],
        "manifests": lambda path: [scans.anatomy.manifest_at[path]],
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        _damage(scans, folder, what)
        done = _restore(folder, "--lost-found", "-v")
        assert not _lost(folder), done.text
        assert {path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()} == (
            scans.truth()
        ), done.text


def test_what_is_left_of_an_age_file_is_given_as_it_is_and_told(
    scans: Scene, tmp_path: Path
) -> None:
    body, nothing = scans.anatomy, _nothing_named(scans)
    large = [ranges for ranges in body.files.values() if len(ranges) > 2]
    nodes = [min(ranges, key=lambda one: one.end - one.start) for ranges in large]
    _damage(
        scans, tmp_path, lambda path: nothing(path) + [one for one in nodes if one.piece == path]
    )
    done = _restore(tmp_path, "--lost-found")
    cut = {name for name, data in _lost(tmp_path).items() if data.startswith(AGE)}
    assert len(cut) == 2 and all(name.endswith(".age") for name in cut), done.text
    assert all("not whole" in _line(done, name) for name in cut)
    assert scans.truth() - {path.read_bytes() for path in scans.main.rglob("large")} <= set(
        _lost(tmp_path).values()
    )


def test_a_data_set_gets_what_is_decrypted_beside_its_files(tmp_path: Path) -> None:
    main = packed_encrypted(tmp_path)
    pieces = sorted((tmp_path / "whole").iterdir())
    scene = Scene(main, pieces, tmp_path / "keys", Anatomy.of(pieces))
    for name, what in {
        "manifests": lambda path: [scene.anatomy.manifest_at[path]],
        "rows": lambda path: [part for part, _ in scene.anatomy.parts[path]],
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        _damage(scene, folder, what)
        done = _restore(folder, "--lost-found")
        assert contents(folder / "out") == contents(main), done.text
        assert not _lost(folder), done.text
    folder = tmp_path / "names"
    folder.mkdir()
    body = scene.anatomy
    chains = [set(ranges) for path, ranges in body.folders.items() if path.startswith("data/")]
    only = set.union(*chains) - {*body.folders["names/dataset.age"]}
    _damage(scene, folder, lambda path: (
        [part for part, _ in body.parts[path]] + [one for one in only if one.piece == path]
    ))  # fmt: skip
    done = _restore(folder, "--lost-found")
    assert done.code and (folder / "out/.git").exists(), done.text
    truth = {(main / f"{number}.dat").read_bytes() for number in range(3)}
    assert truth <= set(_lost(folder).values()), done.text
    assert os.listdir(folder / "out") and "Traceback" not in done.text
