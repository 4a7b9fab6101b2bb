"""The bytes of files in 7z archives, unpacked as they come by what Python has."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Iterator

from ..core.errors import RemoteProtocolError
from ..wire.sevenzip import Block, Member

ReadRange = Callable[[int, int], Iterator[bytes]]
"""Gives so many bytes of the archive, from an offset."""

_COPY, _LZMA, _LZMA2 = b"\x00", b"\x03\x01\x01", b"\x21"
_BZIP2 = b"\x04\x02\x02"
_OUTPUT_MAX = 1 << 20
_TAIL = bytes(64)
"""A decoder of LZMA looks ahead, and gives the last bytes only when it can."""


def is_stored(member: Member) -> bool:
    """Whether a file is there as it is, and reading may start anywhere in it."""
    return member.block is None or member.block.method == _COPY


def unpacked(member: Member, read: ReadRange, offset: int = 0) -> Iterator[bytes]:
    """The bytes of a file in an archive, from an offset.

    Raises:
        RemoteProtocolError: It is packed in a way we cannot unpack, or damaged.
    """
    block = member.block
    start, left = member.offset + offset, member.size - offset
    if block is None or left <= 0:
        return iter(())
    if block.method == _COPY:
        return read(block.offset + start, left)
    return _cut(_unpack(block, read), start, left)


def _cut(chunks: Iterator[bytes], start: int, left: int) -> Iterator[bytes]:
    for chunk in chunks:
        part = chunk[start : start + left]
        start = max(0, start - len(chunk))
        left -= len(part)
        if part:
            yield part
        if not left:
            return
    raise RemoteProtocolError("a 7z block that ends before its files do")


def _unpack(block: Block, read: ReadRange) -> Iterator[bytes]:
    decoder = _decoder(block)
    left = block.size
    try:
        for data in _with_tail(read(block.offset, block.packed)):
            while left and not decoder.eof:
                chunk = decoder.decompress(data, min(left, _OUTPUT_MAX))
                data = b""
                left -= len(chunk)
                if chunk:
                    yield chunk
                if decoder.needs_input:
                    break
    except (lzma.LZMAError, OSError, EOFError, ValueError) as error:
        raise RemoteProtocolError(f"a damaged 7z block: {error}") from error


def _with_tail(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from chunks
    yield _TAIL


def _decoder(block: Block) -> lzma.LZMADecompressor | bz2.BZ2Decompressor:
    properties = block.properties
    if block.method == _LZMA and len(properties) == 5:
        rest, lc = divmod(properties[0], 9)
        pb, lp = divmod(rest, 5)
        size = int.from_bytes(properties[1:], "little")
        return _raw({"id": lzma.FILTER_LZMA1, "dict_size": size, "lc": lc, "lp": lp, "pb": pb})
    if block.method == _LZMA2 and len(properties) == 1 and properties[0] <= 40:
        bits = properties[0]
        size = 0xFFFFFFFF if bits == 40 else (2 | bits & 1) << (bits // 2 + 11)
        return _raw({"id": lzma.FILTER_LZMA2, "dict_size": size})
    if block.method == _BZIP2:
        return bz2.BZ2Decompressor()
    raise RemoteProtocolError(f"a 7z block packed by method {block.method.hex() or 'of several'}")


def _raw(filter_: dict[str, int]) -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filter_])
