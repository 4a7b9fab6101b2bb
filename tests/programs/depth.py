"""How much tests try: a part of what is like many others, and all of it with ``HOLDFAST_DEEP=1``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar
from zlib import crc32

DEEP = os.environ.get("HOLDFAST_DEEP", "") not in ("", "0")

T = TypeVar("T")


def times(ordinary: int, deep: int) -> int:
    """How often something is tried whose outcome chance decides."""
    return deep if DEEP else ordinary


def spread(over: Sequence[T], count: int, case: str) -> Sequence[T]:
    """So many of them at even distances, from an offset that each case has another of; or all."""
    if DEEP or len(over) <= count:
        return over
    step = len(over) // count
    offset = crc32(case.encode()) % step
    return over[offset::step][:count]
