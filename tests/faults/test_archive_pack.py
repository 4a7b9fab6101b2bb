"""Archives of real data sets: complete, the same after any kill, and honest about what went wrong."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archive_reader import Pieces, files_of
from depth import DEEP, times
from scenes import HOLD, Ran, environment, hold, must, run
from warm_hold import run_program

from holdfast import open_dataset
from holdfast.api.archive import Archive, archive_of, archive_of_folder, iter_archive_pack
from holdfast.wire.archive_rows import RowKind
from holdfast.wire.car import CarReader

SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.randrange(1 << 30)
KILL_AT = Path(__file__).with_name("kill_at.py")
PIECE = "4MiB"
PACK = ("archive", "pack", "--write", "../pieces", "--piece-size", PIECE)


def _data_set(folder: Path) -> Path:
    main = folder / "main"
    chance = random.Random(7)
    must(folder, HOLD, "create", "main")
    (main / "sub/deep").mkdir(parents=True)
    (main / "sub/large.dat").write_bytes(chance.randbytes(5_500_000))
    (main / "sub/deep/twin.dat").write_bytes(b"twin" * 50_000)
    (main / "sub.txt").write_text("in git\n")
    (main / "twin.dat").write_bytes(b"twin" * 50_000)
    (main / "empty").touch()
    for number in range(10):
        (main / f"sub/{number:02}.dat").write_bytes(chance.randbytes(120_000 + number))
    (main / "link").symlink_to("sub.txt")
    must(main, HOLD, "save", "-m", "files")
    must(main, HOLD, "unlock", "sub/03.dat")
    must(main, HOLD, "save", "-m", "unlocked")
    return main


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    _data_set(folder)
    must(folder / "main", HOLD, "archive", "plan", "--piece-size", PIECE)
    return folder


@pytest.fixture
def main(scene: Path, tmp_path: Path) -> Path:
    shutil.copytree(scene / "main", tmp_path / "main", symlinks=True)
    return tmp_path / "main"


def _pieces(main: Path) -> list[Path]:
    return sorted((main.parent / "pieces").glob("*.car"))


def _records(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.out.splitlines()]


def test_a_snapshot_holds_every_file_as_it_is(main: Path) -> None:
    records = _records(must(main, HOLD, *PACK, "--json"))
    pieces = Pieces(_pieces(main))
    assert len(pieces.cars) > 1
    tree = pieces.tree()
    readme, bundle = tree.pop("README.txt"), tree.pop("git/0000.bundle")
    assert tree == files_of(main)
    assert b"ipfs get" in readme[1]
    (main.parent / "one.bundle").write_bytes(bundle[1])
    must(main.parent, "git", "clone", "-q", "one.bundle", "again")
    again = main.parent / "again"
    assert (
        must(again, "git", "log", "--format=%H").out == must(main, "git", "log", "--format=%H").out
    )
    must(again, "git", "rev-parse", "--verify", "-q", "origin/git-annex")
    names = {record["path"] for record in records if record.get("piece") is not None}
    assert names == {path.stem for path in _pieces(main)}


def test_every_row_leads_to_its_file_and_what_repeats_is_there_once(main: Path) -> None:
    must(main, HOLD, *PACK)
    pieces = Pieces(_pieces(main))
    assert not pieces.repeated
    kinds = {row.path: row.kind for _, row in pieces.rows}
    assert kinds[b"files/sub.txt"] is RowKind.GIT
    assert kinds[b"files/link"] is RowKind.SYMLINK
    assert kinds[b"files/sub/03.dat"] is RowKind.ANNEXED
    twins = [row for _, row in pieces.rows if row.path.endswith(b"twin.dat")]
    assert len(twins) == 1
    split = [row for _, row in pieces.rows if row.path == b"files/sub/large.dat"]
    starts = sorted(row.start for row in split)
    assert starts[0] == 0 and len(starts) == 2
    assert [row.cid is None for row in sorted(split, key=lambda row: row.start)] == [True, False]
    for number, row in pieces.rows:
        part = pieces.cars[number][row.offset : row.offset + row.length]
        blocks = list(CarReader([pieces.cars[number][:59], part]))
        if row.cid is not None:
            assert blocks[-1].cid == row.cid


def test_packing_again_says_that_all_is_there(main: Path) -> None:
    must(main, HOLD, *PACK)
    before = _pieces(main)
    again = _records(must(main, HOLD, *PACK, "--json"))
    assert [record["status"] for record in again] == ["notneeded"]
    assert _pieces(main) == before


@pytest.mark.parametrize("begun", [False, True])
def test_pieces_that_are_not_where_they_are_wanted_are_told(main: Path, begun: bool) -> None:
    if begun:
        with open_dataset(main) as dataset:
            outcomes = iter_archive_pack(archive_of(dataset), piece_size=4 << 20)
            assert next(outcomes).action == "pack"
            outcomes.close()
    else:
        must(main, HOLD, "archive", "pack", "--piece-size", PIECE)
    *_, told = _records(must(main, HOLD, *PACK, "--json"))
    folder = main.parent / "pieces"
    assert told["status"] == "ok" and told["lacking"] == (1 if begun else 2)
    assert f"pack --to {folder}/ makes what lacks" in told["note"], told
    must(main, HOLD, "archive", "pack", "--to", f"{folder}/")
    assert len(_pieces(main)) == 2
    assert [one["status"] for one in _records(must(main, HOLD, *PACK, "--json"))] == ["notneeded"]


def test_a_second_snapshot_has_only_what_is_new(main: Path) -> None:
    must(main, HOLD, *PACK)
    first = _pieces(main)
    (main / "sub/new.dat").write_bytes(os.urandom(70_000))
    os.rename(main / "sub/05.dat", main / "moved.dat")
    must(main, HOLD, "save", "-m", "more")
    must(main, HOLD, *PACK)
    new = set(_pieces(main)) - set(first)
    assert len(new) == 1
    last = Pieces(new)
    assert last.manifests[0].snapshot == 1
    assert len(last.manifests[0].prev) == 1
    paths = {row.path for _, row in last.rows}
    assert paths == {b"README.txt", b"files/sub/new.dat", b"git/0001.bundle"}
    pieces = Pieces(_pieces(main))
    tree = pieces.tree()
    assert {path: what for path, what in tree.items() if path.startswith("files/")} == files_of(
        main
    )
    _check_history(main, {path: what[1] for path, what in tree.items()})


def _check_history(main: Path, tree: dict[str, bytes]) -> None:
    folder = main.parent
    for name in ("0000", "0001"):
        (folder / f"{name}.bundle").write_bytes(tree[f"git/{name}.bundle"])
    must(folder, "git", "clone", "-q", "0000.bundle", "history")
    must(folder / "history", "git", "bundle", "verify", "../0001.bundle")
    must(folder / "history", "git", "fetch", "-q", "../0001.bundle", "+refs/*:refs/got/*")
    tip = must(main, "git", "rev-parse", "HEAD").out
    branch = must(main, "git", "symbolic-ref", "--short", "HEAD").out.strip()
    assert must(folder / "history", "git", "rev-parse", f"refs/got/heads/{branch}").out == tip


def test_content_that_is_missing_is_recorded_and_its_link_is_kept(main: Path) -> None:
    must(main, HOLD, "drop", "--force", "a test", "sub/07.dat")
    shutil.rmtree(main / ".git/annex/hold-archive")
    done = must(main, HOLD, "archive", "plan", "--piece-size", PIECE, "--json")
    told = [record for record in _records(done) if record["status"] == "notneeded"]
    assert [record["path"] for record in told] == ["files/sub/07.dat"]
    must(main, HOLD, *PACK)
    pieces = Pieces(_pieces(main))
    [row] = pieces.missing
    assert row.path == b"files/sub/07.dat"
    assert row.key.endswith(b".dat") and "in no place" in row.reason
    tree = pieces.tree()
    assert tree["files/sub/07.dat"][0] == "link"
    assert {k: v for k, v in tree.items() if k.startswith("files/")} == files_of(main)


def test_content_that_is_gone_here_but_in_an_earlier_piece_is_linked(main: Path) -> None:
    must(main, HOLD, *PACK)
    wanted = (main / "sub/07.dat").read_bytes()
    must(main, HOLD, "drop", "--force", "a test", "sub/07.dat")
    (main / "other").write_text("new")
    must(main, HOLD, "save", "-m", "other")
    must(main, HOLD, *PACK)
    pieces = Pieces(_pieces(main))
    assert not pieces.missing
    assert pieces.tree()["files/sub/07.dat"] == ("file", wanted)


# kills


def _whole(scene: Path, folder: Path) -> tuple[list[str], str]:
    """The pieces of a run that nobody stops."""
    folder.mkdir()
    shutil.copytree(scene / "main", folder / "main", symlinks=True)
    done = must(folder / "main", HOLD, *PACK, "--json")
    return [path.name for path in _pieces(folder / "main")], done.out


@pytest.fixture(scope="module")
def whole(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return _whole(scene, tmp_path_factory.mktemp("whole") / "run")[0]


def _count_changes(main: Path) -> int:
    counted = main.parent / "count"
    done = run_program(
        [sys.executable, str(KILL_AT), str(counted), "0", *PACK], main, environment()
    )
    assert done.returncode == 0, done.stderr
    return int(counted.read_text())


def test_killed_before_any_change_of_a_file_it_goes_on_to_the_same_pieces(
    scene: Path, whole: list[str], tmp_path: Path
) -> None:
    print(f"FAULTS_SEED={SEED}")
    (tmp_path / "count").mkdir()
    shutil.copytree(scene / "main", tmp_path / "count/main", symlinks=True)
    changes = _count_changes(tmp_path / "count/main")
    points = range(1, changes + 1)
    chosen = points if DEEP else random.Random(SEED).sample(points, min(4, changes))
    for point in chosen:
        folder = tmp_path / f"at-{point}"
        folder.mkdir()
        shutil.copytree(scene / "main", folder / "main", symlinks=True)
        killed = run_program(
            [sys.executable, str(KILL_AT), str(folder / "count"), str(point), *PACK],
            folder / "main",
            environment(),
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        must(folder / "main", HOLD, *PACK)
        _check_same(folder / "main", whole, f"change {point}")
        shutil.rmtree(folder)


def test_killed_at_random_moments_it_goes_on_to_the_same_pieces(
    scene: Path, whole: list[str], tmp_path: Path
) -> None:
    print(f"FAULTS_SEED={SEED}")
    chance = random.Random(SEED)
    for trial in range(times(2, 50)):
        folder = tmp_path / f"trial-{trial}"
        folder.mkdir()
        shutil.copytree(scene / "main", folder / "main", symlinks=True)
        for _ in range(chance.randint(1, 3)):
            process = subprocess.Popen(
                [HOLD, *PACK], cwd=folder / "main", env=environment(),
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
            time.sleep(chance.uniform(0.1, 1.5))
            process.kill()
            _, errors = process.communicate()
            assert process.returncode in (0, -signal.SIGKILL), errors
        must(folder / "main", HOLD, *PACK)
        _check_same(folder / "main", whole, f"trial {trial}")
        shutil.rmtree(folder)


def _check_same(main: Path, whole: list[str], when: str) -> None:
    assert [path.name for path in _pieces(main)] == whole, when
    left = [name for name in os.listdir(main.parent / "pieces") if not name.endswith(".car")]
    assert not left, when
    tree = Pieces(_pieces(main)).tree()
    assert {k: v for k, v in tree.items() if k.startswith("files/")} == files_of(main), when


# sources that are not what was planned


def _damage(main: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    path = (main / name).resolve()
    os.chmod(path.parent, 0o755)
    os.chmod(path, 0o644)
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize("name", ["sub/04.dat", "sub/large.dat", "sub/deep/twin.dat"])
def test_damaged_content_is_told_recorded_as_missing_and_the_rest_is_packed(
    main: Path, name: str
) -> None:
    _damage(main, name, lambda data: data[:-1] + b"!")
    done = run(main, HOLD, *PACK, "--json")
    assert done.code == 1, done.err
    told = [record for record in _records(done) if record["status"] == "error"]
    assert f"files/{name}" in [record["path"] for record in told]
    pieces = Pieces(_pieces(main))
    assert f"files/{name}".encode() in [row.path for row in pieces.missing]
    tree = pieces.tree()
    assert tree[f"files/{name}"][0] == "link"
    good = {path: what for path, what in files_of(main).items() if path != f"files/{name}"}
    if "twin" in name:
        good.pop("files/twin.dat")
        assert tree["files/twin.dat"][0] == "link"
    assert good.items() <= tree.items()
    assert not [n for n in os.listdir(main.parent / "pieces") if not n.endswith(".car")]


def _folder_scene(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    (folder / "b").mkdir(parents=True)
    (folder / "hollow").mkdir()
    for number in range(12):
        (folder / f"b/{number:02}").write_bytes(random.Random(number).randbytes(300_000))
    (folder / "c").write_bytes(b"c" * 6_000_000)
    (folder / "d").symlink_to("c")
    return folder


FOLDER_PACK = (
    "archive", "pack", "--folder", "scans", "--state", "state", "--write", "pieces",
    "--piece-size", PIECE,
)  # fmt: skip


def _pack_one_piece(archive: Archive, pieces: Path) -> None:
    """Pack the first piece, as a run that was stopped then."""
    outcomes = iter_archive_pack(archive, write=os.fsencode(pieces), piece_size=4 << 20)
    assert next(outcomes).good
    outcomes.close()


@pytest.mark.parametrize("size", [10, 300_000, 900_000, None])
def test_a_file_that_changes_after_it_was_planned_is_packed_as_it_is_now(
    tmp_path: Path, size: int | None
) -> None:
    folder = _folder_scene(tmp_path)
    (folder / "a").write_bytes(random.Random(5).randbytes(5_000_000))
    state = os.fsencode(tmp_path / "state")
    _pack_one_piece(archive_of_folder(os.fsencode(folder), state), tmp_path / "pieces")
    if size is None:
        (folder / "b/05").unlink()
    else:
        (folder / "b/05").write_bytes(os.urandom(size))
    done = run(tmp_path, HOLD, *FOLDER_PACK, "--json")
    assert done.code == (1 if size is None else 0), done.err
    told = [record for record in _records(done) if record["path"] == "files/b/05"]
    assert len(told) == (size != 300_000)
    tree = Pieces((tmp_path / "pieces").glob("*.car")).tree()
    tree.pop("README.txt")
    assert tree == files_of(folder)


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    folder = _folder_scene(tmp_path)
    process = subprocess.Popen(
        [HOLD, *FOLDER_PACK, "--json"], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE
    )
    roots = tmp_path / "state/snapshot-0/piece-1.roots"
    while not roots.exists() and process.poll() is None:
        time.sleep(0.001)
    content = os.urandom(6_000_000)
    (folder / "c").write_bytes(content)
    out, _ = process.communicate()
    assert process.returncode == 0
    tree = Pieces((tmp_path / "pieces").glob("*.car")).tree()
    if b"changed" in out:
        assert tree["files/c"] == ("file", content)
    else:  # it was read before, or after
        assert tree["files/c"][1] in (b"c" * 6_000_000, content)


def test_a_file_that_may_not_be_read_is_told_as_that(tmp_path: Path) -> None:
    may_not = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may read everything, and setpriv is not here")
        may_not = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/open").write_text("open")
    (tmp_path / "scans/shut").write_text("shut")
    (tmp_path / "scans/shut").chmod(0)
    words = ("archive", "pack", "--folder", "scans", "--state", "state", "--write", "pieces")
    done = run(tmp_path, *may_not, HOLD, *words, "--piece-size", "4MiB")
    assert done.code == 4 and "scans/shut may not be read" in done.err, done.text
    assert "keeps changing" not in done.text
    (tmp_path / "scans/shut").chmod(0o600)
    assert must(tmp_path, *may_not, HOLD, *words).out.count("bafkzcib") == 1


def _told(folder: Path, work: str, *words: str) -> list[dict[str, Any]]:
    done = must(folder, HOLD, "archive", work, *words)
    return [json.loads(line) for line in done.out.splitlines()]


@pytest.mark.parametrize("deep", [255, 256])
def test_folders_are_packed_as_deep_as_they_are_restored(tmp_path: Path, deep: int) -> None:
    folder = tmp_path.joinpath("scans", *["a"] * (deep - 1))
    folder.mkdir(parents=True)
    (folder / "file").write_text("deep")
    words = ("--folder", "scans", "--state", "state", "--write", "pieces", "--piece-size", "4MiB")
    done = run(tmp_path, HOLD, "archive", "pack", *words)
    if deep == 255:
        assert done.code == 0, done.text
        must(tmp_path, HOLD, "archive", "restore", "pieces", "--to", "out")
        assert tmp_path.joinpath("out", *["a"] * (deep - 1), "file").read_text() == "deep"
    else:
        assert done.code == 2 and "H903" in done.err and "256 folders deep" in done.err, done.text
        assert not list((tmp_path / "pieces").iterdir())


def test_pipes_and_sockets_in_a_folder_are_told_to_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "scans/sub").mkdir(parents=True)
    (tmp_path / "scans/file").write_text("file")
    words = ("--folder", "scans", "--state", "state", "--piece-size", "4MiB", "--json")
    for count in (0, 1, 2):
        if count:
            os.mkfifo(tmp_path / f"scans/sub/pipe{count}")
        for work in ("plan", "pack"):
            told = _told(tmp_path, work, *words)
            assert told[-1]["passed_over"] == count
            left = [one["path"] for one in told if one["status"] == "notneeded"]
            assert left == [f"sub/pipe{number}" for number in range(1, count + 1)]
    assert "without 2 pipes, sockets and devices" in told[-1]["note"]


def test_data_sets_inside_are_told_to_be_left_out(main: Path) -> None:
    words = ("--piece-size", "4MiB", "--json")
    assert _told(main, "plan", *words)[-1]["passed_over"] == 0
    must(main, HOLD, "create", "-q", "-d", ".", "sub/within")
    for work in ("plan", "pack"):
        told = _told(main, work, *words)
        assert told[-1]["passed_over"] == 1
        assert "without 1 data set inside it" in told[-1]["note"]
        assert "sub/within" in [one["path"] for one in told if one["status"] == "notneeded"]
    must(main, "git", "init", "-q", "by-mistake")
    must(main / "by-mistake", "git", "commit", "-q", "--allow-empty", "-m", "inside")
    must(main, "git", "add", "by-mistake")
    must(main, "git", "rm", "-q", "--cached", ".gitmodules")
    must(main, "git", "commit", "-q", "-m", "no word of it")
    assert _told(main, "plan", *words)[-1]["passed_over"] == 2


def test_a_folder_cannot_hold_its_own_archive(tmp_path: Path) -> None:
    folder = _folder_scene(tmp_path)
    words = ("archive", "pack", "--folder", "scans", "--state", "state", "--write", "scans/pieces")
    done = run(tmp_path, HOLD, *words)
    assert done.code == 2 and "H906" in done.err
    assert not (folder / "pieces").exists()
    done = run(tmp_path, HOLD, "archive", "pack", "--folder", "scans", "--state", "./scans/")
    assert done.code == 2 and "H906" in done.err
    assert not (folder / "lock").exists()
    (tmp_path / "state").touch()
    for state in ("state", "state/below"):
        done = run(tmp_path, HOLD, "archive", "pack", "--folder", "scans", "--state", state)
        assert done.code == 2 and "cannot be made" in done.err, done.err


def test_a_full_disk_is_told_in_four_lines_and_the_same_command_goes_on(
    main: Path, mount: Callable[..., Path]
) -> None:
    disk = mount("disk", "-t", "tmpfs", "-o", "size=5m", "tmpfs")
    words = ("archive", "pack", "--write", str(disk), "--piece-size", PIECE)
    done = run(main, HOLD, *words)
    assert done.code == 3 and "H401" in done.err, done.err
    assert "Traceback" not in done.err
    first = [path for path in disk.iterdir() if path.suffix == ".car"]
    assert list(disk.iterdir()) == first and len(first) == 1, "what fits is whole, no more is there"
    Pieces(first)
    shutil.move(str(first[0]), main.parent)
    must(main, HOLD, *words)
    both = [main.parent / first[0].name, *disk.glob("*.car")]
    tree = Pieces(both).tree()
    assert {k: v for k, v in tree.items() if k.startswith("files/")} == files_of(main)


def test_another_piece_size_than_the_one_begun_is_refused(main: Path) -> None:
    with open_dataset(main) as dataset:
        _pack_one_piece(archive_of(dataset), main.parent / "pieces")
    done = hold(main, "archive", "pack", "--piece-size", "8MiB")
    assert done.code == 4 and "H907" in done.err


@pytest.mark.parametrize("size", ["5MiB", "1MiB", "many", "0"])
def test_a_piece_size_that_cannot_be_is_refused(main: Path, size: str) -> None:
    done = hold(main, "archive", "plan", "--piece-size", size)
    assert done.code == 2 and "H103" in done.err
