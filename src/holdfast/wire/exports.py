"""`export.log`: which tree of files a place holds, by whom it was sent there. Pure.

A line is ``TIME HERE:PLACE TREE [TREE…]``: the tree that is there, then those that were begun.
Format: docs/formats/annex.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..core.clock import Moment
from ..core.place import PlaceId
from .logs import parse_map_log, set_map_log

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


@dataclass(frozen=True, slots=True)
class Exported:
    """Trees a place may hold files of: ``done`` wholly but for what was missing, ``begun``.

    Several that are done were exported by several clones that did not know of each other.
    """

    done: tuple[bytes, ...] = ()
    begun: tuple[bytes, ...] = ()

    @property
    def is_sure(self) -> bool:
        """Whether what lies under a name there can only be what one tree has."""
        return len(self.done) < 2 and not self.begun


def parse_exported(log: bytes, place: PlaceId) -> Exported:
    """What was exported to a place, by anybody; what was begun and is done is not begun."""
    done: dict[bytes, None] = {}
    begun: dict[bytes, None] = {}
    for who, entry in parse_map_log(log).items():
        trees = [tree for tree in entry.value.split() if _TREE.fullmatch(tree)]
        if who.partition(b":")[2] == place.encode() and trees:
            done[trees[0]] = None
            begun.update(dict.fromkeys(trees[1:]))
    return Exported(tuple(done), tuple(begun))


def begin_export(
    log: bytes, here: PlaceId, place: PlaceId, tree: bytes, empty: bytes, now: Moment
) -> bytes:
    """The log once an export from here is begun; ``empty`` is the tree of nothing."""
    field = _field(here, place)
    entry = parse_map_log(log).get(field)
    known = entry.value.split() if entry is not None else [empty]
    trees = [known[0], *dict.fromkeys([tree, *known[1:]])]
    return set_map_log(log, field, b" ".join(trees), now)


def finish_export(
    log: bytes, here: PlaceId, place: PlaceId, tree: bytes, replaced: Exported, now: Moment
) -> bytes:
    """The log once a tree is there in place of what was there before.

    Where another clone's line names as done what was replaced, it names the new tree from now on;
    what it began and we have not cleared up stays.
    """
    for who, entry in parse_map_log(log).items():
        trees = entry.value.split()
        other = who.partition(b":")[2] == place.encode() and who != _field(here, place)
        if other and trees and trees[0] in replaced.done:
            rest = [one for one in trees[1:] if one not in replaced.begun and one != tree]
            log = set_map_log(log, who, b" ".join([tree, *rest]), now)
    return set_map_log(log, _field(here, place), tree, now)


def _field(here: PlaceId, place: PlaceId) -> bytes:
    return f"{here}:{place}".encode()
