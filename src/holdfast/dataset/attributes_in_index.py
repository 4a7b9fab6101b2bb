"""The attribute files that the index has: git heeds them where the folder lacks its own.

The index is looked through as bytes, once and only when a folder has no such file; git is asked
when that shows one that may be meant.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import BinaryIO

from .index_file import index_path
from .repository import Repository

NAME = b".gitattributes"
_PATH_MAX = 4096
_BLOCK = 1 << 22
_SPLIT = b"link\0\0"
_PLAIN_VERSIONS = (2, 3)


class AttributesInIndex:
    """Contents of .gitattributes as the index has them."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def read(self, folder: bytes) -> bytes:
        """What the file of a folder says; empty when the index has none."""
        path = os.path.join(folder, NAME)
        if self._tails is not None and not any(tail.endswith(path) for tail in self._tails):
            return b""
        oid = self._oids.get(path)
        return self._repository.git.run("cat-file", "blob", oid) if oid else b""

    @cached_property
    def _oids(self) -> dict[bytes, bytes]:
        listing = self._repository.git.run(
            "ls-files", "-s", "-z", "--", b":(glob)**/" + NAME,
            environment={"GIT_LITERAL_PATHSPECS": "0"},
        )  # fmt: skip
        found: dict[bytes, bytes] = {}
        for field in listing.split(b"\0")[:-1]:
            facts, _, path = field.partition(b"\t")
            _, oid, stage = facts.split(b" ")
            # Of a conflict git takes our side.
            if stage in b"02":
                found[path] = oid
        return found

    @cached_property
    def _tails(self) -> list[bytes] | None:
        """What the index has before and at each mention; None when its bytes do not tell."""
        try:
            with open(index_path(self._repository), "rb") as file:
                head = file.read(8)
                if len(head) == 8 and int.from_bytes(head[4:], "big") not in _PLAIN_VERSIONS:
                    return None
                return _tails_in(file)
        except FileNotFoundError:
            return []


def _tails_in(file: BinaryIO) -> list[bytes] | None:
    data = b""
    wanted = NAME + b"\0"
    tails: list[bytes] = []
    while block := file.read(_BLOCK):
        data += block
        if _SPLIT in data:
            return None
        end = -1
        while (end := data.find(wanted, end + 1)) >= 0:
            tails.append(data[max(0, end - _PATH_MAX) : end + len(NAME)])
        data = data[-_PATH_MAX:]
    return tails
