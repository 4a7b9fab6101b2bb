"""Keys: reading, writing, file names, hash directories."""

from __future__ import annotations

import pytest

from holdfast.core.errors import ProtocolError
from holdfast.core.key import (
    Key,
    decode_file_name,
    encode_file_name,
    hash_dir_lower,
    hash_dir_mixed,
    object_path,
    object_path_lower,
)

MP3 = Key(b"SHA256E-s31390--f50d7ac4c6b9031379986bc362fcefb65f1e52621ce1708d537e740fefc59cc0.mp3")


def test_a_key_tells_its_fields() -> None:
    key = Key.parse(b"SHA256E-s10-m20-S5-C2--ab.txt")
    assert (key.backend, key.name) == (b"SHA256E", b"ab.txt")
    assert (key.size, key.mtime, key.chunk_size, key.chunk_number) == (10, 20, 5, 2)


def test_a_field_that_is_not_there_is_none() -> None:
    key = Key.parse(b"URL--http://example.org/")
    assert (key.size, key.mtime, key.chunk_size, key.chunk_number) == (None, None, None, None)


def test_leading_zeros_are_dropped() -> None:
    assert Key.parse(b"SHA1-s007--x") == b"SHA1-s7--x"


def test_a_name_may_hold_what_looks_like_fields() -> None:
    key = Key.parse(b"WORM-s1--a-s5--b")
    assert (key.size, key.name) == (1, b"a-s5--b")


@pytest.mark.parametrize(
    "raw", [b"", b"SHA256", b"-s1--x", b"SHA1-sx--x", b"SHA1-m1-s1--x", b"SHA1--a\nb", b"notakey"]
)
def test_what_is_no_key_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a key"):
        Key.parse(raw)


def test_a_chunk_lies_beside_its_whole() -> None:
    chunk = Key(MP3.replace(b"-s31390-", b"-s31390-S100-C2-"))
    assert chunk.unchunked == MP3
    assert hash_dir_mixed(chunk) == hash_dir_mixed(MP3) == b"7P/x0"
    assert hash_dir_lower(chunk) == hash_dir_lower(MP3) == b"fe0/9b4"


def test_a_name_that_looks_chunked_stays_as_it_is() -> None:
    key = Key(b"WORM-s1-m2--a-S5-C6--b")
    assert key.unchunked == key


def test_an_object_has_its_own_directory() -> None:
    key = Key(b"SHA1--a/b")
    assert object_path(key) == b"v2/99/SHA1--a%b/SHA1--a%b"
    assert object_path_lower(key) == b"229/ca6/SHA1--a%b/SHA1--a%b"


def test_file_names_escape_what_paths_cannot_hold() -> None:
    assert encode_file_name(b"a&b%c:d/e") == b"a&ab&sc&cd%e"
    assert decode_file_name(b"a&ab&sc&cd%e") == b"a&b%c:d/e"


def test_an_escaped_escape_is_not_read_twice() -> None:
    assert decode_file_name(encode_file_name(b"&c&s&a")) == b"&c&s&a"


def test_undecodable_bytes_survive_as_text() -> None:
    key = Key(b"WORM-s1-m1--\xff")
    assert key.text.encode("utf-8", "surrogateescape") == key


@pytest.mark.parametrize(
    ("key", "size"),
    [
        (b"SHA256E-s10--a", 10),
        (b"SHA256E--a", None),
        (b"SHA256E-s10-S4-C1--a", 4),
        (b"SHA256E-s10-S4-C3--a", 2),
        (b"SHA256E-s10-S4-C4--a", 0),
        (b"SHA256E-s3-S4-C1--a", 3),
        (b"SHA256E-S4-C1--a", None),
        (b"WORM-s1-m2--a-S5-C6--b", 1),
    ],
)
def test_a_place_keeps_of_a_chunk_what_is_in_it(key: bytes, size: int | None) -> None:
    assert Key(key).stored_size == size
