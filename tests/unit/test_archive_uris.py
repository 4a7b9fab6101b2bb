"""URIs of content in archives, in DataLad's two forms."""

from __future__ import annotations

import pytest

from holdfast.core.key import Key
from holdfast.wire.archive_uris import Packed, decode, encode

ARCHIVE = Key(b"MD5E-s388--9eaae59c4f9d23f0b2c8f7facb2227f3.zip")


def test_a_uri_is_written_as_datalad_writes_it() -> None:
    written = encode(Packed(ARCHIVE, b"x y/z;?:@$,~!*'()[].dat", 23))
    assert written == (
        b":dl+archive:"
        + ARCHIVE
        + b"#path=x+y/z%3B%3F%3A%40%24%2C~%21%2A%27%28%29%5B%5D.dat&size=23"
    )
    assert b"#path=a%25b%26c%23d%2Be%3D%C3%A9.txt&size=16" in encode(
        Packed(ARCHIVE, "a%b&c#d+e=é.txt".encode(), 16)
    )


def test_the_older_form_is_read_too() -> None:
    assert decode(b":dl+archive:" + ARCHIVE + b"/in/one.txt#size=4") == Packed(
        ARCHIVE, b"in/one.txt", 4
    )


@pytest.mark.parametrize(
    "uri",
    [
        b"http://x",
        b":dl+archive:",
        b":dl+archive:nokey#path=a",
        b":dl+archive:" + ARCHIVE,
        b":xt:1",
    ],
)
def test_what_is_no_such_uri_is_none(uri: bytes) -> None:
    assert decode(uri) is None
