"""Commands that run at the same time."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from scenes import Ran, environment


def at_once(*calls: tuple[Path, Sequence[str]]) -> list[Ran]:
    """Run commands at the same time, each in its folder."""
    started = [
        subprocess.Popen(
            words, cwd=folder, env=environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for folder, words in calls
    ]  # fmt: skip
    ended = []
    for process in started:
        out, err = process.communicate(timeout=120)
        ended.append(Ran(process.returncode, os.fsdecode(out), os.fsdecode(err)))
    return ended


def can_be_acted_on(ran: Ran) -> bool:
    """It went well, or says in four lines what a person can do; a bug or a riddle does not."""
    if ran.code == 0:
        return True
    told = re.search(r"✗ H\d+ .*\n  why .*\n  safe .*\n  next .*\n", ran.err)
    return told is not None and "Traceback" not in ran.err and "dmesg" not in ran.err
