"""Backends: how content is hashed to make and to check keys.

All of git-annex's built-in ones. Names may come with the ``E`` of those that keep an extension.
Format: docs/formats/annex.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Protocol

from . import faults
from .errors import HoldError
from .extensions import USUAL_LIMITS, ExtensionLimits, key_extension
from .key import Key

USUAL_BACKEND = b"SHA256E"


class Hasher(Protocol):
    """A running hash."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes in."""

    def hexdigest(self) -> str:
        """The digest of all bytes so far, in lower-case hex."""


MakeHasher = Callable[[bytes], Hasher]


def _skein(size: int, data: bytes) -> Hasher:
    from .skein import Skein  # seldom used, and costly to prepare

    return Skein(size, data)


def _blake2_parallel(name: str, data: bytes) -> Hasher:
    from . import blake2sp  # seldom used

    make: MakeHasher = getattr(blake2sp, name)
    return make(data)


def _from_package(backend: str, package: str, name: str, data: bytes) -> Hasher:
    try:
        make: MakeHasher = getattr(import_module(package), name)
    except ImportError:
        detail = f"the Python package {package} is not there"
        raise faults.NO_BACKEND(backend=backend, detail=detail) from None
    return make(data)


_MAKERS: dict[bytes, MakeHasher] = {
    b"MD5": partial(hashlib.md5, usedforsecurity=False),
    b"SHA1": partial(hashlib.sha1, usedforsecurity=False),
    b"SHA224": hashlib.sha224,
    b"SHA256": hashlib.sha256,
    b"SHA384": hashlib.sha384,
    b"SHA512": hashlib.sha512,
    b"SHA3_224": hashlib.sha3_224,
    b"SHA3_256": hashlib.sha3_256,
    b"SHA3_384": hashlib.sha3_384,
    b"SHA3_512": hashlib.sha3_512,
    b"BLAKE2B160": partial(hashlib.blake2b, digest_size=20),
    b"BLAKE2B224": partial(hashlib.blake2b, digest_size=28),
    b"BLAKE2B256": partial(hashlib.blake2b, digest_size=32),
    b"BLAKE2B384": partial(hashlib.blake2b, digest_size=48),
    b"BLAKE2B512": hashlib.blake2b,
    b"BLAKE2S160": partial(hashlib.blake2s, digest_size=20),
    b"BLAKE2S224": partial(hashlib.blake2s, digest_size=28),
    b"BLAKE2S256": hashlib.blake2s,
    b"BLAKE2BP512": partial(_blake2_parallel, "blake2bp512"),
    b"BLAKE2SP224": partial(_blake2_parallel, "Blake2sp224"),
    b"BLAKE2SP256": partial(_blake2_parallel, "blake2sp256"),
    b"SKEIN256": partial(_skein, 32),
    b"SKEIN512": partial(_skein, 64),
    b"BLAKE3_256": partial(_from_package, "BLAKE3_256", "blake3", "blake3"),
    b"XXH3": partial(_from_package, "XXH3", "xxhash", "xxh3_64"),
}
_INSECURE = frozenset((b"MD5", b"SHA1", b"XXH3"))
_HASHLESS = frozenset((b"WORM", b"URL", b"VURL", b"GIT", b"GITBUNDLE", b"GITMANIFEST"))

HASH_BACKENDS = tuple(_MAKERS)
"""Every backend that names content by its hash, without the ``E`` forms."""


class Checker:
    """Watches bytes pass and says in the end whether they are the ones a key names.

    Keys that hold no hash (`is_verifiable`) are checked for their size only.
    """

    def __init__(self, key: Key, source: str = "the source") -> None:
        """Start for a key; ``source`` is who to name when the bytes are wrong.

        Raises:
            UsageError: No program here can hash with the key's backend.
        """
        assert key.chunk_number is None, "a chunk has no hash of its own; check the whole"
        self.key = key
        self.size = 0
        self._source = source
        self._wanted_size = key.size
        self._hasher = None if key.backend in _HASHLESS else hasher(key.backend)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            IntegrityError: There are more bytes than the key says.
        """
        self.size += len(chunk)
        if self._wanted_size is not None and self.size > self._wanted_size:
            self._refuse(f"it should have {self._wanted_size} bytes and has more")
        if self._hasher is not None:
            self._hasher.update(chunk)

    def finish(self) -> None:
        """All bytes were fed: are they the ones?

        Raises:
            IntegrityError: They are not.
        """
        digest = "" if self._hasher is None else self._hasher.hexdigest()
        check_hashed(self.key, self.size, digest, self._source)

    def _refuse(self, detail: str) -> None:
        raise _wrong(self.key, self._source, detail)


def check_hashed(key: Key, size: int, hexdigest: str, source: str = "the source") -> None:
    """Pass when content of that size and hash is what a key names; without a hash, by its size.

    Raises:
        IntegrityError: It is not.
    """
    if key.size is not None and size != key.size:
        raise _wrong(key, source, f"it should have {key.size} bytes and has {size}")
    if hexdigest and hexdigest != key_digest(key):
        raise _wrong(key, source, f"its hash should be {key_digest(key)} and is {hexdigest}")


def _wrong(key: Key, source: str, detail: str) -> HoldError:
    return faults.WRONG_CONTENT(
        source=source,
        key=key.text,
        detail=detail,
        next="run the same command again; if it stays so, the copy there is damaged",
    )


def checker(key: Key, source: str = "the source") -> Checker:
    """A fresh `Checker` for a key."""
    return Checker(key, source)


def backend_of(key: Key) -> bytes:
    """The backend of a key, without the ``E`` for the extension."""
    return _plain(key.backend)


def key_digest(key: Key) -> str:
    """The hex digest in the key of a hash backend, without the extension."""
    name = key.name
    if keeps_extension(key.backend):
        name = name.partition(b".")[0]
    return name.decode("utf-8", "surrogateescape")


def keeps_extension(backend: bytes) -> bool:
    """Whether it is one of the ``…E`` backends."""
    return _plain(backend) != backend


def is_verifiable(backend: bytes) -> bool:
    """Whether a key of it holds a hash that we can compute.

    A VURL key is checked through its equivalent keys, if there are some; here it counts as not.
    """
    return _plain(backend) in _MAKERS


def is_secure(backend: bytes) -> bool:
    """Whether nobody can make other content with the same key; unknown backends are not."""
    return is_verifiable(backend) and _plain(backend) not in _INSECURE


def hasher(backend: bytes, data: bytes = b"") -> Hasher:
    """A running hash, begun with ``data``.

    Raises:
        UsageError: No program here can hash with it.
    """
    return _maker(backend)(data)


def make_key(
    backend: bytes,
    file_name: bytes,
    size: int,
    hexdigest: str,
    limits: ExtensionLimits = USUAL_LIMITS,
) -> Key:
    """The key of hashed content; ``file_name`` is the base name that gives the extension."""
    extension = key_extension(file_name, *limits) if keeps_extension(backend) else b""
    return Key(b"%b-s%d--%b%b" % (backend, size, hexdigest.encode(), extension))


def digest_key(
    backend: bytes, data: bytes, file_name: bytes, limits: ExtensionLimits = USUAL_LIMITS
) -> Key:
    """The key of small content that is in memory as a whole."""
    return make_key(backend, file_name, len(data), _maker(backend)(data).hexdigest(), limits)


def worm_key(path: bytes, size: int, mtime: int) -> Key:
    """The key of a file by its path from the top, its size and time in whole seconds."""
    return Key.make(b"WORM", _sanitised(path), size=size, mtime=mtime)


def url_key(url: bytes, size: int | None = None, *, backend: bytes = b"URL") -> Key:
    """The key of what is at a URL (``URL`` or ``VURL``), with its size when that is known."""
    return Key.make(backend, _sanitised(url), size=size)


@cache
def _plain(backend: bytes) -> bytes:
    stem = backend[:-1]
    return stem if backend.endswith(b"E") and (stem in _MAKERS or stem[:1] == b"X") else backend


@cache
def _maker(backend: bytes) -> MakeHasher:
    found = _MAKERS.get(_plain(backend))
    if found is None:
        name = backend.decode("utf-8", "replace")
        raise faults.NO_BACKEND(backend=name, detail=_why_not(backend))
    return found


def _why_not(backend: bytes) -> str:
    if backend in _HASHLESS:
        return "its keys hold no hash"
    if backend.startswith(b"X"):
        program = _plain(backend).decode("utf-8", "replace")
        return f"it is an external one, and we do not run git-annex-backend-{program}"
    return "it is none of git-annex's backends"


_AS_IS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/%:")
_LENGTH_MAX = 64
_HEAD_LENGTH = 31


def _sanitised(raw: bytes) -> bytes:
    """A name that may stand in a key: odd characters by number, long names cut and hashed."""
    text = raw.decode("utf-8", "surrogateescape")
    clean = "".join(c if c in _AS_IS else ",," if c == "," else f",{ord(c)}" for c in text)
    if len(clean) > _LENGTH_MAX:
        digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        clean = f"{clean[:_HEAD_LENGTH]}-{digest}"
    return clean.encode()
