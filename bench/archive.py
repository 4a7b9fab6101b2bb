"""How fast data sets are packed into pieces, with their commitments: hold, npm's programs, floors.

    python bench/archive.py                         a trial, some minutes
    python bench/archive.py --scale full            2 GiB, 20,000 files, 8 GiB (20 GB of disk)
    python bench/archive.py --only million          100,000 and 1,000,000 files of 100 bytes
    python bench/archive.py --only one,many         some of the cases
    python bench/archive.py --check                 ends with 1 unless every bar is met

Cases: ``one`` (a large file on one core), ``keyed`` (the same in a data set, by MD5E and SHA256E),
``two`` (on two), ``plain`` (by hashlib alone), ``many`` (20,000 files of 16 KiB, in a data set and
as a folder), ``sealed`` (those and the large file encrypted, beside the same in the clear and the
program age), ``served`` (archive_serve.py), ``pilot`` (the two figures of the pilot, as ratios),
``million``. All is in the page cache before it is packed. Speeds of one core are by seconds of
processor, those of two by the clock on the wall; the best run of a case counts, of ``two`` the
median of rounds in turns. MB are 10^6 bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import machine
from archive_peers import (
    MIB,
    Counting,
    floors,
    gain_of_two,
    hash_floors,
    npm_modules,
    npm_pack,
    served,
)
from archive_serve import best_speeds
from machine import Run

SCALES = {
    "small": {"large": 256, "plain": 16, "many": 2000, "pilot": 512, "million": 10_000},
    "full": {"large": 2048, "plain": 128, "many": 20_000, "pilot": 8192, "million": 1_000_000},
}
"""MiB of files and numbers of them."""
SMALL_FILE, TINY_FILE = 16 << 10, 100
PER_FOLDER = 100
MEMORY_MAX = 120e6
CONFIG = """[user]
\tname = bench
\temail = bench@localhost
"""
SEED = 5
HOLD = (sys.executable, "-m", "holdfast")
PILOT = (("2.05 GB", 2.05e9, 191.0), ("32 GB", 32e9, 49 * 60.0))
"""What the pilot packed, and how many seconds that took it."""


@dataclass(frozen=True)
class Line:
    """A figure of ours beside those of others, and what was asked."""

    what: str
    ours: float
    unit: str
    asked: str = ""
    met: bool | None = None
    others: dict[str, float] = field(default_factory=dict)
    """Times, or parts, of theirs that ours is."""


@dataclass
class Bench:
    """Where, how large, and the memory of the largest process so far."""

    folder: Path
    sizes: dict[str, int]
    rounds: int
    peers: bool
    largest: int = 0

    def pack(self, words: list[str], cores: int, where: Path, **environ: str) -> Run:
        """The best of some runs, each from nothing."""
        state, pieces = self.folder / "state", self.folder / "pieces"
        command = [*HOLD, "archive", "pack", *words]
        best: Run | None = None
        for _ in range(self.rounds):
            for left in (state, pieces, where / ".git/annex/hold-archive"):
                machine.remove_tree(left)
            with _Cores(cores):
                run = machine.run_commands([command], where, {**os.environ, **environ})
            self.largest = max(self.largest, run.largest_rss)
            best = run if best is None or run.cpu_s < best.cpu_s else best
        assert best is not None, "there is a round at least"
        return best

    def pack_folder(self, folder: Path, cores: int, *words: str, **environ: str) -> Run:
        """The same, of a plain folder."""
        named = ["--folder", str(folder), "--state", str(self.folder / "state")]
        return self.pack([*named, *words], cores, folder, **environ)

    def large(self, mebibytes: int) -> Path:
        """A folder with one file of that size, in the page cache."""
        folder = self.folder / f"large-{mebibytes}"
        if not folder.exists():
            folder.mkdir()
            with open(folder / "scan", "wb") as file:
                for _ in range(mebibytes // 8):
                    file.write(os.urandom(8 * MIB))
        machine.settle(folder)
        return folder


class _Cores:
    """Fewer processors for the programs that are started meanwhile."""

    def __init__(self, count: int) -> None:
        self._all = os.sched_getaffinity(0)
        self._some = set(sorted(self._all)[:count]) if count else self._all

    def __enter__(self) -> None:
        os.sched_setaffinity(0, self._some)

    def __exit__(self, *_: object) -> None:
        os.sched_setaffinity(0, self._all)


def at_least(what: str, ours: float, unit: str, bar: float, **others: float) -> Line:
    """A figure that should be as large as that."""
    return Line(what, ours, unit, f"≥ {bar:g} {unit}", ours >= bar, others)


def at_most(what: str, ours: float, unit: str, bar: float, **others: float) -> Line:
    """A figure that should be as small as that."""
    return Line(what, ours, unit, f"≤ {bar:g} {unit}", ours <= bar, others)


def case_one(bench: Bench) -> Iterator[Line]:
    """A large file on one core."""
    mebibytes = bench.sizes["large"]
    folder, size = bench.large(mebibytes), mebibytes * MIB
    run = bench.pack_folder(folder, 1)
    speed, floor = size / 1e6 / run.cpu_s, floors(folder, size)
    others = {"of hashing alone": speed / hash_floors()["piece"]}
    others |= {f"of {name} alone": speed / each for name, each in floor.items()}
    if bench.peers and (modules := npm_modules()):
        peer, hashing = npm_pack(modules, folder, bench.folder, size)
        others["× ipfs-car, no commitment"] = peer.cpu_s / run.cpu_s
        others["× ipfs-car and wasm hasher"] = (peer.cpu_s + hashing) / run.cpu_s
    yield at_least(f"a file of {mebibytes} MiB, one core", speed, "MB/s", 400, **others)


def case_keyed(bench: Bench) -> Iterator[Line]:
    """A large file in a data set, on one core: the hash in its key is checked, too."""
    mebibytes, floor = bench.sizes["large"], hash_floors()
    for backend in ("MD5E", "SHA256E"):
        folder = bench.folder / backend
        folder.mkdir()
        attributes = f"* annex.backend={backend} annex.largefiles=anything\n"
        machine.run_commands([[*HOLD, "create", "."]], folder, os.environ)
        (folder / ".gitattributes").write_text(attributes)
        (bench.large(mebibytes) / "scan").rename(folder / "scan")
        machine.run_commands([[*HOLD, "save", "-m", "a file"]], folder, os.environ)
        machine.settle(folder)
        run = bench.pack([], 1, folder)
        speed = mebibytes * MIB / 1e6 / run.cpu_s
        others = {"of hashing alone": speed / floor[backend]}
        yield at_least(f"{mebibytes} MiB by {backend}, one core", speed, "MB/s", 400, **others)
        machine.remove_tree(folder)
        machine.remove_tree(bench.folder / f"large-{mebibytes}")


def case_two(bench: Bench) -> Iterator[Line]:
    """A large file on one core and on two, in turns."""
    folder, size = bench.large(bench.sizes["large"]), bench.sizes["large"] * MIB
    rounds, bench.rounds = bench.rounds, 1
    ones, twos, gains = list[Run](), list[Run](), list[float]()
    for _ in range(rounds):
        ones.append(bench.pack_folder(folder, 1))
        twos.append(bench.pack_folder(folder, 2))
        gains.append(gain_of_two())
    bench.rounds = rounds
    speeds = [size / 1e6 / two.wall_s for two in twos]
    pairs = list(zip(ones, twos, strict=True))
    costs = [two.cpu_s / one.cpu_s for one, two in pairs]
    yield Line(
        "the same, two cores, on the wall", max(speeds), "MB/s",
        others={"CPU of one core's": median(costs)},
    )  # fmt: skip
    ratios = [one.wall_s / two.wall_s for one, two in pairs]
    others = {"of what hashing alone gains": median(ratios) / median(gains)}
    others |= {"the best round": max(ratios), "the worst": min(ratios)}
    yield at_least("two cores against one, of all rounds", median(ratios), "×", 1.6, **others)


def case_plain(bench: Bench) -> Iterator[Line]:
    """By hashlib alone."""
    mebibytes = bench.sizes["plain"]
    run = bench.pack_folder(bench.large(mebibytes), 1, HOLDFAST_KERNEL="plain")
    speed = mebibytes * MIB / 1e6 / run.cpu_s
    yield at_least(f"{mebibytes} MiB by hashlib alone, one core", speed, "MB/s", 35)


def case_many(bench: Bench) -> Iterator[Line]:
    """Many small files."""
    count = bench.sizes["many"]
    folder, size = bench.folder / "many", count * SMALL_FILE
    machine.make_files(folder, count, SMALL_FILE, seed=SEED)
    machine.settle(folder)
    run = bench.pack_folder(folder, 0)
    floor, others = floors(folder, size), {}
    least = size / 1e6 / hash_floors()["piece"] + size / 1e6 / floor["read"]
    others["× reading and hashing"] = run.cpu_s / least
    others["× read and sha256"] = run.cpu_s / (size / 1e6 / floor["sha256"])
    if bench.peers and (modules := npm_modules()):
        peer, hashing = npm_pack(modules, folder, bench.folder, size)
        others["of ipfs-car, no commitment"] = run.cpu_s / peer.cpu_s
        others["of ipfs-car and wasm hasher"] = run.cpu_s / (peer.cpu_s + hashing)
    asked = max(1.6 * count / 20_000, 0.5)  # a trial is mostly Python's start
    what = f"{count:,} × 16 KiB"
    yield at_most(f"{what}, a folder", run.cpu_s, "CPU s", asked, **others)
    _make_data_set(folder)
    run = bench.pack([], 0, folder)
    yield at_most(f"{what}, a data set", run.cpu_s, "CPU s", asked)
    machine.remove_tree(folder)


def case_sealed(bench: Bench) -> Iterator[Line]:
    """The same encrypted, beside it in the clear: many small files, and a large one."""
    keys = bench.folder / "keys"
    locked = ("--encrypt", "--keys", str(keys))
    count, mebibytes = bench.sizes["many"], bench.sizes["large"]
    folder, what = bench.folder / "many", f"{count:,} × 16 KiB encrypted"
    machine.make_files(folder, count, SMALL_FILE, seed=SEED)
    machine.settle(folder)
    clear, run = bench.pack_folder(folder, 0), bench.pack_folder(folder, 0, *locked)
    yield _beside_clear(f"{what}, a folder", run, clear)
    _make_data_set(folder)
    clear, run = bench.pack([], 0, folder), bench.pack([*locked], 0, folder)
    yield _beside_clear(f"{what}, a data set", run, clear)
    machine.remove_tree(folder)
    folder = bench.large(mebibytes)
    clear, run = bench.pack_folder(folder, 0), bench.pack_folder(folder, 0, *locked)
    others = {"× in the clear": run.cpu_s / clear.cpu_s}
    if bench.peers and (age := shutil.which("age")):
        recipient = next(keys.glob("scope-*/recipients")).read_text().split()[0]
        command = [age, "-r", recipient, "-o", os.devnull, str(folder / "scan")]
        peers = [machine.run_commands([command], folder, os.environ) for _ in range(bench.rounds)]
        others["× age, no commitment"] = run.cpu_s / min(peer.cpu_s for peer in peers)
    speed = mebibytes * MIB / 1e6 / run.cpu_s
    yield Line(f"a file of {mebibytes} MiB encrypted", speed, "MB/CPU s", others=others)


def _beside_clear(what: str, run: Run, clear: Run) -> Line:
    return Line(what, run.cpu_s, "CPU s", others={"× in the clear": run.cpu_s / clear.cpu_s})


def _make_data_set(folder: Path) -> None:
    """Make a data set of a folder, all of its files annexed."""
    everything = ["git", "config", "annex.largefiles", "anything"]
    commands = [[*HOLD, "create", "."], everything, [*HOLD, "save", "-m", "files"]]
    machine.run_commands(commands, folder, os.environ)
    machine.settle(folder)


def case_served(bench: Bench) -> Iterator[Line]:
    """Pieces served from their sources."""
    found = best_speeds(min(1024, bench.sizes["large"]), bench.rounds, bench.folder)
    floor = found.pop("floor")
    for name, speed in found.items():
        others = {"of sendfile": speed / floor}
        yield at_least(f"served, {name}", speed, "MB/s", 800, **others)


def case_pilot(bench: Bench) -> Iterator[Line]:
    """The pilot's figures: with the CAR written, and a run of which more is extrapolated."""
    pieces = str(bench.folder / "pieces")
    written = bench.large(bench.sizes["large"])
    run = bench.pack_folder(written, 0, "--write", pieces)
    rates = [bench.sizes["large"] * MIB / run.wall_s]
    machine.remove_tree(Path(pieces))
    machine.remove_tree(written)
    run = bench.pack_folder(bench.large(bench.sizes["pilot"]), 0)
    rates.append(bench.sizes["pilot"] * MIB / run.wall_s)
    hows = ("CAR written", f"no CAR, from {bench.sizes['pilot']} MiB")
    for (what, size, seconds), rate, how in zip(PILOT, rates, hows, strict=True):
        yield Line(f"{what}, {how}", seconds / (size / rate), "× the pilot")


def case_million(bench: Bench) -> Iterator[Line]:
    """Files of 100 bytes: whether ten times as many take ten times as long."""
    few, all_of_them = bench.sizes["million"] // 10, bench.sizes["million"]
    took = {}
    for count in (few, all_of_them):
        folder, pieces = bench.folder / "tiny", bench.folder / "pieces"
        machine.make_files(folder, count, TINY_FILE, seed=SEED, per_folder=PER_FOLDER)
        bench.largest = 0
        run = bench.pack_folder(folder, 0, "--write", str(pieces))
        took[count] = run.cpu_s
        what = f"{count:,} × 100 bytes"
        yield Line(what, run.cpu_s, "CPU s")
        yield at_most(f"{what}, memory", bench.largest / 1e6, "MB", MEMORY_MAX / 1e6)
        yield from _one_folder(bench, folder, pieces, what)
        machine.remove_tree(folder)
    ratio = took[all_of_them] / (took[few] * all_of_them / few)
    yield at_most("ten times as many, each", ratio, "×", 1.3)


def _one_folder(bench: Bench, folder: Path, pieces: Path, what: str) -> Iterator[Line]:
    """Restore one folder by HTTP from pieces that are elsewhere."""
    chosen, target, counting = "sub-0007", bench.folder / "restored", Counting()
    with served(pieces, counting) as url:
        names = [f"{url}/{path.name}" for path in sorted(pieces.iterdir())]
        allowed = ["-c", "annex.security.allowed-ip-addresses=127.0.0.1"]
        command = [sys.executable, "-m", "holdfast", *allowed, "archive", "restore", *names]
        command += ["--only", f"{chosen}/*", "--to", str(target)]
        run = machine.run_commands([command], bench.folder, os.environ)
    found = {path.name: path.read_bytes() for path in (target / chosen).iterdir()}
    assert found == {path.name: path.read_bytes() for path in (folder / chosen).iterdir()}
    machine.remove_tree(target)
    yield at_most(f"{what}, one folder restored", counting.requests, "requests", 10)
    yield Line("the same", run.wall_s, "s", others={"MB sent": counting.sent / 1e6})
    yield at_most("the same, memory", run.largest_rss / 1e6, "MB", MEMORY_MAX / 1e6)


CASES: dict[str, Callable[[Bench], Iterator[Line]]] = {
    "one": case_one, "keyed": case_keyed, "two": case_two, "plain": case_plain, "many": case_many,
    "sealed": case_sealed, "served": case_served, "pilot": case_pilot, "million": case_million,
}  # fmt: skip


def show(line: Line) -> str:
    """A row of the table."""
    others = ", ".join(f"{value:,.2f} {name}" for name, value in line.others.items())
    met = {True: "yes", False: "**no**", None: ""}[line.met]
    ours = f"{line.ours:,.0f}" if line.ours >= 100 else f"{line.ours:,.2f}"
    return f"| {line.what} | {ours} {line.unit} | {others} | {line.asked} | {met} |"


def main() -> int:
    """Measure, print, and with --check say whether all bars are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--only", help="cases, with commas between them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--folder", help="where to make everything")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else [c for c in CASES if c != "million"]
    source = str(Path(__file__).resolve().parents[1] / "src")
    os.environ["PYTHONPATH"] = source
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        os.environ["HOME"], folder = name, Path(name) / "bench"
        os.environ |= {"GIT_CONFIG_GLOBAL": f"{name}/.gitconfig"}
        Path(name, ".gitconfig").write_text(CONFIG)
        folder.mkdir()
        # The kernel is built here if it has to be, and not while something is timed.
        machine.run_commands([[sys.executable, "-m", "holdfast", "doctor"]], folder, os.environ)
        bench = Bench(folder, SCALES[options.scale], options.rounds, not options.no_peers)
        print(f"{machine.describe_machine(folder)}; best of {options.rounds}\n")
        print("| what | hold | beside | bar | met |\n| --- | --: | --- | --- | --- |")
        for case in chosen:
            for line in CASES[case](bench):
                lines.append(line)
                print(show(line), flush=True)
        if chosen != ["million"]:
            lines.append(at_most("largest process", bench.largest / 1e6, "MB", MEMORY_MAX / 1e6))
            print(show(lines[-1]))
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n")
    return int(options.check and not all(line.met is not False for line in lines))


if __name__ == "__main__":
    sys.exit(main())
