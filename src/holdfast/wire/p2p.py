"""git-annex's P2P protocol: lines of words, and raw bytes after ``DATA``, as pure code.

`encode` and `decode` turn messages into lines and back; `Session` is the client's side of a
conversation, without I/O. Both are strict: what is not the protocol raises.
Format: docs/formats/annex.md, "P2P protocol".
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import cast

from ..core.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from ..core.key import Key
from ..core.records import Record

VERSION_MAX = 4
LINE_MAX = 1 << 16
"""No line of the protocol is longer; one that is would fill our memory."""


class Auth(Record):
    """Who I am, and the secret that says so."""

    uuid: str
    token: str


class AuthSuccess(Record):
    """You may speak; I am this repository."""

    uuid: str


class AuthFailure(Record):
    """You may not."""


class Version(Record):
    """The highest version I speak, or, as an answer, the one we both do."""

    number: int


class Bypass(Record):
    """Do not go through these repositories; there is no answer."""

    uuids: tuple[str, ...] = ()


class CheckPresent(Record):
    """Is it there?"""

    key: Key


class LockContent(Record):
    """Keep it there."""

    key: Key


class UnlockContent(Record):
    """It need not be kept any longer; there is no answer."""


class Get(Record):
    """Send content from an offset. The file name is for people."""

    offset: int
    file: bytes
    key: Key


class Put(Record):
    """I have content for you."""

    file: bytes
    key: Key


class PutFrom(Record):
    """Send it from this offset."""

    offset: int


class AlreadyHave(Record):
    """No need to send it."""


class AlreadyHavePlus(Record):
    """No need to send it; these repositories have it too."""

    uuids: tuple[str, ...]


class Data(Record):
    """So many raw bytes follow the line."""

    size: int


class DataPresent(Record):
    """The bytes came to you in another way."""


class Valid(Record):
    """What I sent is the content."""


class Invalid(Record):
    """What I sent is not the content: it is not here, or it changed meanwhile."""


class Remove(Record):
    """Remove it."""

    key: Key


class RemoveBefore(Record):
    """Remove it, unless your clock has passed this."""

    timestamp: int
    key: Key


class GetTimestamp(Record):
    """What does your clock say?"""


class Timestamp(Record):
    """Seconds of a clock that only goes forward."""

    seconds: int


class Success(Record):
    """Yes; done."""


class SuccessPlus(Record):
    """Done, and in these repositories too."""

    uuids: tuple[str, ...]


class Failure(Record):
    """No."""


class FailurePlus(Record):
    """No; but done in these repositories."""

    uuids: tuple[str, ...]


class Connect(Record):
    """Let me talk to this git service."""

    service: str


class ConnectDone(Record):
    """The git service ended with this exit code."""

    code: int


class NotifyChange(Record):
    """Tell me when refs change."""


class Changed(Record):
    """These refs changed."""

    refs: tuple[str, ...]


class Error(Record):
    """Something is wrong; for people."""

    text: str


class Hold(Record):
    """I speak this version of our own words too; see docs/formats/hold-p2p.md."""

    number: int


class HoldPut(Record):
    """Content for you; its bytes and a word on them follow at once, unasked."""

    size: int
    key: Key


Message = (
    Auth | AuthSuccess | AuthFailure | Version | Bypass | CheckPresent | LockContent
    | UnlockContent | Get | Put | PutFrom | AlreadyHave | AlreadyHavePlus | Data | DataPresent
    | Valid | Invalid | Remove | RemoveBefore | GetTimestamp | Timestamp | Success | SuccessPlus
    | Failure | FailurePlus | Connect | ConnectDone | NotifyChange | Changed | Error | Hold
    | HoldPut
)  # fmt: skip

_WORDS: dict[bytes, type[Message]] = {
    b"AUTH": Auth,
    b"AUTH-SUCCESS": AuthSuccess,
    b"AUTH-FAILURE": AuthFailure,
    b"VERSION": Version,
    b"BYPASS": Bypass,
    b"CHECKPRESENT": CheckPresent,
    b"LOCKCONTENT": LockContent,
    b"UNLOCKCONTENT": UnlockContent,
    b"GET": Get,
    b"PUT": Put,
    b"PUT-FROM": PutFrom,
    b"ALREADY-HAVE": AlreadyHave,
    b"ALREADY-HAVE-PLUS": AlreadyHavePlus,
    b"DATA": Data,
    b"DATA-PRESENT": DataPresent,
    b"VALID": Valid,
    b"INVALID": Invalid,
    b"REMOVE": Remove,
    b"REMOVE-BEFORE": RemoveBefore,
    b"GETTIMESTAMP": GetTimestamp,
    b"TIMESTAMP": Timestamp,
    b"SUCCESS": Success,
    b"SUCCESS-PLUS": SuccessPlus,
    b"FAILURE": Failure,
    b"FAILURE-PLUS": FailurePlus,
    b"CONNECT": Connect,
    b"CONNECTDONE": ConnectDone,
    b"NOTIFYCHANGE": NotifyChange,
    b"CHANGED": Changed,
    b"ERROR": Error,
    b"HOLD": Hold,
    b"HOLD-PUT": HoldPut,
}
_WORD_OF = {kind: word for word, kind in _WORDS.items()}
_MAKERS: dict[bytes, Callable[..., Message]] = dict(_WORDS)
_FIELDS = {kind: kind.__match_args__ for kind in _WORD_OF}
_NUMBERS = frozenset(("number", "offset", "size", "timestamp", "seconds", "code"))
_REST = frozenset(("key", "text"))
"""Fields that go on to the end of the line, spaces and all; always the last of their message."""
_LISTS = frozenset(("uuids", "refs"))
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,18}")
_UNFIT = re.compile(rb"[ \n\r\t]")


def encode(message: Message) -> bytes:
    """One line, with its newline. Spaces in a file name become ``%``, as git-annex does it.

    Raises:
        LocalProtocolError: A field would break the line.
    """
    kind = type(message)
    parts = [_WORD_OF[kind]]
    parts += [_written(name, getattr(message, name)) for name in _FIELDS[kind]]
    line = b" ".join(parts).rstrip(b" ") if kind is Bypass else b" ".join(parts)
    if b"\n" in line:
        raise LocalProtocolError(f"no line of the P2P protocol: {line[:100]!r}")
    return line + b"\n"


def decode(line: bytes) -> Message:
    """Read one line, without its newline.

    Raises:
        RemoteProtocolError: It is no message.
    """
    word, space, rest = line.partition(b" ")
    if word not in _WORDS:
        raise _nonsense(line)
    kind, make = _WORDS[word], _MAKERS[word]
    names = _FIELDS[kind]
    # Some implementations of UNLOCKCONTENT name the key once more.
    if not names and (not space or kind is UnlockContent):
        return make()
    if names and names[0] in _LISTS:
        return make(tuple(_text(part) for part in rest.split(b" ") if part))
    if not names or not space:
        raise _nonsense(line)
    parts = rest.split(b" ", len(names) - 1)
    if len(parts) != len(names):
        raise _nonsense(line)
    return make(*(_read(name, part, line) for name, part in zip(names, parts, strict=True)))


def _written(name: str, value: object) -> bytes:
    if name in _NUMBERS:
        return b"%d" % cast(int, value)
    if name in _LISTS:
        return b" ".join(_written("word", part) for part in cast("tuple[str, ...]", value))
    if name == "key":
        return cast(Key, value)
    if name == "file":
        return _UNFIT.sub(b"%", cast(bytes, value))
    raw = cast(str, value).encode("utf-8", "surrogateescape")
    if name != "text" and _UNFIT.search(raw):
        raise LocalProtocolError(f"not one word: {value!r}")
    return raw


def _read(name: str, part: bytes, line: bytes) -> object:
    if name in _NUMBERS:
        if _NUMBER.fullmatch(part) is None:
            raise _nonsense(line)
        return int(part)
    if name == "key":
        try:
            return Key.parse(part)
        except ProtocolError:
            raise _nonsense(line) from None
    if name == "file":
        return part
    if name not in _REST and (not part or b" " in part):
        raise _nonsense(line)
    return _text(part)


def _text(part: bytes) -> str:
    return part.decode("utf-8", "surrogateescape")


def _nonsense(line: bytes) -> RemoteProtocolError:
    return RemoteProtocolError(f"not a message of the P2P protocol: {line[:100]!r}")


# the client's side of a conversation


class Sent(Record):
    """Content was sent, so many bytes of it; is it there now? No line of its own."""

    size: int


Request = (
    CheckPresent | LockContent | Get | Remove | RemoveBefore | GetTimestamp | Put | Sent | Hold
    | HoldPut
)  # fmt: skip


class Ready(Record):
    """The server let us in; from now on this version is spoken."""

    uuid: str
    version: int


class Reply(Record):
    """The whole answer to a request other than `Get`."""

    request: Request
    message: Message


class ContentBegins(Record):
    """The answer to a `Get` begins: how many bytes will come."""

    request: Get
    size: int


class ContentBytes(Record):
    """Some of them."""

    data: bytes


class ContentEnds(Record):
    """All of them came; ``valid`` is the server's own word on them (always true in version 0)."""

    request: Get
    valid: bool


Event = Ready | Reply | ContentBegins | ContentBytes | ContentEnds

_ANSWERS: dict[type[Request], tuple[type[Message], ...]] = {
    CheckPresent: (Success, Failure),
    LockContent: (Success, Failure),
    Remove: (Success, SuccessPlus, Failure, FailurePlus),
    RemoveBefore: (Success, SuccessPlus, Failure, FailurePlus),
    GetTimestamp: (Timestamp,),
    Get: (Data,),
    Put: (PutFrom, AlreadyHave, AlreadyHavePlus),
    Sent: (Success, SuccessPlus, Failure, FailurePlus),
    Hold: (Hold,),
    HoldPut: (Success, Failure),
}


class Session:
    """The client's side: requests in and bytes out, bytes in and events out.

    Any number of requests may be sent before the first answer comes; answers come in their
    order. Each `Get` has to be closed with `close_get` before the next request, which may be
    done at once, before its content has come: the server reads that word only after it has sent
    all, and uses it for nothing but its note of running transfers.
    """

    def __init__(self, version_max: int = VERSION_MAX) -> None:
        self.uuid: str | None = None
        self.version = 0
        self._version_max = version_max
        self._greeted = False
        self._open: deque[Request] = deque()
        self._get_is_open = False
        self._buffer = b""
        self._left = 0
        self._content: Get | None = None
        self._wants_validity = False

    @property
    def waiting(self) -> int:
        """How many requests have no whole answer yet."""
        return len(self._open)

    def start(self) -> bytes:
        """What to send first; it need not wait for the server's greeting."""
        return encode(Version(self._version_max))

    def ask(self, request: Request) -> bytes:
        """What to send for a request.

        Raises:
            LocalProtocolError: The `Get` before it was not closed.
        """
        if self._get_is_open:
            raise LocalProtocolError("a request before the last GET was closed")
        assert not isinstance(request, Sent), "content is sent by `begin_content`"
        self._get_is_open = isinstance(request, Get)
        self._open.append(request)
        return encode(request)

    def begin_content(self, size: int) -> bytes:
        """What to send before the bytes that a `PutFrom` asked for."""
        return encode(Data(size))

    def end_content(self, size: int, *, valid: bool) -> bytes:
        """What to send after those bytes; the answer is a `Reply` to `Sent`."""
        self._open.append(Sent(size))
        return self.word_on_content(valid=valid) if self.version >= 1 else b""

    def word_on_content(self, *, valid: bool) -> bytes:
        """What to send after the bytes of a `HoldPut`."""
        return encode(Valid() if valid else Invalid())

    def close_get(self, *, success: bool) -> bytes:
        """What to send to close a `Get`.

        Raises:
            LocalProtocolError: There is none to close.
        """
        if not self._get_is_open:
            raise LocalProtocolError("no GET to close")
        self._get_is_open = False
        return encode(Success() if success else Failure())

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take bytes in and say what they mean; the iterator has to be used up.

        Raises:
            RemoteProtocolError: They mean nothing, or not what was asked. The session is over.
        """
        data = self._buffer + data if self._buffer else data
        self._buffer = b""
        at, end = 0, len(data)
        while at < end or (self._content is not None and not self._left):
            if self._content is not None and self._left:
                chunk = data[at : at + self._left]
                at += len(chunk)
                self._left -= len(chunk)
                yield ContentBytes(chunk)
            elif self._content is not None and not self._wants_validity:
                yield self._end_content(valid=True)
            else:
                newline = data.find(b"\n", at)
                if newline < 0:
                    self._keep(data[at:])
                    return
                line, at = data[at:newline], newline + 1
                event = self._take(decode(line), line)
                if event is not None:
                    yield event

    def _keep(self, rest: bytes) -> None:
        if len(rest) > LINE_MAX:
            raise _nonsense(rest)
        self._buffer = rest

    def _take(self, message: Message, line: bytes) -> Event | None:
        if self._content is not None:
            if not isinstance(message, Valid | Invalid):
                raise _unexpected(line)
            return self._end_content(valid=isinstance(message, Valid))
        if self.uuid is None:
            if not isinstance(message, AuthSuccess):
                raise _unexpected(line)
            self.uuid = message.uuid
            return None
        if not self._greeted:
            return self._greet(message, line)
        if not self._open:
            raise _unexpected(line)
        return self._answer(self._open[0], message, line)

    def _greet(self, message: Message, line: bytes) -> Ready:
        # A server that does not know VERSION says ERROR, and speaks version 0.
        if isinstance(message, Version) and message.number <= self._version_max:
            self.version = message.number
        elif not isinstance(message, Error):
            raise _unexpected(line)
        self._greeted = True
        return Ready(cast(str, self.uuid), self.version)

    def _answer(self, request: Request, message: Message, line: bytes) -> Event:
        if isinstance(request, Get):
            # After an ERROR here, the SUCCESS sent ahead would be taken as a request: no way on.
            if not isinstance(message, Data):
                raise _unexpected(line)
            self._content, self._left = request, message.size
            self._wants_validity = self.version >= 1
            return ContentBegins(request, message.size)
        if not isinstance(message, (*_ANSWERS[type(request)], Error)):
            raise _unexpected(line)
        self._open.popleft()
        return Reply(request, message)

    def _end_content(self, *, valid: bool) -> ContentEnds:
        request = cast(Get, self._content)
        self._content = None
        self._open.popleft()
        return ContentEnds(request, valid)


def _unexpected(line: bytes) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"unexpected in the P2P protocol: {line[:200].decode('utf-8', 'replace')}"
    )
