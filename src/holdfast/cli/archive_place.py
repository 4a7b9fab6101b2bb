"""The part of ``hold archive`` about places: pieces as one, and those they are sent to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..core.errors import NotFoundError
from .archive_words import bad
from .call import Call

if TYPE_CHECKING:
    from ..api.datasets import Dataset


def run_place(call: Call) -> int:
    """Carry it out."""
    from ..api.archive_place import iter_archive_place

    options = call.options
    if not options.pieces:
        raise bad("say what the place is called, and where the pieces are")
    name, *where = options.pieces
    return call.finish(iter_archive_place(call.dataset, name, _words(where)))


def _words(where: list[str]) -> dict[str, str]:
    """A folder, a URL, or words as a special remote has them."""
    if len(where) == 1 and where[0].lower().startswith(("http://", "https://")):
        return {"url": where[0]}
    if len(where) == 1 and ("=" not in where[0] or os.path.isdir(where[0])):
        return {"directory": os.path.abspath(where[0])}
    pairs = [word.partition("=") for word in where]
    wrong = [word for word, (_, sign, _) in zip(where, pairs, strict=True) if not sign]
    if wrong:
        raise bad(f"{wrong[0]} is no word=value")
    return {name: value for name, _, value in pairs}


def dataset_of_place(call: Call, name: str, *, is_new: bool) -> Dataset | None:
    """The data set that a place of that name is one of; None when it can but be a folder.

    That is a path, or any name where there is no data set: one of a folder that ``is_new``, or is
    there.

    Raises:
        NotFoundError: There is neither.
    """
    from ..api.piece_places import is_path  # late: most packs send nothing

    if is_path(name):
        return None
    try:
        return call.dataset
    except NotFoundError:
        is_named = call.options.dataset or call.settings.dataset
        if is_named or not (is_new or os.path.isdir(name)):
            raise
        return None
