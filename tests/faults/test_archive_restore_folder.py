"""Plain folders out of pieces: the same as they were, wherever it was stopped; a part of them; drills."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import pytest
from archive_scene import served
from depth import DEEP
from scenes import HOLD, all_of, environment, must, run
from warm_hold import run_program

SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.randrange(1 << 30)
KILL_AT = Path(__file__).with_name("kill_at.py")
LOCAL = ("-c", "annex.security.allowed-ip-addresses=127.0.0.1")


def _pack(folder: Path, *, size: str = "4MiB") -> None:
    must(folder, HOLD, "archive", "pack", "-q", "--folder", "scans", "--state", "state", "--write",
         "pieces", "--piece-size", size)  # fmt: skip


def _fill_with_bytes(scans: Path) -> None:
    """Names that are not UTF-8, where they sort before, between and after others."""
    for name in (
        b"caf\xe9",
        b"caf\xe9.d/\xff\xff",
        b"caf\xe9.d/z",
        b"%bytes%caf%E9",
        b"\xfe/\xff/x",
        b"\xff",
    ):
        path = scans / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of " + name)
    (scans / os.fsdecode(b"\xe9-link")).symlink_to(os.fsdecode(b"caf\xe9"))
    (scans / os.fsdecode(b"\xe9-hollow")).mkdir()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folder")
    chance = random.Random(5)
    scans = folder / "scans"
    (scans / "a/deep/er").mkdir(parents=True)
    (scans / "hollow/inner").mkdir(parents=True)
    for number in range(30):
        path = scans / f"a/{number:02}"
        path.write_bytes(chance.randbytes(chance.randrange(200_000)))
        path.chmod(chance.choice((0o644, 0o600, 0o755, 0o444)))
    (scans / "a/deep/er/large").write_bytes(chance.randbytes(6_000_000))
    (scans / "a-").write_bytes(b"sorted after a/")
    (scans / "b").write_bytes(b"")
    (scans / "link").symlink_to("../outside")
    (scans / "ümlaut").write_bytes(b"text")
    _fill_with_bytes(scans)
    _pack(folder)
    return folder


def test_a_folder_is_restored_with_modes_links_and_hollow_folders(
    scene: Path, tmp_path: Path
) -> None:
    words = ("archive", "restore", str(scene / "pieces"), "--to", "out", "--json")
    must(tmp_path, HOLD, *words)
    assert all_of(tmp_path / "out") == all_of(scene / "scans")
    again = must(tmp_path, HOLD, *words)
    assert {json.loads(line)["status"] for line in again.out.splitlines()} == {"notneeded"}
    assert sorted(os.listdir(tmp_path)) == ["out"]


def test_each_snapshot_of_a_folder_can_be_had(scene: Path, tmp_path: Path) -> None:
    for name in ("scans", "state", "pieces"):
        shutil.copytree(scene / name, tmp_path / name, symlinks=True)
    before = all_of(tmp_path / "scans")
    (tmp_path / "scans/a/05").unlink()
    (tmp_path / "scans/a/new").write_bytes(b"new")
    _pack(tmp_path)
    for number, wanted in enumerate((before, all_of(tmp_path / "scans"))):
        must(tmp_path, HOLD, "archive", "restore", "pieces", "--at", str(number), "--to",
             f"out{number}")  # fmt: skip
        assert all_of(tmp_path / f"out{number}") == wanted
    listed = must(tmp_path, HOLD, "archive", "restore", "pieces", "--list")
    assert "snapshot 0" in listed.out and "snapshot 1" in listed.out
    wrong = run(tmp_path, HOLD, "archive", "restore", "pieces", "--at", "7", "--to", "no")
    assert wrong.code == 1 and "H925" in wrong.err and "0, 1" in wrong.err, wrong.text


def test_a_part_of_a_folder_comes_with_few_requests_and_few_bytes(tmp_path: Path) -> None:
    chance = random.Random(3)
    for subject in range(150):
        folder = tmp_path / f"scans/sub-{subject:03}/anat"
        folder.mkdir(parents=True)
        for name in range(5):
            (folder / f"{name}.dat").write_bytes(chance.randbytes(60_000))
    _pack(tmp_path, size="64MiB")
    [piece] = (tmp_path / "pieces").iterdir()
    with served(tmp_path / "pieces") as (url, asked):
        must(tmp_path, HOLD, *LOCAL, "archive", "restore", f"{url}/{piece.name}", "--to", "out",
             "--only", "sub-077/*")  # fmt: skip
    wanted = all_of(tmp_path / "scans/sub-077")
    assert all_of(tmp_path / "out/sub-077") == wanted
    assert os.listdir(tmp_path / "out") == ["sub-077"]
    assert len(asked) <= 10, asked
    assert sum(asked) - 300_000 <= piece.stat().st_size // 100, asked


def test_a_missing_piece_of_a_folder_costs_only_what_is_in_it(scene: Path, tmp_path: Path) -> None:
    shutil.copytree(scene / "pieces", tmp_path / "pieces")
    wanted = all_of(scene / "scans")
    listed = run(tmp_path, HOLD, "archive", "restore", "pieces", "--list", "--json")
    names = json.loads(listed.out.splitlines()[0])["pieces"]
    (tmp_path / names[0]).rename(tmp_path / "aside")
    done = run(tmp_path, HOLD, "archive", "restore", "pieces", "--to", "out", "--json")
    assert done.code == 3, done.text
    assert Path(names[0]).stem in done.out
    found = all_of(tmp_path / "out")
    assert found.items() <= wanted.items() and len(found) > 1
    (tmp_path / "aside").rename(tmp_path / names[0])
    must(tmp_path, HOLD, "archive", "restore", "pieces", "--to", "out")
    assert all_of(tmp_path / "out") == wanted


def test_a_folder_is_restored_after_a_kill_before_any_change(scene: Path, tmp_path: Path) -> None:
    print(f"FAULTS_SEED={SEED}")
    words = ("archive", "restore", str(scene / "pieces"), "--to", "out")
    (tmp_path / "count").mkdir()
    done = run_program(
        [sys.executable, str(KILL_AT), str(tmp_path / "changes"), "0", *words],
        tmp_path / "count",
        environment(),
    )
    assert done.returncode == 0, done.stderr
    changes = int((tmp_path / "changes").read_text())
    points = range(1, changes + 1)
    for point in points if DEEP else sorted(random.Random(SEED).sample(points, min(4, changes))):
        folder = tmp_path / f"at-{point}"
        folder.mkdir()
        killed = run_program(
            [sys.executable, str(KILL_AT), str(tmp_path / "changes"), str(point), *words],
            folder,
            environment(),
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        must(folder, HOLD, *words)
        assert all_of(folder / "out") == all_of(scene / "scans"), point
        assert os.listdir(folder) == ["out"], point
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    "words",
    [
        ("restore",), ("drill",), ("restore", "p", "--sample", "3"), ("drill", "p", "--to", "x"),
        ("restore", "p", "--write", "x"), ("plan", "p"), ("pack", "--only", "x"), ("mend", "p"),
        ("drill", "p", "--sample", "0"), ("restore", "p", "--only", "[x"), ("plan", "--list"), ("restore", "p", "--list", "--to", "x"),
    ],
)  # fmt: skip
def test_words_that_do_nothing_are_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "p").mkdir()
    done = run(tmp_path, HOLD, "archive", *words)
    assert done.code == 2 and "H103" in done.err, done.text


@pytest.mark.parametrize(
    "words",
    [
        ("pack", "--write", ""), ("pack", "--to", ""), ("pack", "--known", ""),
        ("plan", "--at", ""), ("plan", "--folder", "", "--state", ""), ("check", "--html", ""),
        ("restore", "p", "--to", ""), ("restore", "p", "--only", ""), ("drill", "--from", ""),
    ],
)  # fmt: skip
def test_an_empty_word_is_not_taken_for_none(tmp_path: Path, words: tuple[str, ...]) -> None:
    must(tmp_path, HOLD, "create", "-q", "main")
    (tmp_path / "main/p").mkdir()
    done = run(tmp_path / "main", HOLD, "archive", *words)
    assert done.code == 2 and "H103  an empty --" in done.err, done.text


# drills


def _drill(folder: Path, pieces: Path, *words: str) -> tuple[int, list[dict[str, object]]]:
    done = run(folder, HOLD, "archive", "drill", str(pieces), "--json", *words)
    assert "Traceback" not in done.err, done.text
    return done.code, [json.loads(line) for line in done.out.splitlines()]


def test_a_drill_says_what_it_proved_and_leaves_nothing(scene: Path, tmp_path: Path) -> None:
    code, told = _drill(tmp_path, scene / "pieces", "--sample", "7")
    assert code == 0
    assert told[-1]["sample"] == 7 and told[-1]["files"] == 42
    assert not os.listdir(tmp_path)
    seed = str(told[-1]["seed"])
    again = _drill(tmp_path, scene / "pieces", "--sample", "7", "--seed", seed)[1]
    assert {one["path"] for one in again} == {one["path"] for one in told}


def test_a_drill_of_all_finds_a_flipped_bit(scene: Path, tmp_path: Path) -> None:
    shutil.copytree(scene / "pieces", tmp_path / "pieces")
    path = max((tmp_path / "pieces").iterdir(), key=lambda one: one.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    code, told = _drill(tmp_path, tmp_path / "pieces", "--sample", "100")
    assert code == 1
    assert any("damaged at byte" in str(one.get("error")) for one in told)


def test_a_drill_tells_of_all_that_is_lost_and_counts_files_alone(
    scene: Path, tmp_path: Path
) -> None:
    shutil.copytree(scene / "pieces", tmp_path / "pieces")
    whole = _drill(tmp_path, tmp_path / "pieces", "--sample", "1")[1][-1]["files"]
    listed = must(tmp_path, HOLD, "archive", "restore", "pieces", "--list", "--json").out
    names = json.loads(listed.splitlines()[-1])["pieces"]
    (tmp_path / names[0]).unlink()
    told = {}
    for sample in ("1", "1000"):
        code, told[sample] = _drill(tmp_path, tmp_path / "pieces", "--sample", sample)
        assert code == 3
    bad = [[one["note"] for one in some if one["status"] != "ok"] for some in told.values()]
    assert len(bad[0]) > 2 and {*bad[0]} <= {*bad[1]}
    assert told["1"][-1]["files"] == told["1000"][-1]["files"]
    assert int(str(told["1"][-1]["files"])) < int(str(whole))


def test_a_drill_reads_pieces_whole_where_that_is_wished(scene: Path, tmp_path: Path) -> None:
    pieces = tmp_path / "pieces"
    shutil.copytree(scene / "pieces", pieces)
    count = len(list(pieces.iterdir()))
    code, told = _drill(tmp_path, pieces, "--sample", "1", "--whole", "9")
    checked = [one for one in told if one["action"] == "check"]
    assert code == 0 and [one["status"] for one in checked] == ["ok"] * count
    path = sorted(pieces.iterdir())[0]
    data = bytearray(path.read_bytes())
    data[20] ^= 1  # of the root that the header names: no block, so nothing else finds it
    path.write_bytes(data)
    code, told = _drill(tmp_path, pieces, "--sample", "1", "--whole", "9")
    assert code == 1
    bad = [one for one in told if one["action"] == "check" and one["status"] == "error"]
    assert len(bad) == 1 and path.name in str(bad[0]["path"])


def test_a_drill_of_a_data_set_proves_its_history_too(tmp_path: Path) -> None:
    must(tmp_path, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    for number in range(9):
        (tmp_path / f"main/{number}.dat").write_bytes(os.urandom(1000))
    must(tmp_path / "main", HOLD, "save", "-q", "-m", "all")
    must(tmp_path / "main", HOLD, "archive", "pack", "-q", "--write", "../pieces",
         "--piece-size", "4MiB")  # fmt: skip
    code, told = _drill(tmp_path, tmp_path / "pieces", "--sample", "4")
    assert code == 0
    assert told[0]["path"] == "history"
    assert told[-1]["sample"] == 4 and told[-1]["files"] == 9 and told[-1]["bytes"] == 4000
    nobody = [
        f"-uGIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    ]
    strict = (
        "GIT_CONFIG_COUNT=1",
        "GIT_CONFIG_KEY_0=user.useConfigOnly",
        "GIT_CONFIG_VALUE_0=true",
    )
    must(tmp_path, "env", *nobody, *strict, HOLD, "archive", "drill", "pieces")
