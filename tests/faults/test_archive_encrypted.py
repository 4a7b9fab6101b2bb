"""Encrypted archives: nothing in the clear, the same after any kill, unreadable without their key."""

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
from archive_reader import Pieces
from scenes import HOLD, Ran, contents, environment, hold, must, run
from warm_hold import run_program

from holdfast.api.archive import archive_of
from holdfast.api.archive_serving import ServedArchive
from holdfast.api.datasets import open_dataset
from holdfast.api.key_place import KeyPlace
from holdfast.wire.cid import parse_cid_text

pytest.importorskip("cryptography")
SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.randrange(1 << 30)
KILL_AT = Path(__file__).with_name("kill_at.py")
KEYS = ("--keys", "../keys")
PACK = ("archive", "pack", "--write", "../pieces", "--piece-size", "4MiB", *KEYS)
WORDS = (b"sub-0", b"scan", b"onset", b"SHA256E", b"MD5E", b"master", b"main", b"twin")


def _data_set(folder: Path) -> Path:
    main, chance = folder / "main", random.Random(5)
    must(folder, HOLD, "create", "-q", "--profile", "text2git", "main")
    for subject in ("sub-01", "sub-02"):
        (main / subject / "anat").mkdir(parents=True)
        (main / subject / "anat/scan.nii").write_bytes(chance.randbytes(2_500_000))
        (main / subject / "small.nii").write_bytes(chance.randbytes(70_000))
        (main / subject / "events.tsv").write_text(f"onset {subject}\n")
    shutil.copy(main / "sub-01/small.nii", main / "sub-01/twin.nii")
    shutil.copy(main / "sub-01/small.nii", main / "top.nii")
    (main / "link").symlink_to("top.nii")
    must(main, HOLD, "save", "-q", "-m", "all")
    return main


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _data_set(tmp_path_factory.mktemp("encrypted"))


@pytest.fixture
def main(base: Path, tmp_path: Path) -> Path:
    shutil.copytree(base, tmp_path / "main", symlinks=True)
    return tmp_path / "main"


def _records(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.out.splitlines()]


def _pieces(main: Path) -> list[Path]:
    return sorted((main.parent / "pieces").glob("*.car"))


def _restore(top: Path, to: str, *words: str) -> Ran:
    return hold(top, "archive", "restore", "pieces", "--to", to, "--keys", "keys", *words)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] != ".git"
    }


def test_with_one_key_a_data_set_is_restored_and_nothing_is_in_the_clear(main: Path) -> None:
    must(main, HOLD, *PACK, "--encrypt")
    for path in _pieces(main):
        data = path.read_bytes()
        assert not [word for word in WORDS[:4] if word in data]
    tree = Pieces(_pieces(main)).tree()
    paths = [path for path in tree if path != "README.txt"]
    assert all(path.startswith(("files/data/dataset/", "files/git/", "files/names/"))
               for path in paths)  # fmt: skip
    assert all(tree[path][1].startswith(b"age-encryption.org/v1\n") for path in paths)
    assert not [word for word in WORDS if word in tree["README.txt"][1]]
    assert _restore(main.parent, "out").code == 0
    assert contents(main.parent / "out") == contents(main)
    assert must(main.parent / "out", "git", "status", "--porcelain").out == ""


def test_an_empty_file_of_the_annex_is_packed_as_any_other(tmp_path: Path) -> None:
    must(tmp_path, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    with (tmp_path / "main/.gitattributes").open("a") as file:
        file.write("\n* annex.backend=SHA256E\n")
    (tmp_path / "main/empty").write_bytes(b"")
    must(tmp_path / "main", HOLD, "save", "-q", "-m", "all")
    must(tmp_path / "main", HOLD, *PACK, "--encrypt")
    assert _restore(tmp_path, "out").code == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "main")


def test_without_its_key_or_with_another_one_all_is_locked(main: Path) -> None:
    must(main, HOLD, *PACK, "--encrypt")
    top = main.parent
    shutil.move(top / "keys", top / "away")
    (top / "keys").mkdir(mode=0o700)
    identity = (top / "away/scope-./identity").read_text()
    assert "AGE-SECRET-KEY-1" in identity
    other = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX\n"
    (top / "keys/other").write_text(other)
    (top / "keys/other").chmod(0o600)
    done = _restore(top, "out")
    assert done.code == 4 and "is locked" in done.text
    assert not (top / "out").exists()
    (top / "keys/other").chmod(0o644)
    assert "others may read it" in _restore(top, "out").text
    done = run(main, HOLD, *PACK, "--at", "HEAD")
    assert done.code == 4 and "was packed before" in done.text  # no new key takes its place
    assert json.loads((main / ".git/annex/hold-archive/encryption").read_text())["scopes"] == ["."]


def test_a_destroyed_key_takes_one_subject_away_and_all_else_is_restored(main: Path) -> None:
    top = main.parent
    must(main, HOLD, *PACK, "--encrypt-by", "sub-*")
    assert _restore(top, "before").code == 0
    assert _files(top / "before") == _files(main)
    assert os.readlink(top / "before/link") == "top.nii"
    must(main, HOLD, "archive", "keys", "destroy", "sub-01", "--force", "asked for", *KEYS)
    assert sorted(os.listdir(top / "keys")) == ["log", "scope-.", "scope-sub-02"]
    done = _restore(top, "after", "--json")
    assert done.code == 4
    [failed] = [one for one in _records(done) if one["status"] == "error"]
    assert "3 contents" in failed["error"]["why"] and "asked for" in failed["error"]["why"]
    left = {path: data for path, data in _files(main).items() if not path.startswith("sub-01/")}
    assert _files(top / "after") == left
    assert hold(top, "archive", "drill", "pieces", "--whole", "5", "--keys", "keys").code == 4
    # What is here of the subject cannot be packed by chance under a new key.
    (main / "new.tsv").write_text("new\n")
    must(main, HOLD, "save", "-q", "-m", "more")
    done = hold(main, *PACK)
    assert done.code == 4 and "was destroyed" in done.text


def test_content_of_unknown_size_that_is_in_a_piece_is_not_told_to_be_missing(main: Path) -> None:
    top, content = main.parent, random.Random(3).randbytes(70_000)
    (top / "content").write_bytes(content)
    must(main, "git", "annex", "setkey", "URL--page", str(top / "content"))
    must(main, "git", "annex", "fromkey", "--force", "URL--page", "page")
    must(main, "git", "commit", "-q", "-m", "a page")
    must(main, HOLD, *PACK, "--encrypt-by", "sub-*")
    must(main, HOLD, "drop", "-q", "--force", "a test", "page")
    (main / "more.nii").write_bytes(b"more")
    must(main, HOLD, "save", "-q", "-m", "more")
    must(main, HOLD, *PACK)
    assert _restore(top, "out").code == 0
    assert (top / "out/page").read_bytes() == content


def test_a_later_snapshot_goes_on_encrypted_and_has_only_what_is_new(main: Path) -> None:
    top = main.parent
    must(main, HOLD, *PACK, "--encrypt")
    first = _pieces(main)
    assert [r["status"] for r in _records(must(main, HOLD, *PACK, "--json"))] == ["notneeded"]
    (main / "more.nii").write_bytes(random.Random(1).randbytes(50_000))
    os.rename(main / "sub-02/small.nii", main / "moved.nii")
    must(main, HOLD, "save", "-q", "-m", "more")
    must(main, HOLD, "drop", "-q", "--force", "a test", "sub-01/anat/scan.nii")
    must(main, HOLD, *PACK)
    new = set(_pieces(main)) - set(first)
    assert sum(path.stat().st_size for path in new) < 90_000
    assert _restore(top, "out").code == 0
    found = contents(top / "out")
    assert found.items() >= contents(main).items()
    assert found["sub-01/anat/scan.nii"]
    assert hold(main, *PACK, "--encrypt-by", "sub-*").code == 4


def test_killed_anywhere_it_goes_on_to_the_same_pieces(main: Path, tmp_path: Path) -> None:
    plan = ("archive", "plan", "--piece-size", "4MiB", "--encrypt", *KEYS)
    must(main, HOLD, *plan)
    copies = []
    for number in range(3):
        folder = tmp_path / f"try-{number}"
        folder.mkdir()
        for name in ("main", "keys"):
            shutil.copytree(tmp_path / name, folder / name, symlinks=True)
        copies.append(folder)
    must(main, HOLD, *PACK)
    whole = [path.name for path in _pieces(main)]
    assert len(whole) > 1
    chance = random.Random(SEED)
    print(f"FAULTS_SEED={SEED}")
    for folder in copies:
        for _ in range(2):
            point = str(chance.randint(8, 60))
            ended = run_program(
                [sys.executable, str(KILL_AT), str(folder / "count"), point, *PACK],
                folder / "main",
                environment(),
            )
            assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
        must(folder / "main", HOLD, *PACK)
        assert [path.name for path in _pieces(folder / "main")] == whole


def test_a_run_that_goes_on_without_its_keys_is_refused_and_loses_nothing(main: Path) -> None:
    must(main, HOLD, "archive", "plan", "--piece-size", "4MiB", "--encrypt", *KEYS)
    shutil.move(main.parent / "keys", main.parent / "away")
    done = hold(main, *PACK)
    assert done.code != 0 and not _pieces(main)
    shutil.move(main.parent / "away", main.parent / "keys")
    must(main, HOLD, *PACK)
    assert _restore(main.parent, "out").code == 0
    assert contents(main.parent / "out") == contents(main)


def test_pieces_are_served_from_the_data_set_until_the_key_is_destroyed(main: Path) -> None:
    must(main, HOLD, *PACK, "--encrypt-by", "sub-*")
    keys = KeyPlace(os.fsencode(main.parent / "keys"))
    chance = random.Random(SEED)
    with open_dataset(os.fsencode(main)) as dataset:
        served = ServedArchive(archive_of(dataset, keys=keys))
        for path in _pieces(main):
            piece = served.find_piece(parse_cid_text(path.stem))
            assert piece is not None
            data = path.read_bytes()
            assert b"".join(map(bytes, served.chunks(piece, 0, piece.size))) == data
            for _ in range(10):
                start, stop = sorted(chance.sample(range(piece.size), 2))
                got = b"".join(map(bytes, served.chunks(piece, start, stop)))
                assert got == data[start:stop]
        must(main, HOLD, "archive", "keys", "destroy", "sub-01", "--force", "gone", *KEYS)
        refused = 0
        for one in served.pieces():
            try:
                list(served.chunks(one, 0, one.size))
            except Exception as error:
                assert "not what was packed" in str(error)
                refused += 1
        assert refused


def test_content_that_is_another_one_is_told_and_left_out_and_never_under_its_name(
    main: Path,
) -> None:
    top = main.parent
    must(main, HOLD, "archive", "plan", "--piece-size", "4MiB", "--encrypt", *KEYS)
    path = (main / "sub-01/small.nii").resolve()
    whole = path.read_bytes()
    path.parent.chmod(0o755)
    path.chmod(0o644)
    path.write_bytes(whole[:-1] + b"!")
    done = run(main, HOLD, *PACK, "--json")
    assert done.code == 1, done.text
    told = [one["path"] for one in _records(done) if one["status"] == "error"]
    assert told and told[0] in ("sub-01/small.nii", "sub-01/twin.nii", "top.nii")
    done = _restore(top, "out", "--json")
    lost = {one["path"] for one in _records(done) if one["status"] == "impossible"}
    assert lost == {"sub-01/small.nii", "sub-01/twin.nii", "top.nii"}
    path.write_bytes(whole)
    (main / "more.txt").write_text("more\n")
    must(main, HOLD, "save", "-q", "-m", "more")
    must(main, HOLD, *PACK)
    assert _restore(top, "again").code == 0
    assert contents(top / "again") == contents(main)


def test_an_archive_in_the_clear_does_not_become_an_encrypted_one(main: Path) -> None:
    must(main, HOLD, "archive", "pack", "--piece-size", "4MiB")
    done = hold(main, "archive", "pack", "--encrypt", *KEYS)
    assert done.code == 4 and "begun in the clear" in done.text
    assert not (main.parent / "keys").exists()


def test_secrets_are_in_no_file_of_the_data_set_and_in_no_output(main: Path) -> None:
    said = must(main, HOLD, *PACK, "--encrypt", "--json").text
    said += must(main, HOLD, "archive", "keys", "list", *KEYS, "--json").text
    keys = main.parent / "keys"
    secret = (keys / "scope-./secret").read_text().strip()
    identity = (keys / "scope-./identity").read_text().splitlines()[-1]
    assert identity.startswith("AGE-SECRET-KEY-1") and len(secret) == 64
    assert secret not in said and identity not in said
    assert keys.stat().st_mode & 0o777 == 0o700
    for path in (*keys.glob("scope-*/*"),):
        assert path.stat().st_mode & 0o777 == 0o600
    for path in (*(main / ".git").rglob("*"), *_pieces(main), keys / "log"):
        if path.is_file():
            data = path.read_bytes()
            assert identity.encode() not in data and secret.encode() not in data
            assert bytes.fromhex(secret) not in data


@pytest.mark.parametrize("words", [("--encrypt",), ("--encrypt-by", "sub-*")])
def test_where_the_notes_are_lost_pieces_and_keys_are_enough_to_go_on(
    main: Path, words: tuple[str, ...]
) -> None:
    must(main, HOLD, *PACK, *words)
    first = _pieces(main)
    shutil.rmtree(main / ".git/annex/hold-archive")
    (main / "more.nii").write_bytes(random.Random(1).randbytes(50_000))
    must(main, HOLD, "save", "-q", "-m", "more")
    must(main, HOLD, *PACK, *words, "--known", "../pieces")
    new = set(_pieces(main)) - set(first)
    assert 50_000 < sum(path.stat().st_size for path in new) < 90_000
    assert _restore(main.parent, "out").code == 0
    assert _files(main.parent / "out") == _files(main)


def test_pieces_in_the_clear_are_not_gone_on_with_encrypted(main: Path) -> None:
    must(main, HOLD, "archive", "pack", "--piece-size", "4MiB", "--write", "../pieces")
    shutil.rmtree(main / ".git/annex/hold-archive")
    must(main, HOLD, "archive", "keys", "make", ".", *KEYS)
    done = hold(main, *PACK, "--encrypt", "--known", "../pieces")
    assert done.code == 4 and "it is in the clear, and what is packed is not" in done.text
