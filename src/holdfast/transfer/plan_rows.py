"""A plan as people read it: how much goes from where to where, and what stays, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..core.key import Key

Name = tuple[str, str, str, str]
"""What is done, from where, to where, and why: what rows are told apart by."""


@dataclass(slots=True)
class Row:
    """Some files that the same is to happen to.

    ``size`` is in bytes, of those whose keys tell; ``unsized`` is how many do not. ``entries`` is
    how many more files and folders there will be where it goes (fewer, when negative).
    """

    action: str
    source: str = ""
    target: str = ""
    why: str = ""
    files: int = 0
    size: int = 0
    unsized: int = 0
    entries: int = 0


@dataclass(slots=True)
class Rows:
    """Rows that grow as files are decided on, in the order in which they first came up."""

    rows: dict[Name, Row] = field(default_factory=dict)

    def add(
        self,
        action: str,
        key: Key,
        *,
        source: str = "",
        target: str = "",
        why: str = "",
        entries: int = 0,
    ) -> None:
        """Count one content."""
        name = action, source, target, why
        row = self.rows.get(name)
        if row is None:
            row = self.rows[name] = Row(*name)
        row.files += 1
        row.entries += entries
        if key.size is None:
            row.unsized += 1
        else:
            row.size += key.size
