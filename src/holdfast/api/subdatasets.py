"""List the data sets inside a data set."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..core.errors import HoldError
from ..core.outcome import Outcome, Report, Status, complete
from ..dataset.submodules import Submodule, iter_submodules, may_have_any
from ..wire.subdataset_sources import without_login
from .datasets import Dataset
from .nesting import Walk, iter_nested, open_inside, rerooted
from .unknown import iter_unknown


def iter_subdatasets(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    installed: bool = False,
    missing: bool = False,
    levels: int | None = 1,
) -> Iterator[Outcome]:
    """List the data sets at or below some paths, in order, each before those inside it.

    Of each: whether it is installed, the version that belongs here, what .gitmodules says of it.
    ``installed`` or ``missing`` leaves the others out. ``levels`` is how many levels down to look,
    None for all; nobody looks into one that is not installed. Those that are not installed cost no
    process.
    """
    for nested in iter_nested(dataset, paths, Walk(enter=False)):
        if isinstance(nested, Outcome):
            yield nested
        elif nested.concerned:
            unknown = iter_unknown(nested.dataset, nested.paths, "subdatasets")
            yield from rerooted(unknown, nested.prefix.rstrip(b"/"))
            for path, one in _iter_all(nested.dataset, nested.prefix, nested.paths, levels):
                if isinstance(one, HoldError):
                    yield Outcome("subdataset", Status.ERROR, path, error=one, note=one.why)
                elif not (missing if one.installed else installed):
                    yield Outcome("subdataset", Status.OK, path, facts=_facts(one))


def _iter_all(
    dataset: Dataset, prefix: bytes, paths: Sequence[bytes], levels: int | None
) -> Iterator[tuple[str, Submodule | HoldError]]:
    for one in iter_submodules(dataset.repository, paths):
        path = os.fsdecode(prefix + one.path)
        yield path, one
        deep = one.installed and levels != 1
        if deep and may_have_any(os.path.join(dataset.top, one.path)):
            try:
                inner = open_inside(dataset, one.path, prefix)
            except HoldError as error:
                yield path, error
                continue
            with inner:
                deeper = None if levels is None else levels - 1
                yield from _iter_all(inner, prefix + one.path + b"/", (), deeper)


def _facts(one: Submodule) -> dict[str, object]:
    facts: dict[str, object] = {
        "state": "installed" if one.installed else "missing",
        "commit": one.version,
    }
    if one.identity:
        facts["id"] = one.identity
    for name, value in one.settings.items():
        if name not in ("path", "datalad-id"):
            facts[name.replace("datalad-", "datalad_")] = without_login(value)
    return facts


def subdatasets(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """List data sets inside; see `iter_subdatasets`."""
    return complete(iter_subdatasets(dataset, paths, **options))  # type: ignore[arg-type]
