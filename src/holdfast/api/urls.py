"""The URLs of files: listed, registered, taken away, and looked at whether they still work."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple
from urllib.parse import urlsplit

from ..core import faults
from ..core.errors import HoldError
from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..core.place import WEB
from ..core.progress import Progress, Silence
from ..dataset.annexed import TrackedFile
from ..dataset.copies import Urls
from ..dataset.key_facts import KeyFacts
from ..dataset.ledger_write import record_sorted
from ..stores.http_urls import safe_url, server_of
from ..transfer.by_host import ByHost, Pace
from ..wire.url_names import requestable
from .datasets import Dataset
from .fetching import refusal_of_url
from .reading import Wanted, iter_wanted_files, readable_ledger
from .web_client import open_client

_BLOCK = 4096
RATE_MAX = 10.0
"""So many questions a second are put to one host when nobody says otherwise."""


class _Link(NamedTuple):
    """A file, its key, and one of its URLs."""

    path: str
    key: Key
    url: str


def iter_urls(dataset: Dataset, paths: Sequence[bytes] = ()) -> Iterator[Outcome]:
    """The URLs registered for files below some paths, or all; files without one are left out.

    The fact ``urls`` has them as registered, passwords apart.
    """
    wanted = Wanted(dataset, "urls", paths)
    yield from wanted.iter_failures()
    if wanted.nothing:
        return
    for file, key, found in _iter_with_urls(dataset, wanted):
        urls = [shown_url(url) for url in found]
        yield Outcome("urls", Status.OK, os.fsdecode(file.path), key, facts={"urls": urls})


def iter_add_url(dataset: Dataset, url: str, paths: Sequence[bytes]) -> Iterator[Outcome]:
    """Register a URL for the content of files; it is believed, and checked when content comes.

    Raises:
        UsageError: It is no URL, or holds a password.
    """
    refusal = refusal_of_url(url)
    if refusal is not None:
        raise refusal
    raw = os.fsencode(url)

    def tell(facts: KeyFacts, key: Key, known: Sequence[bytes]) -> bool:
        if raw in known:
            return False
        facts.set_url(key, raw, registered=True)
        facts.set_place(key, WEB, present=True)
        return True

    yield from _iter_told(dataset, paths, tell)


def iter_remove_url(dataset: Dataset, url: str, paths: Sequence[bytes]) -> Iterator[Outcome]:
    """Take a URL from the content of files; with the last one the web counts no more as a copy."""
    raw = os.fsencode(url)

    def tell(facts: KeyFacts, key: Key, known: Sequence[bytes]) -> bool:
        if raw not in known:
            return False
        facts.set_url(key, raw, registered=False)
        if not any(is_web(other) for other in known if other != raw):
            facts.set_place(key, WEB, present=False)
        return True

    yield from _iter_told(dataset, paths, tell)


def iter_check_urls(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    jobs: int | None = None,
    per_host: int = 2,
    rate: float = RATE_MAX,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Ask for each web URL of files whether something of the right size is there; change nothing.

    Dead ones end as errors of exit code 3, and so do those that cannot be asked. A host is asked
    ``rate`` times a second at most, and left alone as long as it asks for that.
    """
    wanted = Wanted(dataset, "urls", paths)
    yield from wanted.iter_failures()
    if wanted.nothing:
        return
    listener = progress or Silence()
    pace = Pace(jobs=(jobs or 16), per_host=per_host, rate_max=rate)
    with _Checker(dataset, pace) as checker:
        listener.start(None, None)
        try:
            for link, failure in checker.iter_results(_iter_links(dataset, wanted)):
                listener.advance(1, 0)
                yield _checked(link, failure)
        finally:
            listener.stop()


class _Checker:
    """Asks for URLs by host."""

    def __init__(self, dataset: Dataset, pace: Pace) -> None:
        self._by_host: ByHost[_Link, HoldError | None] = ByHost(
            self._ask, lambda link: server_of(link.url), pace
        )
        self._opened = open_client(dataset, self._by_host.sleep)
        self.iter_results = self._by_host.iter_results

    def __enter__(self) -> _Checker:
        self._client = self._opened.__enter__()
        self._by_host.on_stop = self._client.close
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.__exit__(None, None, None)

    def _ask(self, link: _Link) -> HoldError | None:
        """None when it is alive, else why not."""
        try:
            answer = self._client.head(requestable(link.url))
        except HoldError as error:
            return error
        # A range of nothing cannot be had: an empty file says 416 to a question for one byte.
        if answer.status == 416 and link.key.size == 0:
            return None
        if answer.status not in (200, 206):
            return _dead(link, f"the server answers {answer.status}")
        if None not in (link.key.size, answer.size) and link.key.size != answer.size:
            detail = f"there are {answer.size} bytes instead of {link.key.size}: something else"
            return _dead(link, detail)
        return None


def _dead(link: _Link, detail: str) -> HoldError:
    return faults.DEAD_URL(path=link.path, url=safe_url(link.url), detail=detail)


def _checked(link: _Link, failure: HoldError | None) -> Outcome:
    shown = safe_url(link.url)
    facts = {"url": shown}
    if failure is None:
        return Outcome("urls", Status.OK, link.path, link.key, note=shown, facts=facts)
    if failure.code != faults.DEAD_URL.code:
        failure = _dead(link, f"{failure.what} ({failure.why})")
    note = f"{shown}: {failure.why}"
    return Outcome("urls", Status.ERROR, link.path, link.key, note=note, error=failure, facts=facts)


def _iter_links(dataset: Dataset, wanted: Wanted) -> Iterator[_Link]:
    for file, key, urls in _iter_with_urls(dataset, wanted):
        for url in urls:
            if is_web(url):
                yield _Link(os.fsdecode(file.path), key, os.fsdecode(url))


def _iter_with_urls(
    dataset: Dataset, wanted: Wanted
) -> Iterator[tuple[TrackedFile, Key, list[bytes]]]:
    known = Urls(readable_ledger(dataset), most=not wanted.paths)
    files = ((file, file.key) for file in iter_wanted_files(dataset, wanted) if file.key)
    while block := list(islice(files, _BLOCK)):
        found = known.of([key for _, key in block])
        for file, key in block:
            if found.get(key):
                yield file, key, found[key]


def _iter_told(
    dataset: Dataset,
    paths: Sequence[bytes],
    tell: Callable[[KeyFacts, Key, Sequence[bytes]], bool],
) -> Iterator[Outcome]:
    """Change what is known of the files below some paths, in one entry of the ledger."""
    if not paths:
        raise faults.BAD_USAGE(what="name the files that the URL is for", command="urls")
    dataset.repository.check_writable()
    wanted = Wanted(dataset, "urls", paths)
    yield from wanted.iter_failures()
    if wanted.nothing:
        return
    known = Urls(dataset.ledger, most=False)
    files = ((file, file.key) for file in iter_wanted_files(dataset, wanted) if file.key)
    while block := list(islice(files, _BLOCK)):
        found = known.of([key for _, key in block])
        with KeyFacts(dataset.repository.common_dir) as facts:
            changed = {key: tell(facts, key, found.get(key, ())) for _, key in block}
            if facts:
                record_sorted(dataset.repository, facts.iter_edits())
        for file, key in block:
            status = Status.OK if changed[key] else Status.NOT_NEEDED
            yield Outcome("urls", status, os.fsdecode(file.path), key)
    dataset.forget()


def is_web(url: bytes) -> bool:
    """Whether it is one that the web itself serves."""
    return url.lower().startswith((b"http://", b"https://"))


def shown_url(url: bytes) -> str:
    """A URL as registered, but for a password that somebody left in it."""
    text = os.fsdecode(url)
    try:
        parts = urlsplit(text)
        secret = parts.password is not None
    except ValueError:
        return re.sub(r"//[^/@]*:[^/@]*@", "//", text)  # it is none, and may have one all the same
    return text if not secret else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def urls(dataset: Dataset, paths: Sequence[bytes] = ()) -> Report:
    """List URLs; see `iter_urls`."""
    return complete(iter_urls(dataset, paths))
