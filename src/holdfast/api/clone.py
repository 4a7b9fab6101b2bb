"""Make a clone of a data set: all names and versions, content when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..core import faults
from ..core.outcome import Outcome, Report, Status, complete
from ..core.place import PlaceId
from ..core.progress import Progress, Silence
from ..dataset.cloning import Cloned
from ..dataset.cloning import clone as make_clone
from ..wire.clone_sources import CloneSource, parse_clone_source
from ..wire.remote_urls import DATALAD_TOP
from .datasets import Dataset


def iter_clone(
    source: str | os.PathLike[str],
    path: Path | str | bytes | None = None,
    *,
    description: str | None = None,
    settings: Mapping[str, str] | None = None,
    inside: Dataset | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Clone a data set, named by path, URL, ``host:path``, bundle, ``///NAME`` or ``ria+URL#ID``.

    The folder is made of the source's name when ``path`` is not given. It appears when the clone
    is whole; a failed one leaves nothing. Data sets inside of it are not brought along. It is
    written down in the data set that it is ``inside`` of, and those that contain it record that.

    Raises:
        UsageError: It does not lie in the data set it is to be inside of.
        ConflictError: The folder is there already, and not empty.
        HoldError: git could not bring it.
    """
    wanted = parse_clone_source(os.fspath(source), datalad_top=datalad_top(settings or {}))
    target = _target(wanted, path)
    given = os.fspath(source)
    workshop = None
    if inside is not None:
        from .joining import check_place, was_left, workshop_of

        check_place(inside, target)
        if was_left(inside, target, wanted.urls):
            note = "an interrupted call has made it"
            yield Outcome("clone", Status.NOT_NEEDED, os.fsdecode(target), note=note)
            yield from _iter_join(inside, given, target, wanted.urls[0], progress or Silence())
            return
        workshop = workshop_of(inside)
    listener = progress or Silence()
    listener.start(None, None)
    try:
        cloned = make_clone(
            wanted.urls, target, version=wanted.version, description=description,
            siblings=wanted.siblings, storage_of=_storage_of, workshop=workshop, told=listener.note,
        )  # fmt: skip
    finally:
        listener.stop()
    facts = {
        "source": cloned.url,
        "uuid": cloned.uuid,
        "special_remotes": [one.name for one in cloned.special if one.settings],
    }
    yield Outcome("clone", Status.OK, os.fsdecode(target), note=_note(cloned), facts=facts)
    if inside is not None:
        yield from _iter_join(inside, given, target, cloned.url, listener)


def _iter_join(
    inside: Dataset, source: str, target: bytes, url: str, progress: Progress
) -> Iterator[Outcome]:
    from ..wire.subdataset_sources import url_to_record, without_login
    from .joining import CLONED, Joining, iter_join

    recorded = url_to_record(source, url, os.path.realpath(os.fsdecode(target)))
    joining = Joining(target, CLONED, without_login(source), recorded)
    yield from iter_join(inside, joining, progress)


def clone(
    source: str | os.PathLike[str], path: Path | str | bytes | None = None, **options: object
) -> Report:
    """Clone a data set; see `iter_clone`."""
    return complete(iter_clone(source, path, **options))  # type: ignore[arg-type]


def _storage_of(url: str) -> PlaceId | None:
    """Which special remote has the content of a repository in a RIA store; None if none tells."""
    from ..stores.ria_config import read_config

    config = read_config(url, os.environ.get("GIT_SSH_COMMAND"))
    return config.storage if config is not None else None


def datalad_top(settings: Mapping[str, str]) -> str:
    """Where DataLad's collection is, which the name ``///`` stands for."""
    given = settings.get("datalad.datasets.topurl")
    return given or os.environ.get("DATALAD_DATASETS_TOPURL") or DATALAD_TOP


def _target(wanted: CloneSource, path: Path | str | bytes | None) -> bytes:
    if path is not None:
        return os.path.abspath(os.fsencode(path))
    if wanted.name in ("", ".", ".."):
        raise faults.BAD_USAGE(what="say which folder to clone into", command="clone")
    return os.path.abspath(os.fsencode(wanted.name))


def _note(cloned: Cloned) -> str:
    parts = [f"from {cloned.url}"]
    if cloned.uuid is None:
        parts.append("plain git, without an annex")
    enabled = [one.name for one in cloned.special if one.settings]
    if enabled:
        parts.append(f"set up for reading: {', '.join(enabled)}")
    parts += [f"{one.name} not set up: {one.why}" for one in cloned.special if not one.settings]
    return "; ".join(parts)
