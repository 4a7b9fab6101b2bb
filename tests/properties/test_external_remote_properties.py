"""Laws of the protocol for special remotes: what was said is what is read, in whichever pieces."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import ProtocolError, RemoteProtocolError
from holdfast.core.key import Key
from holdfast.wire import external_remote as wire
from holdfast.wire.external_grammar import FROM_HOST, FROM_PROGRAM, Grammar, Part
from holdfast.wire.external_remote import Message

words = st.binary(min_size=1, max_size=12).filter(lambda raw: b" " not in raw and b"\n" not in raw)
digits = st.integers(0, 10**15).map(b"%d".__mod__)
keys = st.builds(
    Key.make, st.sampled_from([b"SHA256E", b"URL"]), words, size=st.none() | st.integers(0, 10**12)
)
PARTS = {
    Part.WORD: words,
    Part.MAYBE: words | st.just(b""),
    Part.KEY: keys,
    Part.NUMBER: digits,
    Part.SIZE: digits | st.just(b"UNKNOWN"),
    Part.WAY: st.sampled_from([b"STORE", b"RETRIEVE"]),
    Part.REST: st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"")),
}


def messages(grammar: Grammar) -> st.SearchStrategy[Message]:
    def of(name: str) -> st.SearchStrategy[Message]:
        parts = st.tuples(*(PARTS[part] for part in grammar[name]))
        alone = name in ("VERSION", "EXTENSIONS")
        jobs = st.none() if alone else st.none() | st.integers(0, 10**6)
        return st.builds(Message, st.just(name), parts, jobs)

    return st.sampled_from(sorted(grammar)).flatmap(of)


@given(st.lists(messages(FROM_PROGRAM), max_size=8), st.integers(1, 30))
def test_a_host_reads_what_a_program_said_in_any_pieces(said: list[Message], cut: int) -> None:
    data, lines = b"".join(map(wire.encode, said)), wire.Lines()
    heard = [
        wire.from_program(line)
        for start in range(0, len(data), cut)
        for line in lines.feed(data[start : start + cut])
    ]
    assert heard == said


@given(messages(FROM_HOST))
def test_a_program_reads_what_a_host_said(said: Message) -> None:
    assert wire.from_host(wire.encode(said)[:-1]) == said


@given(st.binary(max_size=80))
def test_no_bytes_are_more_than_refused(line: bytes) -> None:
    for read in (wire.from_program, wire.from_host):
        with suppress(RemoteProtocolError):
            assert read(line).name


@given(st.sampled_from(sorted({*FROM_HOST, *FROM_PROGRAM})), st.lists(st.binary(max_size=9)))
def test_what_is_said_is_always_one_line(name: str, parts: list[bytes]) -> None:
    with suppress(ProtocolError):
        assert wire.encode(Message(name, tuple(parts))).count(b"\n") == 1
