"""What becomes of annexed files that two versions changed differently: both stay, as variants.

As git-annex resolves it, so that clones that do it each for themselves come to the same tree. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import md5
from typing import NamedTuple

from ..core.key import Key

PLAIN = b"100644"


class Side(NamedTuple):
    """A file as one version has it; ``key`` None when it is in git."""

    mode: bytes
    oid: bytes
    key: Key | None


class Conflict(NamedTuple):
    """A path that both versions changed; a side is None where it was removed."""

    path: bytes
    ours: Side | None
    theirs: Side | None


def variant_path(path: bytes, key: Key) -> bytes:
    """``scan.variant-5a1f.nii``: a path that tells what content it has apart from others.

    Of a name that is all extension git-annex takes the folder's name for the stem: ``..variant-…``
    at the top, and elsewhere a file beside the folder.
    """
    folder, slash, name = path.rpartition(b"/")
    stem, dot, extension = name.rpartition(b".")
    stem, dot, extension = (stem, dot, extension) if dot else (name, b"", b"")
    if dot and not stem:
        folder, slash, stem = b"", b"", folder or b"."
    mark = md5(bytes(key), usedforsecurity=False).hexdigest()[:4].encode()
    return folder + slash + stem + b".variant-" + mark + dot + extension


def resolve(conflict: Conflict) -> Sequence[tuple[bytes, Side]] | None:
    """The files that take the place of a conflict; None where a person has to choose.

    What is in git keeps its path. Content that is the same on both sides does, too, unlocked if it
    is so on one of them. For a person are files in git alone, variants that would leave their
    folder, since the links would lead elsewhere, and two that would have one name.
    """
    sides = [side for side in (conflict.ours, conflict.theirs) if side is not None]
    keys = {side.key for side in sides if side.key is not None}
    if not keys:
        return None
    if len(sides) == 2 and len(keys) == 1 and None not in {side.key for side in sides}:
        unlocked = [side for side in sides if side.mode == PLAIN]
        return [(conflict.path, (unlocked or sides)[0])]
    made = [
        (conflict.path if side.key is None else variant_path(conflict.path, side.key), side)
        for side in sides
    ]
    depths = {path.count(b"/") for path, _ in made}
    apart = len({path for path, _ in made}) == len(made)
    return made if apart and depths == {conflict.path.count(b"/")} else None
