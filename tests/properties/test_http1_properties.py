"""Answers of HTTP/1.1 are read the same however their bytes were split; what is odd is no answer."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.http1 import AnswerReader, UnusualError, headers_of, request_head

BODY_MAX = 5000
BODIES = st.binary(max_size=3000)
CUTS = st.lists(st.integers(min_value=0, max_value=4000), max_size=12)


def sized(body: bytes) -> bytes:
    return b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: %d\r\n\r\n%b' % (len(body), body)


def chunked(body: bytes, cuts: list[int]) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
    pieces = b"".join(b"%x;a=b\r\n%b\r\n" % (len(p), p) for p in pieces_of(body, cuts) if p)
    return head + pieces + b"0\r\nX-Sum: 1\r\n\r\n"


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    return [data[a:b] for a, b in pairwise(ends)]


def read(pieces: list[bytes], method: str = "GET") -> AnswerReader:
    """Feed pieces; the answer is whole with the last byte and no earlier."""
    reader = AnswerReader(BODY_MAX)
    reader.begin(method)
    given_ = [piece for piece in pieces if piece]
    assert [reader.feed(piece) for piece in given_] == [False] * (len(given_) - 1) + [True]
    return reader


@given(BODIES, CUTS, CUTS, st.booleans())
def test_an_answer_is_the_same_however_it_was_split(
    body: bytes, cuts: list[int], chunks: list[int], is_chunked: bool
) -> None:
    data = chunked(body, chunks) if is_chunked else sized(body)
    reader = read(pieces_of(data, cuts))
    assert (reader.status, reader.body, reader.closes) == (200, body, False)


@given(BODIES)
def test_an_answer_may_come_byte_by_byte(body: bytes) -> None:
    data = chunked(body[:80], [7, 30])
    assert read([data[n : n + 1] for n in range(len(data))]).body == body[:80]


@given(st.binary(max_size=400), CUTS)
def test_whatever_comes_is_an_answer_or_unusual_and_never_anything_else(
    data: bytes, cuts: list[int]
) -> None:
    for beginning in (
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n",
    ):
        reader = AnswerReader(BODY_MAX)
        try:
            for piece in pieces_of(beginning + data, cuts):
                if reader.feed(piece):
                    break
        except UnusualError:
            pass


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: +1\r\n\r\nx",
        HEAD + b"Content-Length: 0x1\r\n\r\nx",
        HEAD + b"Content-Length: 1, 1\r\n\r\nx",
        HEAD + b"Content-Length: 99999999999999999999\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        HEAD + b"Content-Length : 1\r\n\r\nx",
        HEAD + b"A: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
        HEAD + b"A: b\nContent-Length: 0\r\n\r\n",
        HEAD + b"A: \0\r\nContent-Length: 0\r\n\r\n",
        HEAD + b"no header\r\nContent-Length: 0\r\n\r\n",
        HEAD + b"\r\nall that follows, until the end",
        HEAD + b"Content-Length: %d\r\n\r\n" % (BODY_MAX + 1),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxyz",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1" + b"0" * 300,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 4000,
        HEAD + b"a: b\r\n" * 4000,
    ],
)
def test_what_is_not_plain_is_unusual(data: bytes) -> None:
    for pieces in ([data], [data[n : n + 1] for n in range(len(data))]):
        reader = AnswerReader(BODY_MAX)
        with pytest.raises(UnusualError):
            for piece in pieces:
                reader.feed(piece)


def test_an_answer_to_head_has_a_length_and_no_body() -> None:
    data = HEAD + b"Content-Length: 7000\r\n\r\n"
    reader = read([data], "HEAD")
    assert headers_of(reader.head) == {"content-length": "7000"}
    assert reader.body == b""
    assert read([b"HTTP/1.1 204 No Content\r\n\r\n"]).status == 204


@pytest.mark.parametrize("said", [b"close", b"Close", b"upgrade", b"keep-alive, close"])
def test_a_connection_that_is_to_end_is_not_used_again(said: bytes) -> None:
    assert read([HEAD + b"Connection: %b\r\nContent-Length: 0\r\n\r\n" % said]).closes
    assert not read([HEAD + b"Connection: Keep-Alive\r\nContent-Length: 0\r\n\r\n"]).closes


def test_after_bytes_that_nobody_asked_for_a_connection_is_not_used_again() -> None:
    reader = AnswerReader(BODY_MAX)
    assert reader.feed(sized(b"one") + b"HTTP/1.1 200 OK\r\n")
    assert (reader.body, reader.closes) == (b"one", True)


def test_no_header_can_hold_a_line_of_its_own() -> None:
    assert request_head("GET", "/a", [("host", "h")]) == b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n"
    for wrong in ("h\r\nx: y", "h\n", "h\r"):
        with pytest.raises(AssertionError):
            request_head("GET", "/", [("host", wrong)])
