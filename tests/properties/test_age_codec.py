"""age files and lists of names: whatever is sealed opens again, and whatever was changed does not."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.archive.seal_primitives import primitives
from holdfast.archive.sealed_names import (
    AnnexedName,
    GitName,
    LinkName,
    MissingName,
    Name,
    decode_head,
    decode_name,
    encode_name,
    iter_lines,
)
from holdfast.archive.unsealing import Unsealer
from holdfast.core.errors import HoldError, IntegrityError, ProtocolError
from holdfast.core.key import Key
from holdfast.wire.age_header import decode_header, encode_header, unwrap, wrap
from holdfast.wire.age_keys import (
    decode_identity,
    decode_recipient,
    encode_identity,
    encode_recipient,
)
from holdfast.wire.age_payload import CHUNK, Payload, iter_opened, read_header
from holdfast.wire.archive_rows import MissingRow

pytest.importorskip("cryptography")
USE = primitives()
KEYS = st.binary(min_size=32, max_size=32)
FILE_KEYS = st.binary(min_size=16, max_size=16)
SIZES = st.sampled_from([0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5])


@given(KEYS)
def test_keys_read_back_as_they_were_written(key: bytes) -> None:
    assert decode_identity(encode_identity(key)) == key
    assert decode_recipient(encode_recipient(key)) == key


@given(st.text(max_size=90))
def test_any_text_is_a_key_or_a_protocol_error(text: str) -> None:
    for decode in (decode_identity, decode_recipient):
        try:
            decode(text)
        except ProtocolError:
            continue
        raise AssertionError(text)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_header_or_a_protocol_error(data: bytes, begins: bool) -> None:
    raw = b"age-encryption.org/v1\n-> " + data if begins else data
    try:
        header = decode_header(raw)
    except ProtocolError:
        return
    assert raw[: header.length].endswith(b"\n")


def _age(secrets: list[bytes], file_key: bytes, data: bytes) -> bytes:
    stanzas = [
        wrap(USE.public(secret), file_key, bytes([n + 1]) * 32, USE)
        for n, secret in enumerate(secrets)
    ]
    payload, nonce = Payload(file_key, b"n" * 16, USE), b"n" * 16
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)] or [b""]
    sealed = (payload.seal(n, c, is_last=n + 1 == len(chunks)) for n, c in enumerate(chunks))
    return encode_header(stanzas, file_key) + nonce + b"".join(sealed)


def _open(raw: bytes, secret: bytes, step: int) -> bytes:
    chunks = iter([raw[at : at + step] for at in range(0, len(raw), step)])
    header, nonce, rest = read_header(chunks)
    file_key = unwrap(header, [(secret, USE.public(secret))], USE)
    if file_key is None:
        raise IntegrityError("no key opens it")
    return b"".join(iter_opened(Payload(file_key, nonce, USE), rest))


@settings(deadline=None)
@given(st.lists(KEYS, min_size=1, max_size=4, unique=True), FILE_KEYS, SIZES, st.data())
def test_each_recipient_opens_it_and_one_changed_bit_opens_for_nobody(
    secrets: list[bytes], file_key: bytes, size: int, data: st.DataObject
) -> None:
    content = bytes(n * 7 % 256 for n in range(256)) * (size // 256 + 1)
    raw = _age(secrets, file_key, content[:size])
    step = data.draw(st.sampled_from([1000, 65536, 1 << 20]))
    for secret in secrets:
        assert _open(raw, secret, step) == content[:size]
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = bytearray(raw)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = _open(bytes(changed), secrets[0], step)
    except HoldError:
        pass
    else:
        raise AssertionError(f"byte {at} was changed, and {len(found)} bytes came")
    with pytest.raises(HoldError):
        _open(raw[:at], secrets[0], step)


TEXT = st.text(min_size=1, max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass"))
PATHS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30
).map(str.encode)
OBJECTS = st.from_regex(r"[0-9a-f]{10}/[0-9a-f]{32}", fullmatch=True)
ANNEX_KEYS = st.sampled_from(
    [Key(b"SHA256E-s5--" + b"a" * 64 + b".nii.gz"), Key(b"WORM-s1-m5--a b"), Key(b"URL--http&c%%x")]
)
NUMBERS = st.integers(0, (1 << 63) - 1)
NAMES = st.one_of(
    st.builds(AnnexedName, PATHS, NUMBERS, NUMBERS, ANNEX_KEYS, OBJECTS),
    st.builds(
        GitName, PATHS, NUMBERS, NUMBERS, st.from_regex(r"[0-9a-f]{40}", fullmatch=True), OBJECTS
    ),
    st.builds(LinkName, PATHS, PATHS),
    st.builds(
        MissingName,
        st.builds(
            MissingRow, PATHS, ANNEX_KEYS, st.none() | NUMBERS,
            st.lists(st.text(st.characters(exclude_categories=["Cs"]))).map(tuple),
            st.text(st.characters(exclude_categories=["Cs"])),
        ),
    ),
)  # fmt: skip


@given(st.lists(NAMES, max_size=5), st.integers(1, 100))
def test_lists_of_names_read_back_as_they_were_written(names: list[Name], step: int) -> None:
    packed = gzip.compress(b"".join(map(encode_name, names)))
    chunks = [packed[at : at + step] for at in range(0, len(packed), step)]
    assert [decode_name(line) for line in iter_lines(chunks)] == names
    with pytest.raises(ProtocolError):
        list(iter_lines([packed[:-1]]))
    with pytest.raises(ProtocolError):
        list(iter_lines([packed, b"x"]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.binary(max_size=60) | JSON.map(lambda value: __import__("json").dumps(value).encode()))
def test_any_line_is_a_name_or_a_protocol_error(line: bytes) -> None:
    for decode in (decode_name, decode_head):
        try:
            decode(line)
        except ProtocolError:
            continue


def test_a_list_that_unpacks_to_a_line_without_end_is_refused_early() -> None:
    bomb = gzip.compress(bytes(1 << 28))
    with pytest.raises(ProtocolError, match="too long"):
        list(iter_lines([bomb]))


def test_without_identities_all_is_locked() -> None:
    raw = _age([b"B" * 32], b"k" * 16, b"content")
    with pytest.raises(HoldError, match="locked"):
        list(Unsealer([], USE).open_chunks(iter([raw]), "dataset"))
