"""Rates are read as git-annex reads them, and what heeds them can be stopped."""

import threading
import time
from collections.abc import Iterator

import pytest

from holdfast.core.rates import Bucket, Direction, configured_rate, parse_rate
from holdfast.transfer.throttle import Meter, Throttle


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("200kb", 200_000),
        ("200kb/1s", 200_000),
        ("100kb/2s", 100_000),
        ("1MB/1h30s", 1_000_000),
        ("1mbit/s", 125_000),
        ("1 MiB", 1 << 20),
        ("12", 12),
        ("0", float("inf")),
        ("-1kb/s", float("inf")),
        ("1kbps", None),
        ("foo", None),
        ("", None),
    ],
)
def test_a_rate_is_a_size_by_the_second_whatever_follows_it(text: str, rate: float | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("remote", "general", "rate"),
    [
        ({}, {}, None),
        ({}, {"": "100kB"}, 100_000),
        ({"": "100MB"}, {"": "100kB"}, 100_000_000),
        ({"": "foo"}, {"": "100kB"}, None),
        ({"": ""}, {"": "100kB"}, None),
        ({"": "0"}, {"": "100kB"}, None),
        ({"": "100MB"}, {"-upload": "100kB"}, 100_000),
        ({"": "100kB", "-upload": "100MB"}, {}, 100_000_000),
        ({"": "100kB", "-upload": "0"}, {}, None),
        ({"": "100kB", "-upload": "foo"}, {}, 100_000),
        ({"-upload": "foo"}, {"": "100kB"}, 100_000),
        ({"-upload": "100MB"}, {"-upload": "100kB"}, 100_000_000),
        ({"": "foo"}, {"-upload": "100kB"}, 100_000),
        ({"-download": "100kB"}, {"-download": "100kB"}, None),
    ],
)
def test_settings_stand_in_for_each_other_as_git_annex_has_it(
    remote: dict[str, str], general: dict[str, str], rate: float | None
) -> None:
    """Each row was tried with git-annex 10.20261026, by the time that a file took."""
    of_remote = {f"annex-bwlimit{name}": value for name, value in remote.items()}
    of_clone = {f"annex.bwlimit{name}": value for name, value in general.items()}
    assert configured_rate(Direction.UP, of_remote, of_clone.get) == rate


def test_what_was_not_used_may_be_used_at_once_but_not_more_of_it() -> None:
    bucket = Bucket(100, burst_s=0.5)
    assert bucket.take(50, 10.0) == 10.0
    assert bucket.take(50, 10.0) == 10.5
    assert bucket.take(100, 1000.0) == 1000.5


def test_all_that_share_a_meter_together_keep_its_rate() -> None:
    meter = Meter(400_000)
    throttles = [Throttle([meter]) for _ in range(4)]

    def move(throttle: Throttle) -> None:
        for _ in throttle.pieces([bytes(50_000), bytes(50_000)]):
            pass

    threads = [threading.Thread(target=move, args=(throttle,)) for throttle in throttles]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A quarter of a second is free.
    assert time.monotonic() - began >= 0.74


def test_the_strictest_of_several_limits_counts() -> None:
    throttle = Throttle([Meter(1_000_000_000), Meter(100_000)])
    began = time.monotonic()
    throttle.wait(75_000)
    assert time.monotonic() - began >= 0.49


def test_who_waits_is_woken_when_all_is_stopped() -> None:
    throttle = Throttle([Meter(1)])
    came: list[bytes] = []
    thread = threading.Thread(target=lambda: came.extend(throttle.pieces([b"x" * 1000])))
    thread.start()
    began = time.monotonic()
    throttle.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - began < 5
    assert came == [b"x" * 1000]


def test_pieces_are_small_where_the_limit_is_low_and_no_byte_is_lost() -> None:
    throttle = Throttle([Meter(10_000_000)])

    def chunks() -> Iterator[bytes]:
        yield bytes(range(256)) * 12_000
        yield b""
        yield b"end"

    pieces = list(throttle.pieces(chunks()))
    assert b"".join(pieces) == bytes(range(256)) * 12_000 + b"end"
    assert max(map(len, pieces)) == 2_500_000
