"""Files from the web: fetched, taken in, and remembered by where they came from."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence

from ..core import faults
from ..core.outcome import Outcome, Report, complete
from ..core.progress import Progress, Silence
from ..transfer.by_host import Pace
from ..wire.url_names import file_name, last_name
from .datasets import Dataset
from .fetching import FetchPlan, How, IfExists, Wish, iter_fetch


def iter_addurl(
    dataset: Dataset,
    urls: Sequence[str],
    *,
    path: bytes | None = None,
    folder: bytes = b"",
    how: How | str = How.FETCH,
    if_exists: IfExists | str = IfExists.FAIL,
    jobs: int | None = None,
    message: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Add the files at some URLs, as one version; each URL is registered with its content.

    Each gets the last name in its URL, below ``folder`` (relative to the top), or, if there is but
    one URL, ``path``. ``how`` "fast" asks for sizes only, "relaxed" for nothing: content then comes
    with `get`.

    Raises:
        UsageError: Several URLs are to go to one path.
    """
    dataset.need_files("addurl")
    if path is not None and len(urls) > 1:
        raise faults.BAD_USAGE(what="--path names one file, for one URL", command="addurl")
    wishes = [Wish(url, path if path is not None else _path(folder, url)) for url in urls]
    names = Counter(wish.path for wish in wishes)
    twice = [os.fsdecode(name) for name, number in names.items() if number > 1]
    if twice:
        raise faults.BAD_USAGE(what=f"several URLs are to become {twice[0]}", command="addurl")
    plan = FetchPlan(
        How(how), IfExists(if_exists), Pace(jobs=dataset.jobs(jobs) + 2), message, "addurl"
    )
    yield from iter_fetch(dataset, wishes, plan, progress or Silence())


def addurl(dataset: Dataset, urls: Sequence[str], **options: object) -> Report:
    """Add files from the web; see `iter_addurl`.

    Raises:
        IncompleteError: Some could not be had; the others are recorded.
    """
    return complete(iter_addurl(dataset, urls, **options))  # type: ignore[arg-type]


def _path(folder: bytes, url: str) -> bytes:
    try:
        name = last_name(url) or file_name(url)
    except ValueError:
        name = "url"
    return os.path.join(folder, os.fsencode(name))
