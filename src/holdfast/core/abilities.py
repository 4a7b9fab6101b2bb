"""What a place may be able to do; a function asks only for the abilities it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, runtime_checkable

from .errors import HoldError
from .key import Key
from .place import Place, Presence
from .policy import DropProof, Waiver


class Answer(NamedTuple):
    """What a place says of one key: is it there, and a remark for people when it is not sure."""

    presence: Presence
    remark: str = ""
    until: float | None = None
    """Of a promise to keep it: until when it holds even if its holder goes away, on
    `time.monotonic`'s clock. None where the promise lasts as long as we hold it."""


class Stream:
    """Content on its way: from which byte it really starts, its whole size if known, the bytes.

    A source that cannot start in the middle says ``offset`` 0, whatever it was asked for.
    """

    __slots__ = ("chunks", "offset", "size")

    def __init__(self, offset: int, size: int | None, chunks: Iterator[bytes]) -> None:
        self.offset = offset
        self.size = size
        self.chunks = chunks


class Askable(Protocol):
    """A place that can be asked, now, which keys it has."""

    @property
    def place(self) -> Place:
        """Which place this is."""

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look, for each key, in order; never raises for one key: says UNKNOWN and why."""


class Readable(Askable, Protocol):
    """A place that content can be read from."""

    @property
    def cost(self) -> float:
        """Cheaper places are used first; git-annex's scale: 100 local, 200 remote."""

    def open_content(self, key: Key, offset: int = 0) -> AbstractContextManager[Stream]:
        """Stream content from a byte offset. What comes is not checked: that is `receive`'s work.

        Raises:
            NotFoundError: The place does not have it.
            PlaceUnavailableError: The place went away, before or during the stream.
            AccessError: The place refuses.
            RemoteProtocolError: The place talks nonsense.
        """

    def close(self) -> None:
        """Let go of connections and processes. May be called twice."""


class Lockable(Protocol):
    """A place that can promise to keep a copy for a while."""

    @property
    def sees_removal(self) -> bool:
        """Whether `ask` knows of content that somebody is about to remove.

        Where it does not, two that drop from each other at once would each see the other's copy:
        only the promise is evidence, kept until the drop is done.
        """

    @property
    def place(self) -> Place:
        """Which place this is."""

    def lock_content(self, key: Key) -> AbstractContextManager[Answer]:
        """Hold a copy where it is until the block ends, or say in the answer why not."""


class LocalFiles(Protocol):
    """A place whose content lies in files this machine can open: copies may be links."""

    def content_path(self, key: Key) -> bytes | None:
        """The file that holds the content, or None when it is not there."""


class Partial:
    """The unfinished file of one key, locked for us: where it is and what it holds already."""

    __slots__ = ("path", "size")

    def __init__(self, path: bytes, size: int) -> None:
        self.path = path
        self.size = size


class Writable(Protocol):
    """A place that content can be brought to. Content reaches its final name only through here."""

    def has(self, key: Key) -> bool:
        """Whether the content is there already, whole."""

    def open_partial(self, key: Key) -> AbstractContextManager[Partial]:
        """The file to bring a key's bytes to; what an earlier try left in it is still there.

        It is kept when the block ends, unless it was given to `commit`.

        Raises:
            PlaceUnavailableError: Another process is bringing this key.
            PlaceFullError: There is no room for it.
        """

    def commit(self, key: Key, path: bytes) -> None:
        """Move a file, whose bytes were checked against the key, to its final name."""


class Content(Protocol):
    """Content that is here, to be sent to a place: checked against its key as it is read."""

    @property
    def size(self) -> int:
        """How many bytes it has."""

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from an offset to the end.

        The last chunk is given only after the whole, what lies before ``offset`` too, was found
        to be what the key names: who makes content visible after the last chunk shows no wrong one.

        Raises:
            IntegrityError: It is not what the key names.
        """

    def path(self) -> bytes:
        """A file with just these bytes, checked, for programs that want one; it is read only.

        Raises:
            IntegrityError: It is not what the key names.
        """


def known_digests(content: Content) -> Callable[[str], bytes | None]:
    """Gives the hash of a content, by hashlib's name for it, where its key tells it.

    That is what the method ``digest`` of a content is for, if it has one. Ask it when all bytes
    were given, and so were found right: they need not be hashed again.
    """
    return getattr(content, "digest", _unknown)


def _unknown(_: str) -> None:
    """No hash is known."""


OnBytes = Callable[[int], None]
"""Told how many more bytes have gone; negative when bytes have to go again."""


class Sendable(Askable, Protocol):
    """A place that content can be sent to."""

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Put content there, under its key. It is there whole, or not at all.

        Sending what is there already succeeds and may be cheap. What an earlier try left there is
        gone on with, where the place can.

        Raises:
            IntegrityError: The content here is not what the key names; nothing stays there.
            PlaceFullError: There is no room.
            PlaceUnavailableError: The place went away. Worth another try.
            AccessError: The place refuses.
        """


@runtime_checkable
class BulkSendable(Sendable, Protocol):
    """A place that takes many small contents without a round trip for each."""

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Put contents there, and say of each how it ended: None when it is there, whole.

        Items are taken some way ahead of what is answered; each one taken is answered once, in
        any order. When the place goes away, those taken are answered with that.
        """


class Removable(Askable, Protocol):
    """A place that content can be removed from."""

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Remove a copy, with leave for just this key and place. What is not there is success.

        Raises:
            PolicyError: The place keeps it: somebody holds a lock there, say.
            PlaceUnavailableError: The place went away; the copy may be there or not.
            AccessError: The place refuses.
        """


class Store(Readable, Sendable, Removable, Protocol):
    """A place that content can be read from, sent to and removed from."""


@runtime_checkable
class BulkReadable(Readable, Protocol):
    """A place that can stream many keys without a round trip for each."""

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream each key's content from its start, in order, or say why it cannot be had.

        Keys are taken some way ahead of what is answered. Every key taken is answered once; when
        the place goes away, those taken are answered with that, and no more are taken. A stream
        must be used up before the next is asked for; the rest of one that is not is passed over.
        """


class RemarkedStream(Stream):
    """A stream whose source has something to tell, should the bytes turn out to be wrong."""

    __slots__ = ("remark",)

    def __init__(
        self, offset: int, size: int | None, chunks: Iterator[bytes], remark: str = ""
    ) -> None:
        super().__init__(offset, size, chunks)
        self.remark = remark


class BulkLimits(NamedTuple):
    """How a place likes many contents: in so many lanes at most, up to so many bytes each.

    None leaves it to who asks.
    """

    lanes: int | None = None
    size_max: int | None = None


def limits_of_sending(store: object) -> BulkLimits:
    """What the attribute ``bulk_sending`` of a store says, if it has one."""
    return getattr(store, "bulk_sending", BulkLimits())


def limits_of_fetching(store: object) -> BulkLimits:
    """What the attribute ``bulk_fetching`` of a store says, if it has one."""
    return getattr(store, "bulk_fetching", BulkLimits())


@runtime_checkable
class ManyWays(Protocol):
    """A place that may have the same content in several ways, of which some may be bad."""

    def ways(self, key: Key) -> Sequence[Readable]:
        """The place by each of its ways to a key alone; close the place, not them."""


@runtime_checkable
class SlowToStart(Protocol):
    """A place where each further lane costs a start: a login, a program on the other side."""

    @property
    def lane_bytes(self) -> int:
        """So many bytes have to wait before one more lane is worth that."""

    def get_ready(self) -> None:
        """Content is going to be sent there: start meanwhile. Errors are told when it is sent."""


FILE_WEIGHT = 1 << 18
"""A small file counts as so many bytes where lanes are weighed."""


def bytes_for_a_lane(place: object) -> int:
    """How many bytes have to wait before one more lane to a place is worth its start."""
    return place.lane_bytes if isinstance(place, SlowToStart) else 0


def waiting_bytes(count: int, size: int | None) -> int:
    """About how many bytes wait, when so many files do, of which the last has this size."""
    return count * max(size or 0, FILE_WEIGHT)


Pace = Callable[[Iterable[bytes]], Iterator[bytes]]
"""Gives the same bytes, each when it may pass."""


def pace_of(content: Content) -> Pace:
    """How fast the bytes of a content may go, for those that read them from its file in parts."""
    pace: Pace = getattr(content, "paced", iter)
    return pace


PathAndContent = tuple[bytes, Content]
"""A path below the top of a place that holds a tree, and what is to be there."""


class TreeStore(Protocol):
    """A place that holds a tree of files under their own names, and lets it be changed.

    Paths are relative to its top, as git writes them.
    """

    @property
    def place(self) -> Place:
        """Which place this is."""

    @property
    def can_rename(self) -> bool:
        """Whether a file there can get another name without being sent again."""

    def sizes(self, paths: Sequence[bytes]) -> list[int | None]:
        """How many bytes the file at each path has now, in order; None where there is none.

        Raises:
            PlaceUnavailableError: The place does not answer.
            AccessError: It refuses.
        """

    def iter_put(
        self, items: Iterable[PathAndContent], progress: OnBytes
    ) -> Iterator[tuple[bytes, HoldError | None]]:
        """Put contents at paths, in place of what is there; say of each how it ended, in any order.

        A path holds what it held before until the new content is there whole.
        """

    def rename(self, old: bytes, new: bytes) -> None:
        """Give a file another name, at which nothing is yet.

        Raises:
            NotFoundError: There is no such file.
            PlaceUnavailableError, AccessError: As for sending.
        """

    def remove_files(self, paths: Sequence[bytes]) -> None:
        """Remove files, and the folders that have nothing in them then.

        What is not there is success.
        """

    def close(self) -> None:
        """Let go of connections. May be called twice."""


@runtime_checkable
class VersionedTree(TreeStore, Protocol):
    """A tree whose place may keep every version of a file: none is lost when its path is."""

    @property
    def keeps_versions(self) -> bool:
        """Whether it does."""

    def take_version(self, path: bytes) -> bytes | None:
        """What names the version of the file that was just put at a path; told once."""
