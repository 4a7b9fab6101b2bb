"""The log of waivers: who removed content without proof, when, and why. One JSON object a line.

A line that a kill cut off tells of nothing that was removed: it is passed over, and the next
begins on a line of its own.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping

from ..core.policy import Waiver
from .repository import Repository


def note_waiver(repository: Repository, waiver: Waiver) -> None:
    """Write a waiver down, before anything is removed."""
    record = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "key": waiver.key.text,
        "place": waiver.place,
        "who": waiver.who,
        "why": waiver.why,
    }
    append_record(_path(repository), record)


def append_record(path: bytes, record: Mapping[str, object]) -> None:
    """Add a record to a log of them, in one write; what is there stays as it is."""
    line = json.dumps(record).encode() + b"\n"
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = b"\n" + line
        file.write(line)


def iter_waivers(repository: Repository) -> Iterator[dict[str, str]]:
    """Every waiver of this clone, oldest first."""
    try:
        with open(_path(repository), "rb") as file:
            lines = [line for line in file if line.endswith(b"\n")]
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _path(repository: Repository) -> bytes:
    return os.path.join(repository.annex_dir, b"hold-waivers.jsonl")
