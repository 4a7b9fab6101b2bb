"""How much more content a disk may take: what is free, less what must stay so."""

from __future__ import annotations

import os

from ..core import faults
from ..core.errors import HoldError
from ..core.sizes import format_size, parse_size
from .repository import Repository

USUAL_RESERVE = 100_000_000
"""Bytes that stay free when annex.diskreserve says nothing; git-annex's number too."""


class Room:
    """The bytes that are left for content; grows smaller as content is let in."""

    def __init__(self, free: int, reserve: int) -> None:
        self.free = free
        self.reserve = reserve

    @classmethod
    def of(cls, repository: Repository) -> Room:
        """As it is now."""
        status = os.statvfs(repository.common_dir)
        given = parse_size(repository.config.get("annex.diskreserve") or "")
        reserve = USUAL_RESERVE if given is None else given
        return cls(status.f_bavail * status.f_frsize, reserve)

    def take(self, path: str, size: int | None) -> HoldError | None:
        """Let content of so many bytes in, or say why not; unknown sizes are let in."""
        needed = size or 0
        if needed and needed > self.free - self.reserve:
            return faults.TOO_LITTLE_ROOM(
                path=path, free=format_size(self.free), needed=format_size(needed),
                reserve=format_size(self.reserve),
            )  # fmt: skip
        self.free -= needed
        return None
