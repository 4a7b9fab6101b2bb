"""UnixFS: what the data of a dag-pb block says about a file, folder or symlink. Pure code.

A protobuf message, its fields in the order of their numbers, each number in its shortest form.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from ..core.errors import LocalProtocolError, ProtocolError
from .dag_pb import join_node, take_field
from .multihash import MURMUR3_X64_64
from .varint import VARINT_MAX, decode_varint, encode_varint, varint_size


class Profile(NamedTuple):
    """How content is cut into blocks; the same content has other CIDs under another one."""

    name: str
    chunk_size: int
    width: int
    """How many links a node of a file has at most."""
    folder_size_max: int
    """A folder whose block would be larger becomes shards."""


PROFILE = Profile("unixfs-v1-2025", 1 << 20, 1024, 1 << 18)
"""What we write (IPIP-499): CID version 1, raw leaves, balanced, no mode and no time."""

FANOUT = 256
"""How many buckets a shard has; a byte of a name's hash chooses one."""


TARGET_MAX = 1 << 16
"""No symlink that we write has a longer target; systems allow for 4,095 bytes."""
FOLDERS_DEEP_MAX = 256
"""Folders are neither written nor read deeper in each other."""


class Kind(IntEnum):
    """What a message is about. Old blocks may be `RAW`; `METADATA` nobody writes."""

    RAW = 0
    FOLDER = 1
    FILE = 2
    METADATA = 3
    SYMLINK = 4
    SHARD = 5


class Mtime(NamedTuple):
    """A time of change: seconds since 1970, and billionths if these were given."""

    seconds: int
    nanoseconds: int | None = None


class Unixfs(NamedTuple):
    """A message. Fields that it leaves out are None."""

    kind: Kind
    data: bytes | None = None
    file_size: int | None = None
    block_sizes: Sequence[int] = ()
    hash_code: int | None = None
    fanout: int | None = None
    mode: int | None = None
    mtime: Mtime | None = None


FOLDER_DATA = b"\x08\x01"
"""The message of a folder."""

_SHARD_END = b"\x28" + encode_varint(MURMUR3_X64_64) + b"\x30" + encode_varint(FANOUT)
_NANOSECONDS_END = 1_000_000_000
_I64 = 1 << 64


def symlink_data(target: bytes) -> bytes:
    """The message of a symlink: no size, as others write it.

    Raises:
        LocalProtocolError: The target is empty, or longer than `TARGET_MAX`.
    """
    _check_target(len(target))
    return b"\x08\x04\x12" + encode_varint(len(target)) + target


def symlink_block(target: bytes) -> bytes:
    """The block of a symlink."""
    return join_node((), symlink_data(target))


def symlink_block_size(target_size: int) -> int:
    """How large the block of a symlink to a target of that length is."""
    _check_target(target_size)
    data = 3 + varint_size(target_size) + target_size
    return 1 + varint_size(data) + data


def _check_target(size: int) -> None:
    if not 0 < size <= TARGET_MAX:
        raise LocalProtocolError(f"no symlink leads to a target of {size} bytes")


def shard_data(buckets: int) -> bytes:
    """The message of a shard; bit b of the number says that bucket b is used.

    The bits are written as a number, highest byte first, without zero bytes before it.
    """
    bits = buckets.to_bytes((buckets.bit_length() + 7) // 8, "big")
    return b"\x08\x05\x12" + encode_varint(len(bits)) + bits + _SHARD_END


def encode_unixfs(message: Unixfs) -> bytes:
    """The bytes of any message."""
    out = bytearray((0x08, message.kind))
    if message.data is not None:
        out += b"\x12" + encode_varint(len(message.data)) + message.data
    if message.file_size is not None:
        out += b"\x18" + encode_varint(message.file_size)
    for size in message.block_sizes:
        out += b"\x20" + encode_varint(size)
    for field, number in ((0x28, message.hash_code), (0x30, message.fanout), (0x38, message.mode)):
        if number is not None:
            out.append(field)
            out += encode_varint(number)
    if message.mtime is not None:
        raw = _encode_mtime(message.mtime)
        out += b"\x42" + encode_varint(len(raw)) + raw
    return bytes(out)


def decode_unixfs(data: bytes) -> Unixfs:
    """The message that the bytes are. `encode_unixfs` of it is the bytes again.

    Raises:
        ProtocolError: They are none, or not in its one form.
    """
    if len(data) < 2 or data[0] != 0x08 or data[1] > Kind.SHARD:
        raise ProtocolError("not UnixFS: no kind at offset 0")
    end = len(data)
    at, last = 2, 0x08
    content: bytes | None = None
    sizes: list[int] = []
    numbers: dict[int, int] = {}
    mtime: Mtime | None = None
    while at < end:
        field = data[at]
        if field <= last and not field == last == 0x20:
            raise ProtocolError(f"not UnixFS: field {field:#x} out of order at offset {at}")
        last = field
        if field == 0x20:
            size, at = decode_varint(data, at + 1)
            sizes.append(size)
        elif field in (0x18, 0x28, 0x30, 0x38):
            numbers[field], at = decode_varint(data, at + 1)
        elif field == 0x12:
            start, at = take_field(data, at + 1, end)
            content = data[start:at]
        elif field == 0x42:
            start, at = take_field(data, at + 1, end)
            mtime = _decode_mtime(data[start:at], start)
        else:
            raise ProtocolError(f"not UnixFS: field {field:#x} at offset {at}")
    get = numbers.get
    return Unixfs(
        Kind(data[1]), content, get(0x18), sizes, get(0x28), get(0x30), get(0x38), mtime
    )  # fmt: skip


def _encode_mtime(mtime: Mtime) -> bytes:
    seconds = mtime.seconds % _I64
    if seconds <= VARINT_MAX:
        out = b"\x08" + encode_varint(seconds)
    else:  # a time before 1970 takes ten bytes
        low = bytes(seconds >> shift & 0x7F | 0x80 for shift in range(0, 63, 7))
        out = b"\x08" + low + b"\1"
    if mtime.nanoseconds is not None:
        out += b"\x15" + mtime.nanoseconds.to_bytes(4, "little")
    return out


def _decode_mtime(raw: bytes, offset: int) -> Mtime:
    if raw[:1] != b"\x08":
        raise ProtocolError(f"not UnixFS: a time without seconds at offset {offset}")
    if len(raw) >= 11 and all(byte & 0x80 for byte in raw[1:10]):
        if raw[10] != 1:
            raise ProtocolError(f"not UnixFS: a time out of reach at offset {offset}")
        low = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(raw[1:10]))
        seconds, at = low - (1 << 63), 11
    else:
        seconds, at = decode_varint(raw, 1)
    if at == len(raw):
        return Mtime(seconds)
    nanoseconds = int.from_bytes(raw[at + 1 :], "little")
    if raw[at] != 0x15 or len(raw) != at + 5 or nanoseconds >= _NANOSECONDS_END:
        raise ProtocolError(f"not UnixFS: no time at offset {offset}")
    return Mtime(seconds, nanoseconds)
