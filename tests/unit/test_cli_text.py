"""Names, numbers and times as people read them."""

from __future__ import annotations

import pytest

from holdfast.cli.text import (
    clock,
    duration,
    parse_duration,
    parse_size,
    printable,
    quote,
    size,
    size_of,
)
from holdfast.core.errors import UsageError


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("sub-07/T1w.nii.gz", "sub-07/T1w.nii.gz"),
        ("with space", "with space"),
        ("été/日本", "été/日本"),
        ("a\nb", '"a\\nb"'),
        ("a\tb\x1b[31m", '"a\\tb\\033[31m"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        (b"latin-\xe9".decode("utf-8", "surrogateescape"), '"latin-\\351"'),
        ("safe\u202egpj.exe", '"safe\\342\\200\\256gpj.exe"'),
        ("lone\ud800", '"lone\\355\\240\\200"'),
        ("فا\u200cرسی", "فا\u200cرسی"),
        ("", ""),
    ],
)
def test_a_name_is_quoted_as_git_does_when_it_has_to_be(name: str, shown: str) -> None:
    assert quote(name) == shown
    assert "\n" not in quote(name)
    quote(name).encode()


def test_a_remark_stays_in_its_line() -> None:
    assert printable("one\ntwo \x1b[0m") == "one\\ntwo \\033[0m"
    assert printable('git says "no"') == 'git says "no"'


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (83_600_000, "84 MB"), (6_200_000_000, "6.2 GB"),
     (999_600, "1.0 MB"), (10**21, "1000 EB")],
)  # fmt: skip
def test_sizes_have_two_or_three_digits(count: int, shown: str) -> None:
    assert size(count) == shown


def test_a_part_is_told_in_the_unit_of_the_whole() -> None:
    assert size_of(1_800_000_000, 6_200_000_000) == "1.8/6.2 GB"
    assert size_of(0, 500) == "0/500 B"


def test_times_are_told_in_two_units_at_most() -> None:
    assert [duration(s) for s in (0.04, 9.0, 11.2, 125, 11_040, 183_600)] == [
        "0.0 s", "9.0 s", "11 s", "2 min 5 s", "3 h 4 min", "2 d 3 h",
    ]  # fmt: skip
    assert (clock(52), clock(3723)) == ("0:52", "1:02:03")


def test_sizes_and_times_of_a_call_are_read() -> None:
    assert parse_size("1.5GB", "find") == 1_500_000_000
    assert parse_size("2 MiB", "find") == 2 * 1024**2
    assert parse_size("100", "find") == 100
    assert parse_duration("30m", "fsck") == 1800
    assert parse_duration("90", "fsck") == 90
    for read in (parse_size, parse_duration):
        with pytest.raises(UsageError, match="such as"):
            read("soon", "find")
