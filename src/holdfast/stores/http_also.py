"""`httpalso`: a web server that offers the files of some other store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..core import faults
from ..core.key import Key
from ..core.place import Place
from ..wire.remote_urls import exported_urls, http_also_urls
from .special import Setup, SpecialRemote
from .url_store import UrlStore
from .words import check_words

if TYPE_CHECKING:
    from .http import HttpClient


class HttpAlso(UrlStore):
    """Content in whichever layout the other store has; the first that works is remembered."""

    def __init__(
        self,
        place: Place,
        url: str,
        *,
        cost: float = 200.0,
        paths_of: Callable[[Key], Sequence[bytes]] | None = None,
        allowed_addresses: str = "",
        client: HttpClient | None = None,
    ) -> None:
        """``paths_of`` gives the files that hold a key, when the other store holds a tree."""

        def urls_of(keys: Sequence[Key]) -> list[list[str]]:
            if paths_of is None:
                return [http_also_urls(url, key) for key in keys]
            return [exported_urls(url, paths_of(key)) for key in keys]

        super().__init__(
            place, urls_of, client,
            allowed_addresses=allowed_addresses, cost=cost, same_layout=paths_of is None,
        )  # fmt: skip


def open_store(remote: SpecialRemote) -> HttpAlso:
    """The web server of a special remote.

    Raises:
        PlaceUnavailableError: Its configuration names no URL.
    """
    url = remote.config.get("url")
    if not url:
        raise faults.NO_WAY(place=remote.place.label, kind="httpalso without a url")
    return HttpAlso(
        remote.place, url, cost=remote.cost(200.0), paths_of=remote.paths_of,
        allowed_addresses=remote.allowed_addresses,
    )  # fmt: skip


def plan_setup(given: Mapping[str, str]) -> Setup:
    """A new one needs ``url=``; mostly it is another way (``sameas=``) to a place with content.

    Raises:
        UsageError: It is missing, or a word is not known.
    """
    check_words("httpalso", given, ["url"], [])
    return Setup(dict(given), {"annex-httpalso": "true"})


def prepare(remote: SpecialRemote) -> None:
    """Nothing is made: a web server takes nothing."""
