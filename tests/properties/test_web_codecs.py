"""Round trips of the formats of archives, bags and templates, on anything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.key import Key
from holdfast.core.templates import Template
from holdfast.wire.archive_uris import Packed, decode, encode
from holdfast.wire.bagit import Listed, encode_line, iter_manifest
from holdfast.wire.url_names import file_name, requestable

PATHS = st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw)


@given(PATHS, st.none() | st.integers(0, 2**60))
def test_a_path_in_an_archive_survives_its_uri(path: bytes, size: int | None) -> None:
    packed = Packed(Key(b"MD5E-s3--00.tar.gz"), path, size)
    written = encode(packed)
    assert decode(written) == packed
    assert b"\n" not in written and b" " not in written


@given(PATHS)
def test_a_path_survives_a_manifest(path: bytes) -> None:
    listed = Listed("0a", b"data/" + path)
    line = encode_line(listed)
    assert line.count(b"\n") == 1
    assert list(iter_manifest([line])) == [listed]


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_value_is_put_in_as_it_is(before: str, value: str) -> None:
    literal = before.replace("{", "{{").replace("}", "}}")
    assert Template(literal + "{x}").fill({"x": value}) == before + value


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_what_is_sent_is_always_plain_ascii(path: str) -> None:
    sent = requestable("http://ex.org/" + path)
    assert sent.isascii() and " " not in sent
    assert all(sign.isalnum() or sign in "._-" for sign in file_name("http://ex.org/" + path))
