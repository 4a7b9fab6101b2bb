"""What holds for all packets."""

from __future__ import annotations

from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import RemoteProtocolError
from holdfast.wire import pkt_line

lines = st.binary(max_size=300).filter(lambda line: not line.endswith(b"\n"))


@given(st.lists(st.lists(lines, max_size=5), max_size=5))
def test_lists_come_back_as_they_were_written(lists: list[list[bytes]]) -> None:
    read = BytesIO(b"".join(map(pkt_line.encode_list, lists))).read
    assert [pkt_line.read_list(read) for _ in lists] == lists


@given(st.binary(max_size=400), st.integers(1, 400))
def test_content_of_any_size_comes_back_whole(seed: bytes, times: int) -> None:
    content = seed * times
    raw = b"".join(pkt_line.iter_content(content)) + pkt_line.FLUSH
    assert b"".join(pkt_line.iter_read_content(BytesIO(raw).read)) == content


@given(st.binary(max_size=200))
def test_reading_noise_ends_in_packets_or_a_protocol_error(noise: bytes) -> None:
    read = BytesIO(noise).read
    try:
        while True:
            packet = pkt_line.read_packet(read)
            assert packet is None or len(packet) <= pkt_line.DATA_MAX
    except (EOFError, RemoteProtocolError):
        pass


@given(st.lists(lines, min_size=1, max_size=4), st.integers(0, 10_000))
def test_a_list_that_was_cut_is_never_taken_for_a_whole_one(written: list[bytes], cut: int) -> None:
    raw = pkt_line.encode_list(written)
    try:
        found = pkt_line.read_list(BytesIO(raw[: cut % len(raw)]).read)
    except (EOFError, RemoteProtocolError):
        return
    raise AssertionError(found)


@given(st.binary(min_size=1, max_size=100).filter(lambda p: b"\n" not in p))
def test_any_path_git_can_hold_is_read_from_a_request(path: bytes) -> None:
    raw = pkt_line.encode_list((b"command=clean", b"pathname=" + path))
    request = pkt_line.parse_request(pkt_line.read_list(BytesIO(raw).read))
    assert request == pkt_line.Request("clean", path)
