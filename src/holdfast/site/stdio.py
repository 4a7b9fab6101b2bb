"""The P2P protocol over a pair of pipes, as git-annex-shell's ``p2pstdio`` speaks it.

Answers to requests that came together go out together. Content that our own clients send unasked
(docs/formats/hold-p2p.md) is staged and synced in batches, and answered in the order it came.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterator

from ..api.served import Offered, Rights, Served
from ..api.served_bulk import Bulk, pass_over
from ..api.served_notes import BATCH_S
from ..core import faults
from ..core.backends import is_verifiable
from ..core.errors import HoldError, IntegrityError
from ..core.key import Key
from ..core.place import Place, PlaceId
from ..dataset.promises import Promise
from ..stores.program import widen_pipe
from ..wire import p2p
from ..wire.p2p_server import (
    UNEXPECTED,
    Asked,
    Incoming,
    IncomingBytes,
    IncomingEnds,
    Question,
    Say,
    ServerEvent,
    ServerSession,
)

_READ = 1 << 20
_SMALL = 1 << 16
"""Content up to this size is sent together with what is said around it."""

_OUT_MAX = 1 << 18
_IDLE_S = 0.03
"""So long nothing has to come before a batch that is not full is ended."""


class Gone(Exception):
    """The client hung up."""


class Conversation:
    """One client, from its greeting until it hangs up."""

    def __init__(
        self, served: Served, rights: Rights, client: PlaceId, pipes: tuple[int, int]
    ) -> None:
        """``pipes`` are what it says and what it hears."""
        self._served = served
        self._rights = rights
        self._client = Place(client, "the client")
        self._input, self._output = pipes
        widen_pipe(self._input)
        self._session = ServerSession(served.uuid)
        self._out: list[bytes] = []
        self._out_size = 0
        self._pending: ServerEvent | None = None
        self._promises: list[Promise] = []
        self._bulk = Bulk(served, self._client)
        self._readable = select.poll()
        self._readable.register(self._input, select.POLLIN)

    def run(self) -> None:
        """Serve until the client hangs up.

        Raises:
            RemoteProtocolError: It talks nonsense.
        """
        try:
            self._say(self._session.start())
            while True:
                event = self._next()
                if isinstance(event, Say):
                    self._settle()
                    self._say(event.data)
                elif isinstance(event, Asked):
                    self._answer(event.question)
        except (Gone, BrokenPipeError, ConnectionResetError):
            return
        finally:
            # It went away without a word: what it was promised stays promised for its time.
            for promise in self._promises:
                promise.abandon()
            self._bulk.close()

    # what is asked

    def _answer(self, question: Question) -> None:
        if isinstance(question, p2p.HoldPut):
            self._take_unasked(question)
            return
        self._settle()
        if isinstance(question, p2p.Get):
            self._get(question)
        elif isinstance(question, p2p.UnlockContent):
            self._unlock()
        else:
            try:
                reply = self._reply(question)
            except HoldError as error:
                reply = p2p.Error(_line(error))
            if reply is not None:
                self._say(self._session.answer(reply))

    def _reply(self, question: Question) -> p2p.Message | None:
        served = self._served
        match question:
            case p2p.CheckPresent(key):
                return _yes(served.has(key))
            case p2p.LockContent(key):
                return _yes(self._lock(key))
            case p2p.GetTimestamp():
                return p2p.Timestamp(served.timestamp())
            case p2p.Remove(key):
                self._need(Rights.WRITE)
                return _yes(served.remove(key))
            case p2p.RemoveBefore(timestamp, key):
                self._need(Rights.WRITE)
                return _yes(served.remove(key, timestamp))
            case p2p.Put():
                self._need(Rights.APPEND)
                return self._put(question)
        return p2p.Error(UNEXPECTED)

    def _need(self, rights: Rights) -> None:
        if self._rights < rights:
            raise faults.APPEND_ONLY_SERVER() if self._rights else faults.READ_ONLY_SERVER()

    def _lock(self, key: Key) -> bool:
        promise = self._served.promise(key)
        if promise.kept:
            self._promises.append(promise)
        else:
            promise.abandon()
        return promise.kept

    def _unlock(self) -> None:
        if not self._promises:
            self._say(self._session.answer(p2p.Error(UNEXPECTED)))
        while self._promises:
            self._served.release(self._promises.pop())

    # sending

    def _get(self, question: p2p.Get) -> None:
        offered = self._served.offer(question.key)
        if offered is None or question.offset > offered.size:
            if offered is not None:
                offered.close()
            self._say(self._session.begin_get(0) + self._session.end_get(valid=False))
            return
        try:
            left = offered.size - question.offset
            self._say(self._session.begin_get(left))
            if left <= _SMALL:
                self._say(_read_exactly(offered, question.offset, left))
            else:
                self._flush()
                _send_file(self._output, offered.file, question.offset, left)
            self._say(self._session.end_get(valid=offered.is_unchanged))
        finally:
            offered.close()

    # receiving

    def _put(self, question: p2p.Put) -> p2p.Message | None:
        if self._served.has(question.key):
            return p2p.AlreadyHave()
        with self._served.open_put(question.key, self._client) as put:
            self._say(self._session.answer(p2p.PutFrom(put.offset)))
            event = self._next()
            if not isinstance(event, Incoming):
                # It thought better of it and asks something else.
                self._pending = event
                return None
            if event.size is None:
                return _yes(put.take_present())
            chunks = self._incoming(question.key)
            try:
                taken = put.take(chunks, event.size)
            except HoldError:
                taken = False
            # What was not wanted any more, for lack of room say, has to be read all the same.
            pass_over(chunks)
            return _yes(taken)

    def _incoming(self, key: Key) -> Iterator[bytes]:
        """The bytes as they come; at their end the client's word counts where no hash does."""
        while True:
            event = self._next()
            if isinstance(event, IncomingEnds):
                if not event.valid and not is_verifiable(key.backend):
                    detail = "the sender says itself that it is not"
                    raise faults.WRONG_CONTENT(
                        source=self._client.label, key=key.text, detail=detail, next=""
                    )
                return
            assert isinstance(event, IncomingBytes)
            yield event.data

    def _take_unasked(self, question: p2p.HoldPut) -> None:
        chunks = self._incoming(question.key)
        try:
            self._need(Rights.APPEND)
        except HoldError as error:
            self._bulk.refuse(error, chunks)
        else:
            self._bulk.take(question.key, question.size, chunks)
        self._tell_done()

    def _settle(self) -> None:
        """Answer all that came unasked, before anything else is answered."""
        if self._bulk.waiting:
            self._bulk.flush()
            self._tell_done()

    def _tell_done(self) -> None:
        for error in self._bulk.iter_done():
            if error is None:
                self._say(p2p.encode(p2p.Success()))
            elif isinstance(error, IntegrityError):
                self._say(p2p.encode(p2p.Failure()))
            else:
                self._say(p2p.encode(p2p.Error(_line(error))))

    # talking

    def _next(self) -> ServerEvent:
        if self._pending is not None:
            event, self._pending = self._pending, None
            return event
        while True:
            found = self._session.next()
            if found is not None:
                return found
            self._listen()

    def _listen(self) -> None:
        """Wait for more of what the client says; meanwhile end what waits for nothing else."""
        self._flush()
        if self._bulk.waiting and not self._session.is_receiving and not self._comes(_IDLE_S):
            self._settle()
            self._flush()
        while self._served.has_news and not self._comes(BATCH_S):
            self._served.tell()
        data = os.read(self._input, _READ)
        if not data:
            raise Gone
        self._session.receive(data)

    def _comes(self, within_s: float) -> bool:
        return bool(self._readable.poll(within_s * 1000))

    def _say(self, data: bytes) -> None:
        self._out.append(data)
        self._out_size += len(data)
        if self._out_size > _OUT_MAX:
            self._flush()

    def _flush(self) -> None:
        rest = memoryview(b"".join(self._out))
        self._out, self._out_size = [], 0
        while rest:
            rest = rest[os.write(self._output, rest) :]


def _yes(good: bool) -> p2p.Message:  # noqa: FBT001 (an answer made into another)
    return p2p.Success() if good else p2p.Failure()


def _line(error: HoldError) -> str:
    """An error as one line, for people on the other side."""
    return " ".join(f"{error.what} ({error.why})".split()) if error.why else error.what


def _read_exactly(offered: Offered, offset: int, size: int) -> bytes:
    """So many bytes; when the file was cut short, filled up: the word that follows is INVALID."""
    return os.pread(offered.file, size, offset).ljust(size, b"\0")


def _send_file(output: int, file: int, offset: int, left: int) -> None:
    """Send a part of a file, where possible without taking it into our hands."""
    while left:
        try:
            sent = os.sendfile(output, file, offset, min(left, 1 << 30))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSOCK):
                raise
            sent = os.write(output, os.pread(file, min(left, _READ), offset))
        if not sent:
            # It was cut short under us: what was announced has to come, and is called invalid.
            sent = os.write(output, bytes(min(left, _READ)))
        offset, left = offset + sent, left - sent
