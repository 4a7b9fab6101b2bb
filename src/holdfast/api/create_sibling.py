"""Make a sibling of a data set: somewhere to push to, known here as a remote.

Each kind looks at what is there first and uses what it finds of its own, so the same call can be
made again: after a break it goes on. Settings here are written last.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ..core import faults
from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress, Silence
from ..dataset.remote_config import fetch_refspec
from ..wire.sibling_scripts import Sharing
from .datasets import Dataset

FORGES = ("github", "gitlab", "gitea", "gogs", "gin")
SPECIALS = ("s3", "special")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Existing(StrEnum):
    """What to do about a sibling or a target that is there already."""

    ERROR = "error"
    SKIP = "skip"
    RECONFIGURE = "reconfigure"


@dataclass(frozen=True)
class SiblingOptions:
    """What can be said of a new sibling; each kind heeds what fits it.

    ``words`` are those of special remotes, as git-annex's initremote has them.
    """

    name: str | None = None
    existing: Existing = Existing.ERROR
    bare: bool = False
    shared: str | None = None
    group: str | None = None
    update_hook: bool = False
    depends: Sequence[str] = ()
    new_store: bool = False
    alias: str | None = None
    push_url: str | None = None
    storage_name: str | None = None
    private: bool = False
    description: str | None = None
    site: str | None = None
    access: str = "https"
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def sharing(self) -> Sharing:
        """Who else may use it."""
        return Sharing(self.shared, self.group)


@dataclass(frozen=True)
class Wanted:
    """A sibling to be made: its name here, the URL git will know it by, and all that was said."""

    dataset: Dataset
    name: str
    url: str
    options: SiblingOptions

    @property
    def settings(self) -> dict[str, str]:
        """What this clone knows of a remote of this name."""
        return self.dataset.repository.config.sections("remote").get(self.name, {})

    @property
    def is_known(self) -> bool:
        """Whether this very sibling is known here: an earlier call made it, or began to."""
        return self.settings.get("url") == self.url

    def git_settings(self, *more: tuple[str, str]) -> list[tuple[str, str]]:
        """What git's configuration says of the new remote."""
        depends = [("datalad-publish-depends", name) for name in self.options.depends]
        return [("url", self.url), ("fetch", fetch_refspec(self.name)), *more, *depends]


def iter_create_sibling(
    dataset: Dataset,
    target: str,
    project: str | None = None,
    options: SiblingOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Make a sibling and tell of it; no content or version is sent to it yet.

    ``target`` is a path, ``ssh://HOST/PATH`` or ``HOST:PATH``, ``ria+URL`` of a store, or a kind:
    one of `FORGES` with a ``project`` there, one of `SPECIALS` with ``options.words``.

    Raises:
        ConflictError: There is something else of this name, here or there.
        PlaceUnavailableError: It cannot be reached, or a step failed; run it again.
        AccessError: Somebody does not let us.
    """
    given = options or SiblingOptions()
    listener = progress or Silence()
    listener.start(None, None)
    try:
        yield _create(dataset, target, project, given)
    finally:
        listener.stop()
    dataset.forget()


def create_sibling(
    dataset: Dataset,
    target: str,
    project: str | None = None,
    options: SiblingOptions | None = None,
) -> Report:
    """Make a sibling; see `iter_create_sibling`."""
    return complete(iter_create_sibling(dataset, target, project, options))


def _create(dataset: Dataset, target: str, project: str | None, options: SiblingOptions) -> Outcome:
    if target in FORGES:
        from .create_forge_sibling import create_forge_sibling

        return create_forge_sibling(dataset, target, project, options)
    if project is not None:
        what = f"{project!r} after {target!r}: only {', '.join(FORGES)} have projects"
        raise faults.BAD_USAGE(what=what, command="create-sibling")
    if target in SPECIALS:
        from .create_special_sibling import create_special_sibling

        return create_special_sibling(dataset, target, options)
    if target.startswith("ria+"):
        from .create_ria_sibling import create_ria_sibling

        return create_ria_sibling(dataset, target, options)
    from .create_folder_sibling import create_folder_sibling

    return create_folder_sibling(dataset, target, options)


# for the kinds


def wanted_sibling(
    dataset: Dataset, url: str, options: SiblingOptions, usual_name: str
) -> Wanted | None:
    """What is to be made; None when there is one of this name and it is to be left alone.

    Raises:
        UsageError: The name, or one it shall depend on, is none.
        ConflictError: There is another of this name.
    """
    name = options.name or re.sub(r"[^A-Za-z0-9_.-]+", "-", usual_name).strip("-.") or "sibling"
    if not _NAME.fullmatch(name) or ".." in name:
        what = f"{name!r} is no name for a sibling: letters, digits and ._- make one"
        raise faults.BAD_USAGE(what=what, command="create-sibling")
    known = dataset.repository.config.sections("remote")
    for other in options.depends:
        if other not in known:
            raise faults.NO_SUCH_PLACE(place=other, known=", ".join(sorted(known)) or "none")
    wanted = Wanted(dataset, name, url, options)
    if name not in known or options.existing == Existing.RECONFIGURE or wanted.is_known:
        return wanted
    if options.existing == Existing.SKIP:
        return None
    where = known[name].get("url") or f"a special remote, {known[name].get('annex-uuid')}"
    raise faults.SIBLING_THERE(name=name, detail=f"it is {where}")


def may_use(wanted: Wanted, found: str, shown: str) -> bool:
    """Whether what a look found at the target may be used; False when it is to be left alone.

    Raises:
        ConflictError: It is something else, or may be.
    """
    if found == "files":
        detail = "it is a folder with files in it that are no repository"
        raise faults.NOT_OURS(target=shown, detail=detail)
    if "full" not in found or wanted.is_known:
        return True
    if wanted.options.existing == Existing.ERROR:
        detail = "it is a repository with versions in it, perhaps of another data set"
        raise faults.NOT_OURS(target=shown, detail=detail)
    return wanted.options.existing == Existing.RECONFIGURE


def left_alone(name: str, why: str) -> Outcome:
    """The outcome for what was there."""
    return Outcome("create-sibling", Status.NOT_NEEDED, name, note=why)


def made(wanted: Wanted, note: str = "", **facts: object) -> Outcome:
    """The outcome for a new sibling."""
    told = {"url": wanted.url, **facts}
    text = f"{wanted.url}; {note}" if note else wanted.url
    return Outcome("create-sibling", Status.OK, wanted.name, note=text, facts=told)


def current_branch(dataset: Dataset) -> str:
    """The branch that will be pushed first."""
    head = dataset.repository.head_ref or ""
    name = head.removeprefix("refs/heads/")
    if name.startswith("adjusted/"):
        name = re.sub(r"\(.*\)$", "", name.removeprefix("adjusted/"))
    return name or "main"


def ssh_command(dataset: Dataset) -> str | None:
    """What is called in place of ssh."""
    return os.environ.get("GIT_SSH_COMMAND") or dataset.repository.config.get("core.sshcommand")
