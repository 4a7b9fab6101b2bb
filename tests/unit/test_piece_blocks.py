"""Files out of pieces: from any byte on, over pieces, from the copy that is whole."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from holdfast.archive.folder_writer import cid_of
from holdfast.archive.piece_blocks import (
    FileAt,
    FilePart,
    is_gapless,
    iter_blocks,
    iter_content,
    sections,
)
from holdfast.core.errors import HoldError, IntegrityError
from holdfast.wire.car import encode_section
from holdfast.wire.cid import raw_cid
from holdfast.wire.file_layout import FileBuilder, leaf_offset

LEAF = 1 << 20
DATA = random.Random(9).randbytes(3 * LEAF + LEAF // 2)
START = 100


class Held:
    """A piece in memory."""

    def __init__(self, data: bytes, name: str = "held") -> None:
        self.name, self.size, self.data = name, len(data), data

    def iter_range(self, offset: int, length: int) -> Iterator[bytes]:
        part = self.data[offset : offset + length]
        for at in range(0, len(part), 300_001):
            yield part[at : at + 300_001]


def _sections(data: bytes) -> tuple[bytes, FileBuilder]:
    builder, out = FileBuilder(len(data)), []
    for at in range(0, len(data) or 1, LEAF):
        cid = raw_cid(data[at : at + LEAF])
        out.append(encode_section(cid, data[at : at + LEAF]))
        out += [encode_section(*block) for block in builder.add(cid[4:])]
    return b"".join(out), builder


def _file(data: bytes, split_at: int | None) -> FileAt:
    raw, builder = _sections(data)
    if split_at is None:
        piece = Held(bytes(START) + raw + b"more")
        return FileAt(len(data), builder.root, [FilePart([piece], START, len(raw))])
    cut = leaf_offset(len(data), split_at)
    first, second = Held(bytes(START) + raw[:cut]), Held(bytes(7) + raw[cut:])
    return FileAt(
        len(data), builder.root,
        [FilePart([first], START, cut),
         FilePart([second], 7, len(raw) - cut, split_at * LEAF)],
    )  # fmt: skip


@pytest.mark.parametrize("split_at", [None, 1, 2, 3])
@pytest.mark.parametrize(
    "start", [0, 1, LEAF - 1, LEAF, LEAF + 1, 2 * LEAF, 3 * LEAF + 5, len(DATA) - 1, len(DATA)]
)
def test_a_file_comes_from_any_byte_on(split_at: int | None, start: int) -> None:
    file = _file(DATA, split_at)
    assert is_gapless(file)
    assert b"".join(iter_content(file, start)) == DATA[start:]


@pytest.mark.parametrize("size", [0, 1, LEAF - 1, LEAF, LEAF + 1])
def test_files_of_all_sizes_are_what_their_cid_says(size: int) -> None:
    file = _file(DATA[:size], None)
    assert b"".join(iter_content(file)) == DATA[:size]
    chunks = [DATA[at : min(size, at + LEAF)] for at in range(0, size, LEAF)]
    assert cid_of(chunks, size) == file.cid
    assert cid_of(chunks, size + 1) != file.cid
    for wrong in (file._replace(cid=raw_cid(b"other")), file._replace(size=size + 1)):
        with pytest.raises(IntegrityError):
            list(iter_content(wrong))


def test_a_missing_part_is_seen_before_it_is_read() -> None:
    file = _file(DATA, 2)
    assert not is_gapless(file._replace(parts=file.parts[1:]))
    gap = [file.parts[0], file.parts[1]._replace(start=3 * LEAF)]
    assert not is_gapless(file._replace(parts=gap))
    with pytest.raises(IntegrityError):
        list(iter_content(file._replace(parts=gap)))


def test_leaves_in_another_order_are_no_file() -> None:
    raw, builder = _sections(DATA)
    cut = leaf_offset(len(DATA), 1)
    end = leaf_offset(len(DATA), 2)
    mixed = Held(raw[cut:end] + raw[:cut] + raw[end:])
    file = FileAt(len(DATA), builder.root, [FilePart([mixed], 0, len(raw))])
    with pytest.raises(IntegrityError, match="held is damaged at byte 0"):
        list(iter_content(file))


@pytest.mark.parametrize("at", [0, 1, 10, 40, LEAF + 200, 3 * LEAF])
def test_a_second_copy_goes_on_where_the_first_is_damaged(at: int) -> None:
    raw, builder = _sections(DATA)
    bad = bytearray(raw)
    bad[at] ^= 1
    damaged = FilePart([Held(bytes(bad), "bad")], 0, len(raw))
    with pytest.raises(IntegrityError, match="bad is damaged at byte"):
        list(iter_content(FileAt(len(DATA), builder.root, [damaged])))
    both = FilePart([Held(bytes(bad), "bad"), Held(raw)], 0, len(raw))
    assert b"".join(iter_content(FileAt(len(DATA), builder.root, [both]))) == DATA


def test_a_damaged_node_harms_nothing_as_it_follows_from_the_leaves() -> None:
    raw, builder = _sections(DATA)
    bad = bytearray(raw)
    bad[-5] ^= 1
    file = FileAt(len(DATA), builder.root, [FilePart([Held(bytes(bad))], 0, len(raw))])
    assert b"".join(iter_content(file)) == DATA


def test_damaged_blocks_are_passed_over_where_that_is_wished() -> None:
    blocks = [random.Random(n).randbytes(50) for n in range(5)]
    raw = bytearray(b"".join(encode_section(raw_cid(block), block) for block in blocks))
    length = len(raw) // 5
    raw[2 * length + 60] ^= 1
    wrong: list[HoldError] = []
    found = list(iter_blocks(Held(bytes(raw)), 0, len(raw), wrong))
    assert [block.data for block in found] == [*blocks[:2], *blocks[3:]]
    assert [block.offset for block in found] == [0, length, 3 * length, 4 * length]
    assert len(wrong) == 1 and f"at byte {2 * length}" in wrong[0].what
    with pytest.raises(IntegrityError, match=f"at byte {2 * length}"):
        list(iter_blocks(Held(bytes(raw)), 0, len(raw)))
    for cut in (1, 20, 45, length - 1):
        with pytest.raises(IntegrityError, match="at byte 0"):
            list(sections("cut", [bytes(raw[:cut])], 0))
