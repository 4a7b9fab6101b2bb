"""The files that tests send are nobody's after them: not when a process ends, nor when it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, signal, sys
from holdfast.testing.store_contract import content_of, key_of
kept = content_of(key_of(b"kept"), b"kept")
assert b"".join(kept.chunks()) == b"kept"
given_up = content_of(key_of(b"given up"), b"given up").path()
assert not os.path.exists(given_up) and os.path.exists(kept.path())
if sys.argv[1:]:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _run(folder: Path, *words: str) -> int:
    environment = os.environ | {"TMPDIR": str(folder)}
    return subprocess.run([sys.executable, "-c", SCRIPT, *words], env=environment).returncode


def test_nothing_is_left_when_the_tests_end(tmp_path: Path) -> None:
    assert _run(tmp_path) == 0
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("killed", [1, 2])
def test_what_the_killed_leave_the_next_removes(tmp_path: Path, killed: int) -> None:
    for _ in range(killed):
        assert _run(tmp_path, "die") == -9
        assert len(os.listdir(tmp_path)) == 1
    assert _run(tmp_path) == 0
    assert os.listdir(tmp_path) == []


def test_what_others_still_use_stays(tmp_path: Path) -> None:
    waits = f"{SCRIPT}\nprint(kept.path().decode(), flush=True)\nsys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", waits], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert other.stdout is not None
    path = Path(os.fsdecode(other.stdout.readline().rstrip()))
    assert _run(tmp_path) == 0
    assert path.read_bytes() == b"kept"
    other.communicate(b"")
    assert os.listdir(tmp_path) == []
