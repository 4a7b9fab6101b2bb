"""A git-annex repository that a web server offers as plain files."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core import faults
from ..core.abilities import Answer
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place, Presence
from ..wire.remote_urls import RemoteConfig, annex_object_urls, parse_remote_config
from .url_store import UrlStore

if TYPE_CHECKING:
    from .http import HttpClient

_CONFIG_MAX = 1 << 20


class AnnexHttp(UrlStore):
    """Content below ``annex/objects`` of a git directory on a web server.

    Who adds a remote chose its address: private networks are allowed here.
    """

    def __init__(
        self,
        place: Place,
        url: str,
        *,
        cost: float = 200.0,
        bare: bool | None = None,
        client: HttpClient | None = None,
    ) -> None:
        """Nothing is asked yet; ``bare`` is remote.NAME.annex-bare, when that is known."""
        super().__init__(
            place, self._object_urls, client,
            allowed_addresses="all", cost=cost, same_layout=True,
        )  # fmt: skip
        self._url = url.rstrip("/")
        self._bare = bare
        self._found: RemoteConfig | None = None
        self._base: str | None = None
        self._finding = threading.Lock()

    @property
    def config(self) -> RemoteConfig | None:
        """What the repository tells of itself; None when its ``config`` is not offered.

        Raises:
            PlaceUnavailableError: The server does not answer.
        """
        self._find()
        return self._found

    def discover(self) -> str | None:
        """The repository's UUID; None when it has none or does not tell."""
        config = self.config
        return config.uuid if config else None

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look, for each key; another repository at the address is no witness for this one."""
        try:
            config = self.config
        except HoldError as error:
            return [Answer(Presence.UNKNOWN, f"{error.what} ({error.why})") for _ in keys]
        if config is not None and self.place.id and config.uuid != self.place.id:
            remark = f"another repository is there now, {config.uuid or 'without a UUID'}"
            return [Answer(Presence.UNKNOWN, remark) for _ in keys]
        return super().ask(keys)

    def _object_urls(self, keys: Sequence[Key]) -> list[list[str]]:
        base, bare = self._find()
        return [annex_object_urls(base, key, bare=bare) for key in keys]

    def _find(self) -> tuple[str, bool]:
        """The URL of the git directory, and whether it is bare; asked for once."""
        with self._finding:
            if self._base is None:
                found = self._look(self._url) or self._look(f"{self._url}/.git")
                self._base, self._found = found or (self._url, None)
            bare = self._found.bare if self._found else not self._base.endswith("/.git")
            return self._base, bare if self._bare is None else self._bare

    def _look(self, base: str) -> tuple[str, RemoteConfig] | None:
        try:
            config = parse_remote_config(self._read(f"{base}/config"))
        except HoldError as error:
            if error.code in (faults.UNREACHABLE.code, faults.STALLED.code):
                raise
            return None
        return (base, config) if config is not None else None

    def _read(self, url: str) -> str:
        taken = b""
        with self._client.open(url) as answer:
            for chunk in answer.chunks:
                taken += chunk
                if len(taken) > _CONFIG_MAX:
                    raise faults.BAD_ANSWER(place=self.place.label, detail="its config is too long")
        return taken.decode("utf-8", "replace")
