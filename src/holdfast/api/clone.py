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


def iter_clone(
    source: str | os.PathLike[str],
    path: Path | str | bytes | None = None,
    *,
    description: str | None = None,
    settings: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Clone a data set, named by path, URL, ``host:path``, bundle, ``///NAME`` or ``ria+URL#ID``.

    The folder is made of the source's name when ``path`` is not given. It appears when the clone
    is whole; a failed one leaves nothing. Data sets inside of it are not brought along.

    Raises:
        ConflictError: The folder is there already, and not empty.
        HoldError: git could not bring it.
    """
    wanted = parse_clone_source(os.fspath(source), datalad_top=_datalad_top(settings or {}))
    target = _target(wanted, path)
    listener = progress or Silence()
    listener.start(None, None)
    try:
        cloned = make_clone(
            wanted.urls, target, version=wanted.version, description=description,
            siblings=wanted.siblings, storage_of=_storage_of, told=listener.note,
        )  # fmt: skip
    finally:
        listener.stop()
    facts = {
        "source": cloned.url,
        "uuid": cloned.uuid,
        "special_remotes": [one.name for one in cloned.special if one.settings],
    }
    yield Outcome("clone", Status.OK, os.fsdecode(target), note=_note(cloned), facts=facts)


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


def _datalad_top(settings: Mapping[str, str]) -> str:
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
