"""Encodings are what libmagic says; each of these was checked with `git annex find`."""

from __future__ import annotations

import pytest

from holdfast.core.mime import HEAD_SIZE, mime_encoding, mime_type

SAMPLES = [
    (b"", "binary"), (b"a", "binary"), (b"ab", "us-ascii"), (b"a\x85b", "us-ascii"), (b"\x1b[31mred\n", "us-ascii"),
    (b"text\0", "binary"), (b"abc\x1a", "binary"), (b"a\x7fb", "ebcdic"), (b"\x15\x15\xe1\x15", "binary"),
    ("héllo".encode(), "utf-8"), (b"\xef\xbb\xbfhello", "utf-8"), ("é\x01".encode(), "binary"),
    ("é é".encode() + b"\xe4", "utf-8"), ("abc é".encode()[:-1], "iso-8859-1"), ("é".encode() + b"\xed\xa0", "iso-8859-1"),
    (b"a \xc0\x80 b", "unknown-8bit"), (b"a \xed\xa0\x80 b", "unknown-8bit"), ("Füße".encode("latin-1"), "iso-8859-1"),
    ("“q”".encode("cp1252"), "unknown-8bit"), ("Hello\n".encode("cp037").replace(b"\x25", b"\x15"), "ebcdic"),
    (b"+/v8-abc", "utf-7"), (b"+/v8", "us-ascii"), ("hi 😀".encode("utf-16"), "utf-16le"), ("hi".encode("utf-16-le"), "binary"),
    ("\ufeffhi".encode("utf-16-be"), "utf-16be"), (b"\xff\xfe\x00\xd8a\0", "utf-16le"), ("\ufeffa\x01".encode("utf-16-le"), "binary"),
    (b"\xff\xfe\0\0", "utf-32le"), ("\ufeffhi".encode("utf-32-be"), "utf-32be"), (b"\xfe\xff\xff\xfe", "iso-8859-1"),
    (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", "iso-8859-1"), (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary"), (b"GIF89aabcdef", "us-ascii"),
    ((348).to_bytes(4, "little") + bytes(344), "binary"), (b'{"a": 1}\n', "us-ascii"), (b"a\tb\n1\t2\n", "us-ascii"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "encoding"), SAMPLES)
def test_the_encoding_is_libmagics(content: bytes, encoding: str) -> None:
    assert mime_encoding(content) == encoding


def test_nothing_counts_beyond_the_head() -> None:
    text = b"abcdefg\n" * (HEAD_SIZE // 8)
    assert mime_encoding(text + b"\0\1\2") == "us-ascii"
    assert mime_encoding(text[:-1] + b"\0\1\2") == "binary"


def test_a_character_cut_off_by_the_end_of_the_head_is_forgiven_if_another_came_before() -> None:
    assert mime_encoding("é".encode() + b"a" * (HEAD_SIZE - 3) + "é".encode()) == "utf-8"
    assert mime_encoding(b"a" * (HEAD_SIZE - 1) + "é".encode()) == "iso-8859-1"


def test_a_type_is_named_only_when_it_is_certain() -> None:
    assert mime_type(b"\x1f\x8b\x08\0\0\0\0\0\0\xff") == "application/gzip"
    assert mime_type(b"") == "inode/x-empty"
    assert mime_type(b"hello world\n") is None
