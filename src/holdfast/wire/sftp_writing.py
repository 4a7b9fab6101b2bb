"""SFTP, version 3: the requests that writing needs, as pure code. `wire.sftp` has the others.

Format: draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL for names with an ``@``.
"""

from __future__ import annotations

from struct import Struct

POSIX_RENAME = b"posix-rename@openssh.com"
FSYNC = b"fsync@openssh.com"
WRITE_SAFE = 1 << 15
"""So much may be written by one WRITE to any server."""
FAILURE = 4
"""The code of a status that says no more than that it failed: a folder that is there already."""

_OPEN, _WRITE, _SETSTAT, _FSETSTAT = 3, 6, 9, 10
_REMOVE, _MKDIR, _RMDIR, _RENAME, _EXTENDED = 13, 14, 15, 18, 200
_HAS_MODE = 4
_NEW = 2 | 8 | 32  # to write, made, and only if it is not there
_HEAD = Struct(">IBI")
_U32, _U64 = Struct(">I"), Struct(">Q")


def _request(number: int, kind: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return _HEAD.pack(5 + len(body), kind, number) + body


def _text(raw: bytes) -> bytes:
    return _U32.pack(len(raw)) + raw


def _mode(mode: int | None) -> bytes:
    return _U32.pack(0) if mode is None else _U32.pack(_HAS_MODE) + _U32.pack(mode)


def open_new(number: int, path: bytes) -> bytes:
    """Make a file that is not there yet; answered by `Handle`, or `Status`."""
    return _request(number, _OPEN, _text(path), _U32.pack(_NEW), _mode(None))


def write(number: int, handle: bytes, offset: int, data: bytes) -> bytes:
    """Write bytes of an open file; answered by `Status`."""
    return _request(number, _WRITE, _text(handle), _U64.pack(offset), _text(data))


def set_mode(number: int, path: bytes, mode: int) -> bytes:
    """Set the mode of a path; answered by `Status`."""
    return _request(number, _SETSTAT, _text(path), _mode(mode))


def set_open_mode(number: int, handle: bytes, mode: int) -> bytes:
    """Set the mode of an open file; answered by `Status`."""
    return _request(number, _FSETSTAT, _text(handle), _mode(mode))


def sync(number: int, handle: bytes) -> bytes:
    """Bring an open file to the server's disk (`FSYNC`); answered by `Status`."""
    return _request(number, _EXTENDED, _text(FSYNC), _text(handle))


def make_folder(number: int, path: bytes) -> bytes:
    """Make a folder; answered by `Status`."""
    return _request(number, _MKDIR, _text(path), _mode(None))


def remove_folder(number: int, path: bytes) -> bytes:
    """Remove an empty folder; answered by `Status`."""
    return _request(number, _RMDIR, _text(path))


def remove(number: int, path: bytes) -> bytes:
    """Remove a file; answered by `Status`."""
    return _request(number, _REMOVE, _text(path))


def rename(number: int, path: bytes, target: bytes, *, posix: bool) -> bytes:
    """Rename a file, in one step over what is there where ``posix`` (`POSIX_RENAME`) is known."""
    if posix:
        return _request(number, _EXTENDED, _text(POSIX_RENAME), _text(path), _text(target))
    return _request(number, _RENAME, _text(path), _text(target))
