"""Installing a data set that belongs into another: cloned from the first source that has it.

A source has it when it has the very version that belongs here. The clone is built inside the outer
data set's git folder and takes its place by one rename, so nobody saves or meets half of one.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence

from ..core import faults
from ..core.errors import HoldError, ProtocolError
from ..wire.clone_sources import parse_clone_source
from ..wire.config_text import iter_config
from ..wire.subdataset_sources import (
    SETTING,
    Candidate,
    Outer,
    candidates,
    order_remotes,
    without_login,
)
from .cloning import WORKSHOP, Cloned, check_target, clone
from .registering import activate
from .repository import Repository
from .submodules import Submodule

_PREFIX = SETTING.removeprefix("datalad.get.")


def install(
    repository: Repository, one: Submodule, *, datalad_top: str, told: Callable[[str], None]
) -> Cloned:
    """Clone a data set into its place, with the version that belongs there; content stays away.

    Raises:
        ConflictError: Its place is not empty.
        PlaceUnavailableError: No source has it; the error names each, with its answer.
    """
    target = os.path.join(repository.top, one.path)
    check_target(target)
    tried: list[str] = []
    for candidate in sources_of(repository, one):
        try:
            cloned = _clone(repository, one, candidate, datalad_top, told)
        except HoldError as error:
            tried.append(without_login(f"{candidate.source}: {error.what} ({error.why})"))
            continue
        name = one.name or os.fsdecode(one.path)
        activate(repository, [(name, without_login(cloned.url))])
        return cloned
    path = os.fsdecode(one.path)
    why = "; ".join(tried) or "nothing says where it could be cloned from"
    raise faults.NOT_INSTALLABLE(path=path, tried=why, quoted=shlex.quote(path))


def _clone(
    repository: Repository,
    one: Submodule,
    candidate: Candidate,
    datalad_top: str,
    told: Callable[[str], None],
) -> Cloned:
    wanted = parse_clone_source(candidate.source, datalad_top=datalad_top)
    return clone(
        wanted.urls, os.path.join(repository.top, one.path), version=wanted.version,
        siblings=wanted.siblings, commit=one.commit,
        workshop=os.path.join(repository.common_dir, WORKSHOP), told=told,
    )  # fmt: skip


def sources_of(repository: Repository, one: Submodule) -> Sequence[Candidate]:
    """Where a data set may be cloned from, best first."""
    config = repository.config
    remotes = {
        name: settings["url"]
        for name, settings in config.sections("remote").items()
        if settings.get("url")
    }
    head = (repository.head_ref or "").removeprefix("refs/heads/")
    tracked = config.get(f"branch.{head}.remote") or "origin"
    templates = _shared_templates(repository)
    templates.update(_templates(config.sections("datalad").get("get", {})))
    outer = Outer(os.fsdecode(repository.top), order_remotes(remotes, tracked), templates)
    return candidates(os.fsdecode(one.path), one.settings, outer)


def _templates(settings: dict[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(_PREFIX): value
        for name, value in settings.items()
        if name.startswith(_PREFIX)
    }


def _shared_templates(repository: Repository) -> dict[str, str]:
    """Those that all clones share, from the data set's own file."""
    found: dict[str, str] = {}
    try:
        with open(os.path.join(repository.top, b".datalad", b"config"), "rb") as file:
            for item in iter_config(file.read()):
                if (item.section, item.subsection) == ("datalad", b"get"):
                    found[item.variable] = os.fsdecode(item.value or b"")
    except (OSError, ProtocolError):
        return {}
    return _templates(found)
