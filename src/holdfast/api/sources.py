"""How this clone reaches the places its remotes name: one reader for each, cheapest first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from ..core import faults
from ..core.abilities import Readable
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import WEB, Place, PlaceId, Trust
from ..dataset.config import append_settings
from ..dataset.objects import objects_of
from ..dataset.publishing import GIT_IN_A_PLACE
from ..dataset.repository import Repository
from .datasets import Dataset


class Unreached(NamedTuple):
    """A place that we know of but cannot ask, and why."""

    place: Place
    error: HoldError


class Sources:
    """The places this clone can read from. Close it to end connections."""

    def __init__(
        self,
        readers: list[Readable],
        unreached: list[Unreached],
        notes: Sequence[Callable[[], None]] = (),
    ) -> None:
        """``notes`` write to the ledger what stores keep there of single keys."""
        self.readers = sorted(readers, key=lambda reader: reader.cost)
        self.unreached = unreached
        self._notes = notes

    def only(self, name: str) -> Sources:
        """The one place that is called so, by remote name, description or UUID.

        Raises:
            NotFoundError: There is none; the known ones are listed.
        """
        found = [r for r in self.readers if name in (r.place.name, r.place.id)]
        if not found:
            for missed in self.unreached:
                if name in (missed.place.name, missed.place.id):
                    raise missed.error
            known = ", ".join(sorted(r.place.label for r in self.readers)) or "none"
            raise faults.NO_SUCH_PLACE(place=name, known=known)
        return Sources(found, [], self._notes)

    def write_notes(self) -> None:
        """Write what waits: how content was cut in chunks has to be known before where it is."""
        for write in self._notes:
            write()

    def close(self) -> None:
        """End connections and processes."""
        for reader in self.readers:
            reader.close()


@contextmanager
def open_sources(dataset: Dataset) -> Iterator[Sources]:
    """Everything content can be read from here, for the length of a block."""
    readers: list[Readable] = []
    unreached: list[Unreached] = []
    notes: list[Callable[[], None]] = []
    remotes = dataset.repository.config.sections("remote")
    for name, settings in remotes.items():
        if settings.get("annex-ignore") == "true" and "annex-ignore-auto" not in settings:
            continue
        place = _place(dataset, name, settings)
        try:
            reader = _open_remote(dataset, name, settings, place, notes)
        except HoldError as error:
            unreached.append(Unreached(place, error))
            continue
        if reader is not None and reader.place.trust is not Trust.DEAD:
            readers.append(reader)
    readers.append(_open_web(dataset))
    sources = Sources(readers, unreached, notes)
    try:
        yield sources
    finally:
        sources.close()
        sources.write_notes()


def _place(dataset: Dataset, name: str, settings: Mapping[str, str]) -> Place:
    uuid = PlaceId(settings.get("annex-uuid", ""))
    return Place(uuid, name, dataset.ledger.trust.get(uuid, Trust.SEMITRUSTED))


def _open_remote(
    dataset: Dataset,
    name: str,
    settings: Mapping[str, str],
    place: Place,
    notes: list[Callable[[], None]],
) -> Readable | None:
    url = settings.get("url")
    cost = _cost(settings)
    verified = settings.get("annex-verified", "verified")
    if verified == "manual":
        raise faults.PLACE_UNVERIFIED(place=name, state=verified)
    # git reaches a special remote by annex::, which is no other way to its content.
    if url is None or url.startswith(GIT_IN_A_PLACE):
        return _open_special(dataset, settings, place, notes)
    annex_url = settings.get("annexurl") or (url if url.startswith("annex+") else "")
    if annex_url.startswith("annex+") and place.id:
        return _open_p2p_http(dataset, place, (annex_url, url), cost)
    if url.startswith(("http://", "https://")):
        return _open_http(dataset, name, place, url, cost)
    folder = local_folder(dataset.top, url)
    if folder is not None:
        return _open_path(dataset, name, folder, place, cost)
    if is_ssh(url):
        from ..stores.ssh import SshAnnex

        command = os.environ.get("GIT_SSH_COMMAND") or dataset.repository.config.get(
            "core.sshcommand"
        )
        store = SshAnnex(
            place, url, here=dataset.here, ssh_command=command, cost=cost or 175.0,
            ssh_options=settings.get("annex-ssh-options", "").split(),
            shell=settings.get("annex-shell") or "git-annex-shell",
            quick_cipher=dataset.repository.config.flag("hold.ssh-quick-cipher", default=True),
        )  # fmt: skip
        return _identified(dataset, name, store)
    raise faults.NO_WAY(place=name, kind=url.partition(":")[0])


def _open_http(dataset: Dataset, name: str, place: Place, url: str, cost: float | None) -> Readable:
    """A repository on a web server: by the protocol that its configuration offers, or as files."""
    from ..stores.annex_http import AnnexHttp
    from ..wire.p2phttp import read_address

    plain = _identified(dataset, name, AnnexHttp(place, url, cost=cost or 200.0))
    assert isinstance(plain, AnnexHttp)
    try:
        config = plain.config
    except HoldError:
        return plain
    offered = config.annex_url if config is not None and config.uuid == plain.place.id else None
    if offered is None or read_address(offered) is None:
        return plain
    plain.close()
    # As git-annex does: from now on it is known without asking.
    path = os.path.join(dataset.repository.common_dir, b"config")
    append_settings(path, [(f"remote.{name}", [("annexUrl", offered)])])
    dataset.repository.forget_config()
    return _open_p2p_http(dataset, plain.place, (offered, url), cost)


def _open_p2p_http(
    dataset: Dataset, place: Place, urls: tuple[str, str], cost: float | None
) -> Readable:
    """By the protocol's address, which a server at the remote's own URL may have told us."""
    from urllib.parse import urlsplit

    from ..dataset.credentials import GitLogins
    from ..stores.p2p_http import P2pHttp
    from ..wire.p2phttp import read_address

    address = read_address(urls[0])
    if address is None:
        raise faults.NO_WAY(place=place.label, kind=urls[0].partition(":")[0])
    # Who adds a remote chose its host; another one, which that names, must be no private address.
    chosen = not urls[1].startswith("http") or _host(urls[1]) == urlsplit(address).hostname
    allowed = dataset.repository.config.get("annex.security.allowed-ip-addresses") or ""
    return P2pHttp(
        place, address, here=dataset.here, logins=GitLogins(dataset.repository),
        cost=cost or 200.0, allowed_addresses="all" if chosen else allowed,
    )  # fmt: skip


def _host(url: str) -> str | None:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname


def _cost(settings: Mapping[str, str]) -> float | None:
    given = settings.get("annex-cost")
    try:
        return float(given) if given else None
    except ValueError:
        return None


def local_folder(top: bytes, url: str) -> bytes | None:
    """The folder a remote's URL means, when it is on this machine's file systems."""
    if url.startswith("file://"):
        from urllib.parse import unquote, urlsplit

        return os.fsencode(unquote(urlsplit(url).path))
    if "://" in url or "::" in url or is_ssh(url):
        return None
    return os.path.normpath(os.path.join(top, os.fsencode(os.path.expanduser(url))))


def is_ssh(url: str) -> bool:
    """Whether git would reach this by ssh: a URL, or HOST:PATH with no slash before the colon."""
    if "://" in url:
        return url.startswith(("ssh://", "git+ssh://", "ssh+git://"))
    head, colon, rest = url.partition(":")
    # Two colons name a program of git's, as in annex::UUID.
    return bool(colon) and "/" not in head and not rest.startswith(":")


def _open_path(
    dataset: Dataset, name: str, folder: bytes, place: Place, cost: float | None
) -> Readable:
    if os.path.isfile(folder):
        raise faults.NO_WAY(place=name, kind="git bundle, which holds no content")
    if not os.path.isdir(folder):
        raise faults.UNREACHABLE(place=name, detail=f"{os.fsdecode(folder)} is not there")
    other = Repository(folder)
    if other.uuid is None:
        raise faults.NO_WAY(place=name, kind="plain git repository, with no annex")
    if place.id and place.id != other.uuid:
        # Another drive is mounted there, say: what the ledger tells of the known one is not of it.
        place = Place(other.uuid, name, dataset.ledger.trust.get(other.uuid, Trust.SEMITRUSTED))
    elif not place.id:
        place = remember_uuid(dataset, name, other.uuid)
    objects = objects_of(other, place)
    other.close()
    objects.cost = cost if cost is not None else 100.0
    return objects


def _identified(dataset: Dataset, name: str, store: Readable) -> Readable:
    """A network place whose UUID is known; it is asked for when we never were told."""
    if not store.place.id:
        found = store.discover()  # type: ignore[attr-defined]
        if found is None:
            raise faults.NO_WAY(place=name, kind="plain git repository, with no annex")
        store.place = remember_uuid(dataset, name, PlaceId(found))  # type: ignore[misc]
    return store


def remember_uuid(dataset: Dataset, name: str, uuid: PlaceId) -> Place:
    """Write down which place a remote is."""
    path = os.path.join(dataset.repository.common_dir, b"config")
    append_settings(path, [(f"remote.{name}", [("annex-uuid", uuid)])])
    dataset.repository.forget_config()
    dataset.ledger.__dict__.pop("remote_names", None)
    return Place(uuid, name, dataset.ledger.trust.get(uuid, Trust.SEMITRUSTED))


def _open_special(
    dataset: Dataset, settings: Mapping[str, str], place: Place, notes: list[Callable[[], None]]
) -> Readable | None:
    if not place.id:
        return None
    from .special import open_special

    opened = open_special(dataset, settings, place)
    notes.append(opened.notes.finish)
    return opened.store


def _open_web(dataset: Dataset) -> Readable:
    from ..stores.web import Web

    ledger, config = dataset.ledger, dataset.repository.config

    def urls_of(key: Key) -> list[str]:
        return [os.fsdecode(url) for url in ledger.urls([key]).get(key, ())]

    return Web(
        Place(WEB, "web", ledger.trust.get(WEB, Trust.SEMITRUSTED)),
        urls_of,
        allowed_addresses=config.get("annex.security.allowed-ip-addresses") or "",
        schemes=(config.get("annex.security.allowed-url-schemes") or "http https").split(),
    )
