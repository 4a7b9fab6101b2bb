"""How an annexed file lies in git: a symlink to its content, or a small blob that names its key.

Written canonically, read as git-annex reads; format: docs/formats/annex.md.
"""

from __future__ import annotations

import re

from ..core.key import Key, encode_file_name, object_path
from .branch_paths import USUAL_KEY, key_of_file_name

POINTER_SIZE_MAX = 32 * 1024
"""A blob larger than this is never a pointer; no need to read it."""

_OBJECTS = b"/annex/objects/"
_USUAL_LINK = re.compile(rb"(?:\.\./)*\.git/annex/objects/\w+/\w+/[^/\n]+/(%b)" % USUAL_KEY)
_NOTE = b"/annex/"


def link_target(key: Key, depth: int) -> bytes:
    """What the symlink of a locked file says, ``depth`` directories below the top."""
    return b"%b.git/annex/objects/%b" % (b"../" * depth, object_path(key))


def key_of_link(target: bytes) -> Key | None:
    """The key that a symlink names; None when it does not lead into an annex.

    Only the last component counts: hash directories may be wrong or missing.
    """
    usual = _USUAL_LINK.fullmatch(target)
    if usual is not None:
        return Key(usual[1])
    if target.find(_OBJECTS) < 1:
        return None
    return _key_at_end(target[:-1] if target.endswith(b"\n") else target)


def pointer(key: Key) -> bytes:
    """The blob of an unlocked file."""
    return b"/annex/objects/%b\n" % encode_file_name(key)


def key_of_pointer(blob: bytes) -> Key | None:
    """The key that a blob names; None when it is a plain file.

    Lines after the first are allowed when each tells of the annex and is whole; any other tail is
    content, and a file with content is plain.
    """
    found = blob.find(_OBJECTS)
    if found < 0 or len(blob) > POINTER_SIZE_MAX:
        return None
    line, newline, tail = blob.partition(b"\n")
    if found > len(line) or (tail and not _is_note(tail)):
        return None
    if newline and line.endswith(b"\r"):
        line = line[:-1]
    return _key_at_end(line)


def _is_note(tail: bytes) -> bool:
    *lines, rest = tail.split(b"\n")
    return not rest and all(_NOTE in line for line in lines)


def _key_at_end(path: bytes) -> Key | None:
    return key_of_file_name(path[path.rfind(b"/") + 1 :])
