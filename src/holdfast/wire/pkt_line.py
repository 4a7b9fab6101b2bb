"""git's long-running filter protocol, version 2: its packets, greeting, requests and answers.

Pure: reading takes a function that reads. One process of ours serves all files of one git command.
Format: gitprotocol-common and "Long Running Filter Process" in gitattributes, both of git.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..core.errors import LocalProtocolError, RemoteProtocolError

Read = Callable[[int], bytes]
"""Reads so many bytes, fewer only at the end of the input."""

DATA_MAX = 65516
"""Bytes in the largest packet, its length not counted."""

FLUSH = b"0000"
"""The packet that ends a list."""

GREETING = (b"git-filter-client", b"version=2")
_HEX = frozenset(b"0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class Request:
    """What git wants done with one file; its content follows."""

    command: str
    path: bytes


# Packets.


def encode_packet(data: bytes) -> bytes:
    """One packet.

    Raises:
        LocalProtocolError: It is empty, or larger than a packet may be.
    """
    if not 0 < len(data) <= DATA_MAX:
        raise LocalProtocolError(f"a packet cannot hold {len(data)} bytes")
    return b"%04x%b" % (len(data) + 4, data)


def encode_list(lines: Sequence[bytes]) -> bytes:
    """Lines, a packet each, and the flush that ends them."""
    return b"".join([*(encode_packet(line + b"\n") for line in lines), FLUSH])


def iter_content(data: bytes) -> Iterator[bytes]:
    """Content as packets, without a flush."""
    for start in range(0, len(data), DATA_MAX):
        yield encode_packet(data[start : start + DATA_MAX])


def read_packet(read: Read) -> bytes | None:
    """What the next packet holds; None for a flush.

    Raises:
        EOFError: The input ended before it.
        RemoteProtocolError: It is no packet, or was cut short.
    """
    head = read(4)
    if not head:
        raise EOFError("no more packets")
    if len(head) < 4 or not _HEX.issuperset(head):
        raise RemoteProtocolError(f"not the length of a packet: {head!r}")
    length = int(head, 16)
    if not length:
        return None
    if not 4 <= length <= DATA_MAX + 4:
        raise RemoteProtocolError(f"no packet has the length {length}")
    data = read(length - 4)
    if len(data) < length - 4:
        raise RemoteProtocolError(f"a packet of {length - 4} bytes ended after {len(data)}")
    return data


def read_list(read: Read) -> list[bytes]:
    """The lines up to the next flush, without their ends.

    Raises:
        EOFError: The input ended before the first.
        RemoteProtocolError: The input ended later, or holds no packets.
    """
    lines: list[bytes] = []
    try:
        while (line := read_packet(read)) is not None:
            lines.append(line.removesuffix(b"\n"))
    except EOFError:
        if not lines:
            raise
        raise RemoteProtocolError("a list of packets has no end") from None
    return lines


def iter_read_content(read: Read) -> Iterator[bytes]:
    """The content up to the next flush, packet by packet.

    Raises:
        RemoteProtocolError: The input ended before it did.
    """
    try:
        while (data := read_packet(read)) is not None:
            yield data
    except EOFError:
        raise RemoteProtocolError("content has no end") from None


# The conversation, from the filter's side.


def check_greeting(lines: Sequence[bytes]) -> None:
    """Make sure that it is git who speaks, and speaks version 2.

    Raises:
        RemoteProtocolError: It is not.
    """
    if lines[:1] != [GREETING[0]] or GREETING[1] not in lines[1:]:
        raise RemoteProtocolError(f"not git's greeting: {b' '.join(lines)[:100]!r}")


def welcome() -> bytes:
    """The answer to the greeting."""
    return encode_list((b"git-filter-server", GREETING[1]))


def agree(offered: Sequence[bytes], able: Sequence[str]) -> bytes:
    """The answer to git's capabilities: those of them that we have."""
    ours = (b"capability=" + name.encode() for name in able)
    return encode_list([line for line in ours if line in offered])


def parse_request(lines: Sequence[bytes]) -> Request:
    """Read what git wants; what else it tells (such as the tree) is passed over.

    Raises:
        RemoteProtocolError: Command or path is missing or given twice.
    """
    pairs = [line.partition(b"=") for line in lines]
    commands = [value for name, _, value in pairs if name == b"command"]
    paths = [value for name, _, value in pairs if name == b"pathname"]
    if len(commands) != 1 or len(paths) != 1 or not paths[0]:
        raise RemoteProtocolError(f"not a request: {b' '.join(lines)[:100]!r}")
    return Request(commands[0].decode("utf-8", "replace"), paths[0])


SUCCESS = encode_list((b"status=success",))
"""Before content that is good so far; after it come two flushes, the second an empty list."""

ERROR = encode_list((b"status=error",))
"""The whole answer when a file could not be done."""

END = FLUSH + FLUSH
"""The end of content, and that its status stays as it was."""
