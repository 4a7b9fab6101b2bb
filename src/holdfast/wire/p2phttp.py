"""git-annex's P2P protocol over HTTP: paths, parameters and JSON, both ways, as pure code.

A call is a path ``/git-annex/UUID/vN/NAME?key=…&clientuuid=…``; a key, UUID or file name that is
no plain text may be written ``[base64url]``. Format: docs/formats/annex.md, "P2P over HTTP".
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote_from_bytes, unquote_to_bytes

from ..core.errors import ProtocolError, RemoteProtocolError
from ..core.key import Key

VERSION_MAX = 4
PREFIX = "/git-annex/"
SIZE_HEADER = "X-git-annex-data-length"
REALM = "git-annex"
PLUS_FROM = 2
"""The first version whose answers tell of other repositories too."""


class Name(StrEnum):
    """What can be asked; the value is the word in the path."""

    KEY = "key"
    CHECK = "checkpresent"
    LOCK = "lockcontent"
    KEEP = "keeplocked"
    REMOVE = "remove"
    REMOVE_BEFORE = "remove-before"
    TIMESTAMP = "gettimestamp"
    OFFSET = "putoffset"
    PUT = "put"


FIRST_VERSION = {Name.OFFSET: 1, Name.REMOVE_BEFORE: 3, Name.TIMESTAMP: 3}
"""Which version brought each; the others were there from the start."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call. Without a version it is a plain reading of content, for anybody."""

    uuid: str
    version: int | None
    name: Name
    key: Key | None
    parameters: Mapping[str, bytes]


class BadCall(ProtocolError):
    """A path that begins like a call but is none; ``status`` is the answer HTTP has for it."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


def read_call(target: str) -> Call:
    """Read the target of a request.

    Raises:
        BadCall: It is none that exists.
    """
    path, _, query = target.partition("?")
    words = path.removeprefix(PREFIX).split("/")
    parameters = _parameters(query)
    if len(words) == 3 and words[1] == "key":
        return Call(_text(words[0]), None, Name.KEY, _key(words[2]), parameters)
    if len(words) < 3 or not re.fullmatch(r"v[0-9]{1,4}", words[1]):
        raise BadCall(404, "not found")
    version = int(words[1][1:])
    try:
        name = Name(words[2])
    except ValueError:
        raise BadCall(404, "not found") from None
    if (name is Name.KEY) != (len(words) == 4):
        raise BadCall(404, "not found")
    if not FIRST_VERSION.get(name, 0) <= version <= VERSION_MAX:
        raise BadCall(400, "bad version")
    if "clientuuid" not in parameters:
        raise BadCall(400, "Query parameter clientuuid is required")
    return Call(_text(words[0]), version, name, _key_of(name, words, parameters), parameters)


def number_of(call: Call, name: str, usual: int | None = None) -> int:
    """A number among the parameters.

    Raises:
        BadCall: It is missing and there is no usual one, or it is no number.
    """
    given = call.parameters.get(name)
    if given is None and usual is not None:
        return usual
    if given is None or not re.fullmatch(rb"[0-9]{1,18}", given):
        raise BadCall(400, f"Query parameter {name} is required")
    return int(given)


def _key_of(name: Name, words: Sequence[str], parameters: Mapping[str, bytes]) -> Key | None:
    if name in (Name.KEEP, Name.TIMESTAMP):
        return None
    if name is Name.KEY:
        return _key(words[3])
    if "key" not in parameters:
        raise BadCall(400, "Query parameter key is required")
    return _parsed(parameters["key"])


def _parameters(query: str) -> dict[str, bytes]:
    """The last value of each; a name alone is there too, with nothing."""
    found: dict[str, bytes] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        found[unquote_to_bytes(name).decode("ascii", "replace")] = read_word(value, plus=True)
    return found


def _text(word: str) -> str:
    return read_word(word).decode("ascii", "replace")


def _key(word: str) -> Key:
    return _parsed(read_word(word))


def _parsed(raw: bytes) -> Key:
    try:
        key = Key.parse(raw)
    except ProtocolError:
        raise BadCall(400, "bad key") from None
    if key.find(b"\0") >= 0 or key.chunk_number is not None:
        raise BadCall(400, "bad key")
    return key


# words: part of a path, or the value of a parameter


def write_word(raw: bytes) -> str:
    """Write bytes as one word, so that nothing of them is lost."""
    is_plain = not raw.startswith(b"[")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        is_plain = False
    if not is_plain:
        raw = b"[" + base64.urlsafe_b64encode(raw) + b"]"
    return quote_from_bytes(raw, safe="-._~")


def read_word(word: str, *, plus: bool = False) -> bytes:
    """Undo `write_word`. With ``plus``, as browsers write parameters: + is a space."""
    raw = unquote_to_bytes(word.replace("+", " ") if plus else word)
    if raw.startswith(b"[") and raw.endswith(b"]"):
        try:
            padded = raw[1:-1] + b"=" * (-len(raw[1:-1]) % 4)
            return base64.b64decode(padded, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return raw
    return raw


def write_call(uuid: str, version: int, name: Name, parameters: Mapping[str, bytes]) -> str:
    """The path of a call below a server's address; ``key`` of a `Name.KEY` goes into it."""
    rest = dict(parameters)
    path = f"{PREFIX}{write_word(uuid.encode())}/v{version}/{name}"
    if name is Name.KEY:
        path += f"/{write_word(rest.pop('key'))}"
    return f"{path}?" + "&".join(f"{word}={write_word(value)}" for word, value in rest.items())


# answers


def write_answer(call: Call, **fields: object) -> bytes:
    """The JSON of an answer; ``plusuuids``, always empty here, where the version knows them."""
    known = call.version is not None and call.version >= PLUS_FROM
    if known and call.name in (Name.REMOVE, Name.REMOVE_BEFORE, Name.PUT):
        fields["plusuuids"] = []
    if known and fields.get("alreadyhave"):
        fields["plusuuids"] = []
    return json.dumps(fields, separators=(",", ":")).encode()


def read_answer(raw: bytes, field: str, kind: type[bool] | type[int] | type[str]) -> object:
    """One field of a JSON answer.

    Raises:
        RemoteProtocolError: It is not there, or something else.
    """
    try:
        value = json.loads(raw).get(field)
    except (ValueError, AttributeError):
        raise RemoteProtocolError(f"no JSON object: {raw[:80]!r}") from None
    if type(value) is not kind:
        raise RemoteProtocolError(f"no {field} in {raw[:80]!r}")
    return value


def says_unlock(raw: bytes) -> bool:
    """Whether the body of a `Name.KEEP`, as far as it came, says that the lock may go.

    git-annex sends one JSON object a line: first one that says no, the other when it is done.
    """
    return any(map(_is_unlock, raw.split(b"\n")))


def _is_unlock(line: bytes) -> bool:
    try:
        value = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("unlock") is True


def read_address(url: str) -> str | None:
    """The http address behind an ``annex+http(s)://`` one, with git-annex's usual port.

    None when it is another kind of address. What is before the host (a login) is left in.
    """
    found = re.fullmatch(r"annex\+(https?)://([^/?#]+)(/[^?#]*)?", url)
    if found is None:
        return None
    scheme, host, path = found.groups()
    bare = host.rpartition("@")[2]
    if not re.search(r":[0-9]+$", bare):
        host += ":9417"
    trimmed = (path or "").rstrip("/")
    return f"{scheme}://{host}{trimmed.removesuffix('/git-annex')}"
