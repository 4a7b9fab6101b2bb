"""Rows are read a row at a time as they are read value by value, whatever the bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import ProtocolError
from holdfast.wire import archive_rows
from holdfast.wire.archive_rows import Row, RowKind, decode_rows, encode_row, encode_rows
from holdfast.wire.cid import DAG_CBOR_SHA256, DAG_PB_SHA256, RAW_SHA256, Cid

EDGES = [0, 1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**62]
NUMBERS = st.sampled_from(EDGES) | st.integers(0, 2**40)
CIDS = st.builds(
    lambda start, digest: Cid(start + digest),
    st.sampled_from([RAW_SHA256, DAG_PB_SHA256, DAG_CBOR_SHA256]),
    st.binary(min_size=32, max_size=32),
)
NAMES = st.binary(min_size=1, max_size=30) | st.binary(min_size=250, max_size=300)
ROWS = st.lists(
    st.builds(
        Row, NAMES, st.sampled_from(RowKind), NUMBERS, NUMBERS, st.none() | CIDS,
        st.none() | st.binary(max_size=300), NUMBERS, NUMBERS, NUMBERS,
    ),
    max_size=30,
)  # fmt: skip


def _block(rows: list[Row]) -> bytes:
    return encode_rows(map(encode_row, rows), len(rows))


def _slowly(block: bytes) -> list[Row] | None:
    """What the general reader makes of it."""
    try:
        taken = archive_rows._take_rows(block, archive_rows.PartKind.ROWS, 9)
        return [archive_rows._as_row(values) for values in taken]
    except ProtocolError:
        return None


@given(ROWS)
def test_all_rows_that_are_written_are_read_a_row_at_a_time(rows: list[Row]) -> None:
    found = archive_rows.rows_as_written(_block(rows))
    assert found == rows
    assert all(type(row.kind) is RowKind for row in found or ())


@given(ROWS, st.data())
def test_what_is_read_a_row_at_a_time_is_what_is_read_value_by_value(
    rows: list[Row], data: st.DataObject
) -> None:
    block = bytearray(_block(rows))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(block) - 1))
        kind = data.draw(st.sampled_from(["change", "cut", "add", "head"]))
        if kind == "change":
            block[at] = data.draw(st.integers(0, 255))
        elif kind == "head":
            block[at] = data.draw(st.sampled_from([0x18, 0x19, 0x1A, 0x1B, 0x58, 0x5B, 0x9B, 0xF6]))
        elif kind == "cut":
            del block[at:]
        else:
            block[at:at] = data.draw(st.binary(max_size=9))
        if not block:
            return
    found = archive_rows.rows_as_written(bytes(block))
    slowly = _slowly(bytes(block))
    assert found is None or found == slowly
    if slowly is not None and all(row.cid is None or len(row.cid) == 36 for row in slowly):
        try:
            decode_rows(bytes(block))
        except ProtocolError as error:
            assert "a row that cannot be" in error.what


def test_lengths_that_lead_anywhere_are_refused() -> None:
    start = encode_rows([], 0)[:-1]
    for tail in (b"\x9b" + b"\x7f" + b"\xff" * 7, b"\x81\x89\x5b\x7f" + b"\xff" * 7,
                 b"\x81\x89\x5a\xff\xff\xff\xff", b"\x81\x89\x41a\x00\x00\x00\xf6\x5a\xff\xff\xff\xff",
                 b"\x9a\xff\xff\xff\xff"):  # fmt: skip
        assert archive_rows.rows_as_written(start + tail) is None
        assert _slowly(start + tail) is None
