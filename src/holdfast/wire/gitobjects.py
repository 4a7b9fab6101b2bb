"""Git objects as bytes: names, trees, commits. Both hash algorithms of git.

Written canonically; read strictly, but for what old programs wrote and git itself accepts.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from struct import Struct
from typing import NamedTuple, NewType, Protocol

from ..core.errors import LocalProtocolError, ProtocolError

Oid = NewType("Oid", bytes)
"""The name of a git object, raw: 20 or 32 bytes."""

TREE_MODE = b"40000"
FILE_MODE = b"100644"
EXECUTABLE_MODE = b"100755"
SYMLINK_MODE = b"120000"
GITLINK_MODE = b"160000"


class Hasher(Protocol):
    """What we use of an object of hashlib."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take bytes in."""

    def digest(self) -> bytes:
        """The hash of all that was taken in."""


class ObjectFormat(NamedTuple):
    """How a repository names objects: git's word for the algorithm, and bytes in a name."""

    name: str
    digest_size: int

    @property
    def hasher(self) -> Callable[[bytes], Hasher]:
        """What begins a hash."""
        return _hasher(self.name)


@cache
def _hasher(name: str) -> Callable[[bytes], Hasher]:
    import hashlib  # late: OpenSSL takes a while to load, and looking often needs no hash

    hasher: Callable[[bytes], Hasher] = getattr(hashlib, name)
    return hasher


SHA1 = ObjectFormat("sha1", 20)
SHA256 = ObjectFormat("sha256", 32)

_CONCATENATE_MAX = 1 << 16
_SMALL = 4096
_TINY = 256
_STORED = Struct("<HH").pack
_NOT_NAMES = frozenset((b"", b".", b"..", b".git"))
_HEADER = rb"([^ \n]+) ([^\n]*(?:\n [^\n]*)*)\n"
_HEX = rb"[0-9a-f]{40}(?:[0-9a-f]{24})?"


def hash_object(kind: bytes, data: bytes, fmt: ObjectFormat) -> Oid:
    """The name of an object, its kind given as git's word (``b"blob"``)."""
    header = b"%b %d\0" % (kind, len(data))
    if len(data) < _CONCATENATE_MAX:
        return Oid(fmt.hasher(header + data).digest())
    hasher = fmt.hasher(header)
    hasher.update(data)
    return Oid(hasher.digest())


def deflate(data: bytes, level: int = 1) -> bytes:
    """Compress an object as git keeps it, loose or packed."""
    size = len(data)
    if size < _TINY:
        # Hex digits hardly shrink, and a compressor costs ten times what storing does.
        checksum = zlib.adler32(data).to_bytes(4, "big")
        return b"\x78\x01\x01%b%b%b" % (_STORED(size, size ^ 0xFFFF), data, checksum)
    if size > _SMALL:
        return zlib.compress(data, level)
    # The state of a compressor with zlib's usual window is 256 KiB: setting it up costs ten times
    # what a small object does. This one looks back over 4 KiB, so over all there is.
    compressor = zlib.compressobj(level, zlib.DEFLATED, 12, 4)
    return compressor.compress(data) + compressor.flush()


# Trees


def encode_tree(entries: Collection[tuple[bytes, bytes, Oid]]) -> bytes:
    """A tree of (mode, name, object), which may come in any order.

    Raises:
        LocalProtocolError: A name is given twice, or git would not take it.
    """
    if len(entries) == 1:  # as are most directories of the ledger
        ((mode, name, oid),) = entries
        if name not in _NOT_NAMES and b"/" not in name and b"\0" not in name:
            return b"%b %b\0%b" % (mode, name, oid)
    keyed = [
        # Git compares a directory as if its name ended in a slash.
        (name + b"/" if mode == TREE_MODE else name, name, b"%b %b\0%b" % (mode, name, oid))
        for mode, name, oid in entries
    ]
    names = {name for _, name, _ in keyed}
    if len(names) < len(keyed) or not names.isdisjoint(_NOT_NAMES):
        raise LocalProtocolError("a tree cannot hold a name twice, or one of '', '.', '..', '.git'")
    joined = b"".join(names)
    if b"/" in joined or b"\0" in joined:
        raise LocalProtocolError("a name in a tree cannot hold a slash or a NUL")
    keyed.sort()
    return b"".join([raw for _, _, raw in keyed])


@cache
def _tree_entry(size: int) -> re.Pattern[bytes]:
    return re.compile(rb"([0-7]{5,7}) ([^\0/]+)\0(.{%d})" % size, re.DOTALL)


def iter_tree(data: bytes, fmt: ObjectFormat) -> Iterator[tuple[bytes, bytes, Oid]]:
    """Yield (mode, name, object) of a tree, in its order.

    The whole is checked before the first entry is given. Zeros that old programs wrote before a
    mode are left out.

    Raises:
        ProtocolError: It is not a tree, or has a name that leads out of its directory.
    """
    found: list[tuple[bytes, bytes, Oid]] = _tree_entry(fmt.digest_size).findall(data)
    size = len(found) * (fmt.digest_size + 2)
    unsafe = padded = False
    for mode, name, _ in found:
        size += len(mode) + len(name)
        if name in _NOT_NAMES:
            unsafe = True
        if mode[0] == 0x30:
            padded = True
    if size != len(data) or unsafe:
        raise ProtocolError(f"not a tree of {fmt.name} objects: {data[:100]!r}")
    if padded:
        found = [(mode.lstrip(b"0"), name, oid) for mode, name, oid in found]
    return iter(found)


# Commits


class Commit(NamedTuple):
    """One commit. People are as git writes them: ``Name <mail> seconds zone``."""

    tree: Oid
    parents: tuple[Oid, ...]
    author: bytes
    committer: bytes
    message: bytes
    encoding: bytes | None = None
    extra: tuple[tuple[bytes, bytes], ...] = ()


def encode_commit(
    tree: Oid,
    parents: Sequence[Oid],
    author: bytes,
    committer: bytes,
    message: bytes,
    encoding: bytes | None = None,
    extra: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """A commit; the message is written as it is, a value in ``extra`` may have several lines.

    Raises:
        LocalProtocolError: A header or the message holds bytes that cannot be in a commit.
    """
    if b"\n" in author or b"\n" in committer:
        raise LocalProtocolError("the author and committer of a commit are one line each")
    headers = [b"tree " + tree.hex().encode()]
    headers += [b"parent " + parent.hex().encode() for parent in parents]
    headers += [b"author " + author, b"committer " + committer]
    if encoding is not None:
        headers.append(b"encoding " + encoding)
    headers += [name + b" " + value.replace(b"\n", b"\n ") for name, value in extra]
    raw = b"%b\n\n%b" % (b"\n".join(headers), message)
    if b"\0" in raw:
        raise LocalProtocolError("a commit cannot hold a NUL")
    return raw


def parse_commit(data: bytes) -> Commit:
    """Read a commit. Headers we do not know (signatures, say) are in ``extra``, in order.

    Raises:
        ProtocolError: It is not a commit.
    """
    headers, message = _split_commit(data)
    parents: list[Oid] = []
    tree = _header_oid(headers, 0, b"tree", data)
    position = 1
    while position < len(headers) and headers[position][0] == b"parent":
        parents.append(_header_oid(headers, position, b"parent", data))
        position += 1
    people = headers[position : position + 2]
    rest = headers[position + 2 :]
    if [name for name, _ in people] != [b"author", b"committer"]:
        raise _not_a_commit(data)
    encoding = rest.pop(0)[1] if rest and rest[0][0] == b"encoding" else None
    return Commit(tree, tuple(parents), people[0][1], people[1][1], message, encoding, tuple(rest))


def _split_commit(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    headers = []
    header = re.compile(_HEADER)
    position = 0
    while position < len(data) and data[position] != 0x0A:
        found = header.match(data, position)
        if found is None:
            raise _not_a_commit(data)
        headers.append((found[1], found[2].replace(b"\n ", b"\n")))
        position = found.end()
    return headers, data[position + 1 :]


def _header_oid(headers: list[tuple[bytes, bytes]], index: int, name: bytes, data: bytes) -> Oid:
    if (
        index >= len(headers)
        or headers[index][0] != name
        or not re.fullmatch(_HEX, headers[index][1])
    ):
        raise _not_a_commit(data)
    return Oid(bytes.fromhex(headers[index][1].decode()))


def _not_a_commit(data: bytes) -> ProtocolError:
    return ProtocolError(f"not a commit: {data[:100]!r}")
