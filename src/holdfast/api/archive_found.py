"""An archive opened by its pieces: files, folders and URLs, with nothing else at hand."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from ..archive.finding import Finding, find
from ..archive.pieces import open_all
from ..archive.snapshot_choice import why_not
from ..core.errors import HoldError, IncompleteError
from ..core.outcome import Outcome, Status
from ..core.system_errors import as_fault
from ..dataset import locks

_SCRATCH = b".hold-restoring-"


@dataclass(frozen=True)
class FoundArchive:
    """What was found, and a folder for what is too much for memory; it is removed at the end."""

    finding: Finding
    scratch: bytes


@contextmanager
def open_archive(
    names: Sequence[str],
    settings: Mapping[str, str],
    target: bytes | None = None,
    *,
    wanted: str = "",
) -> Iterator[FoundArchive]:
    """Find the archive that these pieces are of; scratch is beside ``target``, if there is one.

    Of several archives it is the one of the data set ``wanted``, else the one of most pieces.

    Raises:
        NotFoundError: There is no piece.
        HoldError: No piece can be read.
    """
    with ExitStack() as stack:
        scratch = stack.enter_context(_scratch(target))
        client = None
        if any(name.lower().startswith(("http://", "https://")) for name in names):
            from ..stores.http import HttpClient

            allowed = settings.get("annex.security.allowed-ip-addresses", "")
            client = HttpClient(allowed_addresses=allowed)
            stack.callback(client.close)
        yield FoundArchive(find(open_all(names, client), scratch, wanted), scratch)


@contextmanager
def _scratch(target: bytes | None) -> Iterator[bytes]:
    if target is None:
        with tempfile.TemporaryDirectory(prefix="hold-archive-") as found:
            yield os.fsencode(found)
        return
    above, name = os.path.split(target)
    new = _make_folders(above)
    folder = above + b"/" + _SCRATCH + name
    with locks.exclusive(folder + b".lck", wait_s=0):
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
        raise as_fault(error, os.fsdecode(folder)) from error
    return new


def iter_archive_versions(
    names: Sequence[str], settings: Mapping[str, str] | None = None
) -> Iterator[Outcome]:
    """The versions that some pieces hold, oldest first; then what is wrong with the pieces.

    Raises:
        NotFoundError: There is no piece.
    """
    with open_archive(names, settings or {}) as found:
        for snapshot in found.finding.snapshots:
            manifest = snapshot.manifest
            count = len(snapshot.pieces)
            note = f"{manifest.made} {manifest.version[:10]}".rstrip()
            note += f"; {count} piece{'s' if count != 1 else ''}"
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


def failed(action: str, path: str, error: HoldError) -> Outcome:
    """The outcome of an error."""
    status = Status.IMPOSSIBLE if isinstance(error, IncompleteError) else Status.ERROR
    return Outcome(action, status, path, error=error, note=f"{error.what}: {error.why}")
