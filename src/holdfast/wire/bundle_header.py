"""What a git bundle begins with: the commits it needs, and the names it has for what it brings.

# v2 git bundle            (# v3 git bundle, and @object-format=sha256, where hashes are)
-COMMIT …
OBJECT NAME
(an empty line; then a pack)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..core.errors import ProtocolError

SHA256_LINE = b"@object-format=sha256"


class Ref(NamedTuple):
    """A name for an object, in hex."""

    oid: str
    name: str


class BundleHeader(NamedTuple):
    """The commits a bundle needs, and what it brings."""

    needs: list[str]
    refs: list[Ref]


def encode_header(header: BundleHeader, *, sha256: bool) -> bytes:
    """The bytes before the pack."""
    lines = [b"# v3 git bundle", SHA256_LINE] if sha256 else [b"# v2 git bundle"]
    lines += [f"-{commit} ".encode() for commit in header.needs]
    lines += [f"{oid} {name}".encode("utf-8", "surrogateescape") for oid, name in header.refs]
    return b"\n".join(lines) + b"\n\n"


def read_header(lines: Iterable[bytes]) -> BundleHeader:
    """The header that these lines begin with.

    Raises:
        ProtocolError: They are no bundle.
    """
    needs: list[str] = []
    refs: list[Ref] = []
    for number, line in enumerate(lines):
        text = line.removesuffix(b"\n").decode("utf-8", "surrogateescape")
        if not number:
            if text not in ("# v2 git bundle", "# v3 git bundle"):
                raise ProtocolError("no git bundle")
        elif not text:
            return BundleHeader(needs, refs)
        elif text.startswith("-"):
            needs.append(text[1:].partition(" ")[0])
        elif not text.startswith("@"):
            oid, _, name = text.partition(" ")
            refs.append(Ref(oid, name))
    raise ProtocolError("a git bundle that ends too early")


def other_refs(refs: Sequence[Ref], branch: str) -> list[Ref]:
    """Tags, and the branches besides the one that is checked out; none of those git-annex keeps."""
    return [ref for ref in refs if ref.name.startswith("refs/tags/") or _is_other(ref.name, branch)]


def _is_other(name: str, branch: str) -> bool:
    head = name.removeprefix("refs/heads/")
    if head in (name, branch, "git-annex"):
        return False
    return not head.startswith(("-", "synced/", "adjusted/"))
