"""Runs two commands of hold at once in a clone, many times, and looks whether anything is lost.

    python bench/side_by_side.py [--rounds 100] [--seed N] [--folder DIR]

Each round makes new files, some of them twins, and lets two verbs of chance (save, get, drop, lock,
unlock, copy and move both ways, fsck, status) work on all files at the same time. After each:
whatever content there ever was is in the clone or in its origin, and each command went well or told
in four lines what to do. At the end all is saved and got; ledger, scratch and locks are looked at,
and git-annex's fsck has nothing to set right.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "faults"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "programs"))

from at_once import at_once, can_be_acted_on
from scenes import (
    HOLD,
    check_ledger,
    is_pointer,
    left_locks,
    left_scratch,
    made,
    must,
    objects,
    run,
)

VERBS = (
    ("save",), ("get", "."), ("drop", "."), ("lock", "."), ("unlock", "."), ("fsck", "."),
    ("status",), ("copy", "--to", "origin", "."), ("copy", "--from", "origin", "."),
    ("move", "--to", "origin", "."), ("move", "--from", "origin", "."),
)  # fmt: skip
SIZES = (10, 3_000, 300_000)


def main() -> int:
    options = _options()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}", flush=True)
    base = Path(tempfile.mkdtemp(prefix="hold-side-", dir=options.folder))
    try:
        wrong = _work(base, options.rounds, random.Random(seed))
    finally:
        for folder, _, _ in os.walk(base):
            Path(folder).chmod(0o755)
        shutil.rmtree(base, ignore_errors=True)
    print(f"{options.rounds} rounds: {wrong} with something lost or told as no person can use it")
    return int(wrong > 0)


def _work(base: Path, rounds: int, chance: random.Random) -> int:
    clone, origin = base / "clone", base / "origin"
    made(origin, chance, 16)
    must(base, HOLD, "clone", "-q", "origin", "clone")
    known, wrong, count = set(_digests(clone, origin)), 0, 0
    for number in range(rounds):
        for _ in range(chance.randrange(3)):
            data = chance.randbytes(chance.choice(SIZES))
            known.add(hashlib.sha256(data).hexdigest())
            for _ in range(chance.randrange(1, 3)):
                (clone / f"new {count}.dat").write_bytes(data)
                count += 1
        verbs = chance.choices(VERBS, k=2)
        ran = at_once(*((clone, [HOLD, *verb]) for verb in verbs))
        lost = known - set(_digests(clone, origin))
        known -= lost
        if lost or not all(map(can_be_acted_on, ran)):
            wrong += 1
            told = "\n".join(one.text for one in ran if not can_be_acted_on(one))
            print(f"round {number}: {verbs}: {len(lost)} contents lost\n{told}", flush=True)
    must(clone, HOLD, "save", "-q")
    must(clone, HOLD, "get", "-q")
    assert not left_locks(clone) and not left_scratch(clone)
    check_ledger(clone)
    checked = run(clone, "git", "annex", "fsck")
    assert checked.code == 0 and "fixing location log" not in checked.out, checked.text
    return wrong


def _digests(*folders: Path) -> Iterator[str]:
    """What there is in the annexes and among the files of data sets."""
    for top in folders:
        for path in objects(top).values():
            yield _digest(path)
        for folder, below, names in os.walk(top):
            below[:] = [name for name in below if name != ".git"]
            for path in (Path(folder) / name for name in names):
                if not path.is_symlink() and not is_pointer(path):
                    yield _digest(path)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="how often")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--folder", type=Path, help="where to work (default: the temporary folder)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
