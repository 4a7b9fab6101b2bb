"""Whatever a request to the gateway says, it is a wish or refused with a status."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire.cid import cid_text, parse_cid_text
from holdfast.wire.dag_walk import ByteRange, Scope
from holdfast.wire.gateway import Form, Wish, read_wish
from holdfast.wire.p2phttp import BadCall

EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
NAMES = st.text(st.characters(codec="ascii", min_codepoint=33), max_size=8)
WORDS = st.sampled_from(
    ["format", "raw", "car", "dag-scope", "entity-bytes", "entity", "0:*", "-5:9", "car-dups",
     "y", "=", "&", "?", "/", "%00", "%2e%2e", "application/vnd.ipld.car", ";", ",", "q=0.5",
     "version=1", EMPTY, "bafkqaaa", "z", "é"]
)  # fmt: skip


@given(st.lists(WORDS | NAMES, max_size=12), st.none() | st.lists(WORDS | NAMES, max_size=12))
def test_any_words_are_a_wish_or_are_refused(target: list[str], accept: list[str] | None) -> None:
    said = None if accept is None else "".join(accept)
    for path in ("/ipfs/", f"/ipfs/{EMPTY}"):
        try:
            wish = read_wish(path + "".join(target), said)
        except BadCall as error:
            assert error.status in (400, 406)
            assert str(error)
        else:
            assert isinstance(wish, Wish)
            assert wish.tag.isascii() and wish.tag.isprintable()


@given(
    st.sampled_from(list(Scope)),
    st.none() | st.tuples(st.integers(0, 9), st.none() | st.integers(9, 20)),
    st.booleans(),
)
def test_what_is_asked_for_is_what_is_read(
    scope: Scope, wanted: tuple[int, int | None] | None, repeats: bool
) -> None:
    dups = "y" if repeats else "n"
    query = f"format=car&dag-scope={scope}&car-dups={dups}"
    byte_range = None
    if wanted is not None:
        byte_range = ByteRange(*wanted)
        query += f"&entity-bytes={wanted[0]}:{'*' if wanted[1] is None else wanted[1]}"
        scope = Scope.ENTITY
    cid = parse_cid_text(EMPTY)
    wish = read_wish(f"/ipfs/{cid_text(cid)}/a%20b/c?{query}", None)
    assert wish == Wish(cid, (b"a b", b"c"), Form.CAR, scope, byte_range, repeats)
