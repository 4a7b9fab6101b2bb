"""Backends: making and checking keys."""

from __future__ import annotations

import hashlib
import sys

import pytest

from holdfast.core import backends
from holdfast.core.backends import (
    HASH_BACKENDS,
    checker,
    digest_key,
    hasher,
    is_secure,
    is_verifiable,
    make_key,
    url_key,
    worm_key,
)
from holdfast.core.errors import IntegrityError, UsageError
from holdfast.core.extensions import ExtensionLimits, key_extension
from holdfast.core.key import Key

HELLO = Key(b"MD5E-s5--5d41402abc4b2a76b9719d911017c592.txt")


def test_a_key_is_made_from_content() -> None:
    assert digest_key(b"MD5E", b"hello", b"greeting.txt") == HELLO
    assert digest_key(b"MD5", b"hello", b"greeting.txt") == b"MD5-s5--" + HELLO.name[:32]


def test_limits_of_extensions_can_be_set() -> None:
    digest = hashlib.md5(b"hello").hexdigest()
    key = make_key(b"MD5E", b"x.long.gz", 5, digest, ExtensionLimits(length_max=4, count_max=1))
    assert key.endswith(b".gz") and not key.endswith(b".long.gz")


def test_right_content_passes() -> None:
    check = checker(HELLO)
    check.feed(b"hel")
    check.feed(b"lo")
    check.finish()
    assert check.size == 5


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"hellO", "its hash should be 5d41402abc4b2a76b9719d911017c592"),
        (b"hell", "it should have 5 bytes and has 4"),
        (b"", "it should have 5 bytes and has 0"),
    ],
)
def test_wrong_content_is_refused(content: bytes, detail: str) -> None:
    check = checker(HELLO, source="tape")
    check.feed(content)
    with pytest.raises(IntegrityError, match="tape sent other bytes than MD5E") as refused:
        check.finish()
    assert refused.value.why.startswith(detail)


def test_too_much_content_is_refused_before_its_end() -> None:
    check = checker(HELLO)
    with pytest.raises(IntegrityError):
        check.feed(b"hello, world without end")


def test_content_without_a_hash_is_checked_by_its_size() -> None:
    check = checker(Key(b"WORM-s5-m1--x"))
    check.feed(b"any 5")
    with pytest.raises(IntegrityError):
        check.feed(b"!")


def test_content_without_a_size_is_checked_by_its_hash() -> None:
    check = checker(Key(b"MD5--5d41402abc4b2a76b9719d911017c592"))
    check.feed(b"hello")
    check.finish()


def test_another_extension_is_the_same_content() -> None:
    check = checker(Key(HELLO + b".gz"))
    check.feed(b"hello")
    check.finish()


@pytest.mark.parametrize("backend", [b"XFOO", b"XFOOE", b"FOO", b"sha256", b"WORM", b"URL", b""])
def test_what_cannot_be_hashed_is_named(backend: bytes) -> None:
    assert not is_verifiable(backend) and not is_secure(backend)
    with pytest.raises(UsageError, match="no program here can hash with"):
        hasher(backend)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "blake3", None)
    with pytest.raises(UsageError, match="BLAKE3_256") as refused:
        hasher(b"BLAKE3_256")
    assert "package blake3" in refused.value.why


def test_old_hashes_are_verifiable_but_not_secure() -> None:
    insecure = {backend for backend in HASH_BACKENDS if not is_secure(backend + b"E")}
    assert insecure == {b"MD5", b"SHA1", b"XXH3"}
    assert all(is_verifiable(backend) for backend in HASH_BACKENDS)


@pytest.mark.parametrize("backend", HASH_BACKENDS)
def test_hashing_in_pieces_is_hashing_at_once(backend: bytes) -> None:
    data = bytes(i * 7 % 251 for i in range(3000))
    for step in (1, 63, 64, 65, 512, 1000):
        running = hasher(backend)
        for at in range(0, len(data), step):
            running.update(data[at : at + step])
            if at == 0:
                running.hexdigest()  # asking early changes nothing
        assert running.hexdigest() == hasher(backend, data).hexdigest()


def test_a_worm_key_is_made_of_path_size_and_time() -> None:
    assert worm_key(b"w o%r&m.dat", 5, 1600000000) == b"WORM-s5-m1600000000--w,32o%r,38m.dat"


def test_a_url_key_has_its_size_when_that_is_known() -> None:
    url = b"https://example.org/relaxed/file.bin"
    assert url_key(url) == b"URL--" + url
    assert url_key(url, 7, backend=b"VURL") == b"VURL-s7--" + url


def test_odd_characters_are_written_by_number() -> None:
    assert (
        worm_key("a,é\ud800x".encode("utf-8", "surrogatepass")[:5], 1, 1).name == b"a,,,233,56557"
    )
    assert worm_key(b"\xff", 1, 1).name == b",56575"


def test_long_names_are_cut_and_hashed() -> None:
    url = b"https://example.org/" + b"x" * 45
    digest = hashlib.md5(url).hexdigest().encode()
    assert url_key(url).name == url[:31] + b"-" + digest
    assert url_key(url[:64]).name == url[:64]


def test_extensions_of_names_in_the_field() -> None:
    assert key_extension(b"sub-01_T1w.nii.gz") == b".nii.gz"
    assert key_extension(b".bidsignore") == b""
    assert key_extension(b"README") == b""
    assert key_extension(b"a.longer.gz") == b".gz"


def test_every_backend_has_an_answer_from_the_table() -> None:
    assert backends.USUAL_BACKEND == b"SHA256E"
    assert len(HASH_BACKENDS) == 25
