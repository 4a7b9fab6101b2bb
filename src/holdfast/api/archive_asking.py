"""Asking all places of a data set, now, for many keys; the web by its URLs and as hosts allow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from math import ceil

from ..archive.verdicts import Checked, Finding, Pointer, UrlFinding, of_urls
from ..core.abilities import Answer, Readable
from ..core.key import Key
from ..core.place import WEB, Place, PlaceId, Presence, Trust
from ..dataset.objects import objects_of
from ..transfer.by_host import Pace
from ..transfer.presence import AtUrl, PatientPlace, UrlAsker
from ..wire.url_names import requestable
from .datasets import Dataset
from .sources import Sources
from .urls import is_web, shown_url
from .web_client import open_client

_BLOCK, _PART = 16_384, 1024
_JOBS = 16
_PER_HOST = 2
_PER_REQUEST_S = 0.2
"""About as long as one question takes: to ask more often, more have to be on their way."""

OfPlace = Mapping[PlaceId, Sequence[Key]]
Futures = Mapping[PlaceId, Future[list[Answer]]]
Asked = Mapping[PlaceId, Mapping[Key, Answer]]
Urls = Mapping[Key, Sequence[bytes]]


class Asking:
    """Asks for blocks of keys; places are asked side by side. Use it in a ``with`` block."""

    def __init__(
        self, dataset: Dataset, sources: Sources, *, rate: float, jobs: int | None
    ) -> None:
        self._ledger = dataset.ledger
        self.here = PatientPlace([objects_of(dataset.repository, self._ledger.place(dataset.here))])
        self._places = _by_place(sources.readers)
        self._no_way = _no_way(dataset, sources)
        self.ask_all_for_few = False
        """Whether other places are asked, too, where too few copies were seen; else where none."""
        self._web = Place(WEB, "web", self._ledger.trust.get(WEB, Trust.SEMITRUSTED))
        self._pool = ThreadPoolExecutor(len(self._places) + 1, thread_name_prefix="place")
        per_host = max(_PER_HOST, ceil(rate * _PER_REQUEST_S))
        pace = Pace(jobs or max(_JOBS, per_host), min(per_host, jobs or per_host), rate)
        self._urls = UrlAsker(partial(open_client, dataset), pace)
        self._at_urls: dict[AtUrl, Answer] = {}

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, *_: object) -> None:
        # Who still waits for a place ends when its connections are closed.
        self._pool.shutdown(wait=False, cancel_futures=True)

    def iter_checked(self, pointers: Iterable[Pointer]) -> Iterator[list[Checked]]:
        """Ask whoever may have them, and say what each answered; in order, many at a time."""
        rest = iter(pointers)
        # The ledger is looked up for many more than are asked for at a time: it may be read whole.
        while block := list(islice(rest, _BLOCK)):
            keys = [pointer.key for pointer in block]
            claims, urls = self._ledger.locations(keys), self._ledger.urls(keys)
            for start in range(0, len(block), _PART):
                yield self._check(block[start : start + _PART], claims, urls)

    def _check(
        self, pointers: Sequence[Pointer], claims: Mapping[Key, Sequence[PlaceId]], urls: Urls
    ) -> list[Checked]:
        keys = [pointer.key for pointer in pointers]
        asked = self._ask_claimed(keys, claims, urls)
        found = [self._checked(one, claims[one.key], urls, asked) for one in pointers]
        left = [one for one in found if self._is_to_ask_others(one)]
        if left:
            others = self._ask_others([one.pointer.key for one in left], claims)
            for place, answers in others.items():
                asked.setdefault(place, {}).update(answers)
            found = [self._checked(one, claims[one.key], urls, asked) for one in pointers]
        return found

    def finding_here(
        self, presence: Presence, remark: str = "", *, claimed: bool = True
    ) -> Finding:
        """What is to be said of this clone."""
        return Finding(self.here.place, claimed, presence, remark)

    # asking

    def _ask_claimed(
        self, keys: Sequence[Key], claims: Mapping[Key, Sequence[PlaceId]], urls: Urls
    ) -> dict[PlaceId, dict[Key, Answer]]:
        of_place: dict[PlaceId, list[Key]] = {}
        for key in keys:
            for place in claims[key]:
                if place in self._places:
                    of_place.setdefault(place, []).append(key)
        futures = self._begin(of_place)
        here = self.here.ask(keys)
        self._at_urls = dict(self._urls.iter_answers(_questions(keys, urls)))
        return {self.here.place.id: dict(zip(keys, here, strict=True)), **_ends(futures, of_place)}

    def _ask_others(
        self, keys: Sequence[Key], claims: Mapping[Key, Sequence[PlaceId]]
    ) -> dict[PlaceId, dict[Key, Answer]]:
        """Ask the places that are not said to have these."""
        of_place = {
            place: [key for key in keys if place not in claims[key]] for place in self._places
        }
        return _ends(self._begin(of_place), of_place)

    def _begin(self, of_place: OfPlace) -> Futures:
        return {
            place: self._pool.submit(self._places[place].ask, keys)
            for place, keys in of_place.items()
            if keys
        }

    # judging

    def _is_to_ask_others(self, checked: Checked) -> bool:
        if self.ask_all_for_few:
            return checked.copies < checked.pointer.needed
        return not any(f.presence is Presence.PRESENT for f in checked.findings)

    def _checked(
        self, pointer: Pointer, claims: Sequence[PlaceId], urls: Urls, asked: Asked
    ) -> Checked:
        key = pointer.key
        at_urls = tuple(self._at_url(key, url) for url in urls.get(key, ()))
        findings = [
            self._finding(place, key, asked, claimed=True) for place in claims if place != WEB
        ]
        for place, answers in asked.items():
            if place not in claims and key in answers:
                finding = self._finding(place, key, asked, claimed=False)
                if finding.presence is Presence.PRESENT:
                    findings.append(finding)
        web = [url for url, raw in zip(at_urls, urls.get(key, ()), strict=True) if is_web(raw)]
        if web or WEB in claims:
            findings.append(Finding(self._web, WEB in claims, *of_urls(web)))
        findings.sort(key=lambda finding: finding.place.id != self.here.place.id)
        return Checked(pointer, tuple(findings), at_urls)

    def _finding(self, place: PlaceId, key: Key, asked: Asked, *, claimed: bool) -> Finding:
        answer = asked.get(place, {}).get(key)
        if place == self.here.place.id:
            known = self.here.place
        elif place in self._places:
            known = self._places[place].place
        else:
            known = self._ledger.place(place)
        if answer is None:
            why = self._no_way.get(place, "no remote here leads to it")
            return Finding(known, claimed, Presence.UNKNOWN, why)
        return Finding(known, claimed, answer.presence, answer.remark)

    def _at_url(self, key: Key, url: bytes) -> UrlFinding:
        if not is_web(url):
            return UrlFinding(os.fsdecode(url))
        answer = self._at_urls[AtUrl(key, requestable(os.fsdecode(url)))]
        return UrlFinding(shown_url(url), answer.presence, answer.remark)


def _questions(keys: Iterable[Key], urls: Urls) -> list[AtUrl]:
    found = (
        AtUrl(key, requestable(os.fsdecode(url)))
        for key in keys
        for url in urls.get(key, ())
        if is_web(url)
    )
    return list(dict.fromkeys(found))


def _ends(futures: Futures, of_place: OfPlace) -> dict[PlaceId, dict[Key, Answer]]:
    return {
        place: dict(zip(of_place[place], future.result(), strict=True))
        for place, future in futures.items()
    }


def _by_place(readers: Iterable[Readable]) -> dict[PlaceId, PatientPlace]:
    """Who can be asked: each place by all ways to it. The web is asked by its URLs."""
    ways: dict[PlaceId, list[Readable]] = {}
    for reader in readers:
        if reader.place.id and reader.place.id != WEB:
            ways.setdefault(reader.place.id, []).append(reader)
    return {place: PatientPlace(found) for place, found in ways.items()}


def _no_way(dataset: Dataset, sources: Sources) -> dict[PlaceId, str]:
    """Why places that remotes of ours name cannot be asked."""
    found = {
        PlaceId(settings["annex-uuid"]): f"its remote {name} is set to be ignored"
        for name, settings in dataset.repository.config.sections("remote").items()
        if settings.get("annex-ignore") == "true" and settings.get("annex-uuid")
    }
    for missed in sources.unreached:
        if missed.place.id:
            found[missed.place.id] = missed.error.why or missed.error.what
    return found
