"""A data set, opened: what every verb works on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from ..core import faults
from ..core.place import Place, PlaceId
from ..dataset.objects import Objects, objects_of
from ..dataset.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

    from ..dataset.ledger import Ledger
    from .limits import Limits


class Dataset:
    """A repository with an annex: its ledger and its content, each read when first needed."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository

    @property
    def top(self) -> bytes:
        """The folder of the data set."""
        return self.repository.top

    @property
    def here(self) -> PlaceId:
        """The place this clone is."""
        return self.repository.here

    @cached_property
    def ledger(self) -> Ledger:
        """What is known of copies, places and policy, remotes' news included."""
        # Late, and elsewhere below: to look at files one needs no ledger.
        from ..dataset.ledger import Ledger
        from ..dataset.remote_branches import merge_refs

        merge_refs(self.repository)
        return Ledger(self.repository)

    def forget(self) -> None:
        """Read ledger and settings anew when they are next needed."""
        self.__dict__.pop("ledger", None)
        self.repository.forget_config()

    @cached_property
    def objects(self) -> Objects:
        """The content that is here."""
        return objects_of(self.repository, Place(self.here, "here"))

    @cached_property
    def limits(self) -> Limits:
        """How fast content may move; meters live as long as this object."""
        from .limits import Limits

        return Limits(self)

    def jobs(self, given: int | None) -> int:
        """How much to do at a time: as given, as ``annex.jobs`` says, or by the number of cores."""
        from ..transfer.hands import usable_cores

        configured = self.repository.config.get("annex.jobs") or ""
        return given or (int(configured) if configured.isdecimal() else 0) or usable_cores()

    def need_files(self, command: str) -> None:
        """Refuse what works on files where there are none.

        Raises:
            UsageError: The repository is bare.
        """
        if self.repository.bare:
            raise faults.BAD_USAGE(
                what=f"a bare repository has no files to {command}; do it in a clone of it",
                command=command,
            )

    def relative(self, paths: Sequence[bytes | str | os.PathLike[str]]) -> list[bytes]:
        """Paths, as somebody in the current folder names them, relative to the data set.

        Raises:
            UsageError: One of them lies outside.
        """
        return [self._relative(os.fsencode(path)) for path in paths]

    def _relative(self, path: bytes) -> bytes:
        # The last component is not followed: a link is itself what is meant.
        folder, name = os.path.split(os.path.abspath(path))
        full = os.path.join(os.path.realpath(folder), name) if name else folder
        top = os.path.realpath(self.top)
        if full == top:
            return b""
        if not full.startswith(top + b"/"):
            raise faults.OUTSIDE(path=os.fsdecode(path), top=os.fsdecode(top))
        return full[len(top) + 1 :]

    def close(self) -> None:
        """End what was started for it."""
        self.repository.close()

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_dataset(
    path: Path | str | bytes = ".", settings: Mapping[str, str] | None = None
) -> Dataset:
    """Open the data set that a folder belongs to; a fresh clone of one gets its own identity.

    Raises:
        NotFoundError: The folder is in no git repository, or in one without an annex.
        ConflictError: Its layout is one we must not touch.
    """
    dataset = Dataset(Repository(os.path.abspath(os.fsencode(path)), settings))
    if not ready(dataset):
        raise _no_annex(dataset.repository)
    return dataset


def ready(dataset: Dataset) -> bool:
    """Give a fresh clone its own identity; False where there is no annex.

    Raises:
        ConflictError: Its layout is one we must not touch.
    """
    repository = dataset.repository
    if repository.uuid is not None:
        return True
    from ..dataset.remote_branches import unmerged_refs

    if not unmerged_refs(repository):
        return False
    if repository.adjusted_branch:
        raise faults.ADJUSTED(branch=repository.adjusted_branch)
    from ..dataset.enabling import enable_special_remotes
    from ..dataset.initialise import initialise

    initialise(repository, repository.description)
    enable_special_remotes(repository)
    repository.forget_config()
    return True


def _no_annex(repository: Repository) -> Exception:
    error = faults.NO_ANNEX(path=os.fsdecode(repository.top))
    if os.path.lexists(os.path.join(repository.top, b".noannex")):
        error.why = "its file .noannex says that it is to have no annex, which hold works on"
        error.hint = "git status; git add; git commit    (git alone keeps what is in it)"
    return error


@contextmanager
def opened(dataset: Dataset | Path | str | bytes | None) -> Iterator[Dataset]:
    """A data set given as one, by a path in it, or as the current folder."""
    if isinstance(dataset, Dataset):
        yield dataset
        return
    with open_dataset("." if dataset is None else dataset) as found:
        yield found
