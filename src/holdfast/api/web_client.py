"""The HTTP client of a data set: only to the addresses and by the schemes that its owner allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .datasets import Dataset

if TYPE_CHECKING:
    from ..stores.http import HttpClient


PATIENCE_S = 300.0
"""As long as this we wait when a server asks for it; when for longer, it counts as not there."""


@contextmanager
def open_client(
    dataset: Dataset, sleep: Callable[[float], None] = time.sleep
) -> Iterator[HttpClient]:
    """A client that heeds annex.security.allowed-url-schemes and allowed-ip-addresses."""
    from ..stores.http import SCHEMES, HttpClient
    from ..stores.http_connection import Limits

    config = dataset.repository.config
    allowed = config.get("annex.security.allowed-url-schemes")
    schemes = SCHEMES if allowed is None else SCHEMES & set(allowed.split())
    addresses = config.get("annex.security.allowed-ip-addresses") or ""
    limits = Limits(retry_after_max_s=PATIENCE_S)
    client = HttpClient(allowed_addresses=addresses, schemes=schemes, limits=limits, sleep=sleep)
    try:
        yield client
    finally:
        client.close()
