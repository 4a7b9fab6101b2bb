"""Killed anywhere by SIGKILL: nothing is lost, and the same command completes.

A few moments of each verb, chosen anew each time, more of them in a deep run; `bench/faults.py`
tries them all.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from depth import times
from scenes import (
    HOLD,
    KILLED,
    SCENES,
    Scene,
    check_finished,
    check_nothing_lost,
    check_with_annex,
    environment,
    has_strace,
    hold,
    kill_after,
    kill_at,
    kill_by_strace,
    left_locks,
    left_scratch,
    must,
    run,
    wait_for_orphans,
)

from holdfast.core.errors import PlaceUnavailableError
from holdfast.dataset import locks
from holdfast.dataset.config import append_settings
from holdfast.dataset.git_lock import clear_dead_lock, git_lock
from holdfast.dataset.scratch import using_scratch

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("git-annex", path=environment()["PATH"]) is None,
                       reason="the real git-annex is not here"),
]  # fmt: skip

SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.randrange(1 << 30)


def after_a_kill(scene: Scene, main: Path) -> None:
    wait_for_orphans(main.parent)
    check_nothing_lost(scene, main)
    check_finished(scene, main)


def test_killed_at_a_random_moment_nothing_is_lost_and_the_same_command_completes(
    scene: Scene, tmp_path: Path
) -> None:
    print(f"FAULTS_SEED={SEED}")
    chance = random.Random(f"{SEED} {scene.name}")
    main = scene.copy(tmp_path / "trial")
    began = time.monotonic()
    assert kill_after(scene.command(), main, 120) == 0
    took_s = time.monotonic() - began
    for _ in range(times(2, 12)):
        main = scene.copy(tmp_path / "trial")
        kill_after(scene.command(), main, chance.uniform(0.03, took_s))
        after_a_kill(scene, main)


def test_killed_before_a_change_to_the_disk_nothing_is_lost_and_the_same_command_completes(
    scene: Scene, tmp_path: Path
) -> None:
    print(f"FAULTS_SEED={SEED}")
    chance = random.Random(f"{SEED} {scene.name}")
    counted = tmp_path / "count"
    assert kill_at(scene.words, scene.copy(tmp_path / "trial"), 0, counted).code == 0
    for number in chance.sample(range(1, int(counted.read_text())), times(2, 12)):
        main = scene.copy(tmp_path / "trial")
        assert kill_at(scene.words, main, number, counted).code == KILLED
        wait_for_orphans(main.parent)
        check_nothing_lost(scene, main)
        looked_at = tmp_path / "looked at"
        shutil.rmtree(looked_at, ignore_errors=True)
        shutil.copytree(main.parent, looked_at, symlinks=True)
        check_with_annex(scene, looked_at / "main")
        check_finished(scene, main)


@pytest.mark.skipif(not has_strace(), reason="strace is not here, or may not trace")
@pytest.mark.parametrize("calls", ["rename,renameat,renameat2", "unlink,unlinkat", "fsync"])
def test_killed_inside_a_system_call_also_of_git_nothing_is_lost(
    scene: Scene, tmp_path: Path, calls: str
) -> None:
    main = scene.copy(tmp_path / "trial")
    number = 1 if calls == "fsync" else random.Random(SEED).randrange(1, 6)
    kill_by_strace(scene.command(), main, calls, number)
    after_a_kill(scene, main)


def test_killed_between_index_and_refs_the_next_save_tells_the_ledger_too(dataset: Path) -> None:
    (dataset / "large.bin").write_bytes(bytes(range(256)) * 400)
    (dataset / "open.bin").write_bytes(bytes(range(256)) * 401)
    must(dataset, HOLD, "save", "-q", "open.bin")
    must(dataset, HOLD, "unlock", "-q", "open.bin")
    before = must(dataset, "git", "rev-parse", "HEAD", "git-annex").out.split()
    must(dataset, HOLD, "save", "-q")
    # As it is when hold dies after the index was published, before git moved the refs.
    must(dataset, "git", "update-ref", "HEAD", before[0])
    must(dataset, "git", "update-ref", "refs/heads/git-annex", before[1])
    must(dataset, HOLD, "save", "-q")
    told = must(dataset, "git", "annex", "whereis", "--in", "here", "large.bin", "open.bin").out
    assert told.count("(1 copy)") == 2, told
    assert "here" in must(dataset, "git", "annex", "whereis", "large.bin").out


# locks of git that a killed hold leaves


HOLDER = """
import sys, time
from holdfast.dataset.git_lock import git_lock
with git_lock(sys.argv[1].encode()):
    print("held", flush=True)
    time.sleep(600)
"""


def hold_lock(path: Path) -> subprocess.Popen[bytes]:
    """A process that holds git's lock on a file as a running hold does."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    must(tmp_path, sys.executable, "-m", "holdfast", "create", "-q", "main")
    return tmp_path / "main"


def test_the_index_lock_of_a_killed_hold_is_taken_over_at_once(dataset: Path) -> None:
    end(hold_lock(dataset / ".git/index"))
    assert left_locks(dataset) == ["index.hold.lck", "index.lock", "index.lock.hold"]
    (dataset / "new").write_text("content")
    began = time.monotonic()
    saved = hold(dataset, "save", "-q")
    assert saved.code == 0, saved.text
    assert time.monotonic() - began < 30
    assert not left_locks(dataset)


@pytest.mark.parametrize("words", [("save",), ("get",), ("drop", "."), ("fsck",)])
def test_a_verb_that_has_nothing_to_do_clears_the_lock_of_a_killed_hold(
    dataset: Path, words: tuple[str, ...]
) -> None:
    end(hold_lock(dataset / ".git/index"))
    end(hold_lock(dataset / ".git/config"))
    ran = hold(dataset, *words)
    assert ran.code == 0, ran.text
    assert not left_locks(dataset)
    must(dataset, "git", "config", "a.b", "c")


def test_the_configuration_lock_of_a_killed_hold_is_taken_over(dataset: Path) -> None:
    end(hold_lock(dataset / ".git/config"))
    append_settings(bytes(dataset / ".git/config"), [("remote.x", [("annex-uuid", "u")])])
    assert must(dataset, "git", "config", "remote.x.annex-uuid").out == "u\n"
    assert not left_locks(dataset)


def test_a_lock_that_git_made_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "index.lock").write_text("git's")
    with (
        pytest.raises(PlaceUnavailableError, match="another program is writing here") as caught,
        git_lock(bytes(tmp_path / "index"), wait_s=0.1),
    ):
        pass
    assert caught.value.code == "H114"
    clear_dead_lock(bytes(tmp_path / "index"))
    assert sorted(os.listdir(tmp_path)) == ["index.lock"]


def test_a_lock_that_git_made_after_a_hold_died_is_never_removed(tmp_path: Path) -> None:
    end(hold_lock(tmp_path / "index"))
    (tmp_path / "index.lock").unlink()
    (tmp_path / "index.lock").write_text("git's")
    with pytest.raises(PlaceUnavailableError), git_lock(bytes(tmp_path / "index"), wait_s=0.1):
        pass
    assert (tmp_path / "index.lock").read_text() == "git's"


def test_a_lock_of_a_living_hold_is_waited_for(tmp_path: Path) -> None:
    holder = hold_lock(tmp_path / "index")
    clear_dead_lock(bytes(tmp_path / "index"))
    assert (tmp_path / "index.lock").exists()
    with (
        pytest.raises(PlaceUnavailableError, match="another program"),
        git_lock(bytes(tmp_path / "index"), wait_s=0.2),
    ):
        pass
    end(holder)
    with git_lock(bytes(tmp_path / "index"), wait_s=0.2) as lock:
        lock.file.write(b"new")
        lock.publish()
    assert (tmp_path / "index").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["index"]


def test_git_sees_our_lock_as_one_of_its_own(dataset: Path) -> None:
    (dataset / "new").write_text("content")
    with git_lock(bytes(dataset / ".git/index")):
        refused = run(dataset, "git", "add", "new")
    assert refused.code != 0 and "index.lock" in refused.err
    must(dataset, "git", "add", "new")


# scratch


def test_the_scratch_of_the_dead_is_removed_by_the_next_run(dataset: Path) -> None:
    left = dataset / ".git/annex/othertmp/save123"
    left.mkdir(parents=True)
    (left / "copy").write_text("half")
    assert hold(dataset, "save").code == 0
    assert not left_scratch(dataset)


def test_the_scratch_of_the_living_is_left_alone(tmp_path: Path) -> None:
    folder = bytes(tmp_path / "othertmp")
    code = (
        "import sys, time\nfrom holdfast.dataset.scratch import Scratch\n"
        "scratch = Scratch(sys.argv[1].encode(), b'work')\n"
        "print(scratch.path.decode(), flush=True)\ntime.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, os.fsdecode(folder)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    path = Path(process.stdout.readline().decode().strip())
    with using_scratch(folder):
        assert path.is_dir()
    end(process)
    with using_scratch(folder):
        assert not path.exists()


def test_git_annex_does_not_clean_scratch_that_we_use(dataset: Path) -> None:
    lock = bytes(dataset / ".git/annex/othertmp.lck")
    with using_scratch(bytes(dataset / ".git/annex/othertmp")):
        code = (
            "import fcntl, sys\nfile = open(sys.argv[1], 'r+b')\n"
            "fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)"
        )
        assert run(dataset, sys.executable, "-c", code, os.fsdecode(lock)).code != 0
    with locks.exclusive(lock, wait_s=0):
        pass


# what a killed or earlier fsck left undone


def test_content_that_an_earlier_fsck_set_aside_is_brought_by_repair(tmp_path: Path) -> None:
    scene = SCENES["fsck"](tmp_path / "scene")
    main = scene.copy(tmp_path / "trial")
    assert hold(main, "fsck", "-q").code != 0
    repaired = hold(main, "fsck", "--repair")
    assert repaired.code == 0, repaired.text
    check_finished(scene, main)
