"""A version's files as a plain folder, a tar or a zip: whole and checked, or not there at all."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from enum import StrEnum
from typing import IO, TYPE_CHECKING

from ..core import faults
from ..core.errors import HoldError
from ..core.outcome import Outcome, Report, complete
from ..core.progress import Progress, Silence
from ..dataset.versions import commit_of
from .datasets import Dataset
from .exporting import (
    Leaf,
    is_missing,
    iter_bytes,
    iter_leaves,
    new_name,
    told,
    told_missing,
    write_file,
)

if TYPE_CHECKING:
    import tarfile

_TARS = {
    ".tar": "w:", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz",
    ".txz": "w:xz",
}  # fmt: skip
_OLDEST_IN_ZIP = 315_532_800
"""1980, before which a zip can tell no time."""


class Missing(StrEnum):
    """What to do about content that is not here: export nothing, or the rest."""

    FAIL = "fail"
    LEAVE_OUT = "leave-out"


def iter_export(
    dataset: Dataset,
    target: bytes,
    *,
    version: str = "HEAD",
    missing: Missing | str = Missing.FAIL,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Copy the files of a version to a folder, or to a file ending in .tar, .tar.gz, .zip, ….

    Content is checked as it is read. The target gets its name when it is whole; content that is
    not here is told of, and then there is no target, unless it is to be left out.

    Raises:
        NotFoundError: There is no such version.
        ConflictError: The target is there already.
        IntegrityError: Content here is damaged; nothing was exported.
    """
    absent, leave_out = 0, Missing(missing) is Missing.LEAVE_OUT
    for leaf in iter_leaves(dataset, version):
        if is_missing(leaf):
            absent += 1
            yield told_missing(leaf, "export", left_out=leave_out)
    if absent and not leave_out:
        return
    listener = progress or Silence()
    leaves = (leaf for leaf in iter_leaves(dataset, version) if not is_missing(leaf))
    listener.start(None, None)
    try:
        with new_name(target) as temporary:
            moment = _moment(dataset, version)
            _write(temporary, os.fsdecode(target), leaves, moment, listener)
    finally:
        listener.stop()
    for leaf in iter_leaves(dataset, version):
        if not is_missing(leaf):
            yield told(leaf, "export")


def _moment(dataset: Dataset, version: str) -> int:
    """When the version was made, in seconds since 1970: the same export is the same to the byte."""
    commit = commit_of(dataset.repository, version)
    found = dataset.repository.git.line("show", "-s", "--format=%ct", commit)
    return int(found or 0)


def _write(path: bytes, name: str, leaves: Iterator[Leaf], moment: int, progress: Progress) -> None:
    mode = next((m for end, m in _TARS.items() if name.endswith(end)), None)
    if mode is not None:
        _write_tar(path, mode, leaves, moment, progress)
    elif name.endswith(".zip"):
        _write_zip(path, leaves, moment, progress)
    else:
        os.mkdir(path)
        for leaf in leaves:
            write_file(os.path.join(path, leaf.path), leaf)
            progress.advance(1, leaf.size)


def _write_tar(
    path: bytes, mode: str, leaves: Iterator[Leaf], moment: int, progress: Progress
) -> None:
    import tarfile

    format_ = tarfile.PAX_FORMAT
    with tarfile.open(os.fsdecode(path), mode, format=format_) as tar:  # type: ignore[call-overload]
        for leaf in leaves:
            info = tarfile.TarInfo(os.fsdecode(leaf.path))
            info.mtime = moment
            info.mode = 0o755 if leaf.executable else 0o644
            if leaf.target is not None:
                info.type, info.linkname, info.mode = (
                    tarfile.SYMTYPE, os.fsdecode(leaf.target), 0o777,
                )  # fmt: skip
                tar.addfile(info)
            else:
                _add_to_tar(tar, info, leaf)
            progress.advance(1, leaf.size)


def _add_to_tar(tar: tarfile.TarFile, info: tarfile.TarInfo, leaf: Leaf) -> None:
    info.size = leaf.size
    tar.addfile(info, _Reader(iter_bytes(leaf)))  # type: ignore[arg-type]


class _Reader:
    """What tarfile reads from: chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        """So many bytes, fewer at the end; the end is looked for, as content is judged there."""
        while len(self._rest) <= size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        found, self._rest = self._rest[:size], self._rest[size:]
        return found


def _write_zip(path: bytes, leaves: Iterator[Leaf], moment: int, progress: Progress) -> None:
    import zipfile

    when = time.gmtime(max(moment, _OLDEST_IN_ZIP))[:6]
    with zipfile.ZipFile(os.fsdecode(path), "w", zipfile.ZIP_DEFLATED, allowZip64=True) as file:
        for leaf in leaves:
            name = _zip_name(leaf)
            info = zipfile.ZipInfo(name, when)
            info.compress_type = zipfile.ZIP_DEFLATED
            mode = 0o755 if leaf.executable else 0o644
            kind = stat.S_IFREG if leaf.target is None else stat.S_IFLNK
            info.external_attr = (kind | mode) << 16
            info.create_system = 3
            with file.open(info, "w", force_zip64=leaf.size >= 1 << 31) as out:
                _copy(leaf, out)
            progress.advance(1, leaf.size)


def _copy(leaf: Leaf, out: IO[bytes]) -> None:
    if leaf.target is not None:
        out.write(leaf.target)
        return
    for chunk in iter_bytes(leaf):
        out.write(chunk)


def _zip_name(leaf: Leaf) -> str:
    try:
        return leaf.path.decode("utf-8")
    except UnicodeDecodeError:
        error: HoldError = faults.UNSAFE_NAME(
            path=os.fsdecode(leaf.path), detail="a zip can only hold names in UTF-8"
        )
        error.hint = "export to a folder or a tar"
        raise error from None


def export(dataset: Dataset, target: bytes, **options: object) -> Report:
    """Export a version; see `iter_export`.

    Raises:
        IncompleteError: Some content is not here.
    """
    return complete(iter_export(dataset, target, **options))  # type: ignore[arg-type]
