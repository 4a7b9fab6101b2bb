"""The door: content comes in from places, is checked against its key, and only then is there.

Sources are tried in turn, mid-file where they can start there. One that sent wrong bytes is not
asked again for that key. What a broken transfer left is taken up, after it was hashed once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from ..core import faults
from ..core.abilities import ManyWays, Readable, RemarkedStream, Stream, Writable
from ..core.backends import Checker, checker, is_verifiable
from ..core.errors import HoldError, IntegrityError, PlaceUnavailableError
from ..core.key import Key
from ..core.place import Place, PlaceId
from ..core.system_errors import as_fault

ROUNDS_MAX = 5
"""How often a source that breaks off is asked again, as long as it brings us further."""

_CHUNK = 1 << 20

OnBytes = Callable[[int], None]
"""Told how many more bytes have come; negative when bytes have to come again."""


OnFailure = Callable[[Place, HoldError], None]
"""Told of each source that failed, while the next is tried."""


class Received(NamedTuple):
    """What came over: how many bytes, from where, and whether it was needed at all."""

    size: int
    fresh: bool
    place: Place | None = None


def receive(
    target: Writable,
    key: Key,
    sources: Sequence[Readable],
    progress: OnBytes = lambda _: None,
    *,
    unchecked_from: Collection[PlaceId] = (),
    on_failure: OnFailure = lambda _place, _error: None,
) -> Received:
    """Bring one key's content into a place, from the first source that gives it.

    It is hashed as it is written and committed only if it is what the key names. Receiving what
    is already there is cheap and succeeds. A key without a hash, which cannot be checked but for
    its size, is taken from the places in ``unchecked_from`` only.

    Raises:
        PlaceUnavailableError: No source gave it; the reason holds each one's answer. What came
            is kept for the next time, unless it was wrong.
        PlaceFullError: There is no room here.
    """
    if target.has(key):
        return Received(size=0, fresh=False)
    ways = [way for source in sources for way in ways_to(source, key)]
    with open_intake(target, key, progress) as intake:
        if intake.is_complete():
            intake.commit()
            return Received(size=0, fresh=True)
        return _from_any(intake, ways, unchecked_from, on_failure)


def receive_stream(
    target: Writable, key: Key, place: Place, stream: Stream, progress: OnBytes = lambda _: None
) -> Received:
    """Bring one key's content into a place from a stream that has begun at its start.

    For streams of many keys. What an earlier transfer left is written over.

    Raises:
        IntegrityError: It is not what the key names; nothing of it is kept.
        PlaceUnavailableError: The source broke off; what came is kept.
    """
    with open_intake(target, key, progress) as intake:
        intake.take(place, stream)
        intake.commit()
        return Received(size=intake.came, fresh=True, place=place)


def ways_to(source: Readable, key: Key) -> Sequence[Readable]:
    """A source, or, when it may have a key in several ways, each of them."""
    return source.ways(key) if isinstance(source, ManyWays) else [source]


def may_take(key: Key, place: Place, unchecked_from: Collection[PlaceId]) -> bool:
    """Whether bytes of a place may be taken: they can be checked, or it is one of those named."""
    return is_verifiable(key.backend) or place.id in unchecked_from


def _from_any(
    intake: Intake,
    ways: Sequence[Readable],
    unchecked_from: Collection[PlaceId],
    on_failure: OnFailure,
) -> Received:
    answers: dict[int, tuple[Place, HoldError]] = {}
    waiting = list(enumerate(ways))
    for _ in range(ROUNDS_MAX):
        had = intake.came
        again: list[tuple[int, Readable]] = []
        for number, source in waiting:
            try:
                _from_one(intake, source, unchecked_from)
            except HoldError as error:
                answers[number] = source.place, error
                on_failure(source.place, error)
                if isinstance(error, PlaceUnavailableError):
                    again.append((number, source))
            else:
                intake.commit()
                return Received(size=intake.came, fresh=True, place=source.place)
        waiting = again
        if not waiting or intake.came == had:
            break
    raise no_source(intake.key, [answers[number] for number in sorted(answers)])


def _from_one(intake: Intake, source: Readable, unchecked_from: Collection[PlaceId]) -> None:
    if not may_take(intake.key, source.place, unchecked_from):
        backend = intake.key.backend.decode("utf-8", "replace")
        raise faults.UNVERIFIABLE(key=intake.key.text, source=source.place.label, backend=backend)
    intake.mixed = False
    try:
        with source.open_content(intake.key, intake.size) as stream:
            intake.take(source.place, stream)
    except IntegrityError:
        # Bytes of several origins may be wrong through any of them: once more, from this alone.
        if not intake.mixed:
            raise
        with source.open_content(intake.key) as stream:
            intake.take(source.place, stream)


def no_source(key: Key, answers: Sequence[tuple[Place, HoldError]]) -> HoldError:
    """The error that tells what each source answered."""
    told = list(dict.fromkeys(f"{place.label}: {_phrase(error)}" for place, error in answers))
    if not told:
        next_step = "hold whereis    (says which places are known); then make one of them reachable"
        return faults.NO_SOURCE(
            key=key.text, answers="no place that can be reached has it", next=next_step
        )
    next_step = (
        "run the same command again; if it stays so, make another place that has it reachable"
    )
    return faults.NO_SOURCE(key=key.text, answers="; ".join(told), next=next_step)


def _phrase(error: HoldError) -> str:
    return f"{error.what} ({error.why})" if error.why else error.what


class Intake:
    """The unfinished file of one key: bytes go in, hashed as they pass."""

    def __init__(self, target: Writable, key: Key, path: bytes, progress: OnBytes) -> None:
        self.key = key
        self.size = 0
        """How many bytes are there, hashed."""
        self.came = 0
        """How many of them came now."""
        self.mixed = False
        self._target = target
        self._path = path
        self._progress = progress
        self._checker: Checker = checker(key)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        self._open = True

    def resume(self, size: int) -> None:
        """Hash what an earlier transfer left; if that cannot be of use it is thrown away."""
        # Without a hash nobody could tell that bytes of two origins do not fit together.
        if not size:
            return
        wanted = self.key.size
        if not is_verifiable(self.key.backend) or wanted is None or size > wanted:
            self.restart()
            return
        while chunk := os.read(self._file, _CHUNK):
            self._checker.feed(chunk)
            self.size += len(chunk)
            self._progress(len(chunk))

    def is_complete(self) -> bool:
        """Whether what is there already is the content; what is wrong is thrown away."""
        if self.key.size is None or self.size != self.key.size or not self.size:
            return False
        try:
            self._checker.finish()
        except IntegrityError:
            self.restart()
            return False
        return True

    def restart(self) -> None:
        """Throw away what is there."""
        if self.size:
            self._progress(-self.size)
        self.size = 0
        self._checker = checker(self.key)
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)

    def take(self, place: Place, stream: Stream) -> None:
        """Write a stream's bytes and check the whole.

        Raises:
            IntegrityError: It is not what the key names. Unless it offered another size, what
                was there is thrown away; ``mixed`` then says that not all of it was from here.
        """
        wanted, remark = self.key.size, remark_of(stream)
        if None not in (wanted, stream.size) and stream.size != wanted:
            raise wrong_content(
                place, self.key, f"it offers {stream.size} bytes instead of {wanted}", remark
            )
        if stream.offset != self.size:
            if stream.offset:
                detail = f"asked for byte {self.size} it starts at {stream.offset}"
                raise faults.BAD_ANSWER(place=place.label, detail=detail)
            self.restart()
        began = self.size
        try:
            for chunk in stream.chunks:
                # Hashed first: a byte too many is not even written.
                self._check(place, remark, chunk)
                self._write(chunk)
            self._check(place, remark, None)
        except IntegrityError:
            self.restart()
            self.mixed = began > 0
            raise

    def commit(self) -> None:
        """Give the file its final name."""
        os.close(self._file)
        self._open = False
        self._target.commit(self.key, self._path)

    def close(self) -> None:
        """Let go of the file; an empty one is removed."""
        if self._open:
            os.close(self._file)
            if not self.size:
                os.unlink(self._path)

    def _check(self, place: Place, remark: str, chunk: bytes | None) -> None:
        try:
            self._checker.finish() if chunk is None else self._checker.feed(chunk)
        except IntegrityError as error:
            raise wrong_content(place, self.key, error.why, remark) from None

    def _write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._file, view) :]
        self.size += len(chunk)
        self.came += len(chunk)
        self._progress(len(chunk))


@contextmanager
def open_intake(target: Writable, key: Key, progress: OnBytes) -> Iterator[Intake]:
    """The unfinished file of a key, with what an earlier transfer left in it; ours alone.

    Raises:
        PlaceUnavailableError: Another process is bringing this key.
        PlaceFullError, AccessError: The system does not let us write.
    """
    with target.open_partial(key) as partial, system_errors(partial.path):
        intake = Intake(target, key, partial.path, progress)
        try:
            intake.resume(partial.size)
            yield intake
        finally:
            intake.close()


def wrong_content(place: Place, key: Key, detail: str, remark: str = "") -> HoldError:
    """The error that says a place sent other bytes than a key names."""
    return faults.WRONG_CONTENT(
        source=place.label,
        key=key.text,
        detail=f"{detail}; {remark}" if remark else detail,
        next="run the same command again; if it stays so, the copy there is damaged",
    )


def remark_of(stream: Stream) -> str:
    """What a source has to tell, should the bytes be wrong."""
    return stream.remark if isinstance(stream, RemarkedStream) else ""


@contextmanager
def system_errors(path: bytes) -> Iterator[None]:
    """What the system says about a file of ours, as one of our faults."""
    try:
        yield
    except OSError as error:
        raise as_fault(error, os.fsdecode(path)) from error
