"""Laws of SFTP as we speak it: answers are read as they were said, in whichever pieces."""

from __future__ import annotations

from contextlib import suppress
from struct import unpack_from

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import RemoteProtocolError
from holdfast.testing.lying_sftp import encode
from holdfast.wire import sftp

numbers = st.integers(0, 2**32 - 1)
sizes = st.integers(0, 2**64 - 1)
filled = st.binary(min_size=1, max_size=300)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
answers = st.one_of(
    st.builds(sftp.Status, numbers, numbers, words),
    st.builds(sftp.Handle, numbers, filled),
    st.builds(sftp.Data, numbers, filled),
    st.builds(sftp.Attributes, numbers, st.none() | sizes, st.none() | numbers),
    st.builds(sftp.Names, numbers, st.lists(filled, max_size=1).map(tuple)),
    st.builds(sftp.Extended, numbers, st.binary(min_size=4, max_size=60)),
)
versions = st.builds(sftp.Version, st.just(3), st.dictionaries(filled, filled, max_size=4))


@given(versions, st.lists(answers, max_size=12), st.lists(st.integers(1, 40), min_size=1))
def test_answers_are_read_as_they_were_said_in_any_pieces(
    version: sftp.Version, said: list[sftp.Answer], cuts: list[int]
) -> None:
    data = b"".join(map(encode, [version, *said]))
    decoder = sftp.Decoder()
    heard: list[sftp.Answer | sftp.Version] = []
    turn = 0
    while data:
        size = cuts[turn % len(cuts)]
        heard += decoder.feed(data[:size])
        data = data[size:]
        turn += 1
    assert heard == [version, *said]


@given(st.binary(max_size=200), st.integers(1, 50))
def test_no_bytes_are_more_than_refused(data: bytes, cut: int) -> None:
    decoder = sftp.Decoder()
    with suppress(RemoteProtocolError):
        decoder.feed(encode(sftp.Version(3, {})))
        for start in range(0, len(data), cut):
            for answer in decoder.feed(data[start : start + cut]):
                assert len(getattr(answer, "data", b"")) <= len(data)


@given(numbers, filled, sizes, st.integers(1, 2**32 - 1))
def test_requests_say_their_length_and_number(
    number: int, word: bytes, offset: int, size: int
) -> None:
    for request in (
        sftp.open_to_read(number, word),
        sftp.read(number, word, offset, size),
        sftp.close(number, word),
        sftp.stat(number, word),
        sftp.expand_path(number, word),
        sftp.ask_limits(number),
    ):
        length, _, told = unpack_from(">IBI", request)
        assert length == len(request) - 4
        assert told == number
        assert word in request or sftp.LIMITS in request
