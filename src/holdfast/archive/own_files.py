"""What a snapshot has beside the files it is of: a README.txt, and bundles of git's history."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from ..wire.archive_rows import RowKind
from .archive_folder import ArchiveFolder
from .bundles import Bundle, chain_of
from .entries import OF_STATE, Entry, FileRun, identity_of
from .plan_records import PlanHead
from .readme import readme


def chain(archive: ArchiveFolder, head: PlanHead) -> list[Bundle]:
    """The bundles that lead to the version, the one of this snapshot last."""
    new = new_bundle(archive, head)
    return chain_of([*archive.bundles, *([new] if new else [])])


def new_bundle(archive: ArchiveFolder, head: PlanHead) -> Bundle | None:
    """The one of this snapshot, if it has one."""
    if not head.bundles:
        return None
    [bundle] = head.bundles
    name = bundle.path.rpartition("/")[2]
    found = Bundle(name, bundle.needs, bundle.version, bundle.annex, 0)
    return found._replace(size=os.stat(archive.path_of(found)).st_size)


def own_readme(archive: ArchiveFolder, head: PlanHead, bundles: Sequence[str]) -> Entry:
    """The README.txt of a snapshot; it is written now."""
    text = readme(head, bundles)
    _write(archive.next_folder + b"/README.txt", text)
    source = OF_STATE + "README.txt"
    return Entry(b"README.txt", RowKind.PLAIN, 0o100644, len(text), None, source)


def with_own(
    entries: Iterable[Entry | FileRun], archive: ArchiveFolder, head: PlanHead
) -> Iterator[Entry | FileRun]:
    """The files of a version, between what the archive adds to them."""
    bundles = chain(archive, head)
    yield own_readme(archive, head, [bundle.name for bundle in bundles])
    yield from entries
    for bundle in bundles:
        path, source = b"git/" + bundle.name.encode(), OF_STATE + bundle.name
        identity = identity_of(path, RowKind.PLAIN, None, source)
        yield Entry(path, RowKind.PLAIN, 0o100644, bundle.size, None, source, identity)


def _write(path: bytes, text: bytes) -> None:
    with open(path, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
