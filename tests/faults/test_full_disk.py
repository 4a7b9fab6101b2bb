"""Disks that are full or may not be written, and sources that go away: right content or none."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from depth import DEEP
from scenes import (
    HOLD,
    Ran,
    Scene,
    check_finished,
    check_nothing_lost,
    contents,
    copy_folder,
    damage,
    environment,
    fill,
    hold,
    left_scratch,
    made,
    must,
    objects,
    run,
)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("git-annex", path=environment()["PATH"]) is None,
                       reason="the real git-annex is not here"),
]  # fmt: skip

Mount = Callable[..., Path]


def has_four_lines(ran: Ran, *codes: str) -> bool:
    """Whether it is told in four lines what is wrong, with one of these codes."""
    found = re.findall(r"✗ (H\d+) .*\n  why .*\n  safe .*\n  next .*\n", ran.err)
    return not set(codes).isdisjoint(found) and "Traceback" not in ran.err


def fill_up(disk: Path, leave: int) -> Path:
    """Take all room on a disk but for some bytes."""
    ballast = disk / "ballast"
    free = os.statvfs(disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - leave))
    return ballast


def take_inodes(disk: Path, leave: int) -> Path:
    """Take all inodes of a disk but for some."""
    ballast = disk / "ballast"
    ballast.mkdir()
    for number in range(os.statvfs(disk).f_favail - leave):
        (ballast / str(number)).touch()
    return ballast


def free_up(ballast: Path) -> None:
    shutil.rmtree(ballast) if ballast.is_dir() else ballast.unlink()


def on_disk(scene: Scene, disk: Path) -> Path:
    """The data set of a scene moved to a disk of its own, where git-annex keeps no reserve."""
    main = scene.copy(disk.parent / "trial")
    moved = disk / "main"
    shutil.copytree(main, moved, symlinks=True)
    shutil.rmtree(main)
    main.symlink_to(moved)
    must(moved, "git", "config", "annex.diskreserve", "0")
    return main


def check_interrupted(scene: Scene, main: Path, ballast: Path) -> None:
    """The command fails as it should, loses nothing, and completes when there is room."""
    ran = run(main, *scene.command())
    if ran.code != 0:
        assert ran.code == 3, ran.text
        assert has_four_lines(ran, "H401", "H213"), ran.text
    free_up(ballast)
    check_nothing_lost(scene, main)
    check_finished(scene, main)


@pytest.mark.parametrize("leave", [0, 20_000, 120_000, 400_000] if DEEP else [20_000])
def test_on_a_full_disk_nothing_is_lost_and_the_command_completes_when_there_is_room(
    scene: Scene, mount: Mount, leave: int
) -> None:
    disk = mount("disk", "-t", "tmpfs", "-o", "size=24m", "none")
    main = on_disk(scene, disk)
    check_interrupted(scene, main, fill_up(disk, leave))


@pytest.mark.parametrize("leave", [0, 6, 60] if DEEP else [6])
def test_on_a_disk_without_inodes_nothing_is_lost_and_the_command_completes_later(
    scene: Scene, mount: Mount, leave: int
) -> None:
    disk = mount("disk", "-t", "tmpfs", "-o", "size=24m,nr_inodes=3000", "none")
    main = on_disk(scene, disk)
    check_interrupted(scene, main, take_inodes(disk, leave))


def test_a_data_set_is_not_begun_on_a_full_disk_and_can_be_when_there_is_room(
    mount: Mount,
) -> None:
    disk = mount("disk", "-t", "tmpfs", "-o", "size=8m", "none")
    for leave in (0, 30_000, 100_000, 160_000):
        ballast = fill_up(disk, leave)
        ran = hold(disk, "create", "new")
        free_up(ballast)
        # A git that could not write its message to the end says no more than that it is empty.
        assert ran.code == 0 or has_four_lines(ran, "H401", "H110"), ran.text
        again = hold(disk, "create", "new", *(["--force"] if ran.code == 0 else []))
        assert again.code == 0, f"after {ran.text}: {again.text}"
        must(disk / "new", "git", "annex", "fsck")
        shutil.rmtree(disk / "new")


# may not be written


def test_a_read_only_data_set_is_told_of_and_stays_as_it_is(scene: Scene, mount: Mount) -> None:
    main = scene.copy(mount("disk", "-t", "tmpfs", "none") / "trial")
    disk = main.parent.parent
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    before = contents(main)
    ran = run(main, *scene.command())
    assert ran.code in (3, 4), ran.text
    assert has_four_lines(ran, "H402"), ran.text
    assert contents(main) == before
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    check_finished(scene, main)


def test_a_destination_that_becomes_read_only_keeps_what_came_and_goes_on_later(
    scene: Scene, mount: Mount
) -> None:
    if scene.name != "get":
        pytest.skip("the others write in one place only")
    main = scene.copy(mount("disk", "-t", "tmpfs", "none") / "trial")
    disk = main.parent.parent
    process = subprocess.Popen(
        [*scene.command()], cwd=main, env=environment(), stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], capture_output=True, check=False)
    _, errors = process.communicate()
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    if process.returncode:
        assert process.returncode in (3, 4), errors.decode()
        assert has_four_lines(Ran(process.returncode, "", errors.decode()), "H402")
    check_nothing_lost(scene, main)
    check_finished(scene, main)


def bound_by_modes() -> tuple[str, ...]:
    """What to put before a command so that modes bind it, though it is run by root."""
    if os.geteuid() != 0:
        return ()
    words = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    if shutil.which("setpriv") is None or run(Path("/"), *words, "true").code:
        pytest.skip("root passes over modes, and cannot be stopped from it here")
    return words


@pytest.mark.parametrize("locked", [".git", ".git/objects", ".git/annex/objects"])
def test_without_permission_to_write_the_files_stay_and_the_owner_is_named_as_the_way(
    tmp_path: Path, locked: str
) -> None:
    words = bound_by_modes()
    main = tmp_path / "main"
    made(main, random.Random(1), 5)
    (main / "new.dat").write_text("content")
    before = contents(main)
    (main / locked).chmod(0o555)
    ran = run(main, *words, HOLD, "save")
    assert ran.code in (3, 4), ran.text
    assert has_four_lines(ran, "H402"), ran.text
    assert contents(main) == before
    (main / locked).chmod(0o755)
    must(main, HOLD, "save", "-q")
    assert not must(main, "git", "status", "--porcelain").out
    assert contents(main) == before


# sources that go away or lie


@pytest.fixture(scope="module")
def related(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `clones` is a copy of."""
    folder = tmp_path_factory.mktemp("related")
    made(folder / "origin", random.Random(9), 30)
    for name in ("second", "main"):
        must(folder, HOLD, "clone", "-q", "origin", name)
    must(folder / "second", HOLD, "get", "-q")
    must(folder / "main", "git", "remote", "add", "second", str(folder / "second"))
    return folder


@pytest.fixture
def clones(related: Path, tmp_path: Path) -> Path:
    """A folder with a data set ``origin``, a full clone ``second``, and an empty one ``main``."""
    copy_folder(related, tmp_path / "clones")
    return tmp_path / "clones"


def test_a_source_that_vanishes_on_the_way_leaves_right_content_or_none(clones: Path) -> None:
    main, store = clones / "main", clones / "origin/.git/annex/objects"
    fill(clones / "origin", random.Random(2), 0, large=60)
    must(clones / "origin", HOLD, "save", "-q")
    shutil.rmtree(main)
    must(clones, HOLD, "clone", "-q", "origin", "main")
    good = contents(clones / "origin")

    def vanish() -> None:
        while not list((main / ".git/annex/othertmp").glob("get*/*")):
            time.sleep(0.0005)
        store.rename(store.with_name("gone"))

    thread = threading.Thread(target=vanish, daemon=True)
    thread.start()
    ran = hold(main, "get", "-q")
    if ran.code == 0:
        pytest.skip("it was quicker than the source could vanish")
    thread.join(10)
    store.with_name("gone").rename(store)
    assert ran.code == 3 and "Traceback" not in ran.err, ran.text
    assert has_four_lines(ran, "H205", "H301", "H001"), ran.text
    assert contents(main).items() <= good.items()
    must(main, HOLD, "get", "-q")
    assert contents(main) == good
    assert not left_scratch(main)


@pytest.mark.parametrize("cut", [False, True])
def test_from_a_damaged_source_the_next_one_is_used(clones: Path, cut: bool) -> None:
    chance = random.Random(3)
    for path in objects(clones / "origin").values():
        if path.stat().st_size:
            damage(path, chance, cut=cut)
    good = contents(clones / "second")
    must(clones / "main", HOLD, "get", "-q")
    assert contents(clones / "main") == good


@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_source_alone_gives_nothing_and_is_named(clones: Path, cut: bool) -> None:
    main = clones / "main"
    must(main, "git", "remote", "remove", "second")
    name, path = sorted(objects(clones / "origin").items())[5]
    damage(path, random.Random(3), cut=cut)
    ran = hold(main, "get")
    assert ran.code == 3, ran.text
    assert has_four_lines(ran, "H205", "H204"), ran.text
    assert "origin" in ran.err
    assert name not in objects(main)
    assert len(objects(main)) == len(objects(clones / "origin")) - 1
    assert not left_scratch(main)
