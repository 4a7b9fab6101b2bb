"""Files of a table of URLs, fetched side by side and recorded as one version."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress, Silence
from ..stores.http_urls import safe_url
from ..transfer.by_host import Pace
from ..wire.tables import TableKind
from .datasets import Dataset
from .fetching import FetchPlan, How, IfExists, iter_fetch
from .url_table import Columns, check, iter_wishes, open_table


def iter_addurls(
    dataset: Dataset,
    table: str,
    url_format: str,
    path_format: str,
    *,
    kind: TableKind | str | None = None,
    key_format: str | None = None,
    metadata: Sequence[str] = (),
    folder: bytes = b"",
    how: How | str = How.FETCH,
    if_exists: IfExists | str = IfExists.FAIL,
    dry_run: bool = False,
    jobs: int | None = None,
    per_host: int = 4,
    rate: float | None = None,
    message: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Add a file for each row of a table: CSV, TSV, a JSON array or JSON lines; ``-`` is stdin.

    The formats hold columns by name or number, ``{link}``, ``{0}``. With ``key_format`` nothing is
    fetched: the key is believed, and checked when content comes. ``metadata`` are words like
    ``who={who}``. ``rate`` is how many a second are asked of one host.

    Raises:
        UsageError: The table or a format makes no sense; then nothing was fetched.
    """
    dataset.need_files("addurls")
    columns = Columns.of(url_format, path_format, key_format, metadata)
    listener = progress or Silence()
    with open_table(table, None if kind is None else TableKind(kind)) as opened:
        count = check(opened, columns, folder, dataset.repository.common_dir)
        wishes = iter_wishes(opened, columns, folder)
        if dry_run:
            for wish in wishes:
                note = f"would come from {safe_url(wish.url)}"
                path = os.fsdecode(wish.path)
                yield Outcome("addurls", Status.OK, path, wish.key, note=note)
            return
        pace = Pace(jobs=dataset.jobs(jobs) + 2, per_host=per_host, rate_max=rate)
        plan = FetchPlan(
            How(how), IfExists(if_exists), pace,
            message or f"Add files from {count} URLs in {os.path.basename(opened.name)}",
            "addurls",
        )  # fmt: skip
        yield from iter_fetch(dataset, wishes, plan, listener)


def addurls(
    dataset: Dataset, table: str, url_format: str, path_format: str, **options: object
) -> Report:
    """Add the files of a table; see `iter_addurls`.

    Raises:
        IncompleteError: Some could not be had; the others are recorded.
    """
    return complete(iter_addurls(dataset, table, url_format, path_format, **options))  # type: ignore[arg-type]
