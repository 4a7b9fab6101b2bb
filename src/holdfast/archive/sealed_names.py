"""The list of names of a scope: lines of JSON, gzipped, in an age file of an encrypted snapshot.

The first line is a map about the scope, each other one a list about a file. Whoever knows a
recipient can write such a list, so what is read is held to limits and to what each line has to be.
Format: docs/formats/archive.md.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..core.errors import ProtocolError
from ..core.key import Key
from ..wire.archive_rows import MissingRow

VERSION = 1
NAMES = "names/"
"""Where the lists are, below ``files/``."""
DATA = "data/"
GIT = "git/"

_LINE_MAX = 1 << 20
_READ = 1 << 16
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
_OBJECT = re.compile(r"[0-9a-f]{10}/[0-9a-f]{32}")
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BUNDLE = re.compile(r"[0-9]{4,10}\.bundle\.age")


@dataclass(frozen=True)
class NamedBundle:
    """A git bundle: the file it is in, the commits it needs and has."""

    name: str
    needs: tuple[str, ...]
    version: str
    annex: str


@dataclass(frozen=True)
class History:
    """What a snapshot with history is of."""

    version: str
    branch: str
    annex: str
    bundles: tuple[NamedBundle, ...] = ()


@dataclass(frozen=True)
class ScopeHead:
    """The first line: the scope; with history, which."""

    scope: str
    history: History | None = None


class AnnexedName(NamedTuple):
    """A file that was annexed: its path, mode, size, key, and the object that it is in.

    One of a plain folder is the same, with a key of its hash.
    """

    path: bytes
    mode: int
    size: int
    key: Key
    object: str


class GitName(NamedTuple):
    """A file that git has: its git object's name, and the object that it is in."""

    path: bytes
    mode: int
    size: int
    oid: str
    object: str


class LinkName(NamedTuple):
    """A symlink, and where it leads."""

    path: bytes
    target: bytes


class FolderName(NamedTuple):
    """A folder that has nothing in it."""

    path: bytes


@dataclass
class MissingName:
    """A file whose content was not there."""

    row: MissingRow = field()


Name = AnnexedName | GitName | LinkName | FolderName | MissingName


def encode_head(head: ScopeHead) -> bytes:
    """The first line."""
    history = None
    if head.history is not None:
        one = head.history
        bundles = [[b.name, list(b.needs), b.version, b.annex] for b in one.bundles]
        history = {
            "version": one.version, "branch": one.branch, "annex": one.annex, "bundles": bundles,
        }  # fmt: skip
    return _line({"v": VERSION, "scope": head.scope, "history": history})


def encode_name(name: Name) -> bytes:
    """Any other line."""
    if isinstance(name, AnnexedName):
        key = name.key.text
        return _line(["annexed", _text(name.path), name.mode, name.size, key, name.object])
    if isinstance(name, GitName):
        return _line(["git", _text(name.path), name.mode, name.size, name.oid, name.object])
    if isinstance(name, LinkName):
        return _line(["link", _text(name.path), _text(name.target)])
    if isinstance(name, FolderName):
        return _line(["folder", _text(name.path)])
    row = name.row
    return _line(
        ["missing", _text(row.path), Key(row.key).text, row.size, list(row.urls), row.reason]
    )


def iter_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a gzipped list; no more than one of them is held.

    Raises:
        ProtocolError: It is none, is cut short, or has a line that is too long.
    """
    unpack, held = zlib.decompressobj(wbits=31), b""
    try:
        for chunk in chunks:
            data = chunk
            while data and not unpack.eof:
                held += unpack.decompress(data, _READ)
                data = unpack.unconsumed_tail
                *lines, held = held.split(b"\n")
                yield from lines
                if len(held) > _LINE_MAX:
                    raise ProtocolError("a list of names with a line that is too long")
            if unpack.eof and (data or unpack.unused_data):
                raise ProtocolError("a list of names with something after it")
    except zlib.error:
        raise ProtocolError("no list of names: it is not gzipped") from None
    if not unpack.eof or held:
        raise ProtocolError("a list of names that is cut short")


def decode_head(line: bytes) -> ScopeHead:
    """The first line.

    Raises:
        ProtocolError: It is none, or of a later version.
    """
    try:
        value = json.loads(line)
        if value["v"] != VERSION:
            raise ProtocolError(f"a list of names of format {value['v']!r:.20}")
        return ScopeHead(_str(value["scope"]), _read_history(value["history"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ProtocolError("a list of names whose first line cannot be") from None


def decode_name(line: bytes) -> Name:
    """Any other line.

    Raises:
        ProtocolError: It is none.
    """
    try:
        kind, *values = json.loads(line)
        path = _str(values[0]).encode("utf-8", "surrogateescape")
        if kind == "annexed":
            _, mode, size, key, name = values
            return AnnexedName(path, _uint(mode), _uint(size), _key(key), _like(_OBJECT, name))
        if kind == "git":
            _, mode, size, oid, name = values
            oid = _like(_OID, oid)
            return GitName(path, _uint(mode), _uint(size), oid, _like(_OBJECT, name))
        if kind == "link":
            _, target = values
            return LinkName(path, _str(target).encode("utf-8", "surrogateescape"))
        if kind == "folder":
            [_] = values
            return FolderName(path)
        if kind == "missing":
            _, key, size, urls, reason = values
            texts = tuple(map(_str, urls))
            said = None if size is None else _uint(size)
            return MissingName(MissingRow(path, _key(key), said, texts, _str(reason)))
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        pass
    raise ProtocolError("a list of names with a line that cannot be")


def _read_history(value: Any) -> History | None:
    if value is None:
        return None
    bundles = tuple(
        NamedBundle(
            _like(_BUNDLE, name), tuple(_like(_OID, need) for need in needs), _like(_OID, version),
            _str(annex),
        )
        for name, needs, version, annex in value["bundles"]
    )  # fmt: skip
    version, branch, annex = (_str(value[name]) for name in ("version", "branch", "annex"))
    return History(version, branch, annex, bundles)


def _line(value: object) -> bytes:
    return _ENCODE(value).encode() + b"\n"


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _uint(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise TypeError
    return value


def _key(value: object) -> Key:
    try:
        return Key.parse(_str(value).encode("utf-8", "surrogateescape"))
    except ProtocolError:
        raise ValueError from None


def _like(pattern: re.Pattern[str], value: object) -> str:
    if not pattern.fullmatch(_str(value)):
        raise ValueError
    return _str(value)
