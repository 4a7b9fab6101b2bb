"""A data set in a RIA store on a web server: it can be read, its archive too."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..core import faults
from ..core.abilities import Content, OnBytes
from ..core.errors import HoldError, NotFoundError
from ..core.key import Key
from ..core.place import Place
from ..wire import ria
from ..wire.remote_urls import quote_path
from .unpacking import ReadRange
from .url_store import UrlStore

if TYPE_CHECKING:
    from .http import HttpClient


class OraHttp(UrlStore):
    """The files of one data set."""

    def __init__(
        self,
        place: Place,
        base: str,
        identity: str,
        *,
        cost: float,
        allowed_addresses: str = "",
        client: HttpClient | None = None,
    ) -> None:
        """Nothing is opened yet. ``base`` is the plain URL of the store."""
        super().__init__(
            place, self._urls_of, client, allowed_addresses=allowed_addresses, cost=cost,
            same_layout=True,
        )  # fmt: skip
        self._top = f"{base}/{ria.dataset_path(identity)}"
        self._layout: ria.Layout | None = None
        self._finding = threading.Lock()

    def _urls_of(self, keys: Sequence[Key]) -> list[list[str]]:
        layout = self._found_layout()
        top = f"{self._top}/annex/objects"
        return [
            [f"{top}/{quote_path(path)}" for path in ria.object_paths(layout, key)] for key in keys
        ]

    def _found_layout(self) -> ria.Layout:
        with self._finding:
            if self._layout is None:
                try:
                    with self._client.open(f"{self._top}/{ria.VERSION_FILE}") as answer:
                        text = b"".join(answer.chunks)[:4096]
                except NotFoundError as error:
                    detail = f"it has no {ria.VERSION_FILE} for this data set"
                    raise faults.UNREACHABLE(place=self.place.label, detail=detail) from error
                self._layout = ria.parse_layout(text)
            return self._layout

    @contextmanager
    def open_archive(self) -> Iterator[ReadRange | None]:
        """The archive, if there is one."""
        url = f"{self._top}/{ria.ARCHIVE}"
        found = self._client.head(url)
        if found.status in (404, 410):
            yield None
        elif found.status == 200:
            yield lambda offset, size: self._iter_range(url, offset, size)
        else:
            detail = f"asked for the archive, the server answers {found.status}"
            raise faults.UNREACHABLE(place=self.place.label, detail=detail)

    def _iter_range(self, url: str, offset: int, size: int) -> Iterator[bytes]:
        with self._client.open(url, offset) as answer:
            # A server without ranges begins at the start.
            skip = offset - answer.offset
            for chunk in answer.chunks:
                part = chunk[skip : skip + size]
                skip = max(0, skip - len(chunk))
                size -= len(part)
                if part:
                    yield part
                if size <= 0:
                    break

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Refuse.

        Raises:
            AccessError: Always: a web server takes nothing.
        """
        raise self._read_only()

    def unlink(self, key: Key) -> None:
        """Refuse.

        Raises:
            AccessError: Always.
        """
        raise self._read_only()

    def _read_only(self) -> HoldError:
        return faults.STORE_READ_ONLY(
            place=self.place.label,
            detail="it is reached by a web server, which takes nothing",
            next=f"git config remote.{self.place.name}.ora-push-url ria+ssh://HOST/PATH",
        )
