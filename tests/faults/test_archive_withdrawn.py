"""A file that changes between two runs of pack: what was packed of it is taken back, all of it.

A run is killed, a file that is in several pieces changes, the next run is killed as well, and the
last one goes on. Then the pieces that are there are those of the snapshot, and hold together.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from depth import times
from scenes import HOLD, environment, hold, must
from warm_hold import run_program

from holdfast.archive.archive_folder import ArchiveFolder

SEED = int(os.environ.get("FAULTS_SEED", "0")) or random.randrange(1 << 30)
KILL_AT = Path(__file__).with_name("kill_at.py")
WRITE = ("--write", "../pieces", "--piece-size", "4MiB")
LOCKED = ("--encrypt", "--keys", "../keys")
LARGE = "large.nii"


@dataclass(frozen=True)
class Scene:
    """A folder with what is packed, ``main``; how it is; and where it is noted what was."""

    top: Path
    words: tuple[str, ...]
    state: Path

    def copy(self, to: Path) -> Scene:
        shutil.copytree(self.top, to, symlinks=True)
        return Scene(to, self.words, to / self.state.relative_to(self.top))

    def pack(self, kill_at: int | None = None) -> int:
        """Run it, and kill it there; 0: count the steps instead, and give their number."""
        if kill_at is None:
            return hold(self.top / "main", *self.words).code
        count = self.top / "count"
        words = [sys.executable, str(KILL_AT), str(count), str(kill_at), *self.words]
        ran = run_program(words, self.top / "main", environment())
        if kill_at:
            return ran.returncode
        assert ran.returncode == 0, ran.stderr
        return int(count.read_text())

    def change(self, *, longer: bool) -> None:
        """Change the first bytes of the large file, and of small ones, and no times of theirs."""
        for path in [self.top / "main" / LARGE, *(self.top / "main/small").iterdir()]:
            real = path.resolve()
            whole, seen = real.read_bytes(), real.stat()
            real.parent.chmod(0o755)
            real.chmod(0o644)
            real.write_bytes(bytes([whole[0] ^ 1]) + whole[1:] + b"more" * longer)
            os.utime(real, ns=(seen.st_atime_ns, seen.st_mtime_ns))

    def pieces_noted(self) -> set[str]:
        """The names of all pieces of finished snapshots."""
        archive = ArchiveFolder(os.fsencode(self.state))
        pieces = (archive.pieces_of(one.number) for one in archive.snapshots)
        return {Path(os.fsdecode(piece.path)).name for some in pieces for piece in some}


@pytest.fixture(scope="module", params=["folder", "data set", "folder, encrypted",
                                        "data set, encrypted"])  # fmt: skip
def base(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Scene:
    top, chance = tmp_path_factory.mktemp("withdrawn"), random.Random(4)
    main = top / "main"
    if "data set" in request.param:
        must(top, HOLD, "create", "-q", "--profile", "all-annexed", "main")
        words, state = ("archive", "pack", *WRITE), main / ".git/annex/hold-archive"
    else:
        main.mkdir()
        words = ("archive", "pack", "--folder", ".", "--state", "../state", *WRITE)
        state = top / "state"
    if "encrypted" in request.param:
        pytest.importorskip("cryptography")
        words += LOCKED
    (main / "small").mkdir()
    (main / LARGE).write_bytes(chance.randbytes(6_000_000))
    for number in range(60):
        (main / f"small/{number:02}").write_bytes(chance.randbytes(50_000))
    if "data set" in request.param:
        must(main, HOLD, "save", "-q", "-m", "all")
    return Scene(top, words, state)


def test_what_is_taken_back_is_in_no_folder_and_what_stays_holds_together(
    base: Scene, tmp_path: Path
) -> None:
    print(f"FAULTS_SEED={SEED}")
    counted = base.copy(tmp_path / "counted")
    steps, chance = counted.pack(kill_at=0), random.Random(SEED)
    points = chance.sample(range(steps // 4, steps), min(times(4, steps), steps * 3 // 4))
    for number, point in enumerate(points):
        scene = base.copy(tmp_path / f"trial-{number}")
        old = _files(scene.top / "main")
        assert scene.pack(kill_at=point) == -signal.SIGKILL
        scene.change(longer=bool(number % 2))
        again = chance.randrange(1, steps)
        scene.pack(kill_at=again)
        scene.pack()
        scene.pack()  # what was another one than was planned is in the next snapshot
        left = {path.name for path in (scene.top / "pieces").iterdir()}
        assert left == scene.pieces_noted(), (point, again)
        words = ("--keys", "keys") if LOCKED[0] in scene.words else ()
        ran = hold(scene.top, "archive", "restore", "pieces", "--to", "out", "--json", *words)
        said = [json.loads(line) for line in ran.out.splitlines()]
        wrong = [one for one in said if one["status"] == "error"]
        assert not wrong and "another try" not in ran.text, (point, again, ran.text)
        new, found = _files(scene.top / "main"), _files(scene.top / "out")
        for name, data in found.items():
            assert data in (old[name], new[name]), (point, again, name)
        in_the_clear = "--state" in scene.words and LOCKED[0] not in scene.words
        assert not in_the_clear or (ran.code == 0 and set(found) == set(new)), (point, again)
        shutil.rmtree(scene.top)


def _files(main: Path) -> dict[str, bytes]:
    paths = [main / LARGE, *sorted((main / "small").iterdir())]
    return {str(path.relative_to(main)): path.read_bytes() for path in paths if path.exists()}
