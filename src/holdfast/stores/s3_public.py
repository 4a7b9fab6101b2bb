"""A public S3 bucket, read without credentials: versions recorded in the data set, or names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..core.key import Key
from ..core.place import Place
from ..wire.metadata import place_values
from ..wire.remote_urls import s3_public_urls
from .url_store import UrlStore

if TYPE_CHECKING:
    from .http import HttpClient

VERSION_FIELD = "V"


class S3Public(UrlStore):
    """Content of an S3 special remote with a ``publicurl``, exported or by key."""

    def __init__(
        self,
        place: Place,
        config: Mapping[str, str],
        versions: Callable[[list[Key]], Mapping[Key, bytes]],
        *,
        cost: float = 210.0,
        paths_of: Callable[[Key], Sequence[bytes]] = lambda _: (),
        allowed_addresses: str = "",
        client: HttpClient | None = None,
    ) -> None:
        """``config`` is its remote.log entry; ``versions`` gives ``.log.rmet`` files of keys.

        ``paths_of`` gives the files of the exported tree that hold a key.
        """
        super().__init__(
            place, self._bucket_urls, client, allowed_addresses=allowed_addresses, cost=cost
        )
        self._config = config
        self._versions = versions
        self._paths_of = paths_of

    def _bucket_urls(self, keys: Sequence[Key]) -> list[list[str]]:
        records = self._versions(list(keys))
        return [self._urls(key, records.get(key, b"")) for key in keys]

    def _urls(self, key: Key, record: bytes) -> list[str]:
        versions = place_values(record, VERSION_FIELD).get(self.place.id, [])
        return s3_public_urls(self._config, key, versions=versions, paths=list(self._paths_of(key)))
