"""A data set on this disk: where git and the annex keep things, what is configured, who we are.

Opening one costs two short git processes, side by side. What cannot be served safely (old annex
versions, tuned layouts, pid locks) is refused here, before anything is written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property

from ..core import faults
from ..core.place import PlaceId
from ..wire.gitobjects import SHA1, SHA256, ObjectFormat
from .config import Config
from .git import Git

ANNEX_VERSION = "10"
_LINES_MAX = 7
"""What git answers about a repository, and an empty rest; more only if a path has line ends."""


class Repository:
    """One git repository, with or without an annex in it."""

    def __init__(self, folder: bytes, settings: Mapping[str, str] | None = None) -> None:
        """Find the repository that a folder belongs to.

        Raises:
            NotFoundError: There is no such folder, or it is in no git repository, or in git's own.
        """
        self.settings = dict(settings or {})
        self._idents: dict[str, bytes] = {}
        git = Git(folder)
        listing = git.start("config", "--list", "-z")
        try:
            code, output, _ = git.ask(
                "rev-parse", "--is-bare-repository", "--show-object-format", "--absolute-git-dir",
                "--git-common-dir", "--is-inside-work-tree", "--show-cdup",
            )  # fmt: skip
        finally:
            settings_listed, _ = listing.communicate()
        if code:
            raise faults.NO_DATASET(path=os.fsdecode(folder))
        bare, object_format, git_dir, common_dir, in_files, *up = _answers(git, output)
        self.bare = bare == b"true"
        if not self.bare and in_files != b"true":
            raise _in_git_folder(folder, git_dir)
        self.object_format: ObjectFormat = SHA256 if object_format == b"sha256" else SHA1
        self.git_dir = git_dir
        self.common_dir = os.path.normpath(os.path.join(folder, common_dir))
        self.top = git_dir if self.bare else os.path.normpath(os.path.join(folder, up[0]))
        self.git = Git(self.top) if self.top != folder else git
        self._listed = settings_listed if listing.returncode == 0 else None

    @cached_property
    def config(self) -> Config:
        """The settings git sees here, with those of the command line over them."""
        if self._listed is None:
            self._listed = self.git.run("config", "--list", "-z")
        return Config(self._listed, self.settings)

    def forget_config(self) -> None:
        """Read the settings, and who we are at what time, anew when they are next asked for."""
        self._listed = None
        self._idents.clear()
        self.__dict__.pop("config", None)

    @property
    def annex_dir(self) -> bytes:
        """Where the annex keeps content, journal and locks; shared by all linked work trees."""
        return os.path.join(self.common_dir, b"annex")

    @property
    def uuid(self) -> PlaceId | None:
        """The place this repository is, or None before it was initialised."""
        uuid = self.config.get("annex.uuid")
        return PlaceId(uuid) if uuid else None

    @property
    def here(self) -> PlaceId:
        """The place this repository is.

        Raises:
            NotFoundError: It is a plain git repository.
        """
        if self.uuid is None:
            raise faults.NO_ANNEX(path=os.fsdecode(self.top))
        return self.uuid

    @property
    def description(self) -> str:
        """What to call this repository when nobody named it."""
        return os.path.basename(os.fsdecode(self.top).rstrip("/")) or "data set"

    @cached_property
    def private(self) -> bool:
        """Whether nothing about this repository may be told to others."""
        return self.config.flag("annex.private")

    def ident(self, which: str) -> bytes:
        """Author or committer with the time, as git would write them; asked once.

        Raises:
            UsageError: git does not know who we are.
        """
        if which not in self._idents:
            self._idents[which] = self.git.run("var", which).rstrip(b"\n")
        return self._idents[which]

    def check_writable(self) -> None:
        """Refuse what we could not serve safely.

        Raises:
            ConflictError: An old annex version, or locks that we would not see.
        """
        version = self.config.get("annex.version")
        if version is not None and version != ANNEX_VERSION:
            raise faults.OLD_VERSION(version=version)
        if self.config.flag("annex.pidlock"):
            raise faults.PIDLOCK()

    def check_plain_content(self) -> None:
        """Refuse where a program that only git-annex calls must see content come or go.

        Raises:
            ConflictError: Such a program is configured.
        """
        names = (
            "annex.freezecontent-command", "annex.thawcontent-command",
            "annex.secure-erase-command",
        )  # fmt: skip
        for name in names:
            if self.config.get(name):
                raise faults.CUSTOM_HOOKS(name=name)
        for hook in (b"freezecontent-annex", b"thawcontent-annex", b"secure-erase-annex"):
            if os.access(os.path.join(self.common_dir, b"hooks", hook), os.X_OK):
                raise faults.CUSTOM_HOOKS(name=f"the hook {hook.decode()}")

    @property
    def adjusted_branch(self) -> str | None:
        """The adjusted branch that is checked out, or None."""
        head = self.head_ref
        if head and head.startswith("refs/heads/adjusted/"):
            return head.removeprefix("refs/heads/")
        return None

    @property
    def head_ref(self) -> str | None:
        """The branch that is checked out, as a full ref; None when HEAD is detached."""
        with open(os.path.join(self.git_dir, b"HEAD"), "rb") as file:
            head = file.read().strip()
        return os.fsdecode(head[5:].strip()) if head.startswith(b"ref:") else None

    def close(self) -> None:
        """End the processes that were kept."""
        self.git.close()


def _answers(git: Git, output: bytes) -> list[bytes]:
    """The lines git answered; where a path has line ends in it, the paths are asked for singly."""
    lines = output.split(b"\n")
    # A bare repository has no way up to its top.
    if len(lines) <= _LINES_MAX - (lines[0] == b"true"):
        return lines
    paths = [git.run("rev-parse", word)[:-1] for word in ("--absolute-git-dir", "--git-common-dir")]
    inside = git.run("rev-parse", "--is-inside-work-tree", "--show-cdup").split(b"\n")
    return [*lines[:2], *paths, *inside]


def _in_git_folder(folder: bytes, git_dir: bytes) -> Exception:
    top = os.fsdecode(os.path.dirname(git_dir))
    return faults.GIT_FOLDER(
        path=os.fsdecode(folder), folder=os.fsdecode(git_dir),
        next=f"hold -C {top} status    (if that is the data set's folder)",
    )  # fmt: skip
