"""An archive opened by its pieces: files, folders and URLs, with nothing else at hand."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from ..archive.finding import Finding, find
from ..archive.piece_sources import UrlSource
from ..archive.pieces import OpenedPiece, open_all, unreadable
from ..archive.snapshot_choice import why_not
from ..archive.unsealing import Unsealer
from ..core.errors import HoldError, IncompleteError
from ..core.outcome import Outcome, Status
from ..core.system_errors import as_target_fault
from ..dataset import locks
from ..wire.cid import Cid
from .key_place import KeyPlace

if TYPE_CHECKING:
    from ..stores.http import HttpClient

_SCRATCH = b".hold-restoring-"


Opened = Iterator[tuple[OpenedPiece | HoldError, bool]]
"""Pieces, or why one cannot be opened; True for what was named itself."""


class PieceSource(Protocol):
    """Where pieces are that is no file, folder or URL."""

    def iter_opened(self, scratch: bytes) -> Opened:
        """The pieces; what has to be brought here to be read goes to the folder ``scratch``."""


Pieces = Sequence[str | PieceSource]
"""Files, folders and URLs, and other sources of pieces."""


@dataclass(frozen=True)
class Unlocked:
    """Which snapshots are encrypted, what opens them, and which scopes were destroyed, by tag."""

    sealed: frozenset[int] = frozenset()
    unsealer: Unsealer | None = None
    destroyed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundArchive:
    """What was found, and a folder for what is too much for memory; it is removed at the end."""

    finding: Finding
    scratch: bytes
    unlocked: Unlocked = field(default_factory=Unlocked)
    by_key: set[Cid] = field(default_factory=set)
    """Contents that no row and no tree named, found by their keys alone."""


@contextmanager
def open_archive(
    names: Pieces, settings: Mapping[str, str], target: bytes | None = None,
    keys: KeyPlace | None = None, *, wanted: str = "", rebuild: bool = True,
    loose_alone: bool = False,
) -> Iterator[FoundArchive]:  # fmt: skip
    """Find the archive that these pieces are of; scratch is beside ``target``, if there is one.

    Of several archives it is the one of the data set ``wanted``, else the one of most pieces.
    ``keys`` says where those of an encrypted one are. Without ``rebuild``, a piece whose manifest
    is lost counts as one that is not here. With ``loose_alone`` there may be no snapshot at all.

    Raises:
        NotFoundError: There is no piece.
        HoldError: No piece can be read.
    """
    from .archive_unsealing import unlock

    with _scratch(target) as scratch, opened_pieces(names, settings, scratch) as opened:
        finding = find(opened, scratch, wanted, rebuild=rebuild, loose_alone=loose_alone)
        yield FoundArchive(finding, scratch, unlock(finding, keys))


def is_url(name: str) -> bool:
    """Whether what was named as pieces is a URL."""
    return name.lower().startswith(("http://", "https://"))


@contextmanager
def opened_pieces(names: Pieces, settings: Mapping[str, str], scratch: bytes) -> Iterator[Opened]:
    """Open what was named; the pieces can be read until the block ends."""
    texts = [name for name in names if isinstance(name, str)]
    with ExitStack() as stack:
        client = None
        if any(map(is_url, texts)):
            from ..stores.http import HttpClient

            allowed = settings.get("annex.security.allowed-ip-addresses", "")
            client = HttpClient(allowed_addresses=allowed)
            stack.callback(client.close)
        others = [one.iter_opened(scratch) for one in names if not isinstance(one, str)]
        yield chain(_iter_opened(texts, client), *others)


def _iter_opened(names: Sequence[str], client: HttpClient | None) -> Opened:
    """What people named, opened; of a URL that ends with a slash all pieces that its page names."""
    for name in names:
        if client is None or not is_url(name) or urlsplit(name).path.rpartition("/")[2]:
            yield from open_all([name], client)
            continue
        source = UrlSource(name, client)
        try:
            urls = list(source.listed())
        except HoldError as error:
            yield error, True
            continue
        yield from ((piece, False) for piece, _ in open_all(urls, client))
        if not urls:
            yield unreadable(source.where, "it is a page that names no pieces"), True


@contextmanager
def _scratch(target: bytes | None) -> Iterator[bytes]:
    if target is None:
        with tempfile.TemporaryDirectory(prefix="hold-archive-") as found:
            yield os.fsencode(found)
        return
    above, name = os.path.split(target)
    new = _make_folders(above)
    folder = above + b"/" + _SCRATCH + name
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.exclusive(folder + b".lck", wait_s=0))
        except OSError as error:
            raise as_target_fault(error, os.fsdecode(target)) from error
        shutil.rmtree(folder, ignore_errors=True)  # what a killed run left
        os.mkdir(folder, 0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.unlink(folder + b".lck")
            for one in new:
                with suppress(OSError):  # what was restored is in it
                    os.rmdir(one)


def _make_folders(folder: bytes) -> list[bytes]:
    """Make a folder and those above it; gives the new ones, innermost first."""
    new = []
    above = folder
    while not os.path.isdir(above):
        new.append(above)
        above = os.path.dirname(above)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise as_target_fault(error, os.fsdecode(folder)) from error
    return new


def iter_archive_versions(
    names: Pieces, settings: Mapping[str, str] | None = None, keys: KeyPlace | None = None
) -> Iterator[Outcome]:
    """The versions that some pieces hold, oldest first; then what is wrong with the pieces.

    Raises:
        NotFoundError: There is no piece.
    """
    with open_archive(names, settings or {}, keys=keys) as found:
        for snapshot in found.finding.snapshots:
            manifest = snapshot.manifest
            count = len(snapshot.pieces)
            note = f"{manifest.made} {manifest.version[:10]}".rstrip()
            note += f"; {count} piece{'s' if count != 1 else ''}"
            if snapshot.number in found.unlocked.sealed:
                note += "; encrypted"
            why = why_not(found.finding, snapshot)
            yield Outcome(
                "list", Status.IMPOSSIBLE if why else Status.OK, f"snapshot {snapshot.number}",
                note=f"{note}; {why.what}" if why else note, error=why,
                facts={
                    "snapshot": snapshot.number, "made": manifest.made,
                    "version": manifest.version, "branch": manifest.branch,
                    "dataset": manifest.dataset, "pieces": [p.name for p in snapshot.in_order],
                },
            )  # fmt: skip
        yield from iter_wrong("list", found.finding.faults)
        yield from iter_wrong("list", found.finding.missing)


def iter_wrong(action: str, errors: Sequence[HoldError]) -> Iterator[Outcome]:
    """An outcome for each of these, once; what may come with another piece is impossible now."""
    for error in {error.what: error for error in errors}.values():
        yield failed(action, "pieces", error)


def iter_found_again(action: str, count: int) -> Iterator[Outcome]:
    """Word of files that were found though rows of them are lost, if there are some."""
    if count:
        files = f"{count:,} files were" if count > 1 else "1 file was"
        note = f"{files} found by their blocks, as no row that is whole tells of them"
        yield Outcome(action, Status.OK, "pieces", note=note, facts={"found_again": count})


def failed(action: str, path: str, error: HoldError) -> Outcome:
    """The outcome of an error."""
    status = Status.IMPOSSIBLE if isinstance(error, IncompleteError) else Status.ERROR
    return Outcome(action, status, path, error=error, note=f"{error.what}: {error.why}")
