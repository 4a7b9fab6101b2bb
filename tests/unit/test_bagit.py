"""The text files of a bag."""

from __future__ import annotations

import pytest

from holdfast.core.errors import ProtocolError
from holdfast.wire.bagit import (
    Listed,
    algorithm_of,
    check_declaration,
    encode_info,
    encode_line,
    iter_manifest,
    parse_info,
)


def test_only_line_ends_and_percent_signs_are_encoded() -> None:
    assert encode_line(Listed("ab", b"data/a%b\nc\rd e")) == b"ab  data/a%25b%0Ac%0Dd e\n"


def test_a_manifest_is_read_as_others_write_it() -> None:
    lines = [b"AB12  data/a\r\n", b"\n", b"cd *data/b c\n", b"ef\tdata/d%0ae\n", b"01  ./data/f\n"]
    assert [tuple(one) for one in iter_manifest(lines)] == [
        ("ab12", b"data/a"), ("cd", b"data/b c"), ("ef", b"data/d\ne"), ("01", b"data/f"),
    ]  # fmt: skip


def test_a_line_that_lists_nothing_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="line 1"):
        list(iter_manifest([b"data/a\n"]))


@pytest.mark.parametrize(
    "content",
    [
        b"BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n",
        b"\xef\xbb\xbfBagIt-Version: 1.0\r\nx",
    ],
)
def test_bags_of_versions_that_are_known_are_accepted(content: bytes) -> None:
    check_declaration(content)


@pytest.mark.parametrize("content", [b"", b"BagIt-Version: 2.0\n", b"BagIt: 1.0\n"])
def test_other_declarations_are_refused(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        check_declaration(content)


def test_manifests_are_known_by_their_names() -> None:
    assert algorithm_of("manifest-sha256.txt") == "sha256"
    assert algorithm_of("tagmanifest-md5.txt", of_tags=True) == "md5"
    assert algorithm_of("tagmanifest-md5.txt") is None
    assert algorithm_of("bag-info.txt") is None


def test_information_survives_the_way_there_and_back() -> None:
    written = encode_info([("A", "one\n two"), ("B-C", "x: y")])
    assert parse_info(written + b"D: a\n  b\n") == {"A": "one two", "B-C": "x: y", "D": "a b"}
