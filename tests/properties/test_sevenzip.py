"""7z archives: what 7-Zip writes is read; what is damaged is refused, in bounded time."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import RemoteProtocolError
from holdfast.stores.unpacking import is_stored, unpacked
from holdfast.wire import sevenzip

pytestmark = pytest.mark.skipif(
    shutil.which("7z") is None, reason="7z is not installed (package p7zip-full or 7zip)"
)
FILES = {
    b"empty": b"",
    b"one": b"1",
    "n\N{LATIN SMALL LETTER E WITH ACUTE}\N{GRINNING FACE}.txt".encode(): b"unicode" * 100,
    b"big.dat": bytes(range(256)) * 9000,
    b"again": bytes(range(256)) * 9000,
}


@cache
def archive(*options: str) -> bytes:
    with TemporaryDirectory() as folder:
        for number, (name, content) in enumerate(FILES.items()):
            path = Path(folder, "tree", str(number % 2), os.fsdecode(name), os.fsdecode(name))
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
        target = Path(folder, "x.7z")
        subprocess.run(
            ["7z", "a", *options, str(target), "."],
            cwd=Path(folder, "tree"), check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        return target.read_bytes()


def listing(data: bytes) -> dict[bytes, sevenzip.Member]:
    offset, size = sevenzip.parse_start(data)
    header = data[offset : offset + size]
    while (inner := sevenzip.packed_header(header)) is not None:
        header = content(data, inner)
    return sevenzip.parse_header(header)


def content(data: bytes, member: sevenzip.Member, offset: int = 0) -> bytes:
    def read(start: int, size: int) -> Iterator[bytes]:
        for at in range(start, start + size, 1 << 16):
            yield data[at : min(at + (1 << 16), start + size)]

    return b"".join(unpacked(member, read, offset))


@pytest.mark.parametrize(
    "options",
    [
        ("-mx0",), ("-mx0", "-mhc=off"), (), ("-ms=off",), ("-m0=LZMA",), ("-m0=LZMA", "-ms=off"),
        ("-m0=BZip2",), ("-mx1", "-ms=2f"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_7z_wrote_is_read(options: tuple[str, ...]) -> None:
    data = archive(*options)
    found = listing(data)
    assert {name: content(data, member) for name, member in found.items()} == FILES
    assert content(data, found[b"big.dat"], 1_000_001) == FILES[b"big.dat"][1_000_001:]
    assert all(is_stored(member) for member in found.values()) is ("-mx0" in options)


@pytest.mark.parametrize("options", [("-m0=PPMd",), ("-psecret", "-mhe")], ids=" ".join)
def test_what_we_cannot_unpack_is_refused(options: tuple[str, ...]) -> None:
    data = archive(*options)
    with pytest.raises(RemoteProtocolError, match="packed by"):
        for member in listing(data).values():
            content(data, member)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_header_is_read_or_refused(data: st.DataObject) -> None:
    whole = archive("-mx0", "-mhc=off")
    offset, size = sevenzip.parse_start(whole)
    header = bytearray(whole[offset : offset + size])
    for _ in range(data.draw(st.integers(1, 4))):
        header[data.draw(st.integers(0, size - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(header[: data.draw(st.integers(1, size))])
    with suppress(RemoteProtocolError):
        sevenzip.packed_header(cut) or sevenzip.parse_header(cut)


def test_what_is_no_archive_is_refused() -> None:
    for data in (b"", b"PK\3\4" + bytes(40), archive("-mx0")[:31]):
        with pytest.raises(RemoteProtocolError):
            sevenzip.parse_start(data)
