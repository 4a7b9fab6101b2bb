"""The part of ``hold archive`` that makes pieces a place of the data set."""

from __future__ import annotations

import os

from .archive_words import bad
from .call import Call


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
