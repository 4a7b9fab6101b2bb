"""Content between a place and a file that somebody else named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.core.abilities import Stream
from holdfast.core.errors import HoldError, IntegrityError, NotFoundError
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId
from holdfast.testing.store_contract import BIG, ignore, key_of
from holdfast.transfer.to_file import bring_to_file, content_at

KEY = key_of(BIG)
CHUNK = Key(b"SHA256E-s1024000-S1000000-C2--" + KEY.name)
NAMELESS = Key(b"GPGHMACSHA1--0123456789")


class Giver:
    """A place that gives these bytes for any key, from where it is asked to start."""

    place = Place(PlaceId("u"), "giver")
    cost = 1.0

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[int] = []

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        self.asked.append(offset)
        yield Stream(offset, None, iter([self.data[offset:]]))


def test_a_file_begun_before_is_gone_on_with_where_a_hash_vouches_for_it(tmp_path: Path) -> None:
    file, giver = tmp_path / "file", Giver(BIG)
    file.write_bytes(BIG[:5000])
    bring_to_file(giver, KEY, os.fsencode(file), ignore)  # type: ignore[arg-type]
    assert file.read_bytes() == BIG
    assert giver.asked == [5000]


def test_a_wrong_beginning_is_thrown_away(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 5000)
    bring_to_file(Giver(BIG), KEY, os.fsencode(file), ignore)  # type: ignore[arg-type]
    assert file.read_bytes() == BIG


def test_wrong_content_is_not_left_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with pytest.raises(HoldError):
        bring_to_file(Giver(BIG[:-1] + b"!"), KEY, os.fsencode(file), ignore)  # type: ignore[arg-type]
    assert not file.exists() or file.read_bytes() == b""


@pytest.mark.parametrize("key", [CHUNK, NAMELESS])
def test_what_has_no_hash_passes_as_it_is(tmp_path: Path, key: Key) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"from an earlier try")
    bring_to_file(Giver(BIG[:24000]), key, os.fsencode(file), ignore)  # type: ignore[arg-type]
    assert file.read_bytes() == BIG[:24000]
    content = content_at(key, os.fsencode(file))
    assert b"".join(content.chunks()) == BIG[:24000]
    assert b"".join(content.chunks(100)) == BIG[100:24000]
    assert content.path() == os.fsencode(file)


def test_a_chunk_of_another_size_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with pytest.raises(IntegrityError):
        bring_to_file(Giver(BIG[:23999]), CHUNK, os.fsencode(file), ignore)  # type: ignore[arg-type]
    assert file.read_bytes() == b""
    file.write_bytes(BIG[:23999])
    with pytest.raises(IntegrityError):
        list(content_at(CHUNK, os.fsencode(file)).chunks())


def test_a_file_that_is_not_there_is_a_clear_fault(tmp_path: Path) -> None:
    for key in (KEY, CHUNK):
        with pytest.raises((HoldError, NotFoundError)):
            content_at(key, os.fsencode(tmp_path / "nothing"))
