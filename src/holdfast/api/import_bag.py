"""A BagIt bag taken into the data set: every file read once, checked by all of its manifests."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from itertools import count, groupby
from typing import NamedTuple

from ..core import faults
from ..core.backends import hasher, make_key
from ..core.errors import HoldError, ProtocolError
from ..core.names import steering_name, way_out
from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress, Silence
from ..core.system_errors import as_fault
from ..dataset.arrivals import Arrival, Arrivals
from ..dataset.sorted_spill import SortedSpill
from ..wire.bagit import (
    ALGORITHMS,
    PAYLOAD,
    algorithm_of,
    check_declaration,
    iter_manifest,
    manifest_name,
)
from .datasets import Dataset
from .fetching import IfExists

_BATCH_FILES = 512
_BATCH_BYTES = 64 << 20
_CHUNK = 1 << 20
_TAG_MAX = 1 << 20


class _Payload(NamedTuple):
    """A file of the bag: what each manifest says its hash is, and whether it is there."""

    path: bytes
    digests: Mapping[str, str]
    there: bool


def iter_import_bag(
    dataset: Dataset,
    bag: bytes,
    *,
    into: bytes = b"",
    if_exists: IfExists | str = IfExists.FAIL,
    message: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Add the payload of a bag below a folder of the data set, as one version.

    A file that is not what the manifests say, is missing or not listed is told and left out; so
    are names that would lead out of the folder. Files that would steer git are passed over.

    Raises:
        UsageError: It is no bag that can be read, or its tag files are damaged.
    """
    dataset.need_files("import-bag")
    algorithms = _read_tags(bag)
    listener = progress or Silence()
    with (
        Arrivals(dataset.repository, dataset.objects) as arrivals,
        SortedSpill(dataset.repository.common_dir) as listed,
        SortedSpill(dataset.repository.common_dir) as lying,
    ):
        for algorithm in algorithms:
            _spill_manifest(bag, algorithm, listed)
        lying.update(_iter_lying(bag))
        importer = _Importer(arrivals, bag, into, IfExists(if_exists), listener)
        listener.start(None, None)
        try:
            yield from importer.iter_outcomes(_iter_payload(listed, lying), algorithms)
            name = os.path.basename(os.path.abspath(bag))
            arrivals.finish(message or f"Import the bag {os.fsdecode(name)}")
            yield from arrivals.iter_recorded("import-bag")
        finally:
            listener.stop()
            dataset.forget()


# what the bag says of itself


def _read_tags(bag: bytes) -> list[str]:
    """See that it is a bag with sound tag files; gives the hashes its manifests list."""
    try:
        check_declaration(_read_tag(bag, "bagit.txt"))
        names = sorted(os.fsdecode(name) for name in os.listdir(bag))
        for name in names:
            algorithm = algorithm_of(name, of_tags=True)
            if algorithm in ALGORITHMS:
                _check_tags(bag, name, str(algorithm))
    except FileNotFoundError:
        raise _no_bag(bag, "it has no bagit.txt") from None
    except OSError as error:
        raise as_fault(error, os.fsdecode(bag), reading=True) from error
    except ProtocolError as error:
        raise _no_bag(bag, error.what) from None
    listed = [algorithm_of(name) for name in names]
    known = [algorithm for algorithm in ALGORITHMS if algorithm in listed]
    if not known:
        raise _no_bag(bag, "it has no manifest of a hash we know: " + ", ".join(ALGORITHMS))
    return known


def _check_tags(bag: bytes, name: str, algorithm: str) -> None:
    for listed in iter_manifest(_read_tag(bag, name).splitlines()):
        why = way_out(listed.path)
        if why:
            raise ProtocolError(f"it lists {os.fsdecode(listed.path)}: {why}")
        found = hashlib.new(algorithm, usedforsecurity=False)
        try:
            for chunk in _iter_file(os.path.join(bag, listed.path)):
                found.update(chunk)
        except OSError:
            raise ProtocolError(f"{os.fsdecode(listed.path)} is missing") from None
        if found.hexdigest() != listed.digest:
            raise ProtocolError(f"{os.fsdecode(listed.path)} is not what {name} says")


def _read_tag(bag: bytes, name: str) -> bytes:
    with open(os.path.join(bag, name.encode()), "rb") as file:
        return file.read(_TAG_MAX) if name == "bagit.txt" else file.read()


def _no_bag(bag: bytes, detail: str) -> HoldError:
    return faults.NO_BAG(path=os.fsdecode(bag), detail=detail)


# what is listed, and what lies there


def _spill_manifest(bag: bytes, algorithm: str, listed: SortedSpill) -> None:
    path = os.path.join(bag, manifest_name(algorithm).encode())
    try:
        with open(path, "rb") as file:
            for line in iter_manifest(file):
                item = (line.path, algorithm.encode(), line.digest.encode())
                listed.add(b"\0".join(item))
    except ProtocolError as error:
        raise _no_bag(bag, f"{manifest_name(algorithm)}: {error.what}") from None


def _iter_lying(bag: bytes) -> Iterator[bytes]:
    for folder, _, names in os.walk(os.path.join(bag, PAYLOAD.rstrip(b"/"))):
        below = os.path.relpath(folder, bag)
        for name in names:
            yield os.path.join(below, name) + b"\0"


def _iter_payload(listed: SortedSpill, lying: SortedSpill) -> Iterator[_Payload]:
    """Each file that is listed or lies there, by path."""
    both = merge(listed, lying)
    for path, group in groupby(both, key=lambda item: item.partition(b"\0")[0]):
        items = [item.split(b"\0")[1:] for item in group]
        digests = {item[0].decode(): item[1].decode() for item in items if len(item) == 2}
        yield _Payload(path, digests, there=[b""] in items)


# taking in


class _Importer:
    """Reads, checks, takes in, in batches."""

    def __init__(
        self,
        arrivals: Arrivals,
        bag: bytes,
        into: bytes,
        if_exists: IfExists,
        progress: Progress,
    ) -> None:
        self._arrivals = arrivals
        self._bag = bag
        self._into = into
        self._if_exists = if_exists
        self._progress = progress
        self._numbers = count()

    def iter_outcomes(
        self, payload: Iterator[_Payload], algorithms: Sequence[str]
    ) -> Iterator[Outcome]:
        """Take in what is sound; an outcome for what is not."""
        batch: list[Arrival] = []
        size = 0
        for one in payload:
            taken = self._take(one, algorithms)
            self._progress.advance(1, 0)
            if isinstance(taken, Outcome):
                yield taken
                continue
            batch.append(taken)
            size += taken.size
            if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
                yield from self._flush(batch)
                batch, size = [], 0
        yield from self._flush(batch)

    def _flush(self, batch: Sequence[Arrival]) -> Iterator[Outcome]:
        for arrival, error in self._arrivals.take(batch):
            if error is not None:
                yield _failed(arrival.path, error)

    def _take(self, one: _Payload, algorithms: Sequence[str]) -> Arrival | Outcome:
        why = _wrong(one, algorithms)
        if why:
            return _failed(one.path, faults.BAD_BAG(path=os.fsdecode(one.path), detail=why))
        name = one.path.removeprefix(PAYLOAD)
        path = posixpath.join(self._into, name) if self._into else name
        if steering_name(name):
            return Outcome(
                "import-bag", Status.NOT_NEEDED, os.fsdecode(path), note=steering_name(name)
            )
        refusal = self._arrivals.spots.refusal(path)
        if refusal is not None:
            return _failed(path, refusal)
        if self._if_exists is IfExists.SKIP and self._arrivals.spots.is_settled(path):
            return Outcome("import-bag", Status.NOT_NEEDED, os.fsdecode(path), note="it is there")
        try:
            return self._read(one, path)
        except HoldError as error:
            return _failed(path, error)
        except OSError as error:
            return _failed(path, as_fault(error, os.fsdecode(one.path), reading=True))

    def _read(self, one: _Payload, path: bytes) -> Arrival:
        """Copy a file into our scratch, hashing it in all ways at once."""
        rules = self._arrivals.rules
        backend = rules.backend(path)
        own, size = hasher(backend), 0
        hashes = {name: hashlib.new(name, usedforsecurity=False) for name in one.digests}
        file = b"%b/bag%d" % (self._arrivals.folder, next(self._numbers))
        source = os.path.join(self._bag, one.path)
        with open(file, "xb") as out:
            for chunk in _iter_file(source):
                own.update(chunk)
                for running in hashes.values():
                    running.update(chunk)
                out.write(chunk)
                size += len(chunk)
                self._progress.advance(0, len(chunk))
        wrong = [name for name, it in hashes.items() if it.hexdigest() != one.digests[name]]
        if wrong:
            os.unlink(file)
            detail = f"its content is not what {manifest_name(wrong[0])} says"
            raise faults.BAD_BAG(path=os.fsdecode(one.path), detail=detail)
        key = make_key(backend, path.rpartition(b"/")[2], size, own.hexdigest(), rules.limits)
        executable = bool(os.stat(source).st_mode & 0o100)
        over = self._if_exists is IfExists.OVERWRITE
        return Arrival(path, key, size, file, executable=executable, over=over)


def _wrong(one: _Payload, algorithms: Sequence[str]) -> str:
    """Why a file is not to be read at all; empty when it is."""
    if not one.path.startswith(PAYLOAD) or way_out(one.path):
        return way_out(one.path) or "a manifest lists it, and it is not below data"
    unlisted = [name for name in algorithms if name not in one.digests]
    if unlisted:
        return f"{manifest_name(unlisted[0])} does not list it"
    return "" if one.there else "it is listed, and not there"


def _iter_file(path: bytes) -> Iterator[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with open(descriptor, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _failed(path: bytes, error: HoldError) -> Outcome:
    return Outcome("import-bag", Status.ERROR, os.fsdecode(path), error=error, note=error.why)


def import_bag(dataset: Dataset, bag: bytes, **options: object) -> Report:
    """Import a bag; see `iter_import_bag`.

    Raises:
        IncompleteError: Some of it is damaged; the rest is recorded.
    """
    return complete(iter_import_bag(dataset, bag, **options))  # type: ignore[arg-type]
