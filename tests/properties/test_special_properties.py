"""Chunks, secret names, OpenPGP messages and configurations: what holds for all of them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import ProtocolError
from holdfast.core.key import Key, hash_dir_lower
from holdfast.stores.chunked import Piece, Whole, chunk_keys, count_of
from holdfast.stores.cipher import MACS, SCHEMES, Cipher, _aes
from holdfast.wire import logs, openpgp
from holdfast.wire.logs import Chunking
from holdfast.wire.s3 import quote_name, word_of

AES = _aes()
needs_aes = pytest.mark.skipif(AES is None, reason="the package cryptography is not installed")
RANDOMNESS = openpgp.Randomness(b"saltsalt", b"prefixprefixpref")
PASSPHRASE = b"a passphrase"

words = st.text(
    st.characters(exclude_characters="= \t\r\n", exclude_categories=("Cs", "C", "Z")), min_size=1
)
values = st.text(st.characters(exclude_categories=("Cs",)))
digests = st.binary(min_size=4, max_size=20).map(bytes.hex).map(str.encode)
keys = st.builds(
    Key.make, st.just(b"SHA256E"), digests,
    size=st.integers(0, 10**12), mtime=st.none() | st.integers(0, 2**31),
)  # fmt: skip


@given(st.integers(0, 10**9), st.integers(1, 10**7))
def test_chunks_cover_content_once_and_only_the_last_is_short(size: int, chunk: int) -> None:
    count = count_of(size, chunk)
    whole = Whole(b"", size, iter)
    first, last = Piece(whole, 0, chunk), Piece(whole, (count - 1) * chunk, chunk)
    assert count >= 1
    assert (count - 1) * chunk + last.size == size
    assert first.size == min(size, chunk)
    assert size == 0 or last.size > 0


@given(keys, st.integers(1, 10**9), st.integers(1, 40))
def test_keys_of_chunks_tell_their_content_and_number(key: Key, size: int, count: int) -> None:
    made = list(chunk_keys(key, Chunking(size, count)))
    assert [name.chunk_number for name in made] == list(range(1, count + 1))
    assert {name.unchunked for name in made} == {key}
    assert {(name.chunk_size, name.size, name.mtime) for name in made} == {
        (size, key.size, key.mtime)
    }
    assert {hash_dir_lower(name) for name in made} == {hash_dir_lower(key)}
    assert all(Key.parse(name) == name for name in made)


@given(
    keys,
    keys,
    st.sampled_from(SCHEMES),
    st.sampled_from(MACS),
    st.binary(min_size=300, max_size=700),
)
def test_secret_names_differ_as_keys_do_and_are_keys(
    one: Key, other: Key, scheme: str, mac: str, secret: bytes
) -> None:
    cipher = Cipher(scheme, secret, (), mac)
    assert (cipher.name_of(one) == cipher.name_of(other)) == (one == other)
    assert Key.parse(cipher.name_of(one)) == cipher.name_of(one)
    assert one.name not in cipher.name_of(one)


@given(st.dictionaries(words, values, max_size=6))
def test_a_configuration_is_read_as_it_was_written(config: dict[str, str]) -> None:
    line = logs.encode_config(config)
    assert b"\n" not in line and b"\r" not in line
    assert logs.decode_config(line) == config


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


@needs_aes
@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000), st.lists(st.integers(0, 400), max_size=20))
def test_a_message_opens_to_what_was_sealed_in_pieces_of_any_size(
    data: bytes, sizes: list[int]
) -> None:
    assert AES is not None
    sealed = b"".join(openpgp.seal(pieces(data, sizes), len(data), PASSPHRASE, RANDOMNESS, AES))
    assert len(sealed) == openpgp.sealed_size(len(data))
    assert b"".join(openpgp.unseal(pieces(sealed, sizes), PASSPHRASE, AES)) == data


@needs_aes
@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.data())
def test_a_message_that_was_changed_or_cut_does_not_pass(data: bytes, draws: st.DataObject) -> None:
    assert AES is not None
    sealed = b"".join(openpgp.seal([data], len(data), PASSPHRASE, RANDOMNESS, AES))
    at = draws.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at]
    if draws.draw(st.booleans()):
        changed = sealed[:at] + bytes((sealed[at] ^ draws.draw(st.integers(1, 255)),))
        changed += sealed[at + 1 :]
    with pytest.raises(ProtocolError):
        b"".join(openpgp.unseal([changed], PASSPHRASE, AES))


@needs_aes
@given(st.binary(max_size=200))
def test_what_is_no_message_is_told_so(data: bytes) -> None:
    assert AES is not None
    with pytest.raises(ProtocolError):
        b"".join(openpgp.unseal([data], PASSPHRASE, AES))


@given(st.binary(max_size=60))
def test_quoted_names_are_plain_and_differ_as_names_do(name: bytes) -> None:
    from urllib.parse import unquote_to_bytes

    quoted = quote_name(name)
    assert quoted.isascii() and " " not in quoted
    assert unquote_to_bytes(quoted) == name


@given(st.binary(max_size=200))
def test_any_answer_can_be_looked_through(body: bytes) -> None:
    assert isinstance(word_of(body, "Code"), str)


def test_shared_passphrases_are_the_second_half() -> None:
    secret = b64encode(bytes(512)) + b"\n"
    assert Cipher("shared", secret, (), "HMACSHA1").passphrase == secret[256:-1]
