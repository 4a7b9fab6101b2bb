"""The hot paths of a data set, timed side by side: hold, git-annex, DataLad, and the floor.

    python bench/dataset.py --scale small            a trial, about two minutes
    python bench/dataset.py --only save,get          some of the hot paths
    python bench/dataset.py --scale million          a million files, hold alone
    python bench/dataset.py --json figures.json      every round, for programs

Prints a Markdown table: medians of the rounds, ratios, and for each bar whether it is met. Every
round starts from a fresh copy, with everything written to disk and the same files in the page
cache; making that state is not timed. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import machine
from contenders import ANNEX, DATALAD, FLOOR, HOLD, Contender, make_contenders
from loopback import HOST, NoServerError, loopback_ssh
from machine import Run, RunError
from table import AtMostMemory, AtMostSeconds, Row, TimesFaster, Within, count_bars, render

SEED = 20261121
KIB, MIB = 1 << 10, 1 << 20
MEMORY_MAX = 400_000_000


@dataclass(frozen=True)
class Scale:
    """How many files of which size each hot path has."""

    files: int
    large_files: int
    many: int
    million: int
    peer_rounds: int


SCALES = {
    "small": Scale(files=1_000, large_files=16, many=5_000, million=10_000, peer_rounds=1),
    "full": Scale(files=10_000, large_files=256, many=100_000, million=1_000_000, peer_rounds=1),
}
SCALES["million"] = SCALES["full"]
FILE_SIZE, LARGE_SIZE, MANY_SIZE, MILLION_SIZE = 4 * KIB, 4 * MIB, KIB, 100


@dataclass
class Bench:
    """What every hot path is measured with: the programs, a place for data, how many rounds."""

    folder: Path
    environment: dict[str, str]
    contenders: Sequence[Contender]
    scale: Scale
    rounds: int
    peer_rounds: int
    backend: str
    maker: str
    _made: set[Path] = field(default_factory=set)

    @property
    def algorithm(self) -> str:
        """The hash of the backend, as hashlib calls it."""
        return self.backend.removesuffix("E").lower()

    def contender(self, name: str) -> Contender:
        """A program by name."""
        return next(c for c in self.contenders if c.name == name)

    def verbs(self, verb: str, only: Sequence[str] = ()) -> Iterator[tuple[Contender, int]]:
        """The programs that have a verb, and how many rounds each gets."""
        for contender in self.contenders:
            if verb in contender.verbs and (not only or contender.name in only):
                yield contender, self.rounds if contender.name == HOLD else self.peer_rounds

    def run(
        self,
        contender: Contender,
        verb: str,
        folder: Path,
        *,
        source: str = "",
        sampled: bool = False,
        environment: dict[str, str] | None = None,
    ) -> Run:
        """Let a program do one verb in a folder; ``clone`` makes that folder."""
        commands = contender.commands(verb, source=source, target=str(folder))
        assert commands is not None, f"{contender.name} has no {verb}"
        environment = environment or self.environment
        fresh = verb == "clone"
        return machine.run_commands(commands, folder, environment, sampled=sampled, fresh=fresh)

    def tree(self, count: int, size: int) -> Path:
        """A plain folder of files, made once."""
        folder = self.folder / f"tree-{count}-{size}"
        if folder not in self._made:
            machine.make_files(folder, count, size, seed=SEED)
            self._made.add(folder)
        return folder

    def dataset(self, count: int, size: int) -> Path:
        """A saved data set of such files, made once, that no measurement may change."""
        folder = self.folder / f"dataset-{count}-{size}"
        if folder not in self._made:
            machine.remove_tree(folder)  # what an attempt that failed has left
            machine.copy_tree(self.tree(count, size), folder)
            maker = self.contender(self.maker)
            self.run(maker, "init", folder)
            self.run(maker, "save", folder)
            self.refresh(folder)
            self._made.add(folder)
        return folder

    def fresh(self, source: Path) -> Path:
        """A copy of a folder, to be changed and removed."""
        folder = self.spare()
        machine.copy_tree(source, folder)
        return folder

    def spare(self) -> Path:
        """Where the next copy or clone may be made; what was there is removed."""
        folder = self.folder / "spare" / "copy"
        machine.remove_tree(folder.parent)
        folder.parent.mkdir()
        return folder

    def refresh(self, folder: Path) -> None:
        """Let git's index know the files as they are, as after a day of work."""
        command = ["git", "update-index", "-q", "--refresh"]
        machine.run_commands([command], folder, self.environment)


Rounds = Callable[[Contender, int], Run]


def measure(bench: Bench, row: Row, verb: str, once: Rounds, only: Sequence[str] = ()) -> None:
    """Let each program do all its rounds; one that fails is noted, and the others go on."""
    for contender, rounds in bench.verbs(verb, only):
        measure_one(row, contender, rounds, once)


def measure_one(row: Row, contender: Contender, rounds: int, once: Rounds) -> None:
    """Do the rounds of one program."""
    for number in range(rounds):
        try:
            row.add(contender.name, once(contender, number))
        except RunError as error:
            row.faults[contender.name] = str(error)
            return


def measure_floor(bench: Bench, row: Row, once: Callable[[], float]) -> None:
    """Do the rounds of the floor: seconds of plain work."""
    for _ in range(bench.rounds):
        row.add(FLOOR, Run(once(), 0.0, 0))


def timed(work: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def command_floor(bench: Bench, commands: Sequence[Sequence[str]], folder: Path) -> float:
    """How long plain commands take."""
    return machine.run_commands(commands, folder, bench.environment).wall_s


# ---------------------------------------------------------------- the hot paths


def bench_save(bench: Bench) -> Iterator[Row]:
    """Record a folder of small files, every one annexed."""
    row = Row(
        f"save {bench.scale.files:,} × 4 KiB",
        bench.scale.files,
        floor="`cp -r`, sync",
        bars=(TimesFaster(ANNEX, 12), TimesFaster(DATALAD, 13)),
    )
    tree = bench.tree(bench.scale.files, FILE_SIZE)
    measure(bench, row, "save", lambda who, _: _save_once(bench, who, tree))
    measure_floor(bench, row, lambda: _copy_floor(bench, tree))
    yield row


def bench_save_large(bench: Bench) -> Iterator[Row]:
    """Record large files: the time should be that of hashing them."""
    count = bench.scale.large_files
    row = Row(
        f"save {count} × 4 MiB",
        count,
        count * LARGE_SIZE,
        floor=f"{bench.algorithm} once",
        bars=(Within(1.3),),
    )
    tree = bench.tree(count, LARGE_SIZE)
    measure(bench, row, "save", lambda who, _: _save_once(bench, who, tree))
    measure_floor(bench, row, lambda: _hash_floor(bench, tree))
    yield row


def bench_save_many(bench: Bench) -> Iterator[Row]:
    """Record ten times as many files: time per file should stay."""
    few, many = bench.scale.many // 10, bench.scale.many
    ours = [HOLD]
    small = Row(f"save {few:,} × 1 KiB", few, floor="`cp -r`, sync")
    tree = bench.tree(few, MANY_SIZE)
    measure(bench, small, "save", lambda who, _: _save_once(bench, who, tree), ours)
    measure_floor(bench, small, lambda: _copy_floor(bench, tree))
    yield small
    reference = f"10 × the time for {few:,}"
    row = Row(f"save {many:,} × 1 KiB", many, floor="`cp -r`, sync", bars=(Within(1.3, reference),))
    tree = bench.tree(many, MANY_SIZE)
    measure(bench, row, "save", lambda who, _: _save_once(bench, who, tree), ours)
    measure_floor(bench, row, lambda: _copy_floor(bench, tree))
    for run in small.rounds.get(HOLD, []):
        row.add(reference, Run(run.wall_s * 10, 0.0, 0))
    yield row


def _save_once(bench: Bench, who: Contender, tree: Path) -> Run:
    folder = bench.fresh(tree)
    bench.run(who, "init", folder)
    machine.settle(folder)
    return bench.run(who, "save", folder)


def _copy_floor(bench: Bench, tree: Path) -> float:
    target = bench.spare()
    machine.settle(tree)
    return timed(lambda: (subprocess.run(["cp", "-r", tree, target], check=True), os.sync()))


def _hash_floor(bench: Bench, folder: Path) -> float:
    machine.settle(folder)
    return timed(lambda: machine.hash_all(folder, bench.algorithm))


def bench_change(bench: Bench) -> Iterator[Row]:
    """Put new content in 1 % of the files and save again."""
    small, many = bench.scale.files, bench.scale.many
    yield _change(bench, small, FILE_SIZE, (), bars=())
    yield _change(bench, many, MANY_SIZE, (HOLD,), bars=(Within(2),))


def _change(
    bench: Bench, count: int, size: int, only: Sequence[str], bars: Sequence[Within]
) -> Row:
    row = Row(f"1 % of {count:,} changed, save", count // 100, floor="`git status`", bars=bars)
    dataset = bench.dataset(count, size)
    for contender, rounds in bench.verbs("save", only):
        folder = bench.fresh(dataset)
        bench.refresh(folder)

        def once(who: Contender, number: int, folder: Path = folder) -> Run:
            machine.change_files(folder, 100, number, size, seed=SEED + 1 + number)
            # A file changed in the same second as the index was written must be read again.
            time.sleep(1.1)
            machine.settle(folder)
            if who.name == HOLD:
                row.add(FLOOR, Run(_git_status(bench, folder), 0.0, 0))
            return bench.run(who, "save", folder)

        measure_one(row, contender, rounds, once)
    return row


def _git_status(bench: Bench, folder: Path) -> float:
    return command_floor(bench, [["git", "status", "--short"]], folder)


def bench_clone(bench: Bench) -> Iterator[Row]:
    """Make a clone of a data set by its path, ready to get content."""
    yield _clone(bench, bench.scale.files, FILE_SIZE, ())
    yield _clone(bench, bench.scale.many, MANY_SIZE, (HOLD,))


def _clone(bench: Bench, count: int, size: int, only: Sequence[str]) -> Row:
    row = Row(f"clone {count:,} files", count, floor="`git clone`", bars=(Within(1.3),))
    dataset = bench.dataset(count, size)

    def once(who: Contender, _: int) -> Run:
        return _clone_once(bench, who, str(dataset), dataset)

    measure(bench, row, "clone", once, only)

    def floor() -> float:
        folder = bench.spare()
        machine.settle(dataset)
        command = ["git", "clone", "-q", str(dataset), str(folder)]
        return command_floor(bench, [command], folder.parent)

    measure_floor(bench, row, floor)
    return row


def _clone_once(bench: Bench, who: Contender, source: str, dataset: Path) -> Run:
    folder = bench.spare()
    machine.settle(dataset)
    return bench.run(who, "clone", folder, source=source)


def bench_get(bench: Bench) -> Iterator[Row]:
    """Bring the content of many small files from a path, and drop it again."""
    count = bench.scale.files
    dataset = bench.dataset(count, FILE_SIZE)
    getting = Row(
        f"get {count:,} × 4 KiB from a path",
        count,
        floor="`cp -r` objects, sync",
        bars=(TimesFaster(ANNEX, 20),),
    )
    dropping = Row(f"drop {count:,} × 4 KiB", count, bars=(TimesFaster(ANNEX, 25),))

    def once(who: Contender, _: int) -> Run:
        folder = bench.spare()
        bench.run(who, "clone", folder, source=str(dataset))
        machine.settle(dataset, folder)
        run = bench.run(who, "get", folder)
        machine.settle(dataset, folder)
        try:
            dropping.add(who.name, bench.run(who, "drop", folder))
        except RunError as error:
            dropping.faults[who.name] = str(error)
        return run

    measure(bench, getting, "get", once)
    measure_floor(bench, getting, lambda: _copy_floor(bench, dataset / ".git/annex/objects"))
    yield getting
    yield dropping


def bench_get_ssh(bench: Bench) -> Iterator[Row]:
    """Bring the content of many small files over ssh, from this machine to itself."""
    count = bench.scale.files
    row = Row(f"get {count:,} × 4 KiB over ssh", count, bars=(TimesFaster(ANNEX, 10),))
    dataset = bench.dataset(count, FILE_SIZE)
    try:
        with loopback_ssh(bench.folder / "sshd", bench.environment) as environment:

            def once(who: Contender, _: int) -> Run:
                folder, source = bench.spare(), f"ssh://{HOST}{dataset}"
                bench.run(who, "clone", folder, source=source, environment=environment)
                machine.settle(dataset, folder)
                return bench.run(who, "get", folder, environment=environment)

            measure(bench, row, "get", once, [HOLD, ANNEX])
        row.notes.append("a real sshd on loopback; DataLad gets by git-annex, so it is left out")
    except NoServerError as error:
        row.notes.append(f"skipped: {error}")
    yield row


def bench_get_large(bench: Bench) -> Iterator[Row]:
    """Bring the content of large files from a path."""
    count = bench.scale.large_files
    dataset = bench.dataset(count, LARGE_SIZE)
    objects = dataset / ".git/annex/objects"
    row = Row(
        f"get {count} × 4 MiB from a path",
        count,
        count * LARGE_SIZE,
        floor=f"`cp -r`, {bench.algorithm}",
        bars=(Within(1 / 0.8),),
    )

    def once(who: Contender, _: int) -> Run:
        folder = bench.spare()
        bench.run(who, "clone", folder, source=str(dataset))
        machine.settle(dataset, folder)
        return bench.run(who, "get", folder)

    measure(bench, row, "get", once)
    synced: list[float] = []

    def floor() -> float:
        target = bench.spare()
        machine.settle(objects)
        copied = timed(lambda: subprocess.run(["cp", "-r", objects, target], check=True))
        hashed = timed(lambda: machine.hash_all(target, bench.algorithm))
        synced.append(copied + hashed + timed(os.sync))
        return copied + hashed

    measure_floor(bench, row, floor)
    row.notes.append(f"the floor with a sync, as ours has, is {statistics.median(synced):.2f} s")
    yield row


def bench_whereis(bench: Bench) -> Iterator[Row]:
    """Tell the places of every file, as JSON."""
    count = bench.scale.files
    row = Row(f"whereis of {count:,}", count, bars=(TimesFaster(ANNEX, 15),))
    yield _reading(bench, row, "whereis", bench.dataset(count, FILE_SIZE))


def bench_fsck(bench: Bench) -> Iterator[Row]:
    """Read and check all content."""
    for count, size in (
        (bench.scale.files, FILE_SIZE),
        (bench.scale.large_files, LARGE_SIZE),
    ):
        dataset = bench.dataset(count, size)
        row = Row(
            f"fsck {count:,} × {size // KIB:,} KiB",
            count,
            count * size,
            floor=f"read, {bench.algorithm}",
            bars=(Within(1.5),),
        )
        _reading(bench, row, "fsck", dataset)
        measure_floor(bench, row, lambda d=dataset: _hash_floor(bench, d / ".git/annex/objects"))
        yield row


def bench_status(bench: Bench) -> Iterator[Row]:
    """Tell that nothing has changed."""
    count = bench.scale.many
    dataset = bench.dataset(count, MANY_SIZE)
    row = Row(f"status of {count:,} clean", count, floor="`git status`", bars=(Within(1.5),))
    _reading(bench, row, "status", dataset)
    measure_floor(bench, row, lambda: _git_status(bench, dataset))
    yield row


def _reading(bench: Bench, row: Row, verb: str, dataset: Path) -> Row:
    """Rounds of a verb that leaves the data set as it is."""

    def once(who: Contender, _: int) -> Run:
        machine.settle(dataset)
        return bench.run(who, verb, dataset)

    measure(bench, row, verb, once)
    return row


def bench_million(bench: Bench) -> Iterator[Row]:
    """A million small files, once: everything ends, in bounded memory."""
    count = bench.scale.million
    hold = bench.contender(HOLD)
    source, target = bench.folder / "million" / "source", bench.folder / "million" / "clone"
    source.parent.mkdir()
    machine.make_files(source, count, MILLION_SIZE, seed=SEED, per_folder=1000)
    try:
        yield from _million_rows(bench, hold, count, source, target)
    finally:
        machine.remove_tree(source.parent)


def _million_rows(
    bench: Bench, hold: Contender, count: int, source: Path, target: Path
) -> Iterator[Row]:
    bench.run(hold, "init", source)
    plain = bench.folder / "million" / "plain"
    clone_floor = ["git", "clone", "-q", str(source), str(plain)]
    steps: tuple[tuple[str, str, Path, int, str, Sequence[str]], ...] = (
        ("save", "save", source, count, "", ()),
        ("status of", "status", source, count, "`git status`", ["git", "status", "--short"]),
        ("clone", "clone", target, count, "`git clone`", clone_floor),
        ("get one folder of", "get-folder", target, min(count, 1000), "", ()),
    )
    for title, verb, folder, files, floor, command in steps:
        row = Row(
            f"{title} {count:,} × 100 B", files, floor=floor, bars=(AtMostMemory(MEMORY_MAX),)
        )
        os.sync()

        def once(who: Contender, _: int, verb: str = verb, folder: Path = folder) -> Run:
            return bench.run(who, verb, folder, source=str(source), sampled=True)

        measure_one(row, hold, 1, once)
        if command:
            where = plain if verb == "clone" else folder
            run = machine.run_commands(
                [command], where, bench.environment, sampled=True, fresh=verb == "clone"
            )
            row.add(FLOOR, run)
            machine.remove_tree(plain)
        for run in row.rounds.get(HOLD, []):
            row.notes.append(
                f"largest process {run.largest_rss / 1e6:.0f} MB, all together "
                f"{run.summed_rss / 1e6:.0f} MB, processor {run.cpu_s:.1f} s"
            )
        yield row
        if row.faults:
            return


def bench_start(bench: Bench) -> Iterator[Row]:
    """How long one waits for nothing much."""
    folder = bench.fresh(bench.tree(20, FILE_SIZE))
    bench.run(bench.contender(bench.maker), "init", folder)
    bench.run(bench.contender(bench.maker), "save", folder)
    bench.refresh(folder)
    empty = [sys.executable, "-c", "pass"]
    for name, verb, limit_s, floor, command in (
        ("start: version", "version", 0.06, "`python -c pass`", empty),
        ("start: status of 20", "status", 0.15, "`git status`", ["git", "status", "--short"]),
    ):
        row = Row(name, 0, floor=floor, bars=(AtMostSeconds(limit_s),))
        for contender, _ in bench.verbs(verb):
            rounds = 15 if contender.name == HOLD else 5
            measure_one(row, contender, rounds, lambda who, _, v=verb: bench.run(who, v, folder))
        for _ in range(15):
            row.add(FLOOR, Run(command_floor(bench, [command], folder), 0.0, 0))
        yield row


CASES: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "start": bench_start,
    "save": bench_save,
    "save-large": bench_save_large,
    "save-many": bench_save_many,
    "change": bench_change,
    "clone": bench_clone,
    "get": bench_get,
    "get-ssh": bench_get_ssh,
    "get-large": bench_get_large,
    "whereis": bench_whereis,
    "fsck": bench_fsck,
    "status": bench_status,
    "million": bench_million,
}


# ---------------------------------------------------------------- the script


def main() -> int:
    """Measure what was asked for and print the table; 1 when --check and a bar is missed."""
    options = read_options()
    folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-", dir=options.folder)).resolve()
    try:
        bench = make_bench(options, folder)
        print(heading(bench, options), flush=True)
        rows = list(measure_cases(bench, options.cases))
    finally:
        machine.remove_tree(folder)
    print(render(rows))
    counts = count_bars(rows)
    print(f"Bars: {counts[True]} met, {counts[False]} missed, {counts[None]} not measured.")
    if options.json:
        Path(options.json).write_text(json.dumps([row.as_record() for row in rows], indent=1))
    failed = counts[False] + counts[None] + sum(bool(row.faults) for row in rows)
    return 1 if options.check and failed else 0


def read_options() -> argparse.Namespace:
    """The options of the script, with ``cases`` as names."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n", 1)[0],
        epilog="hot paths: " + ", ".join(CASES),
    )
    parser.add_argument("--scale", choices=list(SCALES), default="full")
    parser.add_argument("--only", metavar="NAME,...", help="only these hot paths")
    parser.add_argument("--rounds", type=int, default=3, help="of hold and the floor")
    parser.add_argument("--peer-rounds", type=int, help="of git-annex and DataLad; they are slow")
    parser.add_argument("--no-peers", action="store_true", help="only hold and the floor")
    parser.add_argument("--peers", metavar="NAME,...", help="of the others only these")
    parser.add_argument("--backend", default="MD5E", help="of all; MD5E is DataLad's default")
    parser.add_argument("--maker", choices=(HOLD, ANNEX), default=HOLD, help="of what is read")
    parser.add_argument("--folder", metavar="DIR", help="where to put data while it runs")
    parser.add_argument("--json", metavar="FILE", help="write every round there")
    parser.add_argument("--check", action="store_true", help="end with 1 unless all bars are met")
    options = parser.parse_args()
    usual = ["million"] if options.scale == "million" else [c for c in CASES if c != "million"]
    options.cases = options.only.split(",") if options.only else usual
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"no hot path {', '.join(unknown)}; there are {', '.join(CASES)}")
    return options


def make_bench(options: argparse.Namespace, folder: Path) -> Bench:
    """The programs next to this Python first, then those on PATH; a home of its own."""
    environment = make_environment(folder)
    hold = shutil.which("hold", path=environment["PATH"]) or "hold"
    contenders = make_contenders(hold, options.backend)
    # As an installed hold is: without, what changed is compiled anew by each process.
    compileall.compile_dir(Path(__file__).parents[1] / "src", quiet=1)
    # It builds its hashing kernel, as it does once on each machine.
    subprocess.run([hold, "doctor"], env=environment, cwd=folder, capture_output=True, check=False)
    if options.peers:
        wanted = {HOLD, options.maker, *options.peers.split(",")}
        contenders = tuple(c for c in contenders if c.name in wanted)
    if options.no_peers:
        contenders = tuple(c for c in contenders if c.name in (HOLD, options.maker))
    scale = SCALES[options.scale]
    peer_rounds = scale.peer_rounds if options.peer_rounds is None else options.peer_rounds
    return Bench(
        folder,
        environment,
        contenders,
        scale,
        options.rounds,
        0 if options.no_peers else peer_rounds,
        options.backend,
        options.maker,
    )


def make_environment(folder: Path) -> dict[str, str]:
    """An environment in which nothing of the user's settings counts."""
    home = folder / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Bench\n\temail = bench@example.org\n"
        "[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n[advice]\n\tdetachedHead = false\n"
    )
    kept = {name: os.environ[name] for name in ("TMPDIR", "USER", "LOGNAME") if name in os.environ}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
    }


def heading(bench: Bench, options: argparse.Namespace) -> str:
    """What ran, where, how often."""
    peers = f"{bench.peer_rounds} of the others" if bench.peer_rounds else "the others left out"
    lines = [
        f"Scale {options.scale}; medians of {bench.rounds} rounds of {HOLD} and the floor, "
        f"{peers}. Keys by {bench.backend} for all. Data sets that are read were made by "
        f"{bench.maker}.",
        f"Machine: {machine.describe_machine(bench.folder)}.",
    ]
    if options.scale == "small":
        lines.append("The bars are meant for the full scale; at this one they only show the way.")
    return "\n".join(lines) + "\n"


def measure_cases(bench: Bench, names: Sequence[str]) -> Iterator[Row]:
    """Every row, told on stderr as it is there. What a case could not start with is its fault."""
    for name in names:
        started = time.monotonic()
        try:
            yield from CASES[name](bench)
        except (RunError, OSError, subprocess.CalledProcessError) as error:
            yield Row(name, 0, faults={"set-up": str(error)})
        print(f"{name}: done in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
