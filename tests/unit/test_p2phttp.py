"""git-annex's protocol over HTTP: paths, words and answers, as its own server has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import RemoteProtocolError
from holdfast.core.key import Key
from holdfast.wire.p2phttp import (
    BadCall,
    Name,
    number_of,
    read_address,
    read_answer,
    read_call,
    read_word,
    says_unlock,
    write_answer,
    write_call,
    write_word,
)

UUID = "7eab4ee3-2e05-4e4b-82b0-a7984b4d726a"
KEY = Key(b"SHA256E-s2--73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac")


@given(st.binary())
def test_a_word_comes_back_as_it_was(raw: bytes) -> None:
    if raw.startswith(b"[") or not is_text(raw):
        assert write_word(raw).startswith("%5B")
    assert read_word(write_word(raw)) == raw


def is_text(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@given(
    st.binary(min_size=1).filter(lambda raw: b"\n" not in raw and b"\0" not in raw),
    st.integers(0, 9**9),
)
def test_a_call_comes_back_as_it_was(name: bytes, offset: int) -> None:
    key = Key.make(b"SHA256E", name, size=3)
    for which in (Name.KEY, Name.PUT):
        given_ = {"key": bytes(key), "offset": b"%d" % offset, "clientuuid": b"c"}
        call = read_call(write_call(UUID, 4, which, given_))
        assert (call.uuid, call.version, call.name, call.key) == (UUID, 4, which, key)
        assert number_of(call, "offset") == offset


@given(st.text(alphabet="/v4git-annexkey?&=%5B[]+:123.", max_size=60))
def test_any_path_is_a_call_or_refused(rest: str) -> None:
    try:
        read_call("/git-annex/" + rest)
    except BadCall as error:
        assert error.status in (400, 404)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("v9/checkpresent?key=X--y&clientuuid=c", 400),
        ("v0/putoffset?key=X--y&clientuuid=c", 400),
        ("v2/gettimestamp?clientuuid=c", 400),
        ("v4/checkpresent?key=X--y", 400),
        ("v4/checkpresent?clientuuid=c", 400),
        ("v4/checkpresent?key=nokey&clientuuid=c", 400),
        ("v4/fly?clientuuid=c", 404),
        ("v4/key?clientuuid=c", 404),
        ("", 404),
    ],
)  # fmt: skip
def test_what_is_no_call_is_refused_with_the_status_git_annex_gives(path: str, status: int) -> None:
    with pytest.raises(BadCall) as caught:
        read_call(f"/git-annex/{UUID}/{path}")
    assert caught.value.status == status


def test_old_versions_are_told_nothing_new() -> None:
    remove = f"/git-annex/{UUID}/v%d/remove?key=X--y&clientuuid=c"
    assert write_answer(read_call(remove % 1), removed=True) == b'{"removed":true}'
    assert write_answer(read_call(remove % 2), removed=True) == b'{"removed":true,"plusuuids":[]}'


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"present":1}', b'{"present":null}', b"{}", b"\xff"])
def test_an_answer_that_says_something_else_is_no_answer(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_answer(raw, "present", bool)


def test_a_lock_goes_when_the_last_word_says_so() -> None:
    assert not says_unlock(b'{"unlock":false}\n')
    assert says_unlock(b'{"unlock":false}\n{"unlock":true}\n')
    assert says_unlock(b'{"unlock": true}')
    assert not says_unlock(b'{"unlock":tr')


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("annex+http://example.org/git-annex/", "http://example.org:9417"),
        ("annex+https://example.org:80/git-annex", "https://example.org:80"),
        ("annex+http://me:secret@example.org/a/git-annex/", "http://me:secret@example.org:9417/a"),
        ("annex+ssh://example.org/", None),
        ("http://example.org/", None),
    ],
)  # fmt: skip
def test_addresses_have_git_annexs_port(url: str, address: str | None) -> None:
    assert read_address(url) == address
