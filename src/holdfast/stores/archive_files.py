"""Archives as folders of files: tar (plain or compressed) and zip, read at any place.

A compressed tar is unpacked once into a file without a name, gone when it is closed. What is in an
archive was made by somebody else: names are only told, never written to.
"""

from __future__ import annotations

import os
import posixpath
import stat
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from lzma import LZMAError
from typing import IO, Any, NamedTuple, Protocol

from ..core.errors import HoldError, ProtocolError

CHUNK = 1 << 18

_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError, NotImplementedError,
    RuntimeError, UnicodeError, ValueError,
)  # fmt: skip
"""What Python's modules say of archives that are damaged, encrypted, or of another kind."""

Admit = Callable[[int], HoldError | None]
"""Says of a number of bytes that are to be written why there is no room for them."""


class MemberKind(StrEnum):
    """What a member of an archive is."""

    FILE = "file"
    LINK = "link"
    OTHER = "other"


class Member(NamedTuple):
    """One thing in an archive; ``name`` is normal (no ``./``), ``target`` what a link says."""

    name: bytes
    kind: MemberKind
    size: int = 0
    executable: bool = False
    target: bytes = b""


class Archive(Protocol):
    """An opened archive. Threads may share it."""

    @property
    def members(self) -> Mapping[bytes, Member]:
        """All that is in it but folders, in its order; of one name that is there twice the last."""

    def iter_chunks(self, name: bytes, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a file in it.

        Raises:
            ProtocolError: It is damaged, or in a form that Python cannot read.
        """

    def close(self) -> None:
        """Let go of it."""


def open_archive(path: bytes, scratch: bytes, admit: Admit = lambda _: None) -> Archive:
    """Open an archive by what it is, whatever its name; ``scratch`` is for what is unpacked.

    Raises:
        ProtocolError: It is none that we can read.
        PlaceFullError: There is no room to unpack it.
    """
    try:
        if zipfile.is_zipfile(os.fsdecode(path)):
            return _Zip(path)
        return _Tar(path, scratch, admit)
    except _BROKEN as error:
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> ProtocolError:
    return ProtocolError(f"it cannot be read as an archive: {str(error) or type(error).__name__}")


def _normal(name: bytes) -> bytes:
    """A name without ``./`` and doubled slashes; what is absolute or leads up stays visibly so."""
    return posixpath.normpath(name) if name else name


class _Tar:
    """A tar file, or one that was unpacked out of its compression."""

    def __init__(self, path: bytes, scratch: bytes, admit: Admit) -> None:
        self._file: IO[bytes] = open(path, "rb")  # noqa: SIM115 (kept open)
        try:
            if not self._is_plain():
                self._unpack(path, scratch, admit)
            self.members, self._places = self._read_index()
        except BaseException:
            self._file.close()
            raise

    def _is_plain(self) -> bool:
        try:
            with tarfile.open(fileobj=self._file, mode="r:"):
                return True
        except tarfile.ReadError:
            return False
        finally:
            self._file.seek(0)

    def _unpack(self, path: bytes, scratch: bytes, admit: Admit) -> None:
        unpacked = tempfile.TemporaryFile(dir=os.fsdecode(scratch))  # noqa: SIM115 (kept open)
        try:
            with _opener(self._file)(path, "rb") as source:
                while chunk := _read(source):
                    refusal = admit(len(chunk))
                    if refusal is not None:
                        raise refusal
                    unpacked.write(chunk)
        except BaseException:
            unpacked.close()
            raise
        self._file.close()
        self._file = unpacked

    def _read_index(self) -> tuple[dict[bytes, Member], dict[bytes, tarfile.TarInfo]]:
        members: dict[bytes, Member] = {}
        places: dict[bytes, tarfile.TarInfo] = {}
        self._file.seek(0)
        # Kept open for sparse files alone; others are read where they lie.
        self._tar = tarfile.open(fileobj=self._file, mode="r:")  # noqa: SIM115
        for info in self._tar:
            name = _normal(os.fsencode(info.name))
            if not info.isdir():
                info, member = _tar_member(name, info, members, places)
                members.pop(name, None)
                members[name] = member
                places[name] = info
        self._lock = threading.Lock()
        return members, places

    def iter_chunks(self, name: bytes, offset: int = 0) -> Iterator[bytes]:
        """See `Archive`."""
        info = self._places[name]
        if info.issparse():
            yield from self._iter_sparse(info, offset)
            return
        position, end = info.offset_data + offset, info.offset_data + info.size
        while position < end:
            chunk = os.pread(self._file.fileno(), min(CHUNK, end - position), position)
            if not chunk:
                raise ProtocolError("the archive ends too early")
            position += len(chunk)
            yield chunk

    def _iter_sparse(self, info: tarfile.TarInfo, offset: int) -> Iterator[bytes]:
        file = self._tar.extractfile(info)
        assert file is not None
        while True:
            with self._lock:
                file.seek(offset)
                chunk = file.read(CHUNK)
            if not chunk:
                return
            offset += len(chunk)
            yield chunk

    def close(self) -> None:
        """See `Archive`."""
        self._file.close()


def _read(source: Any) -> bytes:
    try:
        return bytes(source.read(CHUNK))
    except OSError as error:
        # What the modules for compression raise of damage has no number of the system's.
        if error.errno is not None:
            raise
        raise ProtocolError(f"its compression is damaged: {error}") from None


def _tar_member(
    name: bytes,
    info: tarfile.TarInfo,
    members: Mapping[bytes, Member],
    places: Mapping[bytes, tarfile.TarInfo],
) -> tuple[tarfile.TarInfo, Member]:
    executable = bool(info.mode & stat.S_IXUSR)
    if info.islnk():
        # A second name for what came before: the same bytes.
        first = _normal(os.fsencode(info.linkname))
        if first in places and members[first].kind is MemberKind.FILE:
            return places[first], members[first]._replace(name=name)
        return info, Member(name, MemberKind.OTHER)
    if info.issym():
        return info, Member(name, MemberKind.LINK, target=os.fsencode(info.linkname))
    if not info.isreg():
        return info, Member(name, MemberKind.OTHER)
    return info, Member(name, MemberKind.FILE, info.size, executable)


def _opener(file: IO[bytes]) -> Any:
    """What opens the compression that a file begins with.

    Raises:
        ReadError: It is of none.
    """
    import bz2
    import gzip
    import lzma

    head = file.read(6)
    file.seek(0)
    openers: dict[bytes, Any] = {
        b"\x1f\x8b": gzip.open,
        b"BZh": bz2.open,
        b"\xfd7zXZ\0": lzma.open,
    }
    for magic, opener in openers.items():
        if head.startswith(magic):
            return opener
    raise tarfile.ReadError("it is neither tar (plain, gz, bz2, xz) nor zip")


class _Zip:
    """A zip file."""

    def __init__(self, path: bytes) -> None:
        self._zip = zipfile.ZipFile(os.fsdecode(path))
        self._infos: dict[bytes, zipfile.ZipInfo] = {}
        self.members: dict[bytes, Member] = {}
        for info in self._zip.infolist():
            if not info.is_dir():
                name = _normal(info.filename.encode("utf-8", "surrogateescape"))
                self.members.pop(name, None)
                self._infos[name] = info
                self.members[name] = self._member(name, info)

    def _member(self, name: bytes, info: zipfile.ZipInfo) -> Member:
        mode = info.external_attr >> 16
        if info.flag_bits & 1:
            return Member(name, MemberKind.OTHER)
        if stat.S_ISLNK(mode):
            return Member(name, MemberKind.LINK, target=self._zip.read(info)[:4096])
        kind = MemberKind.FILE if stat.S_IFMT(mode) in (0, stat.S_IFREG) else MemberKind.OTHER
        return Member(name, kind, info.file_size, bool(mode & stat.S_IXUSR))

    def iter_chunks(self, name: bytes, offset: int = 0) -> Iterator[bytes]:
        """See `Archive`; to begin in the middle, what is before is read and thrown away."""
        try:
            with self._zip.open(self._infos[name]) as file:
                file.seek(offset)
                while chunk := file.read(CHUNK):
                    yield chunk
        except _BROKEN as error:
            raise _unreadable(error) from None

    def close(self) -> None:
        """See `Archive`."""
        self._zip.close()
