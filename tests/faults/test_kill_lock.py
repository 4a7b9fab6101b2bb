"""`hold unlock` and `hold lock`, killed part-way and run again: they go on where they stopped."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from depth import spread
from scenes import (
    HOLD,
    KILLED,
    Scene,
    contents,
    environment,
    kill_at,
    left_locks,
    left_scratch,
    made,
    must,
    objects_of_digests,
    run,
    wait_for_orphans,
)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("git-annex", path=environment()["PATH"]) is None,
                       reason="the real git-annex is not here"),
]  # fmt: skip

FILES = 12
TRIALS = 4


@pytest.fixture(params=["unlock", "lock"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    """A data set, of which a part is locked, a part is not, and a part is not here."""
    base = tmp_path / "scene"
    made(base / "origin", random.Random(5), FILES)
    must(base, HOLD, "clone", "-q", str(base / "origin"), str(base / "main"))
    main = base / "main"
    must(main, HOLD, "get", "-q", "d1", "d2", "large0.dat", "twin a.dat", "f0.bin")
    if request.param == "lock":
        must(main, HOLD, "unlock", "-q")
        must(main, HOLD, "save", "-q")
    return Scene(request.param, (request.param, "--json"), base, contents(main))


def is_as_wanted(scene: Scene, main: Path) -> None:
    """All files have the form that was asked for, in the folder and in the index, and content."""
    assert contents(main) == scene.expected
    listed = must(main, "git", "annex", "find", "--anything", "--unlocked").out.splitlines()
    every = must(main, "git", "annex", "find", "--anything").out.splitlines()
    assert sorted(listed) == (sorted(every) if scene.name == "unlock" else [])
    for name in every:
        assert (main / name).is_symlink() is (scene.name == "lock"), name
    for line in must(main, "git", "status", "--porcelain").out.splitlines():
        assert line[1] == " ", f"not staged: {line}"
    assert not left_locks(main) and not left_scratch(main)


def test_killed_anywhere_the_same_command_goes_on_where_it_stopped(
    scene: Scene, tmp_path: Path
) -> None:
    counted = tmp_path / "count"
    undisturbed = kill_at(scene.words, scene.copy(tmp_path / "trial"), 0, counted)
    assert undisturbed.code == 0
    full = undisturbed.out.count('"ok"')
    total = int(counted.read_text())
    held = objects_of_digests(scene.template / "main")
    went_on = 0
    for number in spread(range(1, total + 1), TRIALS, scene.name):
        main = scene.copy(tmp_path / "trial")
        assert kill_at(scene.words, main, number, counted).code == KILLED
        wait_for_orphans(main.parent)
        assert contents(main) == scene.expected
        again = run(main, *scene.command())
        assert again.code == 0, (number, again.text)
        told = [json.loads(line)["status"] for line in again.out.splitlines()]
        assert set(told) <= {"ok", "notneeded"}
        went_on += 0 < told.count("ok") < full
        is_as_wanted(scene, main)
        assert held.items() <= objects_of_digests(main).items()
        must(main, HOLD, "save", "-q")
        fsck = run(main, "git", "annex", "fsck", "--quiet")
        assert "bad" not in fsck.text.lower(), fsck.text
        assert not must(main, "git", "status", "--porcelain").out
    assert went_on


def test_what_was_changed_is_still_left_alone(scene: Scene, tmp_path: Path) -> None:
    main = scene.copy(tmp_path / "trial")
    path = main / "large0.dat"
    path.unlink()
    path.write_bytes(b"of my own")
    again = run(main, *scene.command())
    assert again.code == 4, again.text
    assert "H215" in again.text
    assert path.read_bytes() == b"of my own"
