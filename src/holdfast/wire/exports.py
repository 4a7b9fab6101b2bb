"""`export.log`: which tree of files a place holds, by whom it was sent there. Pure.

A line is ``TIME HERE:PLACE TREE [TREE…]``: the tree that is there, then those that were begun.
Format: docs/formats/annex.md.
"""

from __future__ import annotations

import re

from ..core.place import PlaceId
from .logs import parse_map_log

_TREE = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def exported_trees(log: bytes, place: PlaceId) -> list[bytes]:
    """The trees a place may hold files of, in git's hex: what is done first, each once."""
    done: list[bytes] = []
    begun: list[bytes] = []
    newest_first = sorted(parse_map_log(log).items(), key=lambda item: item[1].moment, reverse=True)
    for who, entry in newest_first:
        if who.partition(b":")[2] != place.encode():
            continue
        trees = [tree for tree in entry.value.split() if _TREE.fullmatch(tree)]
        done += trees[:1]
        begun += trees[1:]
    return list(dict.fromkeys([*done, *begun]))
