"""How a verb tells how far it is, while it works."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Who wants to know how far a verb is. May be called from many threads, as often as one likes.

    A verb that never calls it has no progress to tell; one that was started is always stopped,
    also when it fails.
    """

    def start(self, total_files: int | None, total_bytes: int | None) -> None:
        """Work begins, or its size became known: what there is to do in all, None if unknown."""

    def advance(self, files: int, size: int) -> None:
        """So many more files and bytes are done; negative when bytes have to be done again."""

    def note(self, text: str) -> None:
        """A remark for the end of the line, such as where content comes from; replaces the last."""

    def stop(self) -> None:
        """The work has ended. May be called twice."""


class Silence:
    """A listener that tells nobody."""

    def start(self, total_files: int | None, total_bytes: int | None) -> None:
        """Tell nobody."""

    def advance(self, files: int, size: int) -> None:
        """Tell nobody."""

    def note(self, text: str) -> None:
        """Tell nobody."""

    def stop(self) -> None:
        """Tell nobody."""
