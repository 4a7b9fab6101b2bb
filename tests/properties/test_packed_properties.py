"""Records of packed stores: what is written is read again, what is damaged is not."""

from __future__ import annotations

import os
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.stores.packed_files import Found, Gap, iter_records
from holdfast.wire.packed import (
    CONTENT,
    FIXED_SIZE,
    PACK_START,
    REMOVAL,
    SYNC,
    Record,
    find_header,
    read_header,
    version_of,
    write_header,
    write_small,
)

ids = st.integers(0, (1 << 64) - 1)
keys = st.binary(max_size=300)
headers = st.builds(
    Record,
    st.sampled_from((CONTENT, REMOVAL, SYNC)),
    ids,
    st.integers(0, (1 << 64) - 1),
    keys,
    st.integers(0, 255),
)
contents = st.lists(st.tuples(ids, keys, st.binary(max_size=2000)), min_size=1, max_size=6)


def write_pack(items: list[tuple[int, bytes, bytes]]) -> tuple[bytes, list[int]]:
    """A pack with these contents, and where each record ends."""
    data, ends = PACK_START, []
    for number, key, content in items:
        data += write_small(Record(CONTENT, number, len(content), key), content)
        ends.append(len(data))
    return data, ends


def walk(data: bytes, check_from: int = 0) -> list[Found | Gap]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return list(iter_records(file.fileno(), 0, len(data), check_from=check_from))


@given(headers, st.binary(max_size=50), st.binary(max_size=50))
def test_a_header_is_read_as_it_was_written(record: Record, before: bytes, behind: bytes) -> None:
    data = before + write_header(record) + behind
    assert read_header(data, len(before)) == record
    assert read_header(data, find_header(data)) is not None


@given(headers, st.integers(0, 1 << 20), st.data())
def test_a_header_with_a_wrong_bit_is_none(record: Record, place: int, data: st.DataObject) -> None:
    header = bytearray(write_header(record))
    place %= len(header)
    header[place] ^= 1 << data.draw(st.integers(0, 7))
    found = read_header(bytes(header))
    # A longer key reaches beyond what is there.
    assert found is None


@given(headers, st.data())
def test_a_header_that_is_cut_is_none(record: Record, data: st.DataObject) -> None:
    header = write_header(record)
    assert read_header(header[: data.draw(st.integers(0, len(header) - 1))]) is None


@given(contents)
def test_a_walk_finds_every_record(items: list[tuple[int, bytes, bytes]]) -> None:
    pack, ends = write_pack(items)
    found = walk(pack)
    assert [item.record[1::2] for item in found if isinstance(item, Found)] == [
        (number, key) for number, key, _ in items
    ]
    assert [item.at + item.record.length for item in found if isinstance(item, Found)] == ends
    assert not any(item.wrong for item in found if isinstance(item, Found))


@settings(deadline=None)
@given(contents, st.data())
def test_of_a_pack_that_was_cut_all_whole_records_are_found(
    items: list[tuple[int, bytes, bytes]], data: st.DataObject
) -> None:
    pack, ends = write_pack(items)
    size = data.draw(st.integers(len(PACK_START), len(pack)))
    found = [item for item in walk(pack[:size]) if isinstance(item, Found) and not item.wrong]
    assert len(found) == sum(end <= size for end in ends)


@settings(deadline=None)
@given(contents, st.data())
def test_a_wrong_byte_costs_one_record(
    items: list[tuple[int, bytes, bytes]], data: st.DataObject
) -> None:
    pack, ends = write_pack(items)
    place = data.draw(st.integers(len(PACK_START), len(pack) - 1))
    wrong = bytearray(pack)
    wrong[place] ^= data.draw(st.integers(1, 255))
    hit = sum(end <= place for end in ends)
    starts = [len(PACK_START), *ends[:-1]]
    good = [f.at for f in walk(bytes(wrong)) if isinstance(f, Found) and not f.wrong]
    assert [at for at in good if at in starts] == [s for n, s in enumerate(starts) if n != hit]


def test_the_version_of_a_pack_is_told() -> None:
    assert version_of(PACK_START) == "1"
    assert version_of(b"holdfast pack 27\nx") is None
    assert version_of(b"holdfast pack 2\n") == "2"
    assert version_of(PACK_START[:-1]) is None
    assert version_of(os.urandom(16)) is None
    assert FIXED_SIZE == 28
