"""Where the copies of many files are; looked up in bulk.

For most of a data set the whole ledger is read once, which is far quicker than finding each log;
then memory grows with the keys the ledger knows, up to a limit. Else it is that of a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from ..core.key import Key
from ..core.place import BITTORRENT, WEB, PlaceId
from ..wire import branch_paths, logs
from .annexed import TrackedFile
from .ledger import Ledger

WHOLE_MAX = 1_000_000
"""More keys than this are not held in memory at a time."""
_BLOCK = 16_384

Places = tuple[PlaceId, ...]


class Located(NamedTuple):
    """An annexed file, and the places that are said to have its content."""

    file: TrackedFile
    key: Key
    places: Places


class Known(NamedTuple):
    """A key of the ledger, and the places that are said to have it."""

    key: Key
    places: Places


def iter_located(ledger: Ledger, files: Iterable[TrackedFile], *, most: bool) -> Iterator[Located]:
    """Find the copies of annexed files, in order; ``most`` when these are most of a data set."""
    whole = read_whole(ledger) if most else None
    rest = ((file, file.key) for file in files if file.key is not None)
    if whole is not None:
        for file, key in rest:
            yield Located(file, key, whole.get(key, ()))
        return
    while block := list(islice(rest, _BLOCK)):
        found = ledger.locations([key for _, key in block])
        for file, key in block:
            yield Located(file, key, tuple(found.get(key, ())))


def read_whole(ledger: Ledger) -> Mapping[Key, Places] | None:
    """All that is known of copies; None when it is too much to hold."""
    same: dict[Places, Places] = {}
    whole: dict[Key, Places] = {}
    for key, found in ledger.iter_locations():
        places = tuple(found)
        whole[key] = same.setdefault(places, places)
        if len(whole) > WHOLE_MAX:
            return None
    return whole


def iter_known(ledger: Ledger) -> Iterator[Known]:
    """Every key of the ledger with its copies, but those that were declared dead."""
    dead = ledger.dead
    for path, content in ledger.iter_all():
        parsed = branch_paths.parse_branch_path(path)
        if parsed is None or parsed[1] != branch_paths.LOCATION:
            continue
        places = logs.places_with(content)
        if places or not is_dead(content):
            yield Known(parsed[0], tuple(p for p in places if p not in dead))


def iter_known_of(ledger: Ledger, keys: Iterable[Key]) -> Iterator[Known]:
    """As `iter_known`, of some keys, in order."""
    rest = iter(keys)
    while block := list(islice(rest, _BLOCK)):
        found = ledger.locations(block)
        for key in block:
            places = tuple(found.get(key, ()))
            if places or not is_dead(ledger.read(branch_paths.location_log(key))):
                yield Known(key, places)


def is_dead(content: bytes) -> bool:
    """Whether every place that a location log names has declared the key dead."""
    return all(
        state is logs.LocationState.DEAD for _, state in logs.parse_locations(content).values()
    )


class Urls:
    """The URLs of keys on the web: all at once, or asked for by the block."""

    def __init__(self, ledger: Ledger, *, most: bool) -> None:
        self._ledger = ledger
        self._all = most
        self._whole: Mapping[Key, list[bytes]] | None = None

    def of(self, keys: Sequence[Key]) -> Mapping[Key, list[bytes]]:
        """The URLs of each of these keys that has some."""
        if not keys:
            return {}
        if not self._all:
            return self._ledger.urls(keys)
        if self._whole is None:
            self._whole = dict(self._read())
        return self._whole

    def _read(self) -> Iterator[tuple[Key, list[bytes]]]:
        for path, content in self._ledger.iter_all(branch_paths.URL):
            parsed = branch_paths.parse_branch_path(path)
            if parsed is not None:
                yield parsed[0], logs.parse_urls(content)


def has_urls(places: Places) -> bool:
    """Whether content may be had by the URLs that are registered for it."""
    return WEB in places or BITTORRENT in places


def web_urls(urls: Iterable[bytes]) -> list[str]:
    """Those URLs that the web itself serves; others name the program that can fetch them."""
    texts = (url.decode("utf-8", "surrogateescape") for url in urls)
    return [text.removeprefix("yt:") for text in texts if not text.startswith((":", "quvi:"))]
