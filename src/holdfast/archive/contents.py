"""Reading what is packed: to where it will stand, checked against its key, seen not to change."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Protocol

from ..core.backends import backend_of, checker, is_verifiable, key_digest
from ..core.errors import IntegrityError
from ..core.key import Key
from ..kernel.many import signature, until_settled_s
from ..wire.archive_rows import RowKind
from ..wire.piece import PLAIN, Kernel
from .entries import OF_SEAL
from .plan_records import FileRecord, RunRecord
from .whole_hash import WholeHash, whole_hash

FILES = b"files/"
"""Where in an archive the files of a version are."""

_SETTLING_S = 1.0
"""So long is waited at most for a file that somebody writes to."""


class SourceFault(Exception):
    """A file is not what the plan says; ``size`` is the one it has now, None if it is gone."""

    def __init__(self, record: FileRecord, why: str, size: int | None) -> None:
        super().__init__(why)
        self.record = record
        self.why = why
        self.size = size


class Sources(Protocol):
    """Where the bytes of files come from."""

    def path_of(self, record: FileRecord) -> bytes | None:
        """The file on this machine that has them; None when it is gone."""

    def usual_path_of(self, record: FileRecord) -> bytes:
        """Where that file is most probably, told without asking the disk."""

    def usual_paths(self, run: RunRecord) -> list[bytes]:
        """Where the files of a run most probably are; nothing for what git has."""

    def iter_blobs(self, records: Iterator[FileRecord]) -> Iterator[bytes | None]:
        """The bytes of what git has, and of links, in order and checked; None for what is gone."""

    def open_blob(self, record: FileRecord) -> int:
        """A file of the system with the bytes of what git has, checked; for what is large.

        Raises:
            SourceFault: They are gone.
        """


def is_blob(record: FileRecord) -> bool:
    """Whether its bytes come as a whole, from git or from a link."""
    return record.kind in (RowKind.GIT, RowKind.SYMLINK)


def is_sealed(record: FileRecord) -> bool:
    """Whether it is an age file that is made while it is packed."""
    return record.source.startswith(OF_SEAL)


def is_sealed_run(run: RunRecord) -> bool:
    """The same of the files of a run, of which all are so or none is."""
    return run.sources[0].startswith(OF_SEAL)


class Content(Protocol):
    """The bytes of one file, in order."""

    @property
    def whole(self) -> WholeHash | None:
        """What its leaves are to be fed to when they are hashed, if there is something."""

    def read(self, view: memoryview, offset: int) -> None:
        """Fill the view with what is from an offset on; any thread may.

        Raises:
            SourceFault: There are not so many.
        """

    def take(self, view: memoryview, digest: bytes) -> None:
        """What was read, and its sha2-256; it is checked against the key."""

    def finish(self) -> None:
        """All was read.

        Raises:
            SourceFault: It is not what the key says, or it changed meanwhile.
        """

    def close(self) -> None:
        """It is not needed any more."""


class Blob:
    """Bytes that are in memory and were checked."""

    whole = None

    def __init__(self, record: FileRecord, data: bytes | None) -> None:
        if data is None or len(data) != record.size:
            size = None if data is None else len(data)
            raise SourceFault(record, "it is not the one that was planned", size)
        self.data = data

    def read(self, view: memoryview, offset: int) -> None:
        """Fill the view."""
        view[:] = self.data[offset : offset + len(view)]

    def take(self, view: memoryview, digest: bytes) -> None:
        """It was checked before."""

    def finish(self) -> None:
        """It was checked before."""

    def close(self) -> None:
        """Nothing is open."""


class File:
    """A file of this machine."""

    def __init__(
        self,
        record: FileRecord,
        path: bytes | int | None,
        chunk_size: int,
        kernel: Kernel = PLAIN,
    ) -> None:
        """Open it, or take one that is open; ``kernel`` hashes its leaves, if `LeafJob`s do that.

        Raises:
            SourceFault: It is gone, or has another size than was planned.
        """
        self._record = record
        self._file = path if isinstance(path, int) else _open(record, path)
        try:
            self._seen = os.fstat(self._file)
            if record.key is None and not isinstance(path, int):
                self._seen = _settled(record, self._file)
            if not stat.S_ISREG(self._seen.st_mode):
                raise SourceFault(record, "it is no file any more", None)
            if self._seen.st_size != record.size:
                size = self._seen.st_size
                raise SourceFault(record, f"it has {size} bytes, not {record.size}", size)
            self.whole = None if record.key is None else whole_hash(Key(record.key), kernel)
            self._check: _Check = self.whole or _check_of(record, chunk_size)
            if record.size > chunk_size and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        except BaseException:
            self.close()
            raise

    def read(self, view: memoryview, offset: int) -> None:
        """Fill the view."""
        done = 0
        while done < len(view):
            try:
                got = os.preadv(self._file, [view[done:]], offset + done)
            except OSError as error:
                raise SourceFault(self._record, str(error.strerror).lower(), None) from error
            if not got:
                raise self._changed()
            done += got

    def take(self, view: memoryview, digest: bytes) -> None:
        """What was read, and its sha2-256."""
        self._check.feed(view, digest)

    def finish(self) -> None:
        """All was read."""
        now = os.fstat(self._file)
        if signature(now) != signature(self._seen):
            raise self._changed()
        why = self._check.fault()
        if why:
            raise SourceFault(self._record, why, None)

    def close(self) -> None:
        """Close it."""
        os.close(self._file)

    def _changed(self) -> SourceFault:
        size = os.fstat(self._file).st_size
        return SourceFault(self._record, "it changed while it was read", size)


def _open(record: FileRecord, path: bytes | None) -> int:
    if path is None:
        raise SourceFault(record, "its content is not here any more", None)
    try:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        return os.open(path, flags)
    except OSError as error:
        raise SourceFault(record, str(error.strerror).lower(), None) from error


def _settled(record: FileRecord, file: int) -> os.stat_result:
    """A file that nobody is writing to: no key tells whether it was read half and half.

    Raises:
        SourceFault: Somebody does not end.
    """
    end = time.monotonic() + _SETTLING_S
    while wait_s := until_settled_s(seen := os.fstat(file)):
        if time.monotonic() > end:
            raise SourceFault(record, "it is being written to", seen.st_size)
        time.sleep(wait_s)
    return seen


def is_right(key: bytes | None, digest: bytes, md5: bytes) -> bool:
    """Whether the hash of a file is that in its key, for certain: the usual keys, told quickly.

    ``md5`` is there where `wants_md5`. Of other keys nothing is said; see `check_leaf`.
    """
    if key is None:
        return True
    if key.startswith((b"SHA256E-", b"SHA256-")):
        wanted = digest.hex().encode()
    elif md5:
        wanted = md5.hex().encode()
    else:
        return False
    start = key.index(b"--") + 2
    end = start + len(wanted)
    if key[start:end] != wanted:
        return False
    return len(key) == end or (key[end] == _DOT and key[: key.index(b"-")].endswith(b"E"))


def not_right(keys: Sequence[bytes | None], digests: bytes, md5: bytes) -> list[int]:
    """Of which of these files `is_right` says no, the hashes of all following each other.

    MD5 is there for those that want it.
    """
    if not any(keys):
        return []
    texts = (digests.hex().encode(), md5.hex().encode())
    if _are_all(_MD5E, keys, texts[1], 32) or _are_all(_SHA256E, keys, texts[0], 64):
        return []
    found, by_md5 = [], 0
    for number, key in enumerate(keys):
        if key is None:
            continue
        head, _, tail = key.partition(b"--")
        if head.startswith((b"SHA256E-", b"SHA256-")):
            wanted = texts[0][64 * number : 64 * number + 64]
        elif head.startswith((b"MD5E-", b"MD5-")):
            wanted = texts[1][by_md5 : by_md5 + 32]
            by_md5 += 32
        else:
            found.append(number)
            continue
        rest = tail[len(wanted) :]
        if (
            not wanted
            or not tail.startswith(wanted)
            or (rest and not (rest[0] == _DOT and head[: head.index(b"-")].endswith(b"E")))
        ):
            found.append(number)
    return found


def _are_all(backend: bytes, keys: Sequence[bytes | None], text: bytes, size: int) -> bool:
    """Whether all keys are of that backend and right, as most are; ``text`` has their hashes."""
    if len(text) != size * len(keys) or None in keys:
        return False
    names = [key[key.index(_DASHES) + 2 :] for key in keys if key is not None]
    hashes = [text[at : at + size] for at in range(0, len(text), size)]
    return (
        {key[: len(backend)] for key in keys if key is not None} == {backend}
        and all(map(bytes.startswith, names, hashes))
        and {name[size : size + 1] for name in names} <= {b"", b"."}
    )


def wants_md5(key: bytes | None) -> bool:
    """Whether it is a key by MD5."""
    return key is not None and key.startswith((b"MD5E-", b"MD5-"))


class _Check(Protocol):
    def feed(self, view: memoryview, digest: bytes) -> None:
        """Bytes, and the sha2-256 of them."""

    def fault(self) -> str:
        """Why the bytes are wrong; nothing when they are right."""


class _NoCheck:
    """Of a file without a key: there is nothing that it should be."""

    def feed(self, view: memoryview, digest: bytes) -> None:
        """Nothing to compare."""

    def fault(self) -> str:
        """Never."""
        return ""


class _OneLeaf:
    """The hash in the key is the leaf's own: it is not worked out twice."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._found = ""

    def feed(self, view: memoryview, digest: bytes) -> None:
        """The only leaf."""
        self._found = digest.hex()

    def fault(self) -> str:
        """Why it is another one."""
        if self._found == self._wanted:
            return ""
        return f"its hash should be {self._wanted} and is {self._found}"


class _ByKey:
    """Any other key."""

    def __init__(self, key: Key) -> None:
        self._checker = checker(key)
        self._why = ""

    def feed(self, view: memoryview, digest: bytes) -> None:
        """The next bytes."""
        try:
            self._checker.feed(view)  # type: ignore[arg-type]  # hashes take any bytes
        except IntegrityError as error:
            self._why = error.why

    def fault(self) -> str:
        """Why they are wrong."""
        if not self._why:
            try:
                self._checker.finish()
            except IntegrityError as error:
                self._why = error.why
        return self._why


def _check_of(record: FileRecord, chunk_size: int) -> _Check:
    if record.key is None:
        return _NO_CHECK
    key = Key(record.key)
    if record.size <= chunk_size and is_sha256(key):
        return _OneLeaf(key_digest(key))
    return _ByKey(key)


def is_sha256(key: Key) -> bool:
    """Whether the key holds the sha2-256 of its content."""
    return is_verifiable(key.backend) and backend_of(key) == b"SHA256"


def leaf_digest(view: memoryview) -> bytes:
    """The digest in a leaf's CID."""
    return sha256(view).digest()


def check_leaf(record: FileRecord, view: memoryview) -> bytes:
    """The digest of a file that is one leaf, and was read.

    Raises:
        SourceFault: It is not what its key says.
    """
    digest = leaf_digest(view)
    check = _check_of(record, len(view))
    check.feed(view, digest)
    if why := check.fault():
        raise SourceFault(record, why, None)
    return digest


_DOT = ord(".")
_DASHES, _MD5E, _SHA256E = b"--", b"MD5E-", b"SHA256E-"
_NO_CHECK = _NoCheck()
