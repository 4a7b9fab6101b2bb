"""Which names can be in a folder of an archive. Pure code."""

from __future__ import annotations

from collections.abc import Sequence
from operator import lt

NAME_MAX = 1020
"""No longer name is written or read: 255 characters of four bytes."""


def fault_in_names(names: Sequence[bytes], *, is_ordered: bool = True) -> str:
    """Why these cannot be the names in a folder; empty when they can.

    Each is UTF-8, is not empty, not ``.`` or ``..``, and has no slash and no NUL in it. In order
    means by their bytes, and none twice.
    """
    if not names:
        return ""
    together = b"\0".join(names)
    if b"" in names or b"/" in together or together.count(b"\0") >= len(names):
        return "one is empty, or holds a slash or a NUL"
    if b"." in names or b".." in names:
        return "one means a folder: '.' or '..'"
    if is_ordered and not all(map(lt, names, names[1:])):
        return "one is there twice, or out of the order of their bytes"
    longest = max(names, key=len)
    if len(longest) > NAME_MAX:
        return f"one has {len(longest)} bytes: {longest[:40]!r}…"
    try:
        together.decode()
    except UnicodeDecodeError as error:
        name = together[: error.start].rpartition(b"\0")[2]
        return f"one is not UTF-8: {name!r}…"
    return ""
