"""Which names can be in a folder of an archive, and how links call those that are not UTF-8. Pure.

The name of a link is text. A name that is not begins with `ESCAPED` there, and has ``%E9`` for each
byte that is no part of a character of UTF-8, ``%25`` for each ``%``; so has a name that begins so
itself. All others are as they are: each name has one form, and each form is of one name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import lt

from ..core.errors import ProtocolError

NAME_MAX = 1020
"""No longer name is written or read: 255 characters of four bytes."""

ESCAPED = b"%bytes%"
"""Begins the name of a link to something whose name is not UTF-8."""

_CODE = re.compile(rb"%([0-9A-F]{2})")
_BYTE = re.compile("[\udc80-\udcff]")
_CODED = re.compile("[%\udc80-\udcff]")
"""Signs that stand for a byte that is no text, as Python decodes it, and ``%``."""


def link_name(name: bytes) -> bytes:
    """What a link to something of that name is called."""
    text = name.decode("utf-8", "surrogateescape")
    if not name.startswith(ESCAPED) and not _BYTE.search(text):
        return name
    return ESCAPED + _CODED.sub(lambda one: f"%{ord(one[0]) & 0xFF:02X}", text).encode()


def name_of_link(link: bytes) -> bytes:
    """The name of what a link of that name leads to.

    Raises:
        ProtocolError: It is a form that no name has.
    """
    if not link.startswith(ESCAPED):
        return link
    name = _CODE.sub(lambda code: bytes((int(code[1], 16),)), link[len(ESCAPED) :])
    if link_name(name) != link:
        raise ProtocolError(f"a name of no form: {link[:80]!r}")
    return name


def in_order_of_links(names: Sequence[bytes]) -> list[tuple[bytes, int]] | None:
    """The names of links in their order, and at which place each name was; None if as they are."""
    together = b"\0".join(names)
    if ESCAPED not in together:
        try:
            together.decode()
        except UnicodeDecodeError:
            pass
        else:
            return None
    return sorted((link_name(name), place) for place, name in enumerate(names))


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
