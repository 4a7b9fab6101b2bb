"""git's packets and filter conversation, as git documents them."""

from __future__ import annotations

from io import BytesIO

import pytest

from holdfast.core.errors import LocalProtocolError, RemoteProtocolError
from holdfast.wire import pkt_line


def test_a_packet_begins_with_its_length_in_hex() -> None:
    assert pkt_line.encode_packet(b"a\n") == b"0006a\n"
    assert pkt_line.read_packet(BytesIO(b"0006a\n").read) == b"a\n"


def test_a_flush_is_told_from_an_empty_packet() -> None:
    read = BytesIO(b"00000004").read
    assert pkt_line.read_packet(read) is None
    assert pkt_line.read_packet(read) == b""


@pytest.mark.parametrize("size", [0, pkt_line.DATA_MAX + 1])
def test_a_packet_that_git_would_not_take_is_never_written(size: int) -> None:
    with pytest.raises(LocalProtocolError):
        pkt_line.encode_packet(b"x" * size)


@pytest.mark.parametrize(
    "raw", [b"00", b"0001", b"0002", b"0003", b"fff5", b"+008abcd", b"12 4", b"0009abc", b"zzzz"]
)
def test_what_is_no_packet_is_refused(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        pkt_line.read_packet(BytesIO(raw).read)


def test_the_end_of_input_is_no_error_between_lists_but_is_one_inside() -> None:
    with pytest.raises(EOFError):
        pkt_line.read_list(BytesIO(b"").read)
    with pytest.raises(RemoteProtocolError, match="no end"):
        pkt_line.read_list(BytesIO(b"0006a\n").read)
    with pytest.raises(RemoteProtocolError, match="no end"):
        list(pkt_line.iter_read_content(BytesIO(b"0005x").read))


def test_git_is_greeted_back_in_version_two() -> None:
    pkt_line.check_greeting([b"git-filter-client", b"version=2", b"version=42"])
    assert pkt_line.welcome() == b"0016git-filter-server\n000eversion=2\n0000"


@pytest.mark.parametrize("lines", [[], [b"git-filter-client"], [b"version=2", b"x"]])
def test_somebody_who_greets_otherwise_is_not_git(lines: list[bytes]) -> None:
    with pytest.raises(RemoteProtocolError):
        pkt_line.check_greeting(lines)


def test_only_abilities_that_both_have_are_agreed_on() -> None:
    offered = [b"capability=clean", b"capability=smudge", b"capability=delay"]
    assert pkt_line.agree(offered, ("clean", "smudge")) == (
        b"0015capability=clean\n0016capability=smudge\n0000"
    )
    assert pkt_line.agree([b"capability=delay"], ("clean",)) == b"0000"


def test_a_request_names_command_and_path_and_may_tell_more() -> None:
    lines = [b"command=smudge", b"pathname=a=b \xff", b"ref=refs/heads/x", b"can-delay=1"]
    assert pkt_line.parse_request(lines) == pkt_line.Request("smudge", b"a=b \xff")


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"command=clean"],
        [b"pathname=x"],
        [b"command=clean", b"pathname="],
        [b"command=clean", b"command=smudge", b"pathname=x"],
    ],
)
def test_a_request_without_one_command_and_one_path_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(RemoteProtocolError):
        pkt_line.parse_request(lines)
