"""Whatever a group is like: no more are picked than asked for, none without space, all alike."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.balance import Member, pick_by_fill, pick_by_hash
from holdfast.core.key import Key
from holdfast.core.place import PlaceId

sizes = st.integers(0, 2**64)
keys = st.builds(
    lambda size, name: Key.make(b"SHA256E", name.hex().encode(), size=size),
    st.none() | sizes,
    st.binary(min_size=1, max_size=8),
)
members = st.lists(
    st.builds(
        Member,
        st.uuids().map(lambda uuid: PlaceId(str(uuid))),
        st.booleans(),
        st.none() | sizes,
        st.none() | st.integers(-5, 2**64),
    ),
    unique_by=lambda member: member.place,
    max_size=8,
)
picks = st.sampled_from((pick_by_hash, pick_by_fill))


@given(pick=picks, key=keys, group=members, count=st.integers(-2, 12), data=st.data())
def test_the_pick_is_of_members_with_space_and_heeds_no_order(
    pick: object, key: Key, group: list[Member], count: int, data: st.DataObject
) -> None:
    assert callable(pick)
    chosen = pick(key, group, count)
    assert chosen == pick(key, data.draw(st.permutations(group)), count)
    able = {member.place for member in group if member.takes(key.size or 0)}
    assert chosen <= able
    if pick is pick_by_hash:
        assert len(chosen) == max(0, min(count, len(able)))
    else:
        assert len(chosen) <= max(0, count)
        assert all(member.most for member in group if member.place in chosen)


@given(pick=picks, key=keys, group=members, count=st.integers(0, 8))
def test_whoever_is_picked_stays_so_when_more_are_asked_for(
    pick: object, key: Key, group: list[Member], count: int
) -> None:
    assert callable(pick)
    assert pick(key, group, count) <= pick(key, group, count + 1)
