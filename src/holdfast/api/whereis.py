"""Tell which places have the content of files, as the ledger says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice

from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..core.place import WEB
from ..dataset.annexed import iter_all_keys, iter_current
from ..dataset.copies import Places as Copies
from ..dataset.copies import Urls, has_urls, iter_known, iter_known_of, iter_located, web_urls
from ..dataset.places import Places
from .datasets import Dataset
from .nesting import Walk, iter_in_each
from .reading import Wanted, iter_wanted_files, readable_ledger

_BLOCK = 4096

_Item = tuple[str, Key, Copies]


def iter_whereis(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    all_versions: bool = False,
    levels: int | None = 0,
) -> Iterator[Outcome]:
    """Tell of each annexed file which places are said to have its content.

    ``all_versions``: of every key some version of these files had. Without paths that, and in a
    bare repository too, is every key the ledger knows. Untrusted places are told apart, dead ones
    not at all. No place is asked. ``levels`` is how many levels of data sets inside are told of
    too, None for all.
    """

    def work(one: Dataset, below: Sequence[bytes]) -> Iterator[Outcome]:
        return _iter_whereis_in(one, below, all_versions=all_versions)

    return iter_in_each(dataset, paths, work, "whereis", Walk(levels))


def _iter_whereis_in(
    dataset: Dataset, paths: Sequence[bytes], *, all_versions: bool
) -> Iterator[Outcome]:
    ledger = readable_ledger(dataset)
    wanted = Wanted(dataset, "whereis", paths)
    yield from wanted.iter_failures()
    if wanted.nothing:
        return
    items: Iterable[_Item]
    most = not wanted.paths
    if all_versions and wanted.paths:
        keys = _iter_keys_below(dataset, wanted.paths)
        items = (("", known.key, known.places) for known in iter_known_of(ledger, keys))
    elif all_versions or (dataset.repository.bare and most):
        most = True
        items = (("", known.key, known.places) for known in iter_known(ledger))
    else:
        files = iter_wanted_files(dataset, wanted)
        items = (
            (os.fsdecode(located.file.path), located.key, located.places)
            for located in iter_located(ledger, files, most=most)
        )
    yield from _iter_told(items, Places(dataset.repository, ledger), Urls(ledger, most=most))


def _iter_keys_below(dataset: Dataset, paths: Sequence[bytes]) -> Iterator[Key]:
    """Every key that a file below some paths has or had, each once."""
    current = iter_current(dataset.repository, paths)
    now = dict.fromkeys(file.key for file in current if file.key is not None)
    yield from now
    for key, path in iter_all_keys(dataset.repository):
        if key not in now and any(path == p or path.startswith(p + b"/") for p in paths):
            yield key


def _iter_told(items: Iterable[_Item], places: Places, urls: Urls) -> Iterator[Outcome]:
    @lru_cache(4096)  # the same few sets of places have most of the content
    def told(copies: Copies) -> dict[str, object]:
        return _facts(copies, places, ())

    rest = iter(items)
    while block := list(islice(rest, _BLOCK)):
        found = urls.of([key for _, key, copies in block if has_urls(copies)])
        for path, key, copies in block:
            facts = told(copies)
            if has_urls(copies) and key in found:
                facts = _facts(copies, places, found[key])
            yield Outcome("whereis", Status.OK, path, key, facts=facts)


def _facts(copies: Copies, places: Places, urls: Sequence[bytes]) -> dict[str, object]:
    counted: list[dict[str, object]] = []
    untrusted: list[dict[str, object]] = []
    for place in copies:
        at = web_urls(urls) if place == WEB else []
        side = untrusted if places.is_untrusted(place) else counted
        side.append({**places.tell(place), "urls": at})
    return {"places": counted, "untrusted": untrusted}


def whereis(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """Tell where content is; see `iter_whereis`."""
    return complete(iter_whereis(dataset, paths, **options))  # type: ignore[arg-type]
