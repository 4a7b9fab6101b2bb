"""Forked hands do tasks side by side: results in order, failures told, nothing left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from depth import times
from scenes import (
    SCENES_OF_MANY,
    Scene,
    check_finished,
    check_nothing_lost,
    has_strace,
    kill_after,
    kill_by_strace,
    run,
    wait_for_orphans,
)

from holdfast.core.errors import HoldError, PlaceUnavailableError
from holdfast.transfer.hands import MANY, SMALL, are_many, are_small, may_fork, open_hands

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="hands are for Linux")


@pytest.fixture(autouse=True)
def alone() -> None:
    """Threads that other tests left behind would make hands impossible."""
    ends_at = time.monotonic() + 5
    while not may_fork() and time.monotonic() < ends_at:
        time.sleep(0.05)
    if not may_fork():
        pytest.skip(f"another thread lives: {threading.enumerate()[1:]}")


def test_results_come_in_the_order_of_the_tasks() -> None:
    with open_hands(lambda n: (n, os.getpid()), 3) as hands:
        assert hands is not None
        results = list(hands.map(range(50)))
    assert [number for number, _ in results] == list(range(50))
    workers = {process for _, process in results}
    assert len(workers) == 3
    assert os.getpid() not in workers


def test_results_may_be_large() -> None:
    with open_hands(lambda n: b"x" * n, 2) as hands:
        assert hands is not None
        assert [len(r) for r in hands.map([1 << 20] * 8)] == [1 << 20] * 8


def test_what_fails_is_raised_in_its_turn_with_all_its_lines() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise HoldError("three", why="because", safe="all", hint="go on", code="H999")
        return number

    with open_hands(work, 2) as hands:
        assert hands is not None
        results = hands.map(range(10))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(HoldError) as caught:
            next(results)
    assert caught.value.as_record() == {
        "code": "H999", "what": "three", "why": "because", "safe": "all", "next": "go on",
    }  # fmt: skip


def test_a_hand_that_is_killed_is_told_of() -> None:
    def work(number: int) -> int:
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with open_hands(work, 2) as hands:
        assert hands is not None
        with pytest.raises(PlaceUnavailableError, match="killed"):
            list(hands.map(range(10)))


def test_no_process_is_left_when_the_work_is_given_up_half_way() -> None:
    with open_hands(lambda n: (n, os.getpid()), 2) as hands:
        assert hands is not None
        results = hands.map(range(100))
        workers = {next(results)[1] for _ in range(4)}
    for process in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_what_is_to_be_done_first_and_last_is_done_in_each_hand(tmp_path: Path) -> None:
    def begin() -> None:
        (tmp_path / f"begin-{os.getpid()}").touch()

    def end() -> None:
        (tmp_path / f"end-{os.getpid()}").touch()

    with open_hands(lambda n: n, 2, begin=begin, end=end) as hands:
        assert hands is not None
        assert list(hands.map([1, 2])) == [1, 2]
    names = sorted(path.name.partition("-")[0] for path in tmp_path.iterdir())
    assert names == ["begin", "begin", "end", "end"]


def test_pipes_of_other_processes_end_when_we_close_them() -> None:
    reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    with open_hands(lambda n: n, 2) as hands:
        assert hands is not None
        assert list(hands.map([1])) == [1]
        assert reader.stdin is not None
        reader.stdin.close()
        assert reader.wait(timeout=10) == 0


def test_there_are_none_beside_other_threads_and_none_for_one() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with open_hands(lambda n: n, 2) as hands:
            assert hands is None
    finally:
        done.set()
        thread.join()
    with open_hands(lambda n: n, 1) as hands:
        assert hands is None


def test_hands_die_with_the_process_they_help() -> None:
    script = textwrap.dedent(
        """
        import os, sys, time
        from holdfast.transfer.hands import open_hands
        def work(n):
            os.write(1, b"%d\\n" % os.getpid())
            time.sleep(60)
        with open_hands(work, 2) as hands:
            list(hands.map([1, 2]))
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    parent.kill()
    parent.wait()
    assert parent.stdout.read() == b""  # ends when the last of them has
    ends_at = time.monotonic() + 10
    while any(Path(f"/proc/{process}/exe").exists() for process in workers):
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def test_they_are_for_many_small_files() -> None:
    assert are_many(MANY)
    assert not are_many(MANY - 1)
    assert are_small([10, SMALL, None])
    assert not are_small([SMALL + 1, SMALL])


# verbs whose work hands share

SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.randrange(1 << 30)


@pytest.fixture(scope="module", params=list(SCENES_OF_MANY))
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return SCENES_OF_MANY[request.param](tmp_path_factory.mktemp("many") / request.param)


@pytest.mark.interop
def test_killed_while_hands_work_nothing_is_lost_and_the_same_command_completes(
    scene: Scene, tmp_path: Path
) -> None:
    print(f"FAULTS_SEED={SEED}")
    main = scene.copy(tmp_path / "trial")
    began = time.monotonic()
    assert kill_after(scene.command(), main, 120) == 0
    took_s = time.monotonic() - began
    main = scene.copy(tmp_path / "trial")
    kill_after(scene.command(), main, random.Random(SEED).uniform(0.2, took_s))
    wait_for_orphans(main.parent)
    check_nothing_lost(scene, main)
    check_finished(scene, main)


@pytest.mark.interop
@pytest.mark.skipif(not has_strace(), reason="strace is not here, or may not trace")
def test_a_hand_that_is_killed_ends_the_command_with_four_lines_and_nothing_is_lost(
    scene: Scene, tmp_path: Path
) -> None:
    main = scene.copy(tmp_path / "trial")
    # The calls that hands make by the thousand, and the process they help by the dozen.
    calls = {"get": "fchmod", "drop": "rmdir", "fsck": "readlink,readlinkat"}[scene.name]
    if scene.name == "fsck":
        pytest.skip("its hands only read")
    ran = kill_by_strace(scene.command(), main, calls, times(75, 300))
    assert ran.code == 3, ran.text
    assert "H408" in ran.err, ran.text
    check_nothing_lost(scene, main)
    check_finished(scene, main)


@pytest.mark.interop
def test_hands_do_what_one_process_does(scene: Scene, tmp_path: Path) -> None:
    told = []
    for name, hands in (("with", True), ("without", False)):
        main = scene.copy(tmp_path / name)
        command = [*scene.command(), "--json"]
        if not hands:
            code = (
                "import sys, holdfast.transfer.hands as hands; hands.may_fork = lambda: False\n"
                "from holdfast.cli.main import run; sys.exit(run(sys.argv[1:]))"
            )
            command = [sys.executable, "-c", code, *scene.words, "--json"]
        ran = run(main, *command)
        assert ran.code == 0, ran.text
        told.append(sorted(ran.out.replace(str(main), "").splitlines()))
        check_finished(scene, main)
    assert told[0] == told[1]
