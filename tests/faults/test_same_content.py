"""Several at once bring the content of one key to its place, as permissions bind a person."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

THREADS = 4
ROUNDS = 300

PROGRAM = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, get_ident

from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId
from holdfast.dataset.objects import Objects

folder, threads, rounds = os.fsencode(sys.argv[1]), *map(int, sys.argv[2:])
objects = Objects(folder, Place(PlaceId("here"), "here"), bare=False)
barrier = Barrier(threads)

def bring(number):
    for turn in range(rounds):
        path = b"%b/%d-%d-%d" % (folder, os.getpid(), get_ident(), turn)
        with open(path, "wb") as file:
            file.write(b"same")
        os.chmod(path, 0o444)
        barrier.wait()
        try:
            objects.put(Key(b"SHA256-s4--%064d" % turn), path)
        except OSError:
            barrier.abort()
            raise

with ThreadPoolExecutor(threads) as pool:
    list(pool.map(bring, range(threads)))
"""


def test_threads_and_processes_bring_the_same_content_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(THREADS), str(ROUNDS)]
    if os.geteuid() == 0 and shutil.which("setpriv"):
        command[:0] = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[1] for process in running] == ["", ""]
    held = [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]
    assert len(held) == ROUNDS
    assert {path.read_bytes() for path in held} == {b"same"}
    assert {path.parent.stat().st_mode & 0o222 for path in held} == {0}
