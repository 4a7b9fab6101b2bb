"""Data sets out of pieces whose index is damaged: history, and content by path or by key."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from archive_scene import Archived, archived, copy_pieces, packed_encrypted
from piece_anatomy import Anatomy, Range
from scenes import HOLD, Ran, contents, must, run

FILES = 9
AGAIN = "were found by their blocks"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Archived:
    return archived(tmp_path_factory.mktemp("archived"), 14)


@dataclass
class Single:
    """A data set of one snapshot, with keys of all kinds; and its pieces."""

    main: Path
    pieces: list[Path]
    anatomy: Anatomy


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Single:
    folder = tmp_path_factory.mktemp("single")
    main, chance = folder / "main", random.Random(8)
    must(folder, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    with (main / ".gitattributes").open("a") as file:
        file.write("\n*.md5 annex.backend=MD5E\n*.worm annex.backend=WORM\n")
    (main / "sub").mkdir()
    for number, size in enumerate((10, 70_000, 1_300_000)):
        for end in ("sha", "md5", "worm"):
            (main / f"sub/{number}.{end}").write_bytes(chance.randbytes(size + len(end)))
    must(main, HOLD, "save", "-q", "-m", "all")
    must(main, HOLD, "archive", "pack", "-q", "--write", "../pieces", "--piece-size", "4MiB")
    pieces = sorted((folder / "pieces").iterdir())
    return Single(main, pieces, Anatomy.of(pieces))


def _flip(data: bytes, places: Sequence[int]) -> bytes:
    out = bytearray(data)
    for place in places:
        out[place] ^= 1
    return bytes(out)


def _middle(one: Range) -> int:
    return (one.start + 40 + one.end) // 2


def _damage(folder: Path, anatomy: Anatomy, what: Callable[[Path], list[Range]]) -> None:
    """Copy the pieces, with a bit flipped in the middle of each of these ranges."""
    (folder / "pieces").mkdir()
    for path in anatomy.headers:
        data = _flip(path.read_bytes(), [_middle(one) for one in what(path)])
        (folder / "pieces" / path.name).write_bytes(data)


def _restore(folder: Path, *words: str) -> Ran:
    done = run(folder, HOLD, "archive", "restore", "pieces", "--to", "out", *words)
    assert "Traceback" not in done.err, done.text
    assert sorted(os.listdir(folder)) in (["out", "pieces"], ["pieces"])
    return done


def _all_parts(anatomy: Anatomy, path: Path) -> list[Range]:
    return [part for part, _ in anatomy.parts[path]]


def _folders(anatomy: Anatomy, path: Path) -> list[Range]:
    """The root's own blocks, and those of the folder of all files."""
    return [one for one in anatomy.folders["sub/0.sha"] if one.piece == path]


def _check_all(single: Single, folder: Path, *, without: str = "") -> None:
    wanted = contents(single.main)
    if without:
        wanted = {path: digest for path, digest in wanted.items() if without not in path}
    assert contents(folder / "out") == wanted
    must(folder / "out", "git", "fsck", "--no-dangling")
    assert must(folder / "out", "git", "status", "--porcelain").out == ""
    must(folder / "out", "git", "annex", "fsck", "--quiet")


def test_without_any_part_of_rows_all_content_is_found_by_its_path(
    single: Single, tmp_path: Path
) -> None:
    _damage(tmp_path, single.anatomy, lambda path: _all_parts(single.anatomy, path))
    done = _restore(tmp_path)
    assert done.code == 1 and "a part of its index" in done.text, done.text
    assert f"{FILES} files {AGAIN}" in done.text, done.text
    _check_all(single, tmp_path)


def test_a_drill_without_rows_counts_what_it_restored(single: Single, tmp_path: Path) -> None:
    _damage(tmp_path, single.anatomy, lambda path: _all_parts(single.anatomy, path))
    done = run(tmp_path, HOLD, "archive", "drill", "pieces", "--sample", "3")
    assert AGAIN in done.out and "3 of 9 files" in done.out, done.text


def test_without_any_manifest_history_and_content_are_found_from_the_root(
    single: Single, tmp_path: Path
) -> None:
    body = single.anatomy
    _damage(tmp_path, body, lambda path: [body.manifest_at[path]])
    done = _restore(tmp_path)
    assert done.code == 1 and "its manifest" in done.text, done.text
    _check_all(single, tmp_path)
    version = must(single.main, "git", "rev-parse", "HEAD").out
    assert must(tmp_path / "out", "git", "rev-parse", "HEAD").out == version
    branch = must(single.main, "git", "branch", "--show-current").out
    assert must(tmp_path / "out", "git", "branch", "--show-current").out == branch


def test_without_rows_and_manifests_and_footers_all_is_found_from_the_root(
    single: Single, tmp_path: Path
) -> None:
    body = single.anatomy
    _damage(
        tmp_path, body,
        lambda path: [*_all_parts(body, path), body.manifest_at[path], body.footer_at[path]],
    )  # fmt: skip
    done = _restore(tmp_path)
    assert done.code == 1, done.text
    _check_all(single, tmp_path)


def test_without_rows_and_folders_content_is_found_by_the_hash_in_its_key(
    single: Single, tmp_path: Path
) -> None:
    body = single.anatomy
    _damage(tmp_path, body, lambda path: [*_all_parts(body, path), *_folders(body, path)])
    done = _restore(tmp_path)
    # Nothing proves which bytes are those of a key without a hash.
    assert done.code == 1, done.text
    lost = [line.split()[1] for line in done.out.splitlines() if " impossible " in line]
    assert lost == [f"sub/{number}.worm" for number in range(3)], done.text
    _check_all(single, tmp_path, without=".worm")


def test_a_damaged_leaf_is_told_with_its_place_where_its_row_is_lost_too(
    single: Single, tmp_path: Path
) -> None:
    body = single.anatomy
    leaf = body.files["sub/1.worm"][0]
    _damage(
        tmp_path, body,
        lambda path: _all_parts(body, path) + ([leaf] if path == leaf.piece else []),
    )  # fmt: skip
    done = _restore(tmp_path)
    assert done.code == 1, done.text
    assert f"{leaf.piece.name} is damaged at byte {leaf.start}" in done.text, done.text
    assert contents(tmp_path / "out").keys() == contents(single.main).keys() - {"sub/1.worm"}


def test_the_word_of_git_for_missing_content_is_not_taken_for_it(tmp_path: Path) -> None:
    main = tmp_path / "main"
    must(tmp_path, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    (main / ".gitattributes").write_text("* annex.backend=WORM\n")
    for name in ("lost", "kept"):
        (main / name).write_bytes(name.encode() * 30)
    must(main, HOLD, "save", "-q", "-m", "all")
    must(main, HOLD, "unlock", "-q", "lost")
    must(main, HOLD, "save", "-q", "-m", "unlocked")
    must(main, HOLD, "drop", "-q", "--force", "a test", "lost")
    must(main, HOLD, "archive", "pack", "-q", "--write", "../whole", "--piece-size", "4MiB")
    body = Anatomy.of(sorted((tmp_path / "whole").iterdir()))
    folder = tmp_path / "here"
    folder.mkdir()
    _damage(folder, body, lambda path: _all_parts(body, path))
    done = _restore(folder)
    assert done.code == 1 and "lost is not in these pieces" in done.text, done.text
    assert (folder / "out/kept").read_bytes() == b"kept" * 30
    found = must(folder / "out", "git", "annex", "find", "--in", "here").out.split()
    assert "lost" not in found and "kept" in found


def test_all_snapshots_without_rows_and_manifests_are_restored(
    made: Archived, tmp_path: Path
) -> None:
    pieces = copy_pieces(made, tmp_path / "pieces")
    for path in pieces.iterdir():
        whole = path.read_bytes()
        at = len(whole) - 96
        manifest = int.from_bytes(whole[at + 16 : at + 24], "little")
        index = int.from_bytes(whole[at + 32 : at + 40], "little")
        path.write_bytes(_flip(whole, [manifest + 30, index + 60]))
    for number in (0, 2):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        done = _restore(tmp_path, "--at", str(number))
        assert done.code == 1, done.text
        assert contents(tmp_path / "out") == made.versions[number].digests, done.text


def test_encrypted_content_whose_rows_are_lost_is_found_by_its_name(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    main = packed_encrypted(tmp_path)
    body = Anatomy.of(sorted((tmp_path / "whole").iterdir()))
    for name, what in {
        "rows": lambda path: _all_parts(body, path),
        "manifests": lambda path: [body.manifest_at[path]],
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        _damage(folder, body, what)
        done = _restore(folder, "--keys", "../keys")
        assert done.code == 1, done.text
        assert contents(folder / "out") == contents(main), done.text
