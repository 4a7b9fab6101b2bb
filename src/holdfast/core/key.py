"""The key: the name of content, in git-annex's writing.

A key is its own bytes, ``BACKEND[-sSIZE][-mMTIME][-SCHUNKSIZE][-CCHUNKNO]--NAME``, so that a
million of them cost no more than their bytes, sort as git does, and go to disk unchanged.
Format: git-annex's "key format" page, checked against the program (see docs/formats/annex.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING

from .errors import ProtocolError

if TYPE_CHECKING:
    import hashlib

_KEY = re.compile(
    rb"([^-\n]+)"
    rb"(?:-s([0-9]{1,40}))?(?:-m([0-9]{1,40}))?(?:-S([0-9]{1,40}))?(?:-C([0-9]{1,40}))?"
    rb"--([^\n]*)",
    re.DOTALL,
)
RECENT = 16384
"""For so many keys the paths made of them are remembered: each verb asks for them a few times."""

_CHUNK_FIELDS = re.compile(rb"^([^-]+(?:-s[0-9]+)?(?:-m[0-9]+)?)(?:-S[0-9]+)?(?:-C[0-9]+)?--")
_MIXED = b"0123456789zqjxkmvwgpfZQJXKMVWGPF"


class Key(bytes):
    """The name of some content, canonical, as bytes.

    Equal keys name equal content. Make one with `Key.parse` (checked), `Key.make`, or, for bytes
    known to be canonical already, with `Key(raw)`.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, raw: bytes) -> Key:
        """Read a key; leading zeros of its numbers are dropped, as git-annex does.

        Raises:
            ProtocolError: These bytes are not a key.
        """
        found = _KEY.fullmatch(raw)
        if found is None:
            raise ProtocolError(f"not a key: {raw[:100]!r}")
        backend, size, mtime, chunk_size, chunk_number, name = found.groups()
        if raw.find(b"-", 0, raw.index(b"--")) < 0:
            return cls(raw)
        return cls.make(
            backend,
            name,
            size=_number(size),
            mtime=_number(mtime),
            chunk_size=_number(chunk_size),
            chunk_number=_number(chunk_number),
        )

    @classmethod
    def make(
        cls,
        backend: bytes,
        name: bytes,
        *,
        size: int | None = None,
        mtime: int | None = None,
        chunk_size: int | None = None,
        chunk_number: int | None = None,
    ) -> Key:
        """Write a key from its fields; sizes in bytes, mtime in whole seconds."""
        fields = ((b"-s", size), (b"-m", mtime), (b"-S", chunk_size), (b"-C", chunk_number))
        middle = b"".join(b"%b%d" % (tag, value) for tag, value in fields if value is not None)
        return cls(b"%b%b--%b" % (backend, middle, name))

    @classmethod
    def from_file_name(cls, name: bytes) -> Key:
        """Read the key that an object, log or transfer file is named after.

        Raises:
            ProtocolError: The name is not one of a key.
        """
        return cls.parse(decode_file_name(name))

    @property
    def backend(self) -> bytes:
        """The backend's name, such as ``SHA256E``."""
        return self[: self.index(b"-")]

    @property
    def name(self) -> bytes:
        """What follows the fields: a hex digest (and extension), a URL, a path."""
        return self[self.index(b"--") + 2 :]

    @property
    def size(self) -> int | None:
        """The content's size in bytes, when the key tells it."""
        return _size_of(self)

    @property
    def mtime(self) -> int | None:
        """The modification time in whole seconds (WORM keys)."""
        return self._field(3)

    @property
    def chunk_size(self) -> int | None:
        """The size in bytes of the chunks this key is one of."""
        return self._field(4)

    @property
    def chunk_number(self) -> int | None:
        """Which chunk this key is, counted from 1."""
        return self._field(5)

    @property
    def stored_size(self) -> int | None:
        """How many bytes a place keeps under this key: of a chunk, those of the chunk alone."""
        size = self.size
        if size is None or self.find(b"-C") < 0 or (number := self.chunk_number) is None:
            return size
        chunk_size = self.chunk_size
        if chunk_size is None:
            return None
        return max(0, min(chunk_size, size - (number - 1) * chunk_size))

    @property
    def unchunked(self) -> Key:
        """The key of the whole content that this is a chunk of."""
        return Key(_CHUNK_FIELDS.sub(rb"\1--", self))

    @property
    def file_name(self) -> bytes:
        """The key as one component of a path."""
        return encode_file_name(self)

    @property
    def text(self) -> str:
        """The key for people and JSON; undecodable bytes as surrogates."""
        return self.decode("utf-8", "surrogateescape")

    def _field(self, group: int) -> int | None:
        found = _KEY.fullmatch(self)
        return _number(found.group(group)) if found else None


@lru_cache(maxsize=RECENT)  # asked for several times of each key, and more often than all else
def _size_of(key: bytes) -> int | None:
    # Without the pattern: the size is always the first field.
    start = key.index(b"-")
    if key[start : start + 2] != b"-s":
        return None
    digits = key[start + 2 : key.index(b"-", start + 2)]
    return int(digits) if digits.isdigit() else None


def _number(digits: bytes | None) -> int | None:
    return None if digits is None else int(digits)


def encode_file_name(raw: bytes) -> bytes:
    """Make one path component of a key's bytes."""
    if b"&" in raw or b"%" in raw or b":" in raw or b"/" in raw:
        return (
            raw.replace(b"&", b"&a").replace(b"%", b"&s").replace(b":", b"&c").replace(b"/", b"%")
        )
    return bytes(raw)


def decode_file_name(name: bytes) -> bytes:
    """Undo `encode_file_name`."""
    if b"&" in name or b"%" in name:
        return (
            name.replace(b"%", b"/").replace(b"&c", b":").replace(b"&s", b"%").replace(b"&a", b"&")
        )
    return name


def _whole(key: Key) -> Key:
    return key if key.find(b"-S") < 0 and key.find(b"-C") < 0 else key.unchunked


@cache
def _md5() -> Callable[[bytes], hashlib._Hash]:
    import hashlib  # late: OpenSSL takes a while to load, and a status of a clean folder needs none

    return partial(hashlib.md5, usedforsecurity=False)


def hash_dir_lower(key: Key) -> bytes:
    """The two directories, ``abc/def``, of bare repositories, stores and the git-annex branch."""
    digest = _md5()(_whole(key)).hexdigest()
    return b"%b/%b" % (digest[:3].encode(), digest[3:6].encode())


def hash_dir_mixed(key: Key) -> bytes:
    """The two directories, ``7P/x0``, of a repository with a work tree."""
    digest = _md5()(_whole(key)).digest()
    word = digest[0] | digest[1] << 8 | digest[2] << 16
    names = _mixed_names()
    return names[word & 0x7FF] + b"/" + names[word >> 12 & 0x7FF]


@cache
def _mixed_names() -> list[bytes]:
    """The name of a directory by eleven bits of the hash, of which the sixth does not count."""
    return [bytes((_MIXED[bits >> 6], _MIXED[bits & 31])) for bits in range(1 << 11)]


@lru_cache(maxsize=RECENT)
def object_path(key: Key) -> bytes:
    """Where content lies below ``annex/objects`` of a repository with a work tree."""
    name = encode_file_name(key)
    return b"/".join((hash_dir_mixed(key), name, name))


def object_paths(keys: Sequence[bytes]) -> list[bytes]:
    """`object_path` of many keys."""
    together = b"\0".join(keys)
    if any(sign in together for sign in (b"&", b"%", b":", b"/", b"-S", b"-C")):
        return [object_path(Key(key)) for key in keys]
    names, md5, number = _mixed_names(), _md5(), int.from_bytes
    words = [number(md5(key).digest()[:3], "little") for key in keys]
    return [
        b"%b/%b/%b/%b" % (names[word & 0x7FF], names[word >> 12 & 0x7FF], key, key)
        for word, key in zip(words, keys, strict=True)
    ]


@lru_cache(maxsize=RECENT)
def object_path_lower(key: Key) -> bytes:
    """Where content lies below ``annex/objects`` of a bare repository."""
    name = encode_file_name(key)
    return b"%b/%b/%b" % (hash_dir_lower(key), name, name)
