"""What `hold archive` refuses before it begins: pieces among the files, keys that are not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from scenes import HOLD, must, run

PACK = ("archive", "pack", "--piece-size", "4MiB")


@pytest.fixture
def main(tmp_path: Path) -> Path:
    folder = tmp_path / "main"
    must(tmp_path, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    (folder / "sub").mkdir()
    (folder / "sub/scan").write_bytes(b"scan")
    must(folder, HOLD, "save", "-q", "-m", "all")
    return folder


@pytest.mark.parametrize(
    "words", [("--write", "pieces"), ("--write", "sub/new/pieces"), ("--to", "./pieces")]
)
def test_pieces_do_not_go_among_the_files_of_the_data_set(
    main: Path, words: tuple[str, ...]
) -> None:
    before = sorted(main.rglob("*"))
    done = run(main, HOLD, *PACK, *words)
    assert done.code == 2 and "H944" in done.err, done.text
    assert "is among the files of the data set" in done.err
    assert [path for path in sorted(main.rglob("*")) if ".git" not in path.parts] == [
        path for path in before if ".git" not in path.parts
    ]


def test_a_link_does_not_lead_pieces_there(main: Path) -> None:
    (main.parent / "outside").symlink_to("main/sub")
    done = run(main, HOLD, *PACK, "--write", "../outside/pieces")
    assert done.code == 2 and "H944" in done.err, done.text


@pytest.mark.parametrize("ignored", ["pieces/", "/pieces", "*.car"])
def test_where_git_ignores_them_pieces_may_be_in_the_work_tree(main: Path, ignored: str) -> None:
    (main / ".gitignore").write_text(f"{ignored}\n")
    must(main, HOLD, "save", "-q", "-m", "ignore")
    must(main, HOLD, *PACK, "--write", "pieces", "-q")
    assert list((main / "pieces").glob("*.car"))
    assert run(main, HOLD, "status").out.count("pieces") == 0
    must(main, HOLD, *PACK, "--to", "./pieces", "-q")
    assert must(main, HOLD, *PACK, "--write", "pieces").out.count("bafkzcib") == 0


def test_pieces_beside_the_data_set_and_in_gits_own_folder_are_as_ever(main: Path) -> None:
    must(main, HOLD, *PACK, "--write", "../pieces", "-q")
    must(main, HOLD, *PACK, "--write", ".git/pieces", "-q")


# keys


@pytest.fixture
def locked(main: Path) -> Path:
    pytest.importorskip("cryptography")
    must(main, HOLD, *PACK, "--write", "../pieces", "--encrypt", "--keys", "../keys", "-q")
    return main


@pytest.mark.parametrize("case", ["not there", "empty", "of another"])
def test_an_encrypted_archive_is_not_served_without_its_keys(locked: Path, case: str) -> None:
    keys = locked.parent / "elsewhere"
    if case != "not there":
        keys.mkdir()
    if case == "of another":
        must(locked, HOLD, "archive", "keys", "make", "sub-99", "--keys", "../elsewhere")
    done = run(locked, HOLD, "archive", "serve", "--once", "--keys", "../elsewhere")
    assert done.code == 4 and "H932" in done.err, done.text
    assert str(keys) in done.err and "Serving" not in done.text
    expected = "there is no such folder" if case == "not there" else "no key of this archive"
    assert expected in done.err
    # So it is where none was named.
    done = run(locked, HOLD, "archive", "serve", "--once")
    assert done.code == 4 and "there is no such folder" in done.err, done.text


def test_keys_that_others_can_read_are_not_served_with(locked: Path) -> None:
    os.chmod(locked.parent / "keys/scope-./secret", 0o644)
    done = run(locked, HOLD, "archive", "serve", "--once", "--keys", "../keys")
    assert done.code == 4 and "others may read it" in done.err, done.text


@pytest.mark.parametrize("work", [("pack",), ("plan",), ("serve", "--once")])
def test_keys_for_an_archive_in_the_clear_are_refused(main: Path, work: tuple[str, ...]) -> None:
    must(main, HOLD, *PACK, "--write", "../pieces", "-q")
    done = run(main, HOLD, "archive", *work, "--keys", "../keys")
    assert done.code == 2 and "this archive is in the clear" in done.err, done.text
    assert not (main.parent / "keys").exists()


@pytest.mark.parametrize("work", ["plan", "pack"])
def test_history_that_is_cut_is_not_packed(main: Path, work: str) -> None:
    (main / "second").write_bytes(b"second")
    must(main, HOLD, "save", "-q", "-m", "second")
    must(main.parent, "git", "clone", "-q", "--depth", "1", f"file://{main}", "cut")
    cut = main.parent / "cut"
    must(cut, "git", "fetch", "-q", "--depth", "1", "origin", "git-annex:git-annex")
    must(cut, "git", "annex", "init", "-q")
    words = (work, "--piece-size", "4MiB", *(("--write", "../pieces") if work == "pack" else ()))
    done = run(cut, HOLD, "archive", *words)
    assert done.code == 4 and "H945" in done.err and "shallow" in done.err, done.text
    assert not list(main.parent.glob("pieces/*"))
    must(cut, "git", "fetch", "-q", "--unshallow")
    must(cut, HOLD, "archive", *words)


def test_a_target_that_cannot_be_made_is_told(main: Path) -> None:
    must(main, HOLD, *PACK, "--write", "../pieces", "-q")
    done = run(main, HOLD, "archive", "restore", "../pieces", "--to", "/proc/here")
    assert done.code == 2 and "H411  /proc/here cannot be made" in done.err, done.text
    assert "Traceback" not in done.err
