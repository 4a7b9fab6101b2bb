"""Care of packed stores, by their folder: what they consist of, whether all is right, less garbage.

A packed store is used as a place of a data set by get, copy and drop; this needs no data set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..core import faults
from ..core.outcome import Outcome, Report, Status, complete
from ..core.system_errors import as_fault
from ..stores.packed_compaction import GARBAGE_MIN, iter_compact
from ..stores.packed_ground import Ground
from ..stores.packed_marker import pack_size_of
from ..stores.packed_verify import describe, iter_verify


def iter_packed_info(folder: str) -> Iterator[Outcome]:
    """Tell what a packed store consists of, in one outcome.

    Raises:
        PlaceUnavailableError: It is no packed store.
    """
    with _open(folder) as ground:
        facts = {**describe(ground), "pack_size": pack_size_of(ground.folder)}
        yield Outcome("info", Status.OK, folder, facts=facts)


def iter_packed_verify(folder: str) -> Iterator[Outcome]:
    """Read all of a packed store and tell of each pack, and of each thing that is wrong.

    Raises:
        PlaceUnavailableError: It is no packed store.
    """
    with _open(folder) as ground:
        yield from iter_verify(ground)


def iter_packed_compact(
    folder: str, *, garbage_min: float = GARBAGE_MIN, drop_damaged: bool = False
) -> Iterator[Outcome]:
    """Rewrite packs of which so large a part is garbage, and put small ones together.

    Packs with damage stay as they are, unless ``drop_damaged`` says that it may go.

    Raises:
        PlaceUnavailableError: It is no packed store, or another process compacts it.
        AccessError: We may not write there.
    """
    with _open(folder) as ground:
        size = pack_size_of(ground.folder)
        yield from iter_compact(ground, size, garbage_min, drop_damaged=drop_damaged)


def packed_compact(folder: str, *, garbage_min: float = GARBAGE_MIN) -> Report:
    """Compact a store; see `iter_packed_compact`."""
    return complete(iter_packed_compact(folder, garbage_min=garbage_min))


def packed_verify(folder: str) -> Report:
    """Verify a store; see `iter_packed_verify`."""
    return complete(iter_packed_verify(folder))


@contextmanager
def _open(folder: str) -> Iterator[Ground]:
    if not os.path.isdir(folder):
        raise faults.PACKED_NO_STORE(path=folder)
    try:
        ground = Ground(os.fsencode(os.path.abspath(folder)))
    except OSError as error:
        raise as_fault(error, folder) from error
    try:
        yield ground
    finally:
        ground.close()
