"""Archives unpacked into files that the archive can give again."""

from __future__ import annotations

import os
import posixpath
import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING

from ..core import faults
from ..core.backends import hasher, make_key
from ..core.errors import HoldError, ProtocolError
from ..core.key import Key
from ..core.names import refusal_of_path
from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress, Silence
from ..core.system_errors import as_fault
from ..dataset.annexed import TrackedFile, iter_tracked
from ..dataset.arrivals import Arrival, Arrivals
from ..wire.archive_uris import ARCHIVES, Packed, encode
from .archives import admitter, set_up
from .datasets import Dataset
from .fetching import IfExists

if TYPE_CHECKING:
    from ..stores.archive_files import Archive, Member

_BATCH_FILES = 512
_BATCH_BYTES = 64 << 20


@dataclass(frozen=True)
class UnpackPlan:
    """How to unpack: below which folder (None: beside each archive), so many leading folders of
    the archive's paths left out, names that match a pattern left out.
    """

    into: bytes | None = None
    strip: int = 0
    exclude: Sequence[str] = ()
    if_exists: IfExists = IfExists.FAIL
    message: str | None = None


def iter_unpack(
    dataset: Dataset,
    paths: Sequence[bytes],
    *,
    plan: UnpackPlan | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Add the files in some annexed archives, as one version.

    Each file's content can be had from the archive again; that is recorded as DataLad does it.
    What must not become a file (names that lead out, devices, links out) is told and left out.

    Raises:
        UsageError: One of them is no archive, or not annexed. Then nothing was unpacked.
    """
    dataset.need_files("unpack")
    plan = plan or UnpackPlan()
    listener = progress or Silence()
    files = [_archive_at(dataset, path) for path in paths]
    set_up(dataset)
    with Arrivals(dataset.repository, dataset.objects) as arrivals:
        unpacker = _Unpacker(dataset, arrivals, plan, listener)
        listener.start(None, None)
        try:
            for file in files:
                yield from unpacker.iter_one(file)
            names = ", ".join(os.fsdecode(file.path) for file in files)
            arrivals.finish(
                plan.message
                or f"[DATALAD] Added content extracted from archive {names}\n\n"
                f"Files processed: {arrivals.count}\n +annex: {arrivals.count}\n"
            )
            yield from arrivals.iter_recorded("unpack")
        finally:
            listener.stop()
            dataset.forget()


def _archive_at(dataset: Dataset, path: bytes) -> TrackedFile:
    found = [f for f in iter_tracked(dataset.repository, [path]) if f.path == path]
    name = os.fsdecode(path)
    if not found or found[0].key is None:
        detail = "it is not saved in the annex" if path else "it is the data set itself"
        raise faults.NO_ARCHIVE(path=name, detail=detail, quoted=shlex.quote(name))
    if not dataset.objects.has(found[0].key):
        error = faults.NO_ARCHIVE(path=name, detail="its content is not here", quoted="")
        error.hint = f"hold get {shlex.quote(name)}"
        raise error
    return found[0]


class _Unpacker:
    """Takes files out of archives and into the annex, in batches."""

    def __init__(
        self, dataset: Dataset, arrivals: Arrivals, plan: UnpackPlan, progress: Progress
    ) -> None:
        self._dataset = dataset
        self._arrivals = arrivals
        self._plan = plan
        self._progress = progress
        self._admit = admitter(dataset)
        self._numbers = count()

    def iter_one(self, file: TrackedFile) -> Iterator[Outcome]:
        """Unpack one archive; tells of what is left out."""
        from ..stores.archive_files import open_archive

        assert file.key is not None
        path = self._dataset.objects.content_path(file.key)
        name = os.fsdecode(file.path)
        assert path is not None, "it was looked for before"
        try:
            archive = open_archive(path, self._arrivals.folder, self._admit)
        except ProtocolError as error:
            raise faults.NO_ARCHIVE(
                path=name, detail=error.what, quoted=shlex.quote(name)
            ) from None
        with closing(archive):
            folder = self._plan.into
            if folder is None:
                folder = file.path.rpartition(b"/")[0]
            yield from self._iter_members(archive, file.key, folder)

    def _iter_members(self, archive: Archive, key: Key, folder: bytes) -> Iterator[Outcome]:
        batch: list[tuple[Arrival, bytes | None]] = []
        size = 0
        for member in archive.members.values():
            if any(fnmatchcase(os.fsdecode(member.name), glob) for glob in self._plan.exclude):
                continue
            taken = self._take(archive, member, key, folder)
            if isinstance(taken, Outcome):
                yield taken
                continue
            batch.append(taken)
            size += member.size
            if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
                yield from self._flush(batch)
                batch, size = [], 0
        yield from self._flush(batch)

    def _take(
        self, archive: Archive, member: Member, key: Key, folder: bytes
    ) -> tuple[Arrival, bytes | None] | Outcome:
        """One member, its bytes in our scratch, and the URI of them; or why it is left out."""
        from ..stores.archive_files import MemberKind

        path = b"/".join(member.name.split(b"/")[self._plan.strip :])
        why = refusal_of_path(member.name) or refusal_of_path(path)
        full = posixpath.join(folder, path) if folder else path
        if member.kind is MemberKind.OTHER:
            why = why or "it is neither a file nor a link, or it is encrypted"
        if member.kind is MemberKind.LINK and not _stays(member.name, member.target):
            why = why or "it is a link that leads out of the archive"
        if why:
            return _left(os.fsdecode(member.name), faults.LEFT_PACKED, why)
        error = self._arrivals.spots.refusal(full)
        if error is not None:
            return _failed(full, error)
        if self._plan.if_exists is IfExists.SKIP and self._arrivals.spots.is_settled(full):
            return Outcome("unpack", Status.NOT_NEEDED, os.fsdecode(full), note="it is there")
        over = self._plan.if_exists is IfExists.OVERWRITE
        if member.kind is MemberKind.LINK:
            return Arrival(full, None, 0, link=member.target, over=over), None
        try:
            arrival = self._read(archive, member, full)._replace(over=over)
        except HoldError as failure:
            return _failed(full, failure)
        uri = encode(Packed(key, member.name, member.size))
        return arrival, uri

    def _read(self, archive: Archive, member: Member, path: bytes) -> Arrival:
        refusal = self._admit(member.size)
        if refusal is not None:
            raise refusal
        rules = self._arrivals.rules
        backend = rules.backend(path)
        digest, size = hasher(backend), 0
        file = b"%b/member%d" % (self._arrivals.folder, next(self._numbers))
        try:
            with open(file, "xb", buffering=0) as out:
                for chunk in archive.iter_chunks(member.name):
                    digest.update(chunk)
                    out.write(chunk)
                    size += len(chunk)
                    self._progress.advance(0, len(chunk))
        except OSError as error:
            raise as_fault(error, os.fsdecode(path)) from error
        except ProtocolError as error:
            os.unlink(file)
            raise faults.LEFT_PACKED(path=os.fsdecode(path), detail=error.what) from None
        key = make_key(backend, path.rpartition(b"/")[2], size, digest.hexdigest(), rules.limits)
        return Arrival(path, key, size, file, executable=member.executable)

    def _flush(self, batch: list[tuple[Arrival, bytes | None]]) -> Iterator[Outcome]:
        facts = self._arrivals.facts
        taken = self._arrivals.take([arrival for arrival, _ in batch])
        for (arrival, error), (_, uri) in zip(taken, batch, strict=True):
            self._progress.advance(1, 0)
            if error is not None:
                yield _failed(arrival.path, error)
            elif uri is not None and arrival.key is not None:
                facts.set_url(arrival.key, uri, registered=True)
                facts.set_place(arrival.key, ARCHIVES, present=True)


def _stays(name: bytes, target: bytes) -> bool:
    """Whether a link in an archive leads to something in the archive's own folder."""
    if target.startswith(b"/") or b"\0" in target or b"\n" in target or not target:
        return False
    found = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    return not refusal_of_path(found)


def _left(name: str, fault: faults.Fault, why: str) -> Outcome:
    error = fault(path=name, detail=why)
    return Outcome("unpack", Status.IMPOSSIBLE, name, error=error, note=why)


def _failed(path: bytes, error: HoldError) -> Outcome:
    return Outcome("unpack", Status.ERROR, os.fsdecode(path), error=error, note=error.why)


def unpack(dataset: Dataset, paths: Sequence[bytes], **options: object) -> Report:
    """Unpack archives; see `iter_unpack`.

    Raises:
        IncompleteError: Something in them was left out; the rest is recorded.
    """
    return complete(iter_unpack(dataset, paths, **options))  # type: ignore[arg-type]
