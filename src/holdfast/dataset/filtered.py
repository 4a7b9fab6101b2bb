"""Letting git read files that its own filters apply to (line ends, large-file tools, idents)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..wire.gitobjects import Oid
from .git import NO_FILTER, from_hex
from .repository import Repository


def iter_filtered_blobs(
    repository: Repository, paths: Sequence[bytes]
) -> Iterator[tuple[bytes, Oid]]:
    """Store files as git would; each path with the object it became. The annex filter is off."""
    plain = [path for path in paths if b"\n" not in path and not path.startswith(b'"')]
    if plain:
        output = repository.git.run(
            *NO_FILTER, "hash-object", "-w", "--stdin-paths", data=b"\n".join(plain) + b"\n"
        )
        yield from zip(plain, map(from_hex, output.split()), strict=True)
    for path in set(paths).difference(plain):
        oid = repository.git.run(*NO_FILTER, "hash-object", "-w", "--", path)
        yield path, from_hex(oid.strip())
