"""Work by host: bounds on how many at a time, turns, and hosts that ask to wait."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from holdfast.transfer.by_host import ByHost, Pace


def host(item: str) -> str:
    return item[0]


def test_each_item_is_worked_on_once_and_no_host_more_than_allowed() -> None:
    active: Counter[str] = Counter()
    most: Counter[str] = Counter()
    lock = threading.Lock()

    def work(item: str) -> str:
        with lock:
            active[host(item)] += 1
            most[host(item)] = max(most[host(item)], active[host(item)])
        time.sleep(0.002)
        with lock:
            active[host(item)] -= 1
        return item.upper()

    items = [f"{name}{number}" for number in range(20) for name in "ab"]
    found = dict(ByHost(work, host, Pace(jobs=6, per_host=2, ahead=7)).iter_results(iter(items)))
    assert found == {item: item.upper() for item in items}
    assert max(most.values()) <= 2


def test_a_slow_host_does_not_hold_up_another() -> None:
    gate = threading.Event()

    def work(item: str) -> str:
        if item.startswith("a"):
            gate.wait(5)
        return item

    results = ByHost(work, host, Pace(jobs=3, per_host=2)).iter_results(["a1", "a2", "a3", "b1"])
    first = next(results)[0]
    gate.set()
    assert first == "b1"
    assert len(list(results)) == 3


def test_a_rate_keeps_requests_of_one_host_apart() -> None:
    times: list[float] = []
    work = ByHost(lambda item: times.append(time.monotonic()), host, Pace(jobs=4, rate_max=50))
    list(work.iter_results(["a1", "a2", "a3", "a4"]))
    gaps = [after - before for before, after in zip(sorted(times), sorted(times)[1:], strict=False)]
    assert min(gaps) > 0.01


def test_a_host_that_asks_to_wait_is_left_alone_by_all() -> None:
    times: dict[str, float] = {}

    def work(item: str) -> None:
        times[item] = time.monotonic()
        if item == "a1":
            workers.sleep(0.1)

    workers: ByHost[str, None] = ByHost(work, host, Pace(jobs=2, per_host=1))
    list(workers.iter_results(["a1", "a2", "b1"]))
    assert times["a2"] - times["a1"] >= 0.09
    assert times["b1"] - times["a1"] < 0.09


def test_a_bug_in_the_work_is_raised_where_results_are_read() -> None:
    with pytest.raises(ZeroDivisionError):
        list(ByHost(lambda item: 1 // 0, host, Pace()).iter_results(["a"]))


def test_closing_early_starts_nothing_more() -> None:
    done: list[str] = []

    def work(item: str) -> None:
        time.sleep(0.01)
        done.append(item)

    results = ByHost(work, host, Pace(jobs=1, ahead=2)).iter_results(f"a{n}" for n in range(100))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(done) < 10


def test_closing_early_ends_what_is_in_progress() -> None:
    ended = threading.Event()

    def work(item: str) -> None:
        while item == "b1":
            time.sleep(0.001)
            workers.check()

    workers: ByHost[str, None] = ByHost(work, host, Pace(jobs=2))
    workers.on_stop = ended.set
    results = workers.iter_results(["a1", "b1"])
    assert next(results)[0] == "a1"
    results.close()  # type: ignore[attr-defined]
    assert ended.is_set()
