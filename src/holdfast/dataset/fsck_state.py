"""How far an incremental fsck came: when it began, and the last path that was looked at."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from .repository import Repository


@dataclass(frozen=True)
class FsckState:
    """An fsck that was stopped, and of what: another one does not go on from it."""

    began_at: float
    scope: str
    after: str


def read_state(repository: Repository, scope: str) -> FsckState | None:
    """The unfinished fsck of this scope, or None."""
    try:
        with open(_path(repository), encoding="utf-8", errors="surrogateescape") as file:
            state = FsckState(**json.load(file))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return state if state.scope == scope else None


def write_state(repository: Repository, state: FsckState) -> None:
    """Remember how far we came."""
    temporary = _path(repository) + b".new"
    with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(asdict(state), file)
    os.replace(temporary, _path(repository))


def forget_state(repository: Repository) -> None:
    """It is finished."""
    try:
        os.unlink(_path(repository))
    except FileNotFoundError:
        return


def _path(repository: Repository) -> bytes:
    return os.path.join(repository.annex_dir, b"hold-fsck.json")
