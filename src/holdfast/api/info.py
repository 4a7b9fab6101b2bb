"""Describe a data set, files and folders in it, and places."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..core.place import PlaceId, Trust
from ..core.sizes import parse_size
from ..dataset.annexed import iter_current
from ..dataset.copies import iter_known, iter_located
from ..dataset.ledger import Ledger
from ..dataset.places import Places
from ..dataset.submodules import dataset_id
from ..dataset.usage import iter_stored
from ..dataset.versions import count_versions
from .datasets import Dataset
from .reading import Wanted, readable_ledger

RESERVE_DEFAULT = 100_000_000
TRUST = {
    Trust.TRUSTED: "trusted",
    Trust.SEMITRUSTED: "semitrusted",
    Trust.UNTRUSTED: "untrusted",
    Trust.DEAD: "dead",
}


@dataclass(slots=True)
class Total:
    """How many things, how many bytes in all, and how many of unknown size."""

    count: int = 0
    size: int = 0
    unknown: int = 0

    def add(self, size: int | None) -> None:
        """Count one more."""
        self.count += 1
        if size is None:
            self.unknown += 1
        else:
            self.size += size


def iter_info(
    dataset: Dataset, paths: Sequence[bytes] = (), *, places: Sequence[str] = ()
) -> Iterator[Outcome]:
    """Describe the data set, or each of these paths (relative to its top) and places.

    Raises:
        NotFoundError: There is no such place.
    """
    ledger = readable_ledger(dataset)
    known = Places(dataset.repository, ledger)
    for name in places:
        yield _place(dataset, ledger, known, known.named(name))
    wanted = Wanted(dataset, "info", paths)
    yield from wanted.iter_failures()
    for path in wanted.paths:
        yield _path(dataset, ledger, known, path)
    if not paths and not places:
        yield _dataset(dataset, ledger, known)


def is_place(dataset: Dataset, name: str) -> bool:
    """Whether a name is that of a place."""
    return Places(dataset.repository, readable_ledger(dataset)).find(name) is not None


# the data set


def _dataset(dataset: Dataset, ledger: Ledger, known: Places) -> Outcome:
    repository = dataset.repository
    rules = ledger.copy_rules()
    facts: dict[str, object] = {
        "dataset_id": None if repository.bare else dataset_id(repository.top),
        "uuid": repository.uuid,
        "description": known.description(dataset.here),
        "bare": repository.bare,
        **_version(dataset),
        **_annexed(dataset, ()),
        **_local(dataset),
        "numcopies": rules.numcopies,
        "mincopies": rules.mincopies,
        "places": [_told(known, place) for place in known.all()],
        **_disk(dataset),
    }
    return Outcome("info", Status.OK, facts=facts)


def _version(dataset: Dataset) -> dict[str, object]:
    repository = dataset.repository
    head = repository.git.line("rev-parse", "--verify", "--quiet", "HEAD")
    branch = repository.head_ref
    return {
        "version": head.decode() if head else None,
        "branch": branch.removeprefix("refs/heads/") if branch else None,
        "versions": count_versions(repository) if head else 0,
    }


def _annexed(dataset: Dataset, paths: Sequence[bytes]) -> dict[str, object]:
    total, plain = Total(), 0
    for file in iter_current(dataset.repository, paths):
        if file.key is None:
            plain += 1
        else:
            total.add(file.key.size)
    return {
        "annexed_files": total.count,
        "annexed_bytes": total.size,
        "annexed_files_of_unknown_size": total.unknown,
        "files_in_git": plain,
    }


def _local(dataset: Dataset) -> dict[str, object]:
    total = Total()
    for stored in iter_stored(dataset.repository):
        total.add(stored.size)
    return {"local_keys": total.count, "local_bytes": total.size}


def _disk(dataset: Dataset) -> dict[str, object]:
    repository = dataset.repository
    disk = os.statvfs(repository.common_dir)
    asked = repository.config.get("annex.diskreserve")
    reserve = parse_size(asked) if asked else None
    return {
        "disk_free_bytes": disk.f_bavail * disk.f_frsize,
        "disk_reserve_bytes": RESERVE_DEFAULT if reserve is None else reserve,
    }


def _told(known: Places, place: PlaceId) -> dict[str, object]:
    return {**known.tell(place), "trust": TRUST[known.trust(place)]}


# one place


def _place(dataset: Dataset, ledger: Ledger, known: Places, place: PlaceId) -> Outcome:
    """A place, what it is said to have, and how much of the work tree's files that is."""
    total = Total()
    for key, places in iter_known(ledger):
        if place in places:
            total.add(key.size)
    here = Total()
    for located in iter_located(ledger, iter_current(dataset.repository), most=True):
        if place in located.places:
            here.add(located.key.size)
    facts = {
        **_told(known, place),
        "keys": total.count,
        "bytes": total.size,
        "keys_of_unknown_size": total.unknown,
        "files": here.count,
        "files_bytes": here.size,
    }
    return Outcome("info", Status.OK, facts=facts)


# paths


def _path(dataset: Dataset, ledger: Ledger, known: Places, path: bytes) -> Outcome:
    files = list(iter_current(dataset.repository, (path,)))
    if len(files) == 1 and files[0].path == path:
        key = files[0].key
        if key is not None:
            return _annexed_file(dataset, ledger, known, path, key, locked=files[0].locked)
        size = (
            os.lstat(os.path.join(dataset.top, path)).st_size if _is_there(dataset, path) else None
        )
        return Outcome("info", Status.OK, os.fsdecode(path), size=size, facts={"annexed": False})
    here = Total()
    has = dataset.objects.has
    for file in files:
        if file.key is not None and has(file.key):
            here.add(file.key.size)
    facts = {**_annexed(dataset, (path,)), "local_files": here.count, "local_bytes": here.size}
    return Outcome("info", Status.OK, os.fsdecode(path), facts=facts)


def _is_there(dataset: Dataset, path: bytes) -> bool:
    return os.path.lexists(os.path.join(dataset.top, path))


def _annexed_file(
    dataset: Dataset, ledger: Ledger, known: Places, path: bytes, key: Key, *, locked: bool
) -> Outcome:
    facts: dict[str, object] = {
        "annexed": True,
        "backend": os.fsdecode(key.backend),
        "locked": locked,
        "present": dataset.objects.has(key),
        "places": [_told(known, place) for place in ledger.locations([key])[key]],
    }
    return Outcome("info", Status.OK, os.fsdecode(path), key, key.size, facts=facts)


def info(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """Describe; see `iter_info`."""
    return complete(iter_info(dataset, paths, **options))  # type: ignore[arg-type]
