"""What a place that holds a tree has, and what it lacks, by the ledger and by a look."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from ..core.abilities import TreeStore, VersionedTree
from ..core.key import Key
from ..core.place import PlaceId, Trust
from ..dataset.export_tree import (
    ExportedFile,
    empty_tree,
    iter_changed,
    iter_exported,
    sizes_of,
)
from ..stores.s3_public import VERSION_FIELD
from ..transfer.plan_export import Claims, Rename, plan_renames
from ..wire.branch_paths import EXPORT_LOG, place_metadata_log
from ..wire.exports import Exported, parse_exported
from ..wire.metadata import place_values
from .datasets import Dataset

_BLOCK = 4096
_SET_ASIDE = b".git-annex-tmp-content-"
"""What git-annex calls a file, followed by its key, while others take its name."""


class Survey:
    """What is known of a place that is to hold a tree."""

    def __init__(self, dataset: Dataset, store: TreeStore, tree: bytes) -> None:
        """Read which trees may be there.

        Raises:
            HoldError: One of them is not in this clone.
        """
        self._dataset = dataset
        self._repository = dataset.repository
        self._store = store
        self._place = store.place
        self._tree = tree
        log = dataset.ledger.read(EXPORT_LOG)
        self.before: Exported = parse_exported(log, self._place.id)
        self.claims = Claims()
        self.sizes: dict[Key, int] = {}
        self.has: set[Key] = set()
        """Keys, of those that may lose a path, that the place is said to have."""
        self.staying: set[Key] = set()
        """Keys that may lose a path, and are wanted under another."""
        self.kept: set[Key] = set()
        """Those of them that surely stay there."""
        self.came: list[Key] = []
        """Keys that were found there, or brought."""
        self._set_aside: dict[bytes, ExportedFile] = {}
        self._read_claims()

    def _read_claims(self) -> None:
        trees = [*self.before.done, *self.before.begun] or [empty_tree(self._repository)]
        for tree in dict.fromkeys(trees):
            if tree != self._tree:
                for before, after in iter_changed(self._repository, tree, self._tree):
                    self.claims.add(before, after)
        claimed = (f for files in self.claims.there.values() for f in files)
        self.sizes = sizes_of(self._repository, claimed)
        self._find_set_aside()

    def find_lacking(self) -> list[ExportedFile]:
        """The files of the tree that are not known, nor now seen, to be there under their names."""
        losing = self.claims.keys()
        self.has = {
            key
            for key, places in self._dataset.ledger.locations(losing).items()
            if self._place.id in places
        }
        lacking: list[ExportedFile] = []
        files = iter_exported(self._repository, self._tree)
        while block := list(islice(files, _BLOCK)):
            self.staying.update(f.key for f in block if f.key in losing)
            unchanged = [f for f in block if f.path not in self.claims.wanted]
            self.kept.update(f.key for f in unchanged if f.key in losing and f.key in self.has)
            doubtful = [f for f in unchanged if f.in_git] + list(self._not_recorded(unchanged))
            changed = [f for f in block if f.path in self.claims.wanted]
            if self.before.is_sure:
                lacking += changed
            else:
                doubtful += changed
            lacking += self._not_seen(doubtful)
        return lacking

    def _not_recorded(self, files: Sequence[ExportedFile]) -> Iterator[ExportedFile]:
        keys = [f.key for f in files if not f.in_git]
        found = self._dataset.ledger.locations(keys)
        for file in files:
            if not file.in_git and self._place.id not in found.get(file.key, ()):
                yield file

    def _not_seen(self, files: Sequence[ExportedFile]) -> Iterator[ExportedFile]:
        """Those that a look does not find; what was found and not recorded will be."""
        self.sizes.update(sizes_of(self._repository, files))
        there = self._store.sizes([f.path for f in files]) if files else []
        # A file whose version nobody knows would never be read: it is put once more.
        known = self.versioned({f.key for f in files}) if self._keeps_versions else None
        for file, size in zip(files, there, strict=True):
            unknown = known is not None and file.key not in known
            if unknown or not self.claims.is_seen(file, size, self.sizes):
                yield file
            else:
                self.kept.add(file.key)
                if not file.in_git:
                    self.came.append(file.key)

    def plan_renames(self, lacking: Sequence[ExportedFile]) -> list[Rename]:
        """Which of them are there under names that go; each was seen there just now."""
        if not self._store.can_rename:
            return []
        found = list(plan_renames(self.claims, lacking, self.has))
        planned = {rename.new.path for rename in found}
        temporary = {file.key: path for path, file in self._set_aside.items()}
        for file in lacking:
            if file.path not in planned and file.key in temporary:
                found.append(Rename(temporary.pop(file.key), file))
        there = self._store.sizes([rename.old for rename in found]) if found else []
        self.sizes.update(sizes_of(self._repository, [rename.new for rename in found]))
        return [
            rename for rename, size in zip(found, there, strict=True)
            if size is not None and size == self.sizes.get(rename.new.key)
        ]  # fmt: skip

    def _find_set_aside(self) -> None:
        """Look for what a git-annex that was stopped had set aside, to be renamed or removed."""
        if self.before.is_sure:
            return
        claimed = {f.key: f for files in self.claims.there.values() for f in files}
        names = {_SET_ASIDE + key.file_name: file for key, file in claimed.items()}
        there = self._store.sizes(list(names)) if names else []
        for (path, file), size in zip(names.items(), there, strict=True):
            if size is not None:
                self._set_aside[path] = file
                self.claims.there[path] = [file]
                self.claims.wanted[path] = None

    @property
    def _keeps_versions(self) -> bool:
        return isinstance(self._store, VersionedTree) and self._store.keeps_versions

    def versioned(self, keys: Collection[Key]) -> set[Key]:
        """Keys that stay there as versions of files, whatever becomes of their paths."""
        if not self._keeps_versions:
            return set()
        paths = {key: place_metadata_log(key) for key in keys}
        logs = self._dataset.ledger.read_many(list(paths.values()))
        said = {
            key: place_values(logs.get(path, b""), VERSION_FIELD) for key, path in paths.items()
        }
        return {key for key, values in said.items() if values.get(self._place.id)}

    def is_missing(self, file: ExportedFile) -> bool:
        """Whether its content is not here."""
        return not file.in_git and self._dataset.objects.content_path(file.key) is None

    def unsafe(self, paths: Iterable[bytes]) -> set[bytes]:
        """Paths whose content there may be the last copy that anybody has."""
        claimed = {path: self.claims.there.get(path, []) for path in paths}
        keys = {
            f.key for files in claimed.values() for f in files
            if not f.in_git and f.key in self.has and f.key not in self.kept
        }  # fmt: skip
        keys -= self.versioned(keys)
        elsewhere = self._dataset.ledger.locations(keys)
        lost = {key for key in keys if not self._is_elsewhere(key, elsewhere.get(key, ()))}
        return {path for path, files in claimed.items() if any(f.key in lost for f in files)}

    def _is_elsewhere(self, key: Key, places: Iterable[PlaceId]) -> bool:
        if self._dataset.objects.content_path(key) is not None:
            return True
        trust = self._dataset.ledger.trust
        weak = (Trust.DEAD, Trust.UNTRUSTED)
        here = self._dataset.here
        return any(p not in (self._place.id, here) and trust.get(p) not in weak for p in places)
