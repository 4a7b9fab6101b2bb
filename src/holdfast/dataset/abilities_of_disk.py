"""What a file system can do, tried out in a scratch folder that is gone afterwards.

Each ability is found by doing, not by the file system's name: the same one behaves otherwise with
other mount options. Only for a network file system the kind is read, as its locks and times may
work for one machine and fail between two.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from .reflink import clone

SYNC_TRIES = 5
MAGIC = b"hold doctor"

NETWORK = frozenset(
    (
        "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.ceph", "fuse.davfs2",
        "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre",
        "ncpfs", "nfs", "nfs4", "pvfs2", "smb2", "smb3", "smbfs", "virtiofs", "webdav",
    )
)  # fmt: skip

_HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
try:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(7)
except OSError:
    sys.exit(8)
"""


@dataclass(frozen=True, slots=True)
class Mount:
    """What a folder lies on: the kind of file system, where it is mounted, how."""

    kind: str
    folder: str
    options: str = ""

    @property
    def is_network(self) -> bool:
        """Whether other machines may write it at the same time."""
        return self.kind in NETWORK


@dataclass(frozen=True, slots=True)
class Room:
    """How much is free: bytes, and files (None where the file system has no limit of its own)."""

    free: int
    total: int
    files_free: int | None


@contextmanager
def scratch_folder(folder: bytes) -> Iterator[bytes]:
    """A folder to try things in, on the same file system.

    Raises:
        OSError: Nothing can be written there.
    """
    path = tempfile.mkdtemp(prefix=b".hold-doctor-", dir=folder)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def can_symlink(scratch: bytes) -> bool:
    """Whether a symbolic link comes back as it was made."""
    with suppress(OSError):
        os.symlink(b"target", scratch + b"/link")
        return os.readlink(scratch + b"/link") == b"target"
    return False


def can_hardlink(scratch: bytes) -> bool:
    """Whether one file can have two names."""
    with suppress(OSError):
        _write(scratch + b"/one")
        os.link(scratch + b"/one", scratch + b"/two")
        return os.stat(scratch + b"/one").st_nlink == 2
    return False


def can_reflink(scratch: bytes) -> bool:
    """Whether a copy can share the blocks of the original."""
    _write(scratch + b"/whole", b"x" * 8192)
    with open(scratch + b"/whole", "rb") as source, open(scratch + b"/clone", "wb") as target:
        return clone(source.fileno(), target.fileno())


def is_case_sensitive(scratch: bytes) -> bool:
    """Whether ``a`` and ``A`` are two files."""
    _write(scratch + b"/case")
    return not os.path.lexists(scratch + b"/CASE")


def keeps_permissions(scratch: bytes) -> bool:
    """Whether the write permission can be taken from a file."""
    path = scratch + b"/mode"
    _write(path)
    with suppress(OSError):
        os.chmod(path, 0o444)
    return os.stat(path).st_mode & 0o777 == 0o444


def name_length(scratch: bytes) -> int:
    """How many bytes a file name may have, found by making one; git-annex's keys have up to 255."""
    for length in (255, 200, 143, 100):
        try:
            _write(scratch + b"/" + b"n" * length)
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.EINVAL):
                raise
            continue
        return length
    return 0


def locks_hold(scratch: bytes) -> bool | None:
    """Whether a lock of one process keeps another out; None when locks are not there at all."""
    path = scratch + b"/lock"
    _write(path)
    with open(path, "r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return None
        other = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _HOLDER, path], check=False, stdin=subprocess.DEVNULL
        )
    return other.returncode == 7


def sync_seconds(scratch: bytes) -> float:
    """How long it takes until a small file is surely on the disk; the middle of some tries."""
    times = []
    for number in range(SYNC_TRIES):
        began = time.perf_counter()
        with open(scratch + b"/sync%d" % number, "wb") as file:
            file.write(MAGIC)
            file.flush()
            os.fsync(file.fileno())
        times.append(time.perf_counter() - began)
    return sorted(times)[SYNC_TRIES // 2]


def room(folder: bytes) -> Room:
    """How much is free for us."""
    status = os.statvfs(folder)
    files = status.f_favail if status.f_files else None
    return Room(status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize, files)


def mount_of(folder: bytes, table: bytes = b"/proc/self/mounts") -> Mount | None:
    """The mount a folder is on; None where the system keeps no table of them."""
    try:
        with open(table, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    full = os.path.realpath(folder)
    best: Mount | None = None
    for line in lines:
        _, where, kind, options, *_ = line.split(b" ")
        where = _unescape(where)
        inside = full == where or full.startswith(where.rstrip(b"/") + b"/")
        if inside and (best is None or len(where) >= len(os.fsencode(best.folder))):
            best = Mount(kind.decode(), os.fsdecode(where), options.decode())
    return best


def _unescape(raw: bytes) -> bytes:
    for code, sign in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        raw = raw.replace(code, sign)
    return raw


def _write(path: bytes, content: bytes = MAGIC) -> None:
    with open(path, "wb") as file:
        file.write(content)
