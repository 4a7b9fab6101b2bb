"""SFTP as bytes: requests and answers as they were between us and OpenSSH, and what is refused."""

from __future__ import annotations

from struct import pack

import pytest

from holdfast.core.errors import RemoteProtocolError
from holdfast.testing.lying_sftp import encode
from holdfast.wire import sftp

HANDLE = b"\0\0\0\0"
PATH = b"/tmp/g/file"

# With OpenSSH 9.2: what we said, what it answered, what that means.
GREETING = "000000050100000003"
WELCOME = (
    "00000038020000000300000018706f7369782d72656e616d65406f70656e7373682e636f6d0000000131"
    "00000009636f70792d646174610000000131"
)
TALK: list[tuple[bytes, str, str, sftp.Answer]] = [
    (
        sftp.ask_limits(1),
        "0000001bc800000001000000126c696d697473406f70656e7373682e636f6d",
        "00000025c9000000010000000000040000000000000003fc00000000000003fc000000000000004e1b",
        sftp.Extended(1, pack(">QQQQ", 262144, 261120, 261120, 19995)),
    ),
    (
        sftp.open_to_read(2, PATH),
        "0000001c03000000020000000b2f746d702f672f66696c650000000100000000",
        "0000000d66000000020000000400000000",
        sftp.Handle(2, HANDLE),
    ),
    (
        sftp.read(3, HANDLE, 0, 100),
        "0000001905000000030000000400000000000000000000000000000064",
        "0000000f67000000030000000668656c6c6f0a",
        sftp.Data(3, b"hello\n"),
    ),
    (
        sftp.read(4, HANDLE, 6, 100),
        "0000001905000000040000000400000000000000000000000600000064",
        "0000001c6500000004000000010000000b456e64206f662066696c6500000000",
        sftp.Status(4, sftp.EOF, "End of file"),
    ),
    (
        sftp.close(5, HANDLE),
        "0000000d04000000050000000400000000",
        "00000018650000000500000000000000075375636365737300000000",
        sftp.Status(5, sftp.OK, "Success"),
    ),
    (
        sftp.open_to_read(6, b"/tmp/g/none"),
        "0000001c03000000060000000b2f746d702f672f6e6f6e650000000100000000",
        "0000001d6500000006000000020000000c4e6f20737563682066696c6500000000",
        sftp.Status(6, sftp.NO_SUCH_FILE, "No such file"),
    ),
    (
        sftp.stat(7, PATH),
        "0000001411000000070000000b2f746d702f672f66696c65",
        "0000002569000000070000000f00000000000000060000000000000000000081246b01ad036b01ad03",
        sftp.Attributes(7, 6, 0o100444),
    ),
    (
        sftp.expand_path(8, b"~/x"),
        "00000027c80000000800000017657870616e642d70617468406f70656e7373682e636f6d000000037e2f78",
        "0000002d6800000008000000010000000c2f686f6d652f6164612f78780000000c2f686f6d652f6164612f7878"
        "00000000",
        sftp.Names(8, (b"/home/ada/xx",)),
    ),
]


def understood(*pieces: bytes) -> list[sftp.Answer | sftp.Version]:
    """What a client understands that was welcomed already."""
    decoder = sftp.Decoder()
    decoder.feed(encode(sftp.Version(sftp.VERSION, {})))
    return [answer for piece in pieces for answer in decoder.feed(piece)]


def test_we_greet_as_openssh_wants() -> None:
    assert sftp.greeting().hex() == GREETING
    (version,) = sftp.Decoder().feed(bytes.fromhex(WELCOME))
    assert version == sftp.Version(3, {b"posix-rename@openssh.com": b"1", b"copy-data": b"1"})


@pytest.mark.parametrize(("request_made", "said", "_answer", "_meaning"), TALK)
def test_requests_are_the_ones_that_openssh_understood(
    request_made: bytes, said: str, _answer: str, _meaning: sftp.Answer
) -> None:
    assert request_made.hex() == said


@pytest.mark.parametrize(("_request", "_said", "answer", "meaning"), TALK)
def test_what_openssh_answered_is_understood(
    _request: bytes, _said: str, answer: str, meaning: sftp.Answer
) -> None:
    assert understood(bytes.fromhex(answer)) == [meaning]


def test_limits_are_read() -> None:
    (answer,) = understood(bytes.fromhex(TALK[0][2]))
    assert isinstance(answer, sftp.Extended)
    assert sftp.parse_limits(answer.data) == sftp.Limits(261120, 19995)
    with pytest.raises(RemoteProtocolError):
        sftp.parse_limits(answer.data[:-1])


def test_a_status_without_words_is_understood() -> None:
    assert understood(bytes.fromhex("000000096500000004") + pack(">I", 4)) == [
        sftp.Status(4, 4, "")
    ]


@pytest.mark.parametrize(
    "first",
    [
        b"Welcome to the machine!\n",
        b"git-annex-shell: bad parameters\n",
        encode(sftp.Handle(1, b"x")),
        b"\0\0\0\x01\x02",
        b"\0\0\0\x0a\x02\0\0\0\x03\0\0\0\xffx",
        b"\0\0\0\x0a\x02\0\0\0\x03\0\0\0\x01x",
    ],
)
def test_what_is_no_greeting_is_refused(first: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        sftp.Decoder().feed(first)


@pytest.mark.parametrize(
    "answer",
    [
        pack(">IBI", 1 << 21, 103, 1),
        pack(">IBI", 0, 103, 1),
        pack(">IBI", 5, 103, 1),
        pack(">IBII", 9, 103, 1, 0),
        pack(">IBII", 11, 103, 1, 3) + b"ab",
        pack(">IBII", 11, 103, 1, 1) + b"ab",
        pack(">IBII", 9, 99, 1, 0),
        pack(">IBII", 11, 105, 1, 1) + b"ab",
        pack(">IBII", 13, 104, 1, 1) + b"abcd",
        pack(">IBII", 13, 101, 1, 4) + b"abcd",
    ],
)
def test_what_is_no_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        understood(answer)


# writing


def test_requests_to_write_are_framed_as_the_draft_says() -> None:
    from holdfast.wire import sftp_writing as w

    assert w.open_new(7, b"/a") == (b"\0\0\0\x13\3\0\0\0\7\0\0\0\2/a" + b"\0\0\0\x2a" + b"\0\0\0\0")
    assert w.write(1, b"h", 2, b"xyz") == (
        b"\0\0\0\x19\6\0\0\0\1" + b"\0\0\0\1h" + b"\0\0\0\0\0\0\0\2" + b"\0\0\0\3xyz"
    )
    assert w.set_mode(1, b"p", 0o444) == (
        b"\0\0\0\x12\x09\0\0\0\1" + b"\0\0\0\1p" + b"\0\0\0\4" + b"\0\0\1\x24"
    )
    assert w.make_folder(1, b"p") == b"\0\0\0\x0e\x0e\0\0\0\1\0\0\0\1p\0\0\0\0"
    assert w.remove(1, b"p")[4:5] == b"\x0d"
    assert w.remove_folder(1, b"p")[4:5] == b"\x0f"
    assert w.rename(1, b"p", b"q", posix=False)[4:5] == b"\x12"
    assert b"posix-rename@openssh.com" in w.rename(1, b"p", b"q", posix=True)
    for request in (w.sync(1, b"h"), w.set_open_mode(1, b"h", 0o444)):
        assert int.from_bytes(request[:4], "big") == len(request) - 4
