"""BagIt (RFC 8493): the small text files of a bag. Pure.

Paths in them have CR, LF and % percent-encoded, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..core.errors import ProtocolError

DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
PAYLOAD = b"data/"

ALGORITHMS = {"md5": b"MD5", "sha1": b"SHA1", "sha256": b"SHA256", "sha512": b"SHA512"}
"""The hashes that bags are made with, weakest first, and the backends that are the same hash."""

_MANIFEST = re.compile(r"(tag)?manifest-([a-z0-9]+)\.txt")
_LINE = re.compile(rb"([0-9A-Fa-f]+)[ \t]+\*?([^\r\n]+)")
_VERSION = re.compile(rb"BagIt-Version: (\d+)\.(\d+)\s*\n")


class Listed(NamedTuple):
    """A line of a manifest: the hash in lower-case hex, and the path in the bag."""

    digest: str
    path: bytes


def manifest_name(algorithm: str, *, of_tags: bool = False) -> str:
    """The name of a manifest."""
    return f"{'tag' if of_tags else ''}manifest-{algorithm}.txt"


def algorithm_of(name: str, *, of_tags: bool = False) -> str | None:
    """The hash that a manifest of this name lists; None when it is no such manifest's name."""
    found = _MANIFEST.fullmatch(name)
    return found[2] if found and bool(found[1]) is of_tags else None


def encode_line(listed: Listed) -> bytes:
    """A line of a manifest."""
    path = listed.path.replace(b"%", b"%25").replace(b"\n", b"%0A").replace(b"\r", b"%0D")
    return b"%b  %b\n" % (listed.digest.encode(), path)


def iter_manifest(lines: Iterable[bytes]) -> Iterator[Listed]:
    """Read a manifest.

    Raises:
        ProtocolError: A line is none of a manifest.
    """
    for number, line in enumerate(lines, 1):
        bare = line.rstrip(b"\r\n")
        if not bare:
            continue
        found = _LINE.fullmatch(bare)
        if found is None:
            raise ProtocolError(f"line {number} of a manifest is none")
        yield Listed(found[1].decode().lower(), _decoded(found[2]))


def _decoded(path: bytes) -> bytes:
    for code, sign in ((rb"%0[Aa]", b"\n"), (rb"%0[Dd]", b"\r"), (rb"%25", b"%")):
        path = re.sub(code, sign, path)
    return path.removeprefix(b"./")


def check_declaration(content: bytes) -> None:
    """See that ``bagit.txt`` declares a bag that we can read.

    Raises:
        ProtocolError: It does not.
    """
    found = _VERSION.match(content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n"))
    if found is None:
        raise ProtocolError("bagit.txt does not tell the version of BagIt")
    if int(found[1]) > 1:
        raise ProtocolError(f"it is of BagIt {found[1].decode()}.{found[2].decode()}")


def encode_info(fields: Sequence[tuple[str, str]]) -> bytes:
    """``bag-info.txt``: labels and values, in the order given."""
    return "".join(f"{label}: {' '.join(value.split())}\n" for label, value in fields).encode()


def parse_info(content: bytes) -> Mapping[str, str]:
    """The labels of ``bag-info.txt``, each with its last value; lines that go on are joined."""
    found: dict[str, str] = {}
    label = ""
    for line in content.decode("utf-8", "replace").splitlines():
        if line[:1] in (" ", "\t") and label:
            found[label] += " " + line.strip()
        elif ":" in line:
            label, _, value = line.partition(":")
            label = label.strip()
            found[label] = value.strip()
    return found
