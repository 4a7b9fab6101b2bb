"""A packed store whose users are killed: what was acknowledged stays, what was torn is not shown.

A few moments, chosen anew each time; `bench/packed_faults.py` tries many more.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

from depth import times
from packed_scene import PackedScene

SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.randrange(1 << 30)


def test_killed_in_the_middle_of_a_change_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    print(f"FAULTS_SEED={SEED}")
    chance = random.Random(SEED)
    scene = PackedScene(tmp_path / "store")
    scene.make()
    changes = scene.work(SEED)
    for number in range(times(3, 50)):
        scene.work(SEED + number, kill_at=chance.randrange(1, changes + 1))
        scene.check(chance)


def test_killed_at_a_random_moment_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    print(f"FAULTS_SEED={SEED}")
    chance = random.Random(SEED)
    scene = PackedScene(tmp_path / "store")
    scene.make()
    for number in range(times(3, 50)):
        scene.work(SEED + number, kill_after_s=chance.uniform(0.001, 0.2), steps=200)
        scene.check(chance)


def test_two_processes_work_on_one_store_and_the_death_of_one_harms_no_other(
    tmp_path: Path,
) -> None:
    print(f"FAULTS_SEED={SEED}")
    chance = random.Random(SEED)
    scenes = [PackedScene(tmp_path / "store") for _ in range(2)]
    scenes[0].make()
    for number in range(2):
        processes = [
            scene.start(SEED + 10 * number + who, steps=25) for who, scene in enumerate(scenes)
        ]
        kills = (chance.uniform(0.01, 0.3), 0)
        for scene, process, after_s in zip(scenes, processes, kills, strict=True):
            scene.finish(process, after_s)
        for scene in scenes:
            scene.check(chance)
