"""The metadata of many keys: all that the ledger has at once, or asked for by the block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..core.key import Key
from ..wire import branch_paths
from ..wire.metadata import parse_metadata
from .ledger import Ledger

Fields = dict[str, list[bytes]]

WHOLE_MAX = 500_000
"""Metadata of more keys than this is not held at a time."""


class SaidOf:
    """What is said of keys."""

    def __init__(self, ledger: Ledger, *, most: bool) -> None:
        """``most`` when most of what the ledger has will be asked for."""
        self._ledger = ledger
        self._most = most
        self._whole: Mapping[Key, Fields] | None = None

    def of(self, keys: Sequence[Key]) -> Mapping[Key, Fields]:
        """The fields of each of these keys that has some."""
        if self._most and self._whole is None:
            self._whole = self._read()
            self._most = self._whole is not None
        if self._whole is not None:
            return self._whole
        paths = {branch_paths.metadata_log(key): key for key in keys}
        found = self._ledger.read_many(list(paths))
        return {paths[path]: parse_metadata(content) for path, content in found.items()}

    def _read(self) -> Mapping[Key, Fields] | None:
        whole: dict[Key, Fields] = {}
        for key, fields in self._iter_all():
            whole[key] = fields
            if len(whole) > WHOLE_MAX:
                return None
        return whole

    def _iter_all(self) -> Iterator[tuple[Key, Fields]]:
        for path, content in self._ledger.iter_all(branch_paths.METADATA):
            parsed = branch_paths.parse_branch_path(path)
            if parsed is not None:
                yield parsed[0], parse_metadata(content)
