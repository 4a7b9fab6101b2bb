"""Which part of a file's name a key keeps, so that programs still know what kind of file it is."""

from __future__ import annotations

import re
from typing import NamedTuple


class ExtensionLimits(NamedTuple):
    """annex.maxextensionlength, in bytes, and annex.maxextensions."""

    length_max: int = 4
    count_max: int = 2


USUAL_LIMITS = ExtensionLimits()

_ODD = re.compile(rb"[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]")
"""An ASCII character that is no letter and no digit; bytes above ASCII may be in an extension."""


def key_extension(file_name: bytes, length_max: int = 4, count_max: int = 2) -> bytes:
    """The extension, with its dot, that an ``…E`` key keeps of a base name; often two: ``.nii.gz``.

    Short parts are taken from the right up to the first long one; odd ones among them are left
    out. The case is kept. Checked against git-annex for every corner we could think of.
    """
    parts = file_name.lstrip(b".").split(b".")
    short: list[bytes] = []
    for part in reversed(parts[1:]):
        if len(part) > length_max:
            break
        if not _ODD.search(part):
            short.append(part)
    kept = [part for part in reversed(short[:count_max]) if part]
    return b"." + b".".join(kept) if kept else b""
