"""Unlocked files by their key: whoever brings or drops content has to change them along."""

from __future__ import annotations

from collections.abc import Container

from ..core.key import Key
from ..dataset.annexed import TrackedFile, iter_unlocked
from ..dataset.repository import Repository


def unlocked_by_key(repository: Repository, keys: Container[Key]) -> dict[Key, list[TrackedFile]]:
    """Every unlocked file of the work tree whose key is one of these."""
    if repository.bare:
        return {}
    found: dict[Key, list[TrackedFile]] = {}
    for file in iter_unlocked(repository):
        if file.key is not None and file.key in keys:
            found.setdefault(file.key, []).append(file)
    return found
