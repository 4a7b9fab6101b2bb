"""The web: content at URLs that were recorded for each key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from ..core.abilities import Readable
from ..core.key import Key
from ..core.place import Place
from ..wire.url_names import requestable
from .url_store import UrlStore

if TYPE_CHECKING:
    from .http import HttpClient


class Web(UrlStore):
    """Content at the URLs of the ``.log.web`` files, each of which may have gone or changed."""

    def __init__(
        self,
        place: Place,
        urls_of: Callable[[Key], Sequence[str]],
        *,
        allowed_addresses: str = "",
        schemes: Collection[str] = ("http", "https"),
        cost: float = 200.0,
        client: HttpClient | None = None,
    ) -> None:
        """``allowed_addresses`` is the setting annex.security.allowed-ip-addresses; of URLs those
        with one of the ``schemes`` (annex.security.allowed-url-schemes) are used.
        """
        starts = tuple(f"{one}://" for one in ("http", "https") if one in schemes)
        super().__init__(
            place, lambda keys: [_usable(urls_of(key), starts) for key in keys], client,
            allowed_addresses=allowed_addresses, cost=cost,
        )  # fmt: skip

    def ways(self, key: Key) -> list[Readable]:
        """Each URL by itself."""
        urls = self._urls_of([key])[0]
        return [self._one(url) for url in urls] if len(urls) > 1 else [self]

    def _one(self, url: str) -> UrlStore:
        return UrlStore(
            self.place, lambda keys: [[url] for _ in keys], self._client, cost=self.cost
        )


def _usable(urls: Sequence[str], starts: tuple[str, ...]) -> list[str]:
    """Those for us; torrents, and what starts with a colon, is for other programs."""
    usable = (url for url in urls if url.lower().startswith(starts))
    return [requestable(url) for url in usable]
