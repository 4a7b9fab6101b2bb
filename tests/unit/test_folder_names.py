"""Names of links: text, exact, and of one name each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import ProtocolError
from holdfast.wire.folder_names import (
    ESCAPED,
    fault_in_names,
    in_order_of_links,
    link_name,
    name_of_link,
)

NAMES = st.binary(min_size=1, max_size=30).filter(lambda name: not {*b"/\0"} & {*name})


def test_text_is_called_as_it_is() -> None:
    for text in ("plain", "ümlaut %E9", "%", "%bytes", "100%25"):
        assert link_name(text.encode()) == text.encode()
    assert in_order_of_links(["ümlaut".encode(), "名".encode()]) is None


def test_what_is_no_text_is_written_so_that_people_can_read_it() -> None:
    assert link_name(b"caf\xe9 100%.txt") == b"%bytes%caf%E9 100%25.txt"
    assert link_name("ü\udcff".encode("utf-8", "surrogateescape")) == "%bytes%ü%FF".encode()
    assert link_name(b"%bytes%x") == b"%bytes%%25bytes%25x"


@given(NAMES | NAMES.map(lambda name: ESCAPED + name))
def test_each_name_comes_back(name: bytes) -> None:
    link = link_name(name)
    assert name_of_link(link) == name
    assert not fault_in_names([link], is_ordered=False) or name in (b".", b"..")


@given(st.lists(NAMES, unique=True, min_size=1))
def test_links_are_in_order_and_tell_whose_they_are(names: list[bytes]) -> None:
    names.sort()
    found = in_order_of_links(names)
    links = [(name, place) for place, name in enumerate(names)] if found is None else found
    assert sorted(link for link, _ in links) == [link for link, _ in links]
    assert [name_of_link(link) for link, _ in links] == [names[place] for _, place in links]


@pytest.mark.parametrize(
    "link",
    [
        b"%bytes%plain",
        b"%bytes%a%2Fb",
        b"%bytes%%e9",
        b"%bytes%%00",
        b"%bytes%%C3%BC",
        b"%bytes%%E9%",
    ],
)
def test_what_no_name_is_written_as_is_refused(link: bytes) -> None:
    with pytest.raises(ProtocolError):
        name_of_link(link)
