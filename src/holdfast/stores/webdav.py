"""`webdav`: a server of files such as Nextcloud, laid out as git-annex's webdav special remote.

Content goes to a temporary name first and is moved to `abc/def/KEYFILE/KEYFILE` when it is there
whole. WebDAV has no checksums: so it is asked how much arrived, and what went without TLS, which
would tell of changed bytes, is read back. Small files go over several connections side by side.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from urllib.parse import unquote, urlsplit

from ..core import faults
from ..core.abilities import Answer, Content, OnBytes, Stream
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place, Presence
from ..core.policy import DropProof, Waiver
from ..wire.remote_urls import quote_path
from .lanes import iter_fetched, iter_sent
from .placing import Placing, placing_of
from .special import Setup, SpecialRemote
from .url_store import UrlStore
from .webdav_client import Body, DavAnswer, DavClient
from .words import bad_setup, check_words

TEMPORARY = "git-annex-webdav-tmp-hold"
"""The collection of ours for what is on its way; git-annex's own such names begin like it."""

STALE_S = 24 * 3600
"""What lies there so long was left by a run that was killed."""

LANES = 8
"""So many connections for small files."""

LOOK_FIRST = 1 << 20
"""A file so large is asked for before it is sent again."""

_THERE_ALREADY = 405
_NO_PARENT = frozenset((404, 409))


class WebDav(UrlStore):
    """Files on a WebDAV server."""

    def __init__(
        self, place: Place, base: str, placing: Placing, client: DavClient, *, cost: float = 200.0
    ) -> None:
        """``base`` is the URL of the collection that everything is in."""
        super().__init__(place, self._urls, client, cost=cost)
        self._dav = client
        self._base = base.rstrip("/")
        self._placing = placing
        self._run = os.urandom(6).hex()
        self._numbers = count()
        self._made: set[str] = set()
        # There are 4096 outer collections; of the inner ones there is one for each key.
        self._kept_in_mind = 1
        self._making = threading.Lock()
        self._ready = False
        self._getting_ready = threading.Lock()

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look, for each key, side by side."""
        answers = super().ask(keys)
        for answer in answers:
            if answer.remark == "the server answers 401" and self._dav._login is None:
                remark = "it asks who we are, and no user and password are known here"
                return [Answer(Presence.UNKNOWN, remark) for _ in keys]
        return answers

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Put content under a temporary name, then move it to its own."""
        path = self._placing.final(key)
        if content.size >= LOOK_FIRST and self.ask([key])[0].presence is Presence.PRESENT:
            return
        self.get_ready()
        self.put_file(path, content, progress)

    def put_file(self, path: bytes, content: Content, progress: OnBytes) -> None:
        """Put content at a path, in place of what is there, once it is there whole."""
        final = self._url(path)
        temporary = f"{self._base}/{TEMPORARY}/{self._run}-{next(self._numbers)}"
        try:
            digest = self._put(temporary, content, progress)
            self._check_arrived(temporary, content.size, digest, progress)
            self._move(temporary, final)
        except BaseException:
            with suppress(HoldError):
                self._dav.ask("DELETE", temporary)
            raise

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Send contents, several at a time."""
        return iter_sent(lambda key, content: self.send(key, content, progress), items, lanes=LANES)

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream contents in order, small ones fetched side by side."""
        return iter_fetched(self, keys, lanes=LANES)

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Delete the collection that holds just this key."""
        assert leave.key == key and leave.place == self.place.id
        url = self._url(os.path.dirname(self._placing.final(key))) + "/"
        answer = self._dav.ask("DELETE", url)
        if answer.status not in (404, 410):
            self._check(answer, url)

    # files under any names

    def remember_collections(self, depth: int) -> None:
        """Believe in collections that were made by us down to a depth."""
        self._kept_in_mind = depth

    def size_at(self, path: bytes) -> int | None:
        """How many bytes the file at a path has; None when there is none.

        Raises:
            HoldError: The server does not say.
        """
        url = self._url(path)
        found = self._dav.head(url)
        if found.status in (404, 410):
            return None
        if found.status == 416:  # one byte was asked for, of an empty file
            return 0
        if found.status not in (200, 206) or found.size is None:
            raise faults.UNREACHABLE(
                place=self.place.label, detail=f"the server answers {found.status}"
            )
        return found.size

    def move_file(self, old: bytes, new: bytes) -> None:
        """Give a file another name."""
        self._move(self._url(old), self._url(new))

    def delete_at(self, path: bytes) -> None:
        """Delete a file, or a collection with all in it; what is not there is success."""
        url = self._url(path)
        answer = self._dav.ask("DELETE", url)
        if answer.status not in (404, 410):
            self._check(answer, url)
        if path.endswith(b"/"):
            self._made.discard(url)

    def clear_up(self) -> None:
        """Remove the collection for temporary names, if nothing is in it."""
        if self.is_empty(TEMPORARY.encode()):
            self.delete_at(TEMPORARY.encode() + b"/")
            self._ready = False

    def is_empty(self, folder: bytes) -> bool:
        """Whether a collection is there and surely has nothing in it."""
        answer = self._dav.ask("PROPFIND", self._url(folder) + "/", {"Depth": "1"})
        return answer.status == 207 and count_listed(answer.text) == 1

    def make_ready(self) -> None:
        """Make the collection everything is in, and see that it can be written to."""
        self._make_base()
        self.get_ready()
        probe = f"{self._base}/{TEMPORARY}/{self._run}-probe"
        self._check(self._dav.ask("PUT", probe, None, Body(4, lambda: iter([b"test"]))), probe)
        self._check(self._dav.ask("DELETE", probe), probe)

    # parts

    def _url(self, path: bytes) -> str:
        return f"{self._base}/{quote_path(path)}"

    def _urls(self, keys: Sequence[Key]) -> list[list[str]]:
        return [[self._url(path) for path in self._placing.candidates(key)] for key in keys]

    def _check(self, answer: DavAnswer, url: str) -> None:
        self._dav.check(answer, url)

    def _put(self, url: str, content: Content, progress: OnBytes) -> bytes:
        """Send content to a URL; gives the hash of what went."""
        told, hasher = 0, hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            nonlocal told, hasher
            progress(-told)
            told, hasher = 0, hashlib.sha256()
            for chunk in content.chunks():
                yield chunk
                hasher.update(chunk)
                told += len(chunk)
                progress(len(chunk))

        try:
            self._check(self._dav.ask("PUT", url, None, Body(content.size, chunks)), url)
        except HoldError:
            progress(-told)
            raise
        return hasher.digest()

    def _check_arrived(self, url: str, size: int, sent: bytes, progress: OnBytes) -> None:
        try:
            if url.startswith("https:"):
                right = self._dav.head(url).size in (None, size)
            else:
                right = self._read_back(url) == sent
            if not right:
                detail = "what is there after it was sent is of another size, or has other bytes"
                raise faults.CHANGED_ON_WAY(place=self.place.label, detail=detail)
        except HoldError:
            progress(-size)
            raise

    def _read_back(self, url: str) -> bytes:
        hasher = hashlib.sha256()
        with self._dav.open(url) as answer:
            for chunk in answer.chunks:
                hasher.update(chunk)
        return hasher.digest()

    def _move(self, source: str, final: str) -> None:
        headers = {"Destination": final, "Overwrite": "T"}
        parents = _parents(self._base, final)
        self._make(parents)
        answer = self._dav.ask("MOVE", source, headers)
        if answer.status in _NO_PARENT:
            # Somebody removed the last content beside it, and the collection with it.
            self._made.difference_update(parents)
            self._make(parents)
            answer = self._dav.ask("MOVE", source, headers)
        self._check(answer, final)

    def _make(self, collections: Sequence[str]) -> None:
        """Make these collections, outer ones first; what was made by us once is believed in."""
        missing = [(depth, url) for depth, url in enumerate(collections) if url not in self._made]
        if not missing or self._kept_in_mind == 1:
            self._make_each(missing, collections)
            return
        # Folders of trees are shared by many files, and a server locks one while it makes it.
        with self._making:
            self._make_each(missing, collections)

    def _make_each(self, missing: Sequence[tuple[int, str]], collections: Sequence[str]) -> None:
        for depth, url in missing:
            if url in self._made:
                continue
            answer = self._dav.ask("MKCOL", url)
            if answer.status in _NO_PARENT and depth:
                self._made.difference_update(collections)
                self._check(self._dav.ask("MKCOL", collections[0]), collections[0])
                answer = self._dav.ask("MKCOL", url)
            if answer.status not in (_THERE_ALREADY, 301):
                self._check(answer, url)
            if depth < self._kept_in_mind:
                self._made.add(url)

    def _make_base(self) -> None:
        parts = urlsplit(self._base)
        names = parts.path.strip("/").split("/")
        top = f"{parts.scheme}://{parts.netloc}"
        chain = ["/".join([top, *names[: n + 1]]) + "/" for n in range(len(names))]
        for start in range(len(chain) - 1, -1, -1):
            answer = self._dav.ask("MKCOL", chain[start])
            if answer.status in _NO_PARENT and start:
                continue
            if answer.status not in (_THERE_ALREADY, 301):
                self._check(answer, chain[start])
            for url in chain[start + 1 :]:
                self._check(self._dav.ask("MKCOL", url), url)
            return

    def get_ready(self) -> None:
        """Make the collection for temporary names, once, and clean it of what the dead left."""
        with self._getting_ready:
            if not self._ready:
                self._make_temporary()

    def _make_temporary(self) -> None:
        folder = f"{self._base}/{TEMPORARY}/"
        answer = self._dav.ask("MKCOL", folder)
        if answer.status in _NO_PARENT:
            detail = "the collection that everything was in is gone"
            raise faults.UNREACHABLE(place=self.place.label, detail=detail)
        if answer.status not in (_THERE_ALREADY, 301):
            self._check(answer, folder)
        else:
            self._clean(folder)
        self._ready = True

    def _clean(self, folder: str) -> None:
        answer = self._dav.ask("PROPFIND", folder, {"Depth": "1"})
        if answer.status == 207:
            for name in stale_names(answer.text, time.time() - STALE_S):
                self._dav.ask("DELETE", folder + quote_path(name))


def _parents(base: str, url: str) -> list[str]:
    """The collections between the base and a file, outer ones first."""
    names = url[len(base) + 1 :].split("/")[:-1]
    return ["/".join([base, *names[: n + 1]]) + "/" for n in range(len(names))]


def stale_names(listing: bytes, before: float) -> list[bytes]:
    """Names of files in an answer to PROPFIND that were last changed before a moment."""
    from email.utils import parsedate_to_datetime
    from xml.etree import ElementTree

    found = []
    try:
        responses = ElementTree.fromstring(listing).findall("{DAV:}response")
    except ElementTree.ParseError:
        return []
    for response in responses:
        href = response.findtext("{DAV:}href") or ""
        when = response.findtext(".//{DAV:}getlastmodified") or ""
        if href.endswith("/") or response.find(".//{DAV:}collection") is not None:
            continue
        with suppress(ValueError):
            if parsedate_to_datetime(when).timestamp() < before:
                found.append(os.fsencode(unquote(href.rpartition("/")[2])))
    return found


def count_listed(listing: bytes) -> int:
    """How many things an answer to PROPFIND lists, what was asked about too; 0 if it is unclear."""
    from xml.etree import ElementTree

    try:
        return len(ElementTree.fromstring(listing).findall("{DAV:}response"))
    except ElementTree.ParseError:
        return 0


def open_store(remote: SpecialRemote) -> WebDav:
    """The server of a special remote.

    Raises:
        PlaceUnavailableError: Its configuration names no URL.
    """
    url = remote.config.get("url", "")
    if not url.startswith(("http://", "https://")):
        raise faults.NO_WAY(place=remote.place.label, kind="webdav without a url")
    # Whose URL was approved by a person may be in the network of this machine.
    approved = remote.local.get("annex-verified", "verified") == "verified"
    addresses = "all" if approved else remote.allowed_addresses
    client = DavClient(url, remote.credentials, allowed_addresses=addresses)
    return WebDav(
        remote.place, url, placing_of(remote, mixed=False), client, cost=remote.cost(200.0)
    )


def plan_setup(given: Mapping[str, str]) -> Setup:
    """A new one needs ``url=``; user and password come from elsewhere.

    Raises:
        UsageError: It is missing or holds a password, or a word is not known.
    """
    check_words("webdav", given, ["url"])
    if "@" in urlsplit(given["url"]).netloc:
        detail = "a url= with a user in it would be known to all who have the data set"
        raise bad_setup("webdav", detail)
    return Setup(dict(given), {"annex-webdav": "true"})


def prepare(remote: SpecialRemote) -> None:
    """Make the collection, and see that it can be written to.

    Raises:
        AccessError: It cannot.
    """
    store = open_store(remote)
    try:
        store.make_ready()
    finally:
        store.close()
