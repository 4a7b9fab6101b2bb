"""Kills users of a packed store at many moments, and looks after each whether anything was lost.

    python bench/packed_faults.py [--points 100] [--seed N] [--folder DIR]

One store, worked on by puts, bulk puts, removals and compactions. Half of the kills leave a change
to the packs half made (a part of a write; before or after a sync, cut or unlink), half come at
random moments, that is also inside SQLite. After each: every content acknowledged is read and
compared, none acknowledged as removed is there, what was on its way is there whole or not at all,
and `verify` finds nothing; in half of the cases once more with the index thrown away.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "faults"))

from packed_scene import PackedScene


def main() -> int:
    options = _options()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}", flush=True)
    base = Path(tempfile.mkdtemp(prefix="hold-packed-", dir=options.folder))
    try:
        counts = _kill(base, options.points, seed)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print(
        f"{options.points} points: {counts['killed']} killed, {counts['done']} done before it; "
        f"{counts['while compacting']} of the kills while compacting; "
        f"{counts['lost']} with something lost, torn or wrong"
    )
    return int(counts["lost"] > 0)


def _kill(base: Path, points: int, seed: int) -> Counter[str]:
    chance, counts = random.Random(seed), Counter[str]()
    scene = PackedScene(base / "store")
    scene.make()
    changes = scene.work(seed)
    began = time.monotonic()
    for point in range(points):
        steps = 12 if point % 2 else 200
        if point % 2:
            done = scene.work(seed + point, kill_at=chance.randrange(1, changes + 1), steps=steps)
        else:
            done = scene.work(seed + point, kill_after_s=chance.uniform(0.001, 0.5), steps=steps)
        counts["done" if done else "killed"] += 1
        counts["while compacting"] += not done and scene.compacting
        try:
            scene.check(chance)
        except AssertionError as error:
            counts["lost"] += 1
            print(f"point {point}: {str(error)[:400]}", flush=True)
        if point % 10 == 9:
            entries = sum(1 for _ in scene.folder.rglob("*"))
            took_s = time.monotonic() - began
            told = f"{point + 1} points, {len(scene.there)} contents, {entries} entries"
            print(f"{told}, {took_s:.0f} s", flush=True)
    return counts


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=100, help="how many kills")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--folder", type=Path, help="where to work (default: the temporary folder)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
