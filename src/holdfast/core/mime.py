"""What `mimeencoding=` and `mimetype=` ask of content, decided from its first bytes.

The encoding is decided as libmagic decides it, which never looks past 64 KiB and never asks what
format a file has: every byte is text, half text or no text, and the first encoding wins that all
bytes fit into. So a PDF may be ``us-ascii``, a file of one byte is ``binary`` and so is an empty
one, and UTF-16 without a byte order mark is ``binary``. Releases of libmagic differ in one thing we
know of: 5.44 does not take lone surrogates and U+FFFF for UTF-16; the one packaged with git-annex
does, and so do we.

The type is libmagic's too, but it comes from thousands of patterns that change with each release:
we name it only for a handful of formats, by marks that the packaged release was asked about.
"""

from __future__ import annotations

import codecs
import sys
from array import array

HEAD_SIZE = 65536
"""How many bytes decide the encoding."""
START_SIZE = 1024
"""How many of them are looked at first: nearly all binary formats show themselves there."""

_ASCII = bytes((*range(7, 14), 27, *range(32, 127), 0x85))
_LATIN = bytes(range(0xA0, 0x100))
_EXTENDED = bytes(range(0x80, 0xA0))
_TEXT = _ASCII + _LATIN + _EXTENDED
_CONTROL = bytes(set(range(128)) - set(_ASCII))
# Each of these is a printing character, a line break or a tab on an EBCDIC machine.
_EBCDIC = bytes(
    {0x05, 0x0B, 0x0C, 0x0D, 0x15, 0x16, 0x25, 0x27, 0x2F, *range(0x40, 0x100)} - {0xE1}
)
_UTF7_MARKS = (b"+/v8", b"+/v9", b"+/v+", b"+/v/")


def mime_encoding(head: bytes) -> str:
    """The encoding of content that begins with these bytes, in libmagic's words.

    Give it `HEAD_SIZE` bytes or the whole content; more is not looked at.
    """
    head = head[:HEAD_SIZE]
    if len(head) < 2 or _plainly_binary(head[:START_SIZE]):
        return "binary"
    if not head.translate(None, _ASCII):
        return "utf-7" if len(head) > 4 and head.startswith(_UTF7_MARKS) else "us-ascii"
    if _is_utf8(head):
        return "utf-8"
    wide = _wide(head)
    if wide:
        return wide
    rest = head.translate(None, _ASCII + _LATIN)
    if not rest:
        return "iso-8859-1"
    if not rest.translate(None, _EXTENDED):
        return "unknown-8bit"
    return "binary" if head.translate(None, _EBCDIC) else "ebcdic"


def mime_type(head: bytes) -> str | None:
    """The MIME type of content that begins with these bytes; None when we cannot be sure of it."""
    if not head:
        return "inode/x-empty"
    if len(head) == 1:
        return "application/octet-stream"
    for mark, kind in _MARKS:
        if head.startswith(mark):
            return kind
    return None


_MARKS = (
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
    (b"%PDF-1.", "application/pdf"),
    (b"\x89HDF\r\n\x1a\n", "application/x-hdf5"),
    (b"\xfd7zXZ\0", "application/x-xz"),
)


def _plainly_binary(start: bytes) -> bool:
    """Whether the first bytes alone rule out every encoding that is known."""
    if not start.translate(None, _TEXT) or not start.translate(None, _EBCDIC):
        return False
    return not start.startswith(_WIDE_MARKS)


def _is_utf8(head: bytes) -> bool:
    """Whether it is UTF-8 with a mark or a character beyond ASCII; one cut off last is forgiven."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(head)
    except UnicodeDecodeError:
        return False
    # Python's decoder waits for the rest of a surrogate, which libmagic does not forgive.
    if decoder.getstate()[0][:2] >= b"\xed\xa0" and decoder.getstate()[0][:1] == b"\xed":
        return False
    return not text.isascii() and len(head.translate(None, _CONTROL)) == len(head)


_WIDE = (
    (b"\xff\xfe\0\0", "utf-32le", "little", "I"),
    (b"\0\0\xfe\xff", "utf-32be", "big", "I"),
    (b"\xff\xfe", "utf-16le", "little", "H"),
    (b"\xfe\xff", "utf-16be", "big", "H"),
)
_WIDE_MARKS = tuple(mark for mark, *_ in _WIDE)
_NO_TEXT = frozenset((*_CONTROL, 0xFFFE))


def _wide(head: bytes) -> str:
    """Which of UTF-16 and UTF-32 it is, by its mark and for want of control characters; or ""."""
    for mark, name, order, unit in _WIDE:
        if head.startswith(mark):
            width = len(mark)
            units = array(unit, head[width : len(head) - len(head) % width])
            if order != sys.byteorder:
                units.byteswap()
            if _NO_TEXT.isdisjoint(units):
                return name
    return ""
