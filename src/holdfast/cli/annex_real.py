"""The real git-annex, for verbs and options that are not ours; and the log of who did what.

It is found on PATH, past every program that is ourselves under its name.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAD = 4096
_TURN = "HOLDFAST_ANNEX_TURN"
"""Set for what we start: should it be ourselves again, we stop instead of turning in a circle."""


class Elsewhere(Exception):
    """A verb or option that is not ours: the real git-annex is asked, nothing was done yet."""


def find() -> str | None:
    """The real program, or None."""
    given = os.environ.get("HOLDFAST_ANNEX_REAL")
    if given:
        return given
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder or ".", "git-annex")
        if os.access(path, os.X_OK) and os.path.isfile(path) and not _is_ours(path):
            return path
    return None


def _is_ours(path: str) -> bool:
    """Whether a program named git-annex is a shim that starts hold."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    return b"hold annex" in head or b"holdfast" in head or b"hold' annex" in head


def hand_over(words: Sequence[str]) -> int:
    """Become the real git-annex; returns only when there is none."""
    real = find()
    if real is None or os.environ.get(_TURN) == str(os.getpid()):
        verb = next((word for word in words if not word.startswith("-")), "")
        sys.stderr.write(
            f"hold annex: {verb or 'this'}: not done by hold as it was called, and the program"
            " git-annex is not here to do it\n"
            "  next  pip install git-annex, or see hold annex --help for what hold does\n"
        )
        return 1
    note("real", words)
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ[_TURN] = str(os.getpid())
    return os.execv(real, [real, *words])


def note(engine: str, words: Sequence[str]) -> None:
    """Write down, where a test asks for it, which engine a call went to: one line, in one write."""
    log = os.environ.get("HOLDFAST_ANNEX_LOG")
    if log:
        line = " ".join([engine, *words]).replace("\n", " ") + "\n"
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        os.write(descriptor, os.fsencode(line))
        os.close(descriptor)
