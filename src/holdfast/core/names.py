"""Paths that somebody else named (a table, an archive, a bag): which of them may become files here.

Nothing may lead out of the data set, or steer git in it.
"""

from __future__ import annotations

STEERING = frozenset((b".git", b".gitattributes", b".gitignore", b".gitmodules", b"git~1"))
"""Names by which git is steered; never taken from others."""

_NAME_MAX = 255


def refusal_of_path(path: bytes) -> str:
    """Why a path may not become a file of the data set; empty when it may.

    A good one is relative, normal (no ``.``, no ``..``, no doubled slash) and ends in a name.
    """
    return way_out(path) or steering_name(path)


def way_out(path: bytes) -> str:
    """Why a path does not lead to a file below the folder it is put to; empty when it does."""
    if not path or path.endswith(b"/"):
        return "it names no file"
    if path.startswith(b"/"):
        return "it is absolute"
    if b"\0" in path or b"\n" in path:
        return "it holds a control character"
    for name in path.split(b"/"):
        if name in (b"", b".", b".."):
            return f"it has {name.decode() or 'an empty name'} in it"
        if len(name) > _NAME_MAX:
            return f"a name in it is longer than {_NAME_MAX} bytes"
        if _folded(name) in (b".git", b"git~1"):
            return f"{name.decode('utf-8', 'replace')} is git's own"
    return ""


def steering_name(path: bytes) -> str:
    """Says of a path by which git would be steered that it is one; empty for all others."""
    for name in path.split(b"/"):
        if _folded(name) in STEERING:
            return f"{name.decode('utf-8', 'replace')} would steer git"
    return ""


def _folded(name: bytes) -> bytes:
    """A name as file systems that ignore case, and dots and spaces at the end, see it."""
    return name.lower().rstrip(b". ")
