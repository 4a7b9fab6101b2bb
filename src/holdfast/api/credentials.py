"""Credentials for special remotes: where they are looked for, and where they are kept.

In this order: the environment; ``.git/annex/creds`` of this clone, as git-annex keeps them; the
remote's own settings, where a person had them embedded; the system's keyring. They go nowhere else.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from ..core.errors import HoldError
from ..core.place import PlaceId
from ..stores.special import Credentials

Open = Callable[[bytes], bytes]
"""Decrypts with a remote's cipher."""


class Words(NamedTuple):
    """How a kind of special remote calls its credentials."""

    user: str
    password: str
    embedded: str


WORDS = {
    "S3": Words("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "s3creds"),
    "glacier": Words("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "s3creds"),
    "webdav": Words("WEBDAV_USERNAME", "WEBDAV_PASSWORD", "davcreds"),
}
KEYRING = "holdfast"


class Lookup:
    """Finds the credentials of one special remote when they are first wanted."""

    def __init__(
        self,
        annex_dir: bytes,
        ways: tuple[PlaceId, ...],
        config: Mapping[str, str],
        environment: Mapping[str, str],
        decrypt: Open,
    ) -> None:
        """``ways`` are the UUIDs that a file of this clone may be named after."""
        self._annex_dir = annex_dir
        self._ways = ways
        self._config = config
        self._environment = environment
        self._decrypt = decrypt
        self._found: list[Credentials | None] = []

    def __call__(self) -> Credentials | None:
        """The credentials, None when there are none."""
        if not self._found:
            self._found.append(self._look())
        return self._found[0]

    def _look(self) -> Credentials | None:
        words = WORDS.get(self._config.get("type", ""))
        return (
            (from_environment(words, self._environment) if words else None)
            or next(filter(None, map(self._kept, self._ways)), None)
            or (self._embedded(words) if words else None)
            or next(filter(None, map(_in_keyring, self._ways)), None)
        )

    def _kept(self, way: PlaceId) -> Credentials | None:
        with suppress(OSError), open(_path(self._annex_dir, way), "rb") as file:
            return parse(file.read())
        return None

    def _embedded(self, words: Words) -> Credentials | None:
        given = self._config.get(words.embedded)
        if not given:
            return None
        try:
            raw = b64decode(given, validate=True)
        except Base64Error:
            return None
        if self._config.get("encryption", "none") != "none":
            try:
                raw = self._decrypt(raw)
            except HoldError:
                return None  # somebody else's key opens them: they are not for us
        return parse(raw)


def from_environment(words: Words, environment: Mapping[str, str]) -> Credentials | None:
    """What the environment holds, when it holds both parts."""
    user, password = environment.get(words.user), environment.get(words.password)
    return (user, password) if user and password else None


def parse(raw: bytes) -> Credentials | None:
    """Two lines: user, password; None when it is something else."""
    lines = raw.decode("utf-8", "surrogateescape").split("\n")
    return (lines[0], lines[1]) if len(lines) > 1 and lines[0] and lines[1] else None


def embed(credentials: Credentials, encrypt: Open | None) -> str:
    """As a word of the configuration that all clones share; without ``encrypt`` for all to read."""
    raw = _lines(credentials)
    return b64encode(raw if encrypt is None else encrypt(raw)).decode()


def keep(annex_dir: bytes, way: PlaceId, credentials: Credentials) -> None:
    """Keep them in this clone, for its owner alone."""
    path = _path(annex_dir, way)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    beside = b"%b.%d" % (path, os.getpid())
    with suppress(FileNotFoundError):
        os.unlink(beside)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_lines(credentials))
    os.rename(beside, path)


def _lines(credentials: Credentials) -> bytes:
    return f"{credentials[0]}\n{credentials[1]}\n".encode("utf-8", "surrogateescape")


def _path(annex_dir: bytes, way: PlaceId) -> bytes:
    return os.path.join(annex_dir, b"creds", os.fsencode(os.path.basename(way)))


def _in_keyring(way: PlaceId) -> Credentials | None:
    try:
        import keyring

        # Those of a lower rank keep files that anybody reads, or ask a person in the middle.
        if keyring.get_keyring().priority < 1:
            return None
        found = keyring.get_password(KEYRING, way)
    except Exception:  # a keyring that fails, in whatever way, is one that has nothing
        return None
    return parse(os.fsencode(found)) if found else None
