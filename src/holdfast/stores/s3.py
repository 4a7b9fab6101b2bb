"""Amazon's S3 and what speaks like it, as git-annex's S3 special remote lays content out there.

An object is named ``fileprefix`` and the key as it is; the object ``annex-uuid`` tells whose bucket
it is. A bucket that anybody may read needs no credentials (`s3_public.py`). Requests are our own:
names of keys that hold ``//`` or end in ``/``, the rule about addresses and servers that answer a
range with status 200 are all beyond the libraries that were looked at.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from ..core import faults
from ..core.abilities import Answer, BulkLimits, Content, OnBytes, Readable, Stream, known_digests
from ..core.errors import HoldError, NotFoundError
from ..core.key import Key
from ..core.place import Place, Presence
from ..core.policy import DropProof, Waiver
from ..core.sizes import parse_size
from ..wire import s3
from ..wire.branch_paths import place_metadata_log
from ..wire.metadata import place_values
from ..wire.remote_urls import S3Version, parse_s3_version, s3_public_url
from . import s3_many
from .buffers import Buffers
from .s3_calls import Call, with_data
from .s3_client import S3Client
from .s3_parts import PartSender
from .s3_public import VERSION_FIELD, S3Public
from .s3_setup import MIB, PART_MAX, PART_MIN, flag
from .s3_setup import plan_setup as plan_setup
from .special import Credentials, SpecialRemote
from .url_store import tell

PART = 8 * MIB
"""What is larger goes in parts, so many bytes each, unless ``partsize`` says otherwise."""

PARTS_MAX = 10_000
_BUFFERS = 32 * MIB
"""How much of contents is held in memory at a time, by all threads."""

_UUID_NAME = b"annex-uuid"


def open_store(remote: SpecialRemote) -> Readable:
    """A bucket; one that anybody may read is read without credentials."""
    return S3(remote) if s3_public_url(remote.config) is None else PublicS3(remote)


def prepare(remote: SpecialRemote) -> None:
    """Make the bucket if it is not there, and write down in it whose it is.

    Raises:
        ConflictError: It belongs to another place.
    """
    store = S3(remote)
    try:
        store.prepare()
    finally:
        store.close()


class S3:
    """One bucket, or a part of it, with credentials."""

    bulk_sending = BulkLimits(lanes=1)
    bulk_fetching = BulkLimits(lanes=1, size_max=s3_many.FETCH_MAX)

    def __init__(self, remote: SpecialRemote) -> None:
        """Nothing is connected yet."""
        self.place: Place = remote.place
        self.cost = remote.cost(200.0)
        self._remote = remote
        self._prefix = remote.config.get("fileprefix", "").encode("utf-8", "surrogateescape")
        self._holds_tree = flag(remote.config, "exporttree")
        self._sender: PartSender | None = None
        self._buffers = Buffers(_BUFFERS)
        self._lock = threading.Lock()

    @property
    def client(self) -> S3Client:
        """Requests to the bucket.

        Raises:
            AccessError: No credentials are known.
            PlaceUnavailableError: Its configuration makes no sense.
        """
        with self._lock:
            return self._opened

    @cached_property
    def _opened(self) -> S3Client:
        remote = self._remote
        try:
            bucket = s3.bucket_of(remote.config)
        except (KeyError, ValueError):
            raise faults.NO_WAY(place=self.place.label, kind="S3 without a sound bucket") from None
        return S3Client(
            bucket, _signer(remote), place=self.place.label,
            allowed_addresses=remote.allowed_addresses,
        )  # fmt: skip

    @property
    def _parts(self) -> PartSender:
        with self._lock:
            if self._sender is None:
                self._sender = PartSender(self._opened, self._buffers, self._prefix)
            return self._sender

    def close(self) -> None:
        """End connections; what is still sent or read over them ends with an error."""
        with self._lock:
            client = self.__dict__.pop("_opened", None)
            sender, self._sender = self._sender, None
        if client is not None:
            client.close()
        if sender is not None:
            sender.close()

    def prepare(self) -> None:
        """See `Kind.prepare`."""
        config, client = self._remote.config, self.client
        mark = self._prefix + _UUID_NAME
        if not client.bucket_exists():
            acl = {"x-amz-acl": "public-read"} if flag(config, "public") else {}
            client.create_bucket(s3.region_of(config), acl)
        # What was exported is somebody's tree: no file of ours belongs in it.
        if not self._holds_tree:
            found, ours = client.read(mark), self.place.id.encode()
            if found is None and not client.put_new(with_data("PUT", mark, {}, ours, {})):
                found = client.read(mark)  # somebody was quicker
            if found is not None and found.strip() != ours:
                raise faults.WRONG_OWNER(
                    where=f"bucket {config['bucket']}",
                    uuid=found[:60].decode("utf-8", "replace").strip(), wanted=self.place.id,
                )  # fmt: skip
        if flag(config, "versioning"):
            client.keep_versions()

    # reading

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look for each key; the size has to be right too."""
        unknown = Answer(Presence.ABSENT, "no object is recorded for it")
        try:
            if len(keys) == 1:
                found = self.objects_of(keys)[0]
                return [unknown if found is None else self._ask((keys[0], found))]
            answers = dict(s3_many.ask(self, keys, self._ask)) if keys else {}
        except HoldError as error:
            return [Answer(Presence.UNKNOWN, tell(error)) for _ in keys]
        return [answers.get(key, unknown) for key in keys]

    def _ask(self, asked: tuple[Key, S3Version]) -> Answer:
        key, found = asked
        try:
            size = self.client.size_of(found.object_name, found.id or None)
        except HoldError as error:
            return Answer(Presence.UNKNOWN, tell(error))
        return self.answer_of(key, size)

    def answer_of(self, key: Key, size: int | None) -> Answer:
        """What it means that an object of such a size is there, or none."""
        if size is None:
            return Answer(Presence.ABSENT)
        if key.chunk_size is None and key.size not in (None, size):
            return Answer(Presence.ABSENT, f"it has {size} bytes there instead of {key.size}")
        return Answer(Presence.PRESENT)

    def objects_of(self, keys: Sequence[Key]) -> list[S3Version | None]:
        """The object, and if need be its version, that holds each key; None when none is known."""
        if not self._holds_tree:
            return [S3Version("", self._prefix + key) for key in keys]
        logs = self._remote.notes.read(place_metadata_log, keys)
        return [self._recorded(logs.get(key, b"")) or self._exported(key) for key in keys]

    def _recorded(self, log: bytes) -> S3Version | None:
        values = place_values(log, VERSION_FIELD).get(self.place.id, [])
        return next(filter(None, map(parse_s3_version, values)), None)

    def _exported(self, key: Key) -> S3Version | None:
        paths = self._remote.paths_of(key) if self._remote.paths_of else ()
        return S3Version("", self._prefix + paths[0]) if paths else None

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream an object from an offset, or from the start where the server knows no ranges."""
        found = self.objects_of([key])[0]
        if found is None:
            raise s3_many.nothing_recorded(self, key)
        # Nothing follows the end, and a range of nothing is an error: the last byte tells as much.
        first = max(0, offset - 1) if offset and offset == key.size else offset
        try:
            with self.client.open(found.object_name, first, found.id or None) as stream:
                yield stream if stream.offset == first == offset else _moved(stream, offset)
        except NotFoundError as error:
            raise faults.NOT_THERE(
                place=self.place.label, key=key.text, detail=error.why
            ) from error

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream many, small ones fetched ahead."""
        return s3_many.iter_contents(self, keys)

    # sending and removing

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Put an object there, a large one in parts; nothing is seen of it before it is whole.

        The server is told the hash of all it is sent.
        """
        self._need_keys()
        self.put_object(key, content, progress)

    def put_object(self, name: bytes, content: Content, progress: OnBytes) -> str:
        """Put content there under a name (below ``fileprefix``), in place of what has it.

        Gives the version that it became, empty where the bucket keeps none.
        """
        size, part = content.size, self._part_size(content.size, name)
        if size > part:
            return self._parts.send(self._prefix + name, content, part, self._headers, progress)
        with self._buffers.hold(size):
            version = self.client.put(self.put_call(name, content))
        progress(size)
        return version

    def put_call(self, name: bytes, content: Content) -> Call:
        """The call that sends a small content whole; it is checked for this."""
        data = whole(content)
        known = known_digests(content)
        return with_data("PUT", self._prefix + name, {}, data, self._headers, known)

    def object_size(self, name: bytes) -> int | None:
        """How many bytes the object of a name has; None when there is none."""
        return self.client.size_of(self._prefix + name)

    def delete_object(self, name: bytes) -> None:
        """Remove the object of a name; what is not there is success."""
        self.client.delete(self._prefix + name)

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Put many there, several at a time."""
        return s3_many.iter_send(self, items, progress)

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Remove an object; a bucket that keeps versions keeps this one, too."""
        assert (leave.key, leave.place) == (key, self.place.id), "leave is for one key and place"
        self._need_keys()
        self.client.delete(self._prefix + key)

    def _need_keys(self) -> None:
        if self._holds_tree:
            raise faults.HOLDS_A_TREE(place=self.place.label)

    def _part_size(self, size: int, name: bytes) -> int:
        wanted = parse_size(self._remote.config.get("partsize", "")) or PART
        part = max(PART_MIN, min(PART_MAX, wanted))
        while part * PARTS_MAX < size and part < PART_MAX:
            part = min(PART_MAX, part * 2)
        if part * PARTS_MAX < size:
            raise faults.TOO_LARGE(
                key=os.fsdecode(name), place=self.place.label, size=size,
                most=PART_MAX * PARTS_MAX,
            )  # fmt: skip
        return part

    @cached_property
    def _headers(self) -> dict[str, str]:
        config = self._remote.config
        headers = {"content-type": "application/octet-stream"}
        if config.get("storageclass", "STANDARD") != "STANDARD":
            headers["x-amz-storage-class"] = config["storageclass"]
        if flag(config, "public"):
            headers["x-amz-acl"] = "public-read"
        return headers


class PublicS3(S3Public):
    """A bucket that anybody may read; credentials are looked for when something is sent there."""

    bulk_sending = S3.bulk_sending

    def __init__(self, remote: SpecialRemote) -> None:
        """Nothing is connected yet."""

        def versions(keys: list[Key]) -> dict[Key, bytes]:
            return remote.notes.read(place_metadata_log, keys)

        super().__init__(
            remote.place, remote.config, versions,
            cost=remote.cost(210.0), allowed_addresses=remote.allowed_addresses,
            paths_of=remote.paths_of or (lambda _: ()),
        )  # fmt: skip
        self._private = S3(remote)

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """As `S3.send`."""
        self._private.send(key, content, progress)

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """As `S3.iter_send`."""
        return self._private.iter_send(items, progress)

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """As `S3.remove`."""
        self._private.remove(key, leave)

    def close(self) -> None:
        """End the connections of both."""
        super().close()
        self._private.close()


def _signer(remote: SpecialRemote) -> s3.Signer | None:
    if remote.config.get("signature") == "anonymous":
        return None
    found: Credentials | None = remote.credentials()
    if found is None:
        raise faults.NO_CREDENTIALS(
            place=remote.place.label,
            looked="the environment, .git/annex/creds, the remote's settings, a keyring",
            variables="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    environment = remote.environment
    # A session's token belongs to the keys that stand beside it.
    same = environment.get("AWS_ACCESS_KEY_ID") == found[0]
    token = environment.get("AWS_SESSION_TOKEN") if same else None
    return s3.Signer(found[0], found[1], s3.region_of(remote.config), token)


def whole(content: Content) -> bytes | bytearray:
    """All bytes of a content, once in memory."""
    chunks = content.chunks()
    first = next(chunks, b"")
    if len(first) == content.size:
        rest = b"".join(chunks)
        return first + rest if rest else first
    data, at = bytearray(content.size), 0
    while first:
        data[at : at + len(first)] = first
        at += len(first)
        first = next(chunks, b"")
    del data[at:]
    return data


def _moved(stream: Stream, offset: int) -> Stream:
    """The same stream, what lies before the offset passed over."""
    if stream.offset > offset:
        return stream

    def chunks(skip: int) -> Iterator[bytes]:
        for chunk in stream.chunks:
            if skip < len(chunk):
                yield chunk[skip:]
            skip = max(0, skip - len(chunk))

    return Stream(offset, stream.size, chunks(offset - stream.offset))
