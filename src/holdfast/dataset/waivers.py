"""The log of waivers: who removed content without proof, when, and why. One JSON object a line."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

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
    with open(_path(repository), "a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(json.dumps(record) + "\n")


def iter_waivers(repository: Repository) -> Iterator[dict[str, str]]:
    """Every waiver of this clone, oldest first."""
    try:
        with open(_path(repository), encoding="utf-8", errors="surrogateescape") as file:
            yield from map(json.loads, file)
    except FileNotFoundError:
        return


def _path(repository: Repository) -> bytes:
    return os.path.join(repository.annex_dir, b"hold-waivers.jsonl")
