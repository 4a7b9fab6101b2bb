"""Kills hold in the middle of its work, at many moments, and looks whether anything was lost.

    python bench/faults.py [--points 50] [--every 1] [--seed N] [--jobs 2] [VERB...]

For each of save, get, drop and fsck --repair: SIGKILL at random moments; just before each of its
changes to the file system (``--every`` N takes each N-th); and, by strace, at each rename, link,
symlink, unlink and sync of its threads and of the git processes it starts. After each kill `git
fsck` and `git annex fsck` look at what is left, the hash of every file is compared with what it
was, and the same command is run again, which has to complete and to leave nothing behind.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import get_ident
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "faults"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "programs"))

from scenes import (
    KILLED,
    SCENES,
    SYSCALLS,
    Scene,
    check_finished,
    check_nothing_lost,
    check_with_annex,
    has_strace,
    kill_after,
    kill_at,
    kill_by_strace,
    wait_for_orphans,
)

SMALL = 14
"""Files in the scenes where every moment is tried."""


class Trial(NamedTuple):
    """One kill: how it is done, and what it is called when it shows something."""

    scene: Scene
    way: str
    point: str
    kill: Callable[[Path], int]


class Result(NamedTuple):
    """What came of it: killed, failed by a fault in git, or done before the kill."""

    trial: Trial
    ended: str
    fault: str


def main() -> int:
    options = _options()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}")
    base = Path(tempfile.mkdtemp(prefix="hold-faults-", dir=options.folder))
    try:
        trials = list(_trials(base, options, random.Random(seed)))
        random.Random(seed).shuffle(trials)
        print(f"{len(trials)} kills", flush=True)
        results = _try_all(base, trials, options.jobs)
    finally:
        if not options.keep:
            shutil.rmtree(base, ignore_errors=True)
    return _tell(results)


def _try_all(base: Path, trials: Sequence[Trial], jobs: int) -> list[Result]:
    """Try them; those done so far when somebody presses Ctrl-C, a fair sample as they are mixed."""
    results: list[Result] = []
    pool = ThreadPoolExecutor(jobs)
    try:
        for done in as_completed([pool.submit(_try, base, trial) for trial in trials]):
            results.append(done.result())
            if len(results) % 100 == 0:
                print(f"{len(results)} done", flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        pool.shutdown(cancel_futures=True)
    return results


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verbs", nargs="*", metavar="VERB", help=", ".join(SCENES))
    parser.add_argument("--points", type=int, default=50, help="random moments for each verb")
    parser.add_argument("--every", type=int, default=1, help="try each N-th change and call")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to work (default: the temporary folder)")
    parser.add_argument("--keep", action="store_true", help="leave the data sets there")
    return parser.parse_args()


def _trials(base: Path, options: argparse.Namespace, chance: random.Random) -> Iterator[Trial]:
    for verb in options.verbs or SCENES:
        scene = SCENES[verb](base / verb)
        yield from _random_moments(base, scene, options.points, chance)
        small = SCENES[verb](base / f"{verb}-small", count=SMALL)  # type: ignore[call-arg]
        yield from _each_change(base, small, options.every)
        if has_strace():
            yield from _each_call(base, small, options.every)


def _random_moments(
    base: Path, scene: Scene, points: int, chance: random.Random
) -> Iterator[Trial]:
    main = scene.copy(base / "timed")
    began = time.monotonic()
    assert kill_after(scene.command(), main, 600) == 0
    took_s = time.monotonic() - began
    for _ in range(points):
        wait_s = chance.uniform(0.03, took_s)
        yield Trial(
            scene, "random moment", f"{wait_s:.4f} s",
            lambda main, wait_s=wait_s: kill_after(scene.command(), main, wait_s),
        )  # fmt: skip


def _each_change(base: Path, scene: Scene, every: int) -> Iterator[Trial]:
    counted = base / "count"
    ran = kill_at(scene.words, scene.copy(base / "counted"), 0, counted)
    assert ran.code == 0, ran.text
    for number in range(1, int(counted.read_text()) + 1, every):
        yield Trial(
            scene, "each change", f"change {number}",
            lambda main, n=number: kill_at(scene.words, main, n, counted).code,
        )  # fmt: skip


def _each_call(base: Path, scene: Scene, every: int) -> Iterator[Trial]:
    """Until one more call than any thread makes: then the command comes to its end."""
    for call in ("rename", "link", "symlink", "unlink", "fsync", "syncfs"):
        calls = ",".join(name for name in SYSCALLS.split(",") if name.startswith(call))
        calls = {"fsync": "fsync,fdatasync"}.get(call, calls)
        for number in range(1, 200, every):
            yield Trial(
                scene, "each call", f"{call} {number}",
                lambda main, c=calls, n=number: kill_by_strace(scene.command(), main, c, n).code,
            )  # fmt: skip
            main = scene.copy(base / "counted")
            if kill_by_strace(scene.command(), main, calls, number).code == 0:
                break


def _try(base: Path, trial: Trial) -> Result:
    folder = base / f"trial-{get_ident()}"
    main = trial.scene.copy(folder)
    code = trial.kill(main)
    ended = {0: "done", KILLED: "killed"}.get(code, "failed")
    wait_for_orphans(folder)
    kept = base / "kept"
    try:
        check_nothing_lost(trial.scene, main)
        shutil.rmtree(kept / folder.name, ignore_errors=True)
        shutil.copytree(folder, kept / folder.name, symlinks=True)
        check_with_annex(trial.scene, kept / folder.name / "main")
        check_finished(trial.scene, main)
    except AssertionError as error:
        print(
            f"{trial.scene.name}, {trial.way}, {trial.point} ({ended}): {_end(str(error))}",
            flush=True,
        )
        return Result(trial, ended, str(error))
    return Result(trial, ended, "")


def _end(text: str) -> str:
    """The last words of a long message."""
    return text.strip() if len(text) < 600 else "… " + text.strip()[-600:]


def _tell(results: list[Result]) -> int:
    print(f"{'verb':6}{'kill at':16}{'points':>8}{'killed':>8}{'failed':>8}{'done':>6}{'lost':>6}")
    rows: dict[tuple[str, str], Counter[str]] = {}
    for result in results:
        row = rows.setdefault((result.trial.scene.name, result.trial.way), Counter())
        row[result.ended] += 1
        row["fault"] += bool(result.fault)
    for (verb, way), row in sorted(rows.items()):
        points = row["killed"] + row["failed"] + row["done"]
        print(
            f"{verb:6}{way:16}{points:8}{row['killed']:8}{row['failed']:8}{row['done']:6}"
            f"{row['fault']:6}"
        )
    faults = sum(bool(result.fault) for result in results)
    print("nothing was lost" if not faults else f"{faults} kills showed a fault")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
