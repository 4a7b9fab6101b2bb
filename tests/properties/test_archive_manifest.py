"""Manifests, parts and footers of pieces read back as they were, and are as long as was said."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import LocalProtocolError, ProtocolError
from holdfast.wire.archive_manifest import (
    FOOTER_SECTION_SIZE,
    FOOTER_SIZE,
    BundleRef,
    Footer,
    Manifest,
    PartRef,
    PieceRef,
    PrevRef,
    decode_footer,
    decode_manifest,
    encode_footer,
    encode_manifest,
)
from holdfast.wire.archive_rows import (
    UNKNOWN_CID,
    MissingRow,
    PartKind,
    Row,
    RowKind,
    decode_missing,
    decode_rows,
    encode_missing,
    encode_missing_row,
    encode_row,
    encode_rows,
    encode_whole_rows,
    part_size,
    row_size,
    whole_row_sizes,
)
from holdfast.wire.cid import RAW_SHA256, Cid, dag_cbor_cid
from holdfast.wire.dag_cbor import decode_cbor, encode_cbor
from holdfast.wire.tree_layout import tree_order

UINTS = st.one_of(
    st.integers(0, (1 << 63) - 1), st.sampled_from([0, 23, 24, 255, 256, 65535, 65536, 1 << 32])
)
CIDS = st.binary(min_size=32, max_size=32).map(lambda digest: Cid(RAW_SHA256 + digest))
PATHS = st.binary(min_size=1, max_size=300).filter(lambda path: b"\0" not in path)
TEXTS = st.text(max_size=30)


@dataclass(frozen=True)
class Sizes:
    size: int
    length: int
    gap: int


SIZES = st.builds(Sizes, st.integers(1, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 1 << 40))


@st.composite
def row_lists(draw: st.DrawFn) -> list[Row]:
    paths = sorted(draw(st.sets(PATHS, max_size=5)), key=tree_order)
    rows, at = [], 59
    for path in paths:
        sizes = draw(SIZES)
        at += sizes.gap
        start = draw(st.integers(0, sizes.size - 1))
        kind, mode = draw(st.sampled_from(RowKind)), draw(UINTS)
        cid, key = draw(st.none() | CIDS), draw(st.none() | st.binary(max_size=300))
        rows.append(Row(path, kind, mode, sizes.size, cid, key, at, sizes.length, start))
        at += sizes.length
    return rows


@given(row_lists())
def test_rows_read_back_and_are_as_long_as_was_said(rows: list[Row]) -> None:
    encoded = [encode_row(row) for row in rows]
    assert list(map(len, encoded)) == list(map(row_size, rows))
    block = encode_rows(encoded, len(rows))
    assert len(block) == part_size(PartKind.ROWS, sum(map(len, encoded)), len(rows))
    assert decode_rows(block) == rows
    assert encode_cbor(decode_cbor(block)) == block, "it is not DAG-CBOR in its one form"


@given(row_lists())
def test_rows_in_columns_are_those_one_by_one(rows: list[Row]) -> None:
    whole = [row._replace(start=0, cid=row.cid or UNKNOWN_CID) for row in rows]
    columns = zip(*whole, strict=True) if whole else [()] * 9
    paths, kinds, modes, sizes, cids, keys, offsets, lengths, _ = columns
    encoded = encode_whole_rows(paths, kinds, modes, sizes, cids, keys, offsets, lengths)
    assert encoded == list(map(encode_row, whole))
    told = whole_row_sizes(paths, kinds, modes, sizes, keys, offsets, lengths)
    assert told == list(map(len, encoded))


@given(row_lists())
def test_a_row_is_as_long_whatever_its_cid(rows: list[Row]) -> None:
    for row in rows:
        if row.cid is not None:
            assert len(encode_row(row._replace(cid=UNKNOWN_CID))) == len(encode_row(row))


@given(st.sets(PATHS, max_size=5), st.none() | UINTS, st.lists(TEXTS, max_size=3), TEXTS)
def test_rows_of_missing_content_read_back(
    paths: set[bytes], size: int | None, urls: list[str], reason: str
) -> None:
    rows = [
        MissingRow(path, b"SHA256E-s1--x", size, tuple(urls), reason)
        for path in sorted(paths, key=tree_order)
    ]
    encoded = [encode_missing_row(row) for row in rows]
    block = encode_missing(encoded, len(rows))
    assert len(block) == part_size(PartKind.MISSING, sum(map(len, encoded)), len(rows))
    assert decode_missing(block) == rows


MANIFESTS = st.builds(
    Manifest,
    dataset=TEXTS,
    snapshot=UINTS,
    made=TEXTS,
    version=TEXTS,
    branch=TEXTS,
    annex=TEXTS,
    profile=TEXTS,
    root=st.none() | CIDS,
    number=st.just(2),
    pieces=st.lists(st.builds(PieceRef, st.binary(max_size=50), UINTS, PATHS, PATHS),
                    min_size=2, max_size=2).map(tuple),
    prev=st.lists(st.builds(PrevRef, CIDS, st.binary(max_size=50), UINTS), max_size=3).map(tuple),
    bundles=st.lists(
        st.builds(BundleRef, st.lists(TEXTS, max_size=2).map(tuple), TEXTS, TEXTS, CIDS,
                  UINTS, UINTS, UINTS), max_size=2).map(tuple),
    parts=st.just((PartRef(PartKind.ROWS, b"a", 100, 1 << 20, UNKNOWN_CID),
                   PartRef(PartKind.MISSING, b"b", 100 + (1 << 20), 7, UNKNOWN_CID))),
)  # fmt: skip


@given(MANIFESTS)
def test_a_manifest_reads_back(manifest: Manifest) -> None:
    block = encode_manifest(manifest)
    assert decode_manifest(block) == manifest


@given(MANIFESTS, CIDS)
def test_a_manifest_is_as_long_whatever_its_root(manifest: Manifest, root: Cid) -> None:
    unknown = encode_manifest(manifest._replace(root=UNKNOWN_CID))
    assert len(encode_manifest(manifest._replace(root=root))) == len(unknown)


@given(MANIFESTS, st.data())
def test_a_changed_manifest_is_refused_or_reads_as_another(
    manifest: Manifest, data: st.DataObject
) -> None:
    block = bytearray(encode_manifest(manifest))
    at = data.draw(st.integers(0, len(block) - 1))
    block[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_manifest(bytes(block))
    except ProtocolError:
        return
    assert found != manifest
    assert encode_manifest(found) == block


def _manifest() -> Manifest:
    return Manifest(
        "id", 0, "2026-01-01T00:00:00Z", "", "", "", "unixfs-v1-2025", UNKNOWN_CID, 0,
        (), (), (), (),
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"number": 1},
        {"prev": (PrevRef(UNKNOWN_CID, b"", 1),) * 65},
        {"parts": (PartRef(PartKind.ROWS, b"", 0, (1 << 20) + 1, UNKNOWN_CID),)},
        {"parts": (PartRef(PartKind.ROWS, b"", 5, 2, UNKNOWN_CID),) * 2},
    ],
)
def test_a_manifest_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    assert decode_manifest(encode_manifest(_manifest()))
    with pytest.raises(ProtocolError):
        decode_manifest(encode_manifest(_manifest()._replace(**change)))


def test_a_manifest_of_a_later_format_is_refused_by_its_number() -> None:
    value = decode_cbor(encode_manifest(_manifest()))
    assert isinstance(value, dict)
    with pytest.raises(ProtocolError, match="format 2"):
        decode_manifest(encode_cbor(value | {"v": 2}))


@pytest.mark.parametrize("change", [{"more": 1}, {"number": "0"}, {"root": b""}, {"parts": [1]}])
def test_a_manifest_with_odd_fields_is_refused(change: dict[str, object]) -> None:
    value = decode_cbor(encode_manifest(_manifest()))
    assert isinstance(value, dict)
    with pytest.raises(ProtocolError):
        decode_manifest(encode_cbor(value | change))


def test_a_manifest_of_too_many_pieces_is_not_written() -> None:
    pieces = (PieceRef(bytes(40), 1 << 35, b"f" * 200, b"l" * 200),) * 10_000
    with pytest.raises(LocalProtocolError, match="10000 pieces"):
        encode_manifest(_manifest()._replace(number=10_000, pieces=pieces))


def _footer(size: int) -> Footer:
    return Footer(size - FOOTER_SECTION_SIZE - 10, 10, 59, 7, dag_cbor_cid(b""))


def test_a_footer_is_96_bytes_and_reads_back() -> None:
    raw = encode_footer(_footer(1000))
    assert len(raw) == FOOTER_SIZE
    assert decode_footer(raw, 1000) == _footer(1000)


@given(st.integers(0, 8 * FOOTER_SIZE - 1))
def test_a_footer_with_a_flipped_bit_is_never_the_same(bit: int) -> None:
    raw = bytearray(encode_footer(_footer(1000)))
    raw[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(ProtocolError):
        assert decode_footer(bytes(raw), 1000) != _footer(1000)


@pytest.mark.parametrize(
    "change",
    [
        {"manifest_offset": 5000},
        {"manifest_length": 9},
        {"index_offset": 900},
        {"index_length": 1 << 63},
        {"manifest_cid": Cid(RAW_SHA256 + bytes(32))},
    ],
)
def test_a_footer_that_leads_out_of_its_piece_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        decode_footer(encode_footer(_footer(1000)._replace(**change)), 1000)
