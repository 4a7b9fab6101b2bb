"""Sizes are read as git-annex reads them."""

from __future__ import annotations

import pytest

from holdfast.core.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("100 mb", 100_000_000), ("64kb", 64_000), ("64 KiB", 65_536), ("1.5gb", 1_500_000_000),
        ("1k", 1000), ("1ki", 1024), ("1kbit", 125), ("1kilobits", 125), ("100 KiloBytes", 100_000),
        ("0.5 gb", 500_000_000), ("1e3kb", 1_000_000), ("0x10", 16), ("0o17", 15), ("1e", 10**18), ("-1", -1),
        ("1Mebibyte", 1024**2), ("1ronnabyte", int(1e27)),
    ],
)  # fmt: skip
def test_units_count_as_in_git_annex(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "size"), [("1.5", 2), ("2.5", 2), ("1.2345kb", 1234), ("1.0015kb", 1002)]
)
def test_halves_go_to_the_even_number(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "size"), [("10 0 kb", 10), ("1kb1", 1000), ("1.5.5kb", 2), ("1,000", 1), ("5.kb", 5)]
)
def test_what_follows_the_unit_is_passed_over(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kb",
        ".5",
        "+1",
        "1x",
        "1bit",
        "1kbits",
        "1kibit",
        "1kbytes",
        "1rib",
        "--1",
        "1e400",
        "NaN",
        "٣",
    ],
)
def test_other_texts_are_no_sizes(text: str) -> None:
    assert parse_size(text) is None


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 byte"),
        (999, "999 B"),
        (1000, "1 kB"),
        (64_120, "64.12 kB"),
        (1_500_000_000, "1.5 GB"),
        (10**27, "1000 YB"),
    ],
)
def test_sizes_are_written_with_the_largest_unit_that_fits(size: int, text: str) -> None:
    assert format_size(size) == text


def test_what_is_written_can_be_read() -> None:
    assert all(parse_size(format_size(1500 * 10**n)) == 1500 * 10**n for n in range(20))
