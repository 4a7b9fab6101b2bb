"""What can be asked of a bucket: single calls as values, with the hashes that a server checks."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..wire import s3

VERSION_HEADER = "x-amz-version-id"

DigestOf = Callable[[str], bytes | None]
"""The hash of some bytes by an algorithm, as hashlib calls it, if it is known already."""

Data = bytes | bytearray


@dataclass(frozen=True)
class Call:
    """One request: of an object, or with an empty name of the bucket itself."""

    method: str
    name: bytes
    query: Mapping[str, str] = field(default_factory=dict)
    data: Data = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    sha256: str = s3.EMPTY_SHA256
    """Of the data, in hex: it is signed."""


def with_data(
    method: str,
    name: bytes,
    query: Mapping[str, str],
    data: Data,
    headers: Mapping[str, str],
    digest_of: DigestOf = lambda _: None,
) -> Call:
    """A call that sends something, which the server checks by what it is told of it.

    Besides the signed hash it gets another one: servers that do not look at that look at this.
    """
    sha256 = digest_of("sha256") or hashlib.sha256(data).digest()
    md5 = digest_of("md5") or hashlib.md5(data, usedforsecurity=False).digest()
    told = {**headers, "content-md5": b64encode(md5).decode()}
    return Call(method, name, query, data, told, sha256.hex())


def head(name: bytes, version: str | None) -> Call:
    """Ask whether an object is there."""
    return Call("HEAD", name, _version(version))


def get(name: bytes, version: str | None, headers: Mapping[str, str]) -> Call:
    """Ask for an object."""
    return Call("GET", name, _version(version), b"", headers)


def _version(version: str | None) -> dict[str, str]:
    return {} if version is None else {"versionId": version}
