"""git-annex's P2P protocol over HTTP, the server's side: one function for each word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..api.served import Rights
from ..core import faults
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place, PlaceId
from ..wire.p2phttp import (
    SIZE_HEADER,
    BadCall,
    Call,
    Name,
    number_of,
    read_call,
    says_unlock,
    write_answer,
)
from .http_plain import send_from, send_plain

if TYPE_CHECKING:
    from .http_handler import Handler

_JSON = "application/json;charset=utf-8"
_UNLOCK_MAX = 1 << 12
_KEEP_S = 1200.0
"""How long a client that keeps a lock may say nothing."""


def answer(handler: Handler) -> None:
    """Answer one call.

    Raises:
        BadCall: There is no such thing to call.
        AccessError, NeedsLogin: Who asks may not.
    """
    call = read_call(handler.path)
    if call.uuid != handler.server.served.uuid:
        raise BadCall(404, "not found")
    reads = call.name is Name.KEY
    if reads == (handler.command == "POST"):
        raise BadCall(405, "not with this method")
    if call.version is None:
        send_plain(handler, _key(call))
    elif reads:
        send_from(handler, _key(call), number_of(call, "offset", 0))
    else:
        _ACTIONS[call.name](handler, call)


def _tell(handler: Handler, call: Call, **fields: object) -> None:
    handler.reply(200, write_answer(call, **fields), _JSON)


def _key(call: Call) -> Key:
    assert call.key is not None, "each word but two names a key"
    return call.key


def _check(handler: Handler, call: Call) -> None:
    handler.need(Rights.READ)
    _tell(handler, call, present=handler.server.served.has(_key(call)))


def _timestamp(handler: Handler, call: Call) -> None:
    handler.need(Rights.READ)
    _tell(handler, call, timestamp=handler.server.served.timestamp())


def _lock(handler: Handler, call: Call) -> None:
    handler.need(Rights.READ)
    name = handler.server.locks.take(_key(call))
    if name is None:
        _tell(handler, call, locked=False)
    else:
        _tell(handler, call, locked=True, lockid=name)


def _keep(handler: Handler, call: Call) -> None:
    """Keep a lock until the client says otherwise; when it just hangs up, for its ten minutes."""
    handler.need(Rights.READ)
    locks = handler.server.locks
    name = call.parameters.get("lockid", b"").decode("ascii", "replace")
    if not locks.keep(name):
        _tell(handler, call, locked=False)
        return
    try:
        unlock = _wait_for_word(handler)
    finally:
        locks.leave(name)
    if unlock:
        locks.release(name)
    _tell(handler, call, locked=not unlock)


def _wait_for_word(handler: Handler) -> bool:
    said = b""
    handler.connection.settimeout(_KEEP_S)
    try:
        for data in handler.body.chunks():
            said += data
            if says_unlock(said):
                return True
            said = said[-_UNLOCK_MAX:]
    finally:
        handler.connection.settimeout(handler.timeout)
    return False


def _remove(handler: Handler, call: Call) -> None:
    handler.need(Rights.WRITE)
    before = number_of(call, "timestamp") if call.name is Name.REMOVE_BEFORE else None
    _tell(handler, call, removed=handler.server.served.remove(_key(call), before))


def _offset(handler: Handler, call: Call) -> None:
    handler.need(Rights.APPEND)
    served = handler.server.served
    if served.has(_key(call)):
        _tell(handler, call, alreadyhave=True)
        return
    _tell(handler, call, offset=served.begun(_key(call)))


def _put(handler: Handler, call: Call) -> None:
    handler.need(Rights.APPEND)
    try:
        stored = _stored(handler, call)
    except HoldError:
        # No room, or somebody else is bringing it: it is not there, and that is the answer.
        stored = False
    _tell(handler, call, stored=stored)


def _stored(handler: Handler, call: Call) -> bool:
    served, key = handler.server.served, _key(call)
    offset = number_of(call, "offset", 0)
    if served.has(key):
        return True
    client = call.parameters.get("clientuuid", b"").decode("ascii", "replace")
    with served.open_put(key, Place(PlaceId(client), "the client")) as put:
        if call.parameters.get("data-present") == b"true":
            return put.take_present()
        given = handler.headers.get(SIZE_HEADER) or ""
        if not given.isdecimal():
            raise BadCall(400, f"Header {SIZE_HEADER} is required")
        return put.go_on_from(offset) and put.take(_chunks(handler, key, int(given)), int(given))


def _chunks(handler: Handler, key: Key, size: int) -> Iterator[bytes]:
    """The bytes as they come; a client whose content changed sends fewer, or more, than it said."""
    left = size
    for data in handler.body.chunks():
        left -= len(data)
        if left < 0:
            break
        yield data
    if left:
        detail = f"{size} bytes were announced, and {size - left} or more came"
        raise faults.WRONG_CONTENT(source="the client", key=key.text, detail=detail, next="")


_ACTIONS: dict[Name, Callable[[Handler, Call], None]] = {
    Name.CHECK: _check,
    Name.LOCK: _lock,
    Name.KEEP: _keep,
    Name.REMOVE: _remove,
    Name.REMOVE_BEFORE: _remove,
    Name.TIMESTAMP: _timestamp,
    Name.OFFSET: _offset,
    Name.PUT: _put,
}
