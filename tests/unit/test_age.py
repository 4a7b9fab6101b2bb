"""The age format: what its specification says, and what hostile files get."""

from __future__ import annotations

import hmac
from base64 import b64encode

import pytest

from holdfast.archive.seal_primitives import primitives
from holdfast.core.errors import HoldError, IntegrityError, ProtocolError
from holdfast.wire.age_header import (
    HEADER_MAX,
    STANZAS_MAX,
    Expander,
    Stanza,
    decode_header,
    encode_header,
    header_size,
    hkdf,
    unwrap,
    wrap,
)
from holdfast.wire.age_keys import (
    decode_identity,
    decode_recipient,
    encode_identity,
    encode_recipient,
)
from holdfast.wire.age_payload import (
    CHUNK,
    SEALED_CHUNK,
    Payload,
    iter_opened,
    plain_size,
    read_header,
    sealed_size,
)

pytest.importorskip("cryptography")
USE = primitives()
SECRET = b"B" * 32
IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
PAIR = SECRET, USE.public(SECRET)
FILE_KEY = bytes(range(16))
INTRO = b"age-encryption.org/v1\n"
LAST = b"--- " + b"A" * 43 + b"\n"


def test_the_key_of_the_specification_is_read_and_written() -> None:
    assert decode_identity(IDENTITY) == SECRET
    assert encode_identity(SECRET) == IDENTITY
    assert encode_recipient(USE.public(SECRET)) == RECIPIENT
    assert decode_recipient(RECIPIENT) == USE.public(SECRET)


@pytest.mark.parametrize(
    "text",
    ["", "age1", RECIPIENT[:-1], RECIPIENT[:-1] + "x", RECIPIENT.replace("z", "Z"), IDENTITY,
     RECIPIENT + "q" * 200, "age1" + "b" * 58, "é" + RECIPIENT],
)  # fmt: skip
def test_what_is_no_recipient_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode_recipient(text)


def test_an_error_about_an_identity_tells_nothing_of_it() -> None:
    wrong = IDENTITY[:-2] + "QQ"
    with pytest.raises(ProtocolError) as caught:
        decode_identity(wrong)
    assert wrong[20:30] not in str(caught.value)
    with pytest.raises(ProtocolError):
        decode_identity(IDENTITY.lower())


def _header(count: int = 1) -> bytes:
    stanzas = [wrap(PAIR[1], FILE_KEY, bytes([n]) * 32, USE) for n in range(1, count + 1)]
    return encode_header(stanzas, FILE_KEY)


def test_headers_have_the_size_that_was_planned_and_open_for_their_recipients_alone() -> None:
    for count in (1, 2, STANZAS_MAX):
        raw = _header(count)
        assert len(raw) == header_size(count)
        header = decode_header(raw + b"payload")
        assert header.length == len(raw)
        assert unwrap(header, [PAIR], USE) == FILE_KEY
        other = b"C" * 32
        assert unwrap(header, [(other, USE.public(other))], USE) is None


def test_stanzas_of_other_kinds_are_passed_over() -> None:
    grease = Stanza((b"some-grease", b"argument"), b"x" * 48)
    ours = wrap(PAIR[1], FILE_KEY, b"e" * 32, USE)
    header = decode_header(encode_header([grease, ours], FILE_KEY))
    assert header.stanzas == (grease, ours)
    assert unwrap(header, [PAIR], USE) == FILE_KEY
    scrypt = Stanza((b"scrypt", b"a", b"18"), b"x" * 32)
    assert unwrap(decode_header(encode_header([scrypt], FILE_KEY)), [PAIR], USE) is None
    with pytest.raises(ProtocolError, match="passphrase"):
        unwrap(decode_header(encode_header([scrypt, ours], FILE_KEY)), [PAIR], USE)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"age-encryption.org/v2\n" + LAST, INTRO + LAST, INTRO, INTRO + b"-> X25519",
        INTRO + b"-> X25519 a\n" + b"A" * 64 + b"\n" + LAST,  # no last line of the body
        INTRO + b"-> X25519 a\n" + b"A" * 65 + b"\n\n" + LAST,
        INTRO + b"->  X25519\n\n" + LAST, INTRO + b"-> X\r\n\n" + LAST, INTRO + b"-> \n\n" + LAST,
        INTRO + b"-> X a\nAB\n" + LAST,  # base64 that has a second form
        INTRO + b"-> X a\nAA==\n" + LAST, INTRO + b"-> X a\n\n--- AAAA\n",
        INTRO + b"-> X a\n\n---" + b"A" * 43 + b"\n",
        INTRO + b"-> X a\n\n" * (STANZAS_MAX + 1) + LAST,
        INTRO + b"-> X " + b"a" * HEADER_MAX + b"\n\n" + LAST,
        INTRO + b"-> X a\n" + (b"A" * 64 + b"\n") * 900 + b"\n" + LAST,
    ],
)  # fmt: skip
def test_headers_that_cannot_be_are_protocol_errors(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_header(raw)


def test_stanzas_that_cannot_be_are_protocol_errors() -> None:
    zeros = b64encode(bytes(32)).rstrip(b"=")
    for stanza in (
        Stanza((b"X25519",), b"x" * 32),
        Stanza((b"X25519", zeros, b"more"), b"x" * 32),
        Stanza((b"X25519", b"AAAA"), b"x" * 32),
        Stanza((b"X25519", zeros), b"x" * 32),  # a point of low order
        Stanza((b"X25519", zeros), b"x" * 48),  # a longer file key
    ):
        with pytest.raises(ProtocolError):
            unwrap(decode_header(encode_header([stanza], FILE_KEY)), [PAIR], USE)


def test_a_header_with_another_stanza_or_mac_is_not_the_one_that_was_written() -> None:
    raw = _header()
    grown = raw.replace(b"---", b"-> grease\n\n---", 1)
    for changed in (grown, raw[:-44] + b"A" * 43 + b"\n"):
        with pytest.raises(IntegrityError):
            unwrap(decode_header(changed), [PAIR], USE)
    key = hkdf(FILE_KEY, b"", b"header")
    assert decode_header(raw).mac == hmac.digest(key, raw[:-45], "sha256")


def _sealed(data: bytes) -> bytes:
    payload = Payload(FILE_KEY, b"n" * 16, USE)
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)] or [b""]
    last = len(chunks) - 1
    return b"".join(
        payload.seal(number, chunk, is_last=number == last) for number, chunk in enumerate(chunks)
    )


def _opened(sealed: bytes) -> bytes:
    payload = Payload(FILE_KEY, b"n" * 16, USE)
    pieces = (sealed[at : at + 50_000] for at in range(0, len(sealed), 50_000))
    return b"".join(iter_opened(payload, pieces))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7])
def test_payloads_open_whole_and_at_no_other_length(size: int) -> None:
    data = bytes(n % 251 for n in range(size))
    sealed = _sealed(data)
    assert _opened(sealed) == data
    assert sealed_size(size, 2) == header_size(2) + 16 + len(sealed)
    assert plain_size(sealed_size(size, 2), 2) == size
    for cut in {0, 1, 15, 16, len(sealed) - 1, SEALED_CHUNK, SEALED_CHUNK + 16} - {len(sealed)}:
        if cut < len(sealed):
            with pytest.raises(IntegrityError):
                _opened(sealed[:cut])
    with pytest.raises(IntegrityError):
        _opened(sealed + b"more")


def test_chunks_in_another_order_or_from_another_file_do_not_open() -> None:
    sealed = _sealed(b"a" * (3 * CHUNK))
    one, two, three = (sealed[at : at + SEALED_CHUNK] for at in range(0, len(sealed), SEALED_CHUNK))
    for wrong in (
        two + one + three,
        one + one + three,
        one + two,
        three,
        one + two + three + three,
    ):
        with pytest.raises(IntegrityError):
            _opened(wrong)
    with pytest.raises(IntegrityError):  # an empty last chunk after a full one
        empty = Payload(FILE_KEY, b"n" * 16, USE).seal(1, b"", is_last=True)
        first = Payload(FILE_KEY, b"n" * 16, USE).seal(0, b"a" * CHUNK, is_last=False)
        _opened(first + empty)


def test_sizes_that_no_age_file_has_are_refused() -> None:
    for sealed in (0, header_size(1), header_size(1) + 31, sealed_size(CHUNK, 1) + 16):
        with pytest.raises(ProtocolError):
            plain_size(sealed, 1)


def test_a_file_that_never_ends_its_header_is_read_no_further_than_a_header_goes() -> None:
    taken = []

    def endless():  # type: ignore[no-untyped-def]
        while True:
            taken.append(1)
            yield INTRO + b"-> x\n\n" * 1000

    with pytest.raises(HoldError):
        read_header(endless())
    assert sum(taken) < 20


def test_what_is_expanded_of_one_secret_is_what_is_derived_each_time() -> None:
    expander = Expander(SECRET, b"salt")
    for info, size in ((b"", 32), (b"one", 16), (b"two", 32), (b"one", 16)):
        assert expander.expand(info, size) == hkdf(SECRET, b"salt", info, size)
    assert "B" not in repr(expander)[1:]


def test_the_vector_of_hkdf() -> None:
    """RFC 5869, A.1: the first of its two blocks."""
    secret, salt = b"\x0b" * 22, bytes(range(13))
    found = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    assert hkdf(secret, salt, bytes(range(0xF0, 0xFA))).hex() == found


def test_what_two_agree_on_is_the_same_for_both() -> None:
    other = b"C" * 32
    point, shared = USE.agree(SECRET, USE.public(other))
    assert (point, shared) == (USE.public(SECRET), USE.agree(other, point)[1])
    assert USE.x25519(SECRET, USE.public(other)) == shared
    with pytest.raises(ProtocolError):
        USE.agree(SECRET, bytes(32))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_a_content_in_memory_is_sealed_as_chunk_by_chunk(size: int) -> None:
    payload, data = Payload(FILE_KEY, b"n" * 16, USE), bytes(range(251)) * (size // 251 + 1)
    chunks = list(payload.seal_whole(memoryview(data)[:size]))
    assert b"".join(iter_opened(Payload(FILE_KEY, b"n" * 16, USE), iter(chunks))) == data[:size]
    assert all(len(chunk) == SEALED_CHUNK for chunk in chunks[:-1])
