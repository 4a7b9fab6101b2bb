"""What is in no snapshot, as it has no content of its own; told of, before somebody misses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..dataset.repository import Repository

_PATHS_MAX = 1000
"""So many are told of by their paths; of all others it is known how many there are."""


class PassedOver:
    """How many things were left out, what they are (one, several, why), and the first of them."""

    def __init__(self, one: str, many: str, why: str) -> None:
        self.why = why
        self.count = 0
        self.paths: list[bytes] = []
        self._one = one
        self._many = many

    def add(self, path: bytes) -> None:
        """Count one more."""
        self.count += 1
        if len(self.paths) < _PATHS_MAX:
            self.paths.append(path)

    @property
    def told(self) -> str:
        """All of it in words; empty when there is nothing."""
        if not self.count:
            return ""
        return f"without {self.count:,} {self._one if self.count == 1 else self._many}"


def data_sets_inside(repository: Repository, version: str) -> PassedOver:
    """The data sets inside a version: each has an archive of its own."""
    found = PassedOver(
        "data set inside it", "data sets inside it", "a data set of its own: pack it by itself"
    )
    if _may_have_any(repository, version):
        for path in _iter_inside(repository, version):
            found.add(path)
    return found


def _may_have_any(repository: Repository, version: str) -> bool:
    """Whether the whole tree has to be looked through; one may be there without .gitmodules."""
    from ..dataset.submodules import may_have_any

    if repository.bare or may_have_any(repository.top):
        return True
    return bool(repository.git.line("ls-tree", "--full-tree", version, "--", ".gitmodules"))


def _iter_inside(repository: Repository, version: str) -> Iterator[bytes]:
    from ..dataset.annexed import SUBMODULE

    for entry in repository.git.iter_fields("ls-tree", "-r", "-z", "--full-tree", version):
        facts, _, path = entry.partition(b"\t")
        if facts.startswith(SUBMODULE):
            yield path


def without_content() -> PassedOver:
    """Nothing yet of what is in a plain folder and is no file, folder or link."""
    return PassedOver(
        "pipe, socket or device", "pipes, sockets and devices", "it has no content to be kept"
    )
