"""How the contents of one encrypted snapshot become age files: the same ones each time.

What is random in an age file is derived here: from the secret of the scope, the salt of the
snapshot, and the name of the content, which is a keyed hash of what names its bytes. So one file
key is never used for two contents, see decision 34. ``seal`` beside the plan has no secret in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..core import faults
from ..core.errors import ProtocolError
from ..wire.age_header import (
    FILE_KEY_SIZE,
    Expander,
    Primitives,
    encode_header,
    header_size,
    wrap,
)
from ..wire.age_keys import decode_recipient, encode_recipient
from ..wire.age_payload import CHUNK, NONCE_SIZE, Payload, plain_size, sealed_size
from .scope_keys import KeyFolder

SALT_SIZE = 16
NAME_SIZE = 16
"""Bytes of the opaque name of a content."""

_FILE = b"/seal"


@dataclass(frozen=True)
class SealedScope:
    """A scope as a snapshot has it."""

    scope: str
    tag: str
    check: str
    recipients: tuple[bytes, ...]


class Head:
    """What an age file of a content begins with, and what seals its chunks."""

    def __init__(self, start: bytes, payload: Payload) -> None:
        self.start = start
        self.payload = payload


class Seal:
    """The scopes and the salt of a snapshot; for what was packed it never changes."""

    def __init__(
        self, salt: bytes, scopes: Sequence[SealedScope], keys: KeyFolder, use: Primitives
    ) -> None:
        self._salt = salt
        self.scopes = list(scopes)
        self._keys = keys
        self._use = use
        self._numbers = {one.scope: number for number, one in enumerate(self.scopes)}
        self._expanders: dict[int, Expander] = {}

    @classmethod
    def begin(cls, salt: bytes, keys: KeyFolder, use: Primitives) -> Seal:
        """That of a new snapshot; ``salt`` is 16 random bytes."""
        return cls(salt, (), keys, use)

    @classmethod
    def read(cls, folder: bytes, keys: KeyFolder, use: Primitives) -> Seal:
        """That of a snapshot, out of its folder.

        Raises:
            ConflictError: It is not there, or not as it was written.
        """
        try:
            with open(folder + _FILE, encoding="ascii") as file:
                value = json.load(file)
            scopes = [
                SealedScope(scope, tag, check, tuple(map(decode_recipient, texts)))
                for scope, tag, check, texts in value["scopes"]
            ]
            return cls(bytes.fromhex(value["salt"]), scopes, keys, use)
        except (OSError, ValueError, TypeError, KeyError, ProtocolError) as error:
            raise faults.ARCHIVE_STATE(path=os.fsdecode(folder), detail=str(error)) from None

    def write(self, folder: bytes) -> None:
        """Keep it beside the plan."""
        scopes = [
            [one.scope, one.tag, one.check, [encode_recipient(point) for point in one.recipients]]
            for one in self.scopes
        ]
        with open(folder + _FILE, "w", encoding="ascii") as file:
            json.dump({"salt": self._salt.hex(), "scopes": scopes}, file)
            file.flush()
            os.fsync(file.fileno())

    def number(self, scope: str) -> int:
        """The number of a scope here; one that is new is taken in.

        Raises:
            AccessError: Its key is not at hand.
        """
        found = self._numbers.get(scope)
        if found is None:
            key = self._keys.key(scope)
            found = self._numbers[scope] = len(self.scopes)
            self.scopes.append(SealedScope(scope, key.tag, key.check, key.recipients))
        return found

    def names(self, number: int, things: Iterable[bytes]) -> list[bytes]:
        """The opaque names of things in a scope."""
        expand = self._expander(number).expand
        return [expand(b"name\0" + what, NAME_SIZE) for what in things]

    def name(self, number: int, what: bytes) -> bytes:
        """That of one of them."""
        return self.names(number, (what,))[0]

    def sealed_size(self, number: int, size: int) -> int:
        """How long the age file of so many bytes is."""
        return sealed_size(size, len(self.scopes[number].recipients))

    def plain_size(self, number: int, sealed: int) -> int:
        """How many bytes are in an age file that was packed."""
        return plain_size(sealed, len(self.scopes[number].recipients))

    def head(self, number: int, name: bytes) -> Head:
        """How the age file of a content begins: header and nonce.

        Raises:
            AccessError: The key of the scope is gone.
        """
        return self.heads([(number, name)])[0]

    def heads(self, contents: Sequence[tuple[int, bytes]]) -> list[Head]:
        """How the age files of contents begin, of which scopes and names are given.

        Raises:
            AccessError: The key of a scope is gone.
        """
        for number in {number for number, _ in contents}:
            if not self._keys.has(self.scopes[number].scope):
                self._expanders.clear()  # destroyed meanwhile: what is in memory is of no use too
        return [self._head(number, self._salt + name) for number, name in contents]

    def _head(self, number: int, content: bytes) -> Head:
        expand = self._expander(number).expand
        file_key = expand(b"file key\0" + content, FILE_KEY_SIZE)
        nonce = expand(b"nonce\0" + content, NONCE_SIZE)
        stanzas = [
            wrap(point, file_key, expand(b"ephemeral\0" + content + point), self._use)
            for point in self.scopes[number].recipients
        ]
        start = encode_header(stanzas, file_key) + nonce
        assert len(start) == header_size(len(stanzas)) + NONCE_SIZE, "a header of another size"
        return Head(start, Payload(file_key, nonce, self._use))

    def fresh_head(self, number: int) -> Head:
        """How an age file that is made once begins: all of it random."""
        file_key, nonce = os.urandom(FILE_KEY_SIZE), os.urandom(NONCE_SIZE)
        stanzas = [
            wrap(point, file_key, os.urandom(32), self._use)
            for point in self.scopes[number].recipients
        ]
        return Head(encode_header(stanzas, file_key) + nonce, Payload(file_key, nonce, self._use))

    def digest(self, number: int, data: bytes) -> bytes:
        """Tells one list of names from another, to whom has the secret alone."""
        recipients = b"".join(self.scopes[number].recipients)
        return self._expander(number).expand(b"list\0" + recipients + data, NAME_SIZE)

    def _expander(self, number: int) -> Expander:
        """What all that is derived in a scope comes from.

        What is expanded begins with a word for its use and a NUL. Words have none in them, so no
        two of these are the same for different uses.
        """
        found = self._expanders.get(number)
        if found is None:
            one = self.scopes[number]
            key = self._keys.key(one.scope)
            if key.check != one.check:
                detail = "it is another one than that this snapshot was packed with"
                raise faults.ARCHIVE_NO_KEY(
                    scope=one.scope,
                    detail=detail,
                    next="bring back the key folder it was made with",
                )
            found = self._expanders[number] = Expander(key.secret, b"holdfast archive v1")
        return found


class SealedFile:
    """Writes an age file; it is synced and gets its name at the end of the block."""

    def __init__(self, path: bytes, head: Head) -> None:
        self._path = path
        self._head = head
        self._held = bytearray()
        self._number = 0

    def __enter__(self) -> SealedFile:
        self._file = open(self._path + b".part", "wb")
        self._file.write(self._head.start)
        return self

    def write(self, data: bytes) -> None:
        """Take more of what is to be in it."""
        self._held += data
        at = 0
        while len(self._held) - at > CHUNK:  # the last chunk is told by its mark
            self._put(bytes(self._held[at : at + CHUNK]), is_last=False)
            at += CHUNK
        del self._held[:at]

    def _put(self, data: bytes, *, is_last: bool) -> None:
        self._file.write(self._head.payload.seal(self._number, data, is_last=is_last))
        self._number += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file:
            if kind is not None:
                return
            self._put(bytes(self._held), is_last=True)
            self._file.flush()
            os.fsync(self._file.fileno())
        os.rename(self._path + b".part", self._path)


def seal_file(head: Head, plain: bytes, sealed: bytes) -> None:
    """Make an age file of a file; it is whole, or not there."""
    with open(plain, "rb") as source, SealedFile(sealed, head) as file:
        while data := source.read(CHUNK):
            file.write(data)
