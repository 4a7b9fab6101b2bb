"""Content of external places that lies at URLs: named by a program, or recorded for each key."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..core.key import Key
from ..wire import branch_paths, logs
from .special import SpecialRemote
from .url_store import UrlStore


def store_at(remote: SpecialRemote, url: str) -> UrlStore:
    """The place by one URL; close it."""
    return UrlStore(
        remote.place,
        lambda keys: [[url] for _ in keys],
        allowed_addresses=remote.allowed_addresses,
        cost=remote.cost(200.0),
    )


def url_store(remote: SpecialRemote) -> UrlStore:
    """The place by the URLs that the data set has of each key (``readonly=true``): no program."""

    def urls_of(keys: Sequence[Key]) -> list[list[str]]:
        found = remote.notes.read(branch_paths.url_log, keys)
        return [_web_urls(found.get(key, b"")) for key in keys]

    return UrlStore(
        remote.place,
        urls_of,
        allowed_addresses=remote.allowed_addresses,
        cost=remote.cost(200.0),
    )


def _web_urls(log: bytes) -> list[str]:
    urls = map(os.fsdecode, logs.parse_urls(log))
    return [url for url in urls if url.lower().startswith(("http://", "https://"))]
