"""What is packed together: begun in the order of the plan, and finished in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from ..wire.cid import Cid
from ..wire.file_layout import FileBuilder, PlannedBlock
from .contents import Content
from .leaf_jobs import LeafJob
from .plan_records import FileRecord, FolderRecord, RunRecord

SIZE_MAX = 1 << 20
COUNT_MAX = 1024
"""So much, and so many files, are one job at most; one that is larger alone is a job, too."""


class RunPart(NamedTuple):
    """Files of a run: where the section of the first will stand, and the number of its leaf."""

    run: RunRecord
    start: int
    stop: int
    place: int
    leaf: int


Leaf: TypeAlias = tuple[FileRecord, Content, FileBuilder, PlannedBlock]
"""A leaf of a file with more than one."""
Todo: TypeAlias = tuple[FileRecord | FolderRecord, int, "int | Cid | None"]
"""A file or folder, where its bytes will stand if it has some, and its leaf's number or its CID."""


class Batch:
    """What stands together in a buffer."""

    __slots__ = ("count", "is_written", "job", "leaf", "place", "sealed", "size", "todo")

    def __init__(self) -> None:
        self.job: LeafJob | None = None
        self.is_written = False
        self.place = self.size = self.count = 0
        self.todo: list[Todo | RunPart] = []
        self.leaf: Leaf | None = None
        self.sealed: tuple[list[FileRecord], list[int]] = [], []
        """Age files of one leaf that are still to be made, and where in the buffer."""

    def add(self, what: Todo | RunPart) -> None:
        """One more thing to be finished."""
        self.todo.append(what)
        self.count += what.stop - what.start if isinstance(what, RunPart) else 1

    def seal(self, records: Sequence[FileRecord], places: Sequence[int]) -> None:
        """Age files of one leaf are to be made there."""
        self.sealed[0].extend(records)
        self.sealed[1].extend(places)

    def is_full(self, length: int) -> bool:
        """Whether there is no room for so many bytes more."""
        return self.size + length > SIZE_MAX or self.count >= COUNT_MAX
