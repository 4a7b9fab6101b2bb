"""Progress on a terminal and in a log."""

from __future__ import annotations

from io import StringIO
from threading import Thread

from holdfast.cli.progress import LiveProgress, Meter, PlainProgress

GB = 10**9


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_line_tells_bytes_files_rate_and_time_left() -> None:
    meter = Meter("get", 1290, 6_200_000_000)
    meter.sample(0)
    meter.files, meter.size, meter.remark = 412, 1_800_000_000, "from lab-nas"
    assert meter.line(20.0, 100) == (
        "get  1.8/6.2 GB  412/1,290 files  90 MB/s  ETA 0:49  from lab-nas"
    )


def test_the_line_never_exceeds_the_terminal() -> None:
    meter = Meter("get", 1290, 6_200_000_000, remark="from a place with a long name")
    assert len(meter.line(1.0, 40)) == 40


def test_unknown_totals_are_not_told() -> None:
    meter = Meter("fsck", files=3, size=2 * GB)
    assert meter.line(1.0, 80) == "fsck  2.0 GB  3 files"


def test_the_rate_is_that_of_the_last_seconds() -> None:
    meter = Meter("get", 1, 100 * GB)
    for second in range(100):
        meter.size += GB if second < 50 else GB // 100
        meter.sample(float(second))
    assert meter.rate(99.0) < GB / 50


def test_the_line_is_rewritten_at_most_ten_times_a_second_and_wiped_at_the_end() -> None:
    clock, screen = Clock(), StringIO()
    progress = LiveProgress("get", screen, clock, 80)
    progress.start(1000, 1000)
    for _ in range(1000):
        clock.now += 0.001
        progress.advance(1, 1)
    assert 8 <= screen.getvalue().count("\r") <= 10
    progress.stop()
    assert screen.getvalue().endswith("\r\x1b[K")
    progress.stop()
    progress.advance(1, 1)
    assert screen.getvalue().endswith("\r\x1b[K")


def test_a_log_gets_a_plain_line_every_thirty_seconds() -> None:
    clock, log = Clock(), StringIO()
    progress = PlainProgress("get", log, clock)
    progress.start(100, 100)
    for _ in range(100):
        clock.now += 1
        progress.advance(1, 1)
    progress.stop()
    assert [line.split("  ")[2] for line in log.getvalue().splitlines()] == [
        "30/100 files", "60/100 files", "90/100 files",
    ]  # fmt: skip
    assert "\r" not in log.getvalue()


def test_many_threads_may_advance_at_once() -> None:
    progress = LiveProgress("get", StringIO(), Clock(), 80)
    workers = [
        Thread(target=lambda: [progress.advance(1, 2) for _ in range(1000)]) for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (progress._meter.files, progress._meter.size) == (8000, 16000)
