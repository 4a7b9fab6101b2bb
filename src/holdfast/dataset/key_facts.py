"""Facts about single keys on their way to the ledger: places, URLs, metadata, equal keys.

They may be more than memory holds; they are read back in the order in which the ledger takes them.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType

from ..core.clock import Moment
from ..core.key import Key
from ..core.place import PlaceId
from ..wire import branch_paths, logs, metadata
from ..wire.logs import LocationState
from ..wire.metadata import Change
from .ledger_write import Edit, now
from .sorted_spill import SortedSpill

_PLACE, _URL, _METADATA, _EQUAL = range(4)


class KeyFacts:
    """Takes facts in any order; each is told once."""

    def __init__(self, folder: bytes) -> None:
        """Spill to the file system of ``folder`` once there is much."""
        self._facts = SortedSpill(folder)
        self.count = 0
        """How many were taken."""

    def __bool__(self) -> bool:
        return bool(self._facts)

    def set_place(self, key: Key, place: PlaceId, *, present: bool) -> None:
        """A place has it, or no longer has it."""
        self._add(branch_paths.location_log(key), _PLACE, place, present)

    def set_url(self, key: Key, url: bytes, *, registered: bool) -> None:
        """It is to be had at a URL, or no longer."""
        self._add(branch_paths.url_log(key), _URL, url, registered)

    def change_metadata(self, key: Key, changes: Iterable[Change]) -> None:
        """What people say of it changes; no two of a key's changes may be about the same value."""
        for one in changes:
            self._add(branch_paths.metadata_log(key), _METADATA, one.field, one.value, one.added)

    def set_equal(self, key: Key, other: Key) -> None:
        """It was seen to be the content of another key, one with a hash."""
        self._add(branch_paths.equivalent_key_log(key), _EQUAL, bytes(other))

    def _add(self, path: bytes, *fact: str | bytes | bool | int) -> None:
        self._facts.add(path + b"\0" + marshal.dumps(fact))
        self.count += 1

    def iter_edits(self) -> Iterator[tuple[bytes, Edit]]:
        """The changes of branch files that tell all this, in the order of their paths."""
        moment = now()
        for item in self._facts:
            path, _, fact = item.partition(b"\0")
            yield path, _edit(marshal.loads(fact), moment)

    def __enter__(self) -> KeyFacts:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._facts.__exit__(kind, error, trace)


def _edit(fact: tuple[int, object, object, object], moment: Moment) -> Edit:
    kind, *rest = fact
    return _EDITS[kind](moment, *rest)


def _place_edit(moment: Moment, place: PlaceId, present: bool) -> Edit:  # noqa: FBT001
    return lambda old: logs.set_location(old, place, _state(present=present), moment)


def _url_edit(moment: Moment, url: bytes, registered: bool) -> Edit:  # noqa: FBT001
    return lambda old: logs.set_url(old, url, _state(present=registered), moment)


def _metadata_edit(moment: Moment, field: str, value: bytes, added: bool) -> Edit:  # noqa: FBT001
    return lambda old: metadata.set_metadata(old, [Change(field, value, added=added)], moment)


def _equal_edit(moment: Moment, other: bytes) -> Edit:
    return lambda old: logs.set_presence(old, other, LocationState.PRESENT, moment)


def _state(*, present: bool) -> LocationState:
    return LocationState.PRESENT if present else LocationState.MISSING


_EDITS: dict[int, Callable[..., Edit]] = {
    _PLACE: _place_edit,
    _URL: _url_edit,
    _METADATA: _metadata_edit,
    _EQUAL: _equal_edit,
}
