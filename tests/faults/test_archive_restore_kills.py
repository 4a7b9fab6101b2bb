"""Restoring that is killed at random moments, or has no room: never wrong, and completed later."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_scene import Archived, archived, copy_pieces
from depth import DEEP, times
from scenes import HOLD, contents, environment, hold, must, run

SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.randrange(1 << 30)
OURS = (".hold-", "out")
"""How everything begins that a run may leave beside its target."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Archived:
    return archived(tmp_path_factory.mktemp("archived"), 13)


def _words(pieces: Path) -> tuple[str, ...]:
    return ("archive", "restore", str(pieces), "--at", "2", "--to", "out")


def _check_so_far(made: Archived, folder: Path) -> None:
    """What has its final name is right, and nothing else lies around."""
    assert all(name.startswith(OURS) for name in os.listdir(folder)), os.listdir(folder)
    if (folder / "out").exists():
        assert contents(folder / "out").items() <= made.versions[2].digests.items()


def _check_done(made: Archived, folder: Path, words: tuple[str, ...]) -> None:
    must(folder, HOLD, *words)
    assert os.listdir(folder) == ["out"]
    assert contents(folder / "out") == made.versions[2].digests
    assert must(folder / "out", "git", "status", "--porcelain").out == ""
    must(folder / "out", "git", "fsck", "--no-dangling")


def _remove(folder: Path) -> None:
    subprocess.run(["chmod", "-R", "u+w", folder], check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def test_killed_at_random_moments_nothing_is_wrong_and_the_same_call_completes(
    made: Archived, tmp_path: Path
) -> None:
    print(f"FAULTS_SEED={SEED}")
    chance, words = random.Random(SEED), _words(made.all)
    (tmp_path / "timed").mkdir()
    began = time.monotonic()
    must(tmp_path / "timed", HOLD, *words)
    took_s = time.monotonic() - began
    killed = 0
    for trial in range(times(3, 50)):
        folder = tmp_path / f"trial-{trial}"
        folder.mkdir()
        process = subprocess.Popen(
            [HOLD, *words], cwd=folder, env=environment(), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        time.sleep(chance.uniform(0.1, took_s))
        process.kill()
        _, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), errors
        killed += process.returncode == -signal.SIGKILL
        _check_so_far(made, folder)
        _check_done(made, folder, words)
        _remove(folder)
    print(f"{killed} killed")
    assert killed


def test_pieces_that_were_changed_in_between_are_told_and_harm_nothing(
    made: Archived, tmp_path: Path
) -> None:
    pieces, folder = copy_pieces(made, tmp_path / "pieces"), tmp_path / "here"
    folder.mkdir()
    must(folder, HOLD, *_words(pieces), "--only", "sub/0[0-4]*")
    before = contents(folder / "out")
    for path in pieces.iterdir():
        data = bytearray(path.read_bytes())
        for at in range(100, len(data) * 9 // 10, 50_000):
            data[at] ^= 1
        path.write_bytes(data)
    done = run(folder, HOLD, *_words(pieces))
    assert done.code in (1, 3) and "damaged at byte" in done.text, done.text
    _check_so_far(made, folder)
    assert before.items() <= contents(folder / "out").items()
    _check_done(made, folder, _words(made.all))


@pytest.mark.parametrize("leave", [0, 300_000, 3_000_000, 6_000_000] if DEEP else [3_000_000])
def test_without_room_it_is_told_and_the_same_call_completes_when_there_is(
    made: Archived, mount: Callable[..., Path], leave: int
) -> None:
    disk = mount("disk", "-t", "tmpfs", "-o", "size=40m", "none")
    words = ("-c", "annex.diskreserve=0", *_words(made.all))
    with (disk / "ballast").open("wb") as file:
        free = os.statvfs(disk)
        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - leave))
    done = hold(disk, *words)
    assert done.code and "Traceback" not in done.err, done.text
    assert any(code in done.err for code in ("H401", "H213", "H110")), done.text
    (disk / "ballast").unlink()
    _check_so_far(made, disk)
    _check_done(made, disk, words)
