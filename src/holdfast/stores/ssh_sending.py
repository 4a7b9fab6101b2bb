"""Sending one content over a P2P connection, and removing one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..core import faults
from ..core.abilities import Content, OnBytes
from ..core.errors import HoldError, IntegrityError, PlaceUnavailableError
from ..core.key import Key
from ..core.place import Place
from ..core.policy import DropProof, Waiver
from ..wire import p2p
from .p2p_connection import P2pConnection

HASHED_PER_S = 50_000_000
"""So many bytes a second a server surely hashes; so long we wait for its answer."""

FILL_MAX = 1 << 20
"""Rather than so many bytes of nothing, a connection is given up."""

MARGIN_S = 30
"""So long before promises run out nothing is removed on their account."""

_PIECE = 1 << 18
_LOCKED = "content is locked"


def send_one(
    place: Place, connection: P2pConnection, key: Key, content: Content, progress: OnBytes
) -> None:
    """Send a key's content from where an earlier try ended.

    Raises:
        IntegrityError: The content here is not what the key names.
        PlaceUnavailableError: It was not taken, or the connection was lost.
        AccessError: The place refuses.
    """
    # What an earlier try left may have been wrong; the server found out, and threw it away.
    for is_last in (False, True):
        with patience(connection, content.size):
            reply = ask(connection, p2p.Put(b"", key))
        offset = offset_wanted(place, key, content, reply)
        if offset is None:
            progress(content.size)
            return
        sent = _send_from(connection, content, offset, progress)
        if sent is None:
            return
        progress(-content.size)
        if is_last or not offset:
            raise not_taken(place, key, sent)


def offset_wanted(place: Place, key: Key, content: Content, reply: p2p.Reply) -> int | None:
    """From which byte on a server wants content; None when it has it.

    Raises:
        AccessError: It refuses.
        PlaceUnavailableError: It wants what we do not have.
    """
    match reply.message:
        case p2p.AlreadyHave() | p2p.AlreadyHavePlus():
            return None
        case p2p.PutFrom(offset) if offset <= content.size:
            return offset
        case p2p.PutFrom(offset):
            # Its turn to hear content: this conversation cannot go on.
            detail = f"it has {offset} bytes of it already, and there are only {content.size}"
            raise faults.NOT_TAKEN(place=place.label, key=key.text, detail=detail)
    assert isinstance(reply.message, p2p.Error)
    raise refused(place, reply.message.text)


def _send_from(
    connection: P2pConnection, content: Content, offset: int, progress: OnBytes
) -> p2p.Message | None:
    """Send content from an offset; None when it is there now, else what the server said."""
    session = connection.session
    left = content.size - offset
    connection.send(session.begin_content(left))
    progress(offset)
    valid, failure = True, None
    try:
        for chunk in content.chunks(offset):
            if len(chunk) > left:
                chunk = chunk[:left]
            for at in range(0, len(chunk), _PIECE):
                connection.send(chunk[at : at + _PIECE])
            left -= len(chunk)
            progress(len(chunk))
    except IntegrityError as error:
        valid, failure = False, error
    if left > FILL_MAX:
        connection.kill()
        raise failure or faults.DAMAGED_HERE(key="it", detail="it became shorter")
    connection.send(bytes(left) + session.end_content(content.size, valid=valid and not left))
    progress(left)
    with patience(connection, content.size):
        reply = _reply(connection)
    if failure is not None:
        progress(-content.size)
        raise failure
    return None if isinstance(reply.message, p2p.Success | p2p.SuccessPlus) else reply.message


def remove_one(place: Place, connection: P2pConnection, leave: DropProof | Waiver) -> None:
    """Remove a copy, before the promises that its proof rests on run out.

    Raises:
        PolicyError: It is kept there, or there is no time left.
        AccessError: The place refuses.
    """
    key = leave.key
    until = leave.until if isinstance(leave, DropProof) else None
    request: p2p.Request = p2p.Remove(key)
    if until is not None:
        left_s = int(until - time.monotonic()) - MARGIN_S
        if left_s <= 0:
            raise faults.PROMISES_RAN_OUT(key=key.text)
        # A server before version 3 knows no time: then it has to do it within its usual patience.
        if connection.session.version >= 3:
            clock = ask(connection, p2p.GetTimestamp()).message
            if isinstance(clock, p2p.Timestamp):
                request = p2p.RemoveBefore(clock.seconds + left_s, key)
    try:
        reply = ask(connection, request)
    except PlaceUnavailableError as error:
        # git-annex-shell ends where content is locked, and tells people why.
        if _LOCKED in error.why:
            raise faults.KEPT_THERE(place=place.label, key=key.text) from error
        raise
    if isinstance(reply.message, p2p.Error):
        raise refused(place, reply.message.text)
    if not isinstance(reply.message, p2p.Success | p2p.SuccessPlus):
        raise faults.KEPT_THERE(place=place.label, key=key.text)


def ask(connection: P2pConnection, request: p2p.Request) -> p2p.Reply:
    """Ask, and wait for the answer; nothing else may be on its way."""
    connection.send(connection.session.ask(request))
    return _reply(connection)


def _reply(connection: P2pConnection) -> p2p.Reply:
    reply = connection.next()
    assert isinstance(reply, p2p.Reply)
    return reply


@contextmanager
def patience(connection: P2pConnection, size: int) -> Iterator[None]:
    """Wait longer for answers that come only after content was hashed."""
    usual = connection.patience_s
    connection.patience_s = usual + size / HASHED_PER_S
    try:
        yield
    finally:
        connection.patience_s = usual


def refused(place: Place, said: str) -> HoldError:
    """The error for what a server says to a request that it does not carry out."""
    if "there is no room" in said or "disk is full" in said:
        return faults.FULL_THERE(place=place.label, detail=said)
    next_step = "ask its owner for the right to do this, or use another place"
    return faults.REFUSED(place=place.label, detail=said, next=next_step)


def not_taken(place: Place, key: Key, said: p2p.Message) -> HoldError:
    """The error for content that a server did not keep."""
    if isinstance(said, p2p.Error):
        return refused(place, said.text)
    detail = "it says that it failed; its disk may be full, or somebody else is sending it"
    return faults.NOT_TAKEN(place=place.label, key=key.text, detail=detail)
