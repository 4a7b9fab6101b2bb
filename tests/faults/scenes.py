"""Data sets to do harm to, and the look around afterwards.

A scene is a folder with a data set (``main``), and often the one it was cloned from (``origin``),
in the state before a command. It is made once and copied for every trial.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from depth import times
from warm_hold import run_program

from holdfast.transfer.hands import MANY

BIN = Path(sys.executable).parent
HOLD = str(BIN / "hold")
KILLED = -signal.SIGKILL
Digests = dict[str, str]


def environment() -> dict[str, str]:
    """What commands run with: our programs first, nobody's own git settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **kept,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
    }  # fmt: skip


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


def run(folder: Path, *words: str, timeout_s: float = 120) -> Ran:
    """Run a command to its end."""
    done = run_program(words, folder, environment(), timeout_s)
    return Ran(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))


def must(folder: Path, *words: str) -> Ran:
    """Run a command that has to go well."""
    ran = run(folder, *words)
    assert ran.code == 0, f"{' '.join(words)}: {ran.text}"
    return ran


def hold(folder: Path, *words: str) -> Ran:
    return run(folder, HOLD, *words)


def sha256(path: Path) -> str | None:
    """The hash of what a path leads to; None when it leads nowhere."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def tracked(folder: Path) -> list[Path]:
    """Every file and link of a work tree, by its path from the top."""
    found = []
    for top, folders, names in os.walk(folder):
        if ".git" in folders:
            folders.remove(".git")
        found += [Path(top, name).relative_to(folder) for name in names]
        found += [
            Path(top, name).relative_to(folder) for name in folders if Path(top, name).is_symlink()
        ]
    return sorted(found)


def is_pointer(path: Path) -> bool:
    """Whether an unlocked file has only its pointer."""
    with path.open("rb") as file:
        return file.read(15) == b"/annex/objects/"


def all_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything in a folder: what it is, its rights, its bytes."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = (0, os.fsencode(os.readlink(path)))
        elif path.is_dir():
            found[name] = (1, b"")
        else:
            found[name] = (path.stat().st_mode, path.read_bytes())
    return found


def contents(folder: Path) -> Digests:
    """What each path of a work tree leads to, of those that lead to content."""
    found = {}
    for path in tracked(folder):
        full = folder / path
        if full.exists() and not is_pointer(full):
            digest = sha256(full)
            assert digest is not None
            found[str(path)] = digest
    return found


def objects(folder: Path) -> dict[str, Path]:
    """The content in an annex, by the name of its file."""
    found = {}
    for top, _, names in os.walk(folder / ".git/annex/objects"):
        if Path(top).name in names:
            found[Path(top).name] = Path(top) / Path(top).name
    return found


def objects_of_digests(folder: Path) -> Digests:
    """The content in an annex, name and hash."""
    return {name: sha256(path) or "" for name, path in objects(folder).items()}


def left_locks(folder: Path) -> list[str]:
    """Lock files that are still there, but those on refs: these git alone makes and removes."""
    git = folder / ".git"
    found = [git / "index.lock", git / "config.lock", *git.glob("*.hold*")]
    return sorted(path.name for path in found if path.exists())


def left_scratch(folder: Path) -> list[str]:
    """What lies in the annex's scratch folders, notes of unfinished verbs included.

    Unfinished git objects (``tmp_obj_…``, ``tmp_pack_…``) are not looked for: `git gc` removes them.
    """
    annex = folder / ".git/annex"
    return sorted(
        str(path.relative_to(annex))
        for name in ("othertmp", "hold-unrecorded", "tmp")
        for path in (annex / name).rglob("*")
    )


def copy_folder(template: Path, to: Path) -> None:
    """Copy a folder of data sets that know each other; the copies know the copies."""
    subprocess.run(["cp", "-a", template, to], check=True)
    for config in to.glob("*/.git/config"):
        text = config.read_text()
        config.write_text(text.replace(f"{template}/", f"{to}/"))


@dataclass(frozen=True)
class Scene:
    """A state, the command that is disturbed in it, and what must be so at its end."""

    name: str
    words: tuple[str, ...]
    template: Path
    expected: Digests = field(default_factory=dict)
    """What every path must lead to when all is there."""
    held: Digests = field(default_factory=dict)
    """Objects of ``main`` that may not vanish from everywhere."""
    has_all: bool = True
    """Whether the content has to be here at the end (else it must be gone)."""
    program: tuple[str, ...] = (HOLD,)
    """What the words are told to."""

    def copy(self, to: Path) -> Path:
        """A fresh copy to do harm to; gives its data set."""
        shutil.rmtree(to, ignore_errors=True)
        copy_folder(self.template, to)
        return to / "main"

    def command(self) -> list[str]:
        return [*self.program, *self.words]


def fill(folder: Path, chance: random.Random, count: int, *, large: int = 2) -> None:
    """Put files into a folder: small ones, some in folders, some of 300 KiB, odd names."""

    def write(name: str, content: bytes) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        # Root would write through a link, into the protected content it leads to.
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        return path

    for number in range(count):
        name = f"d{number % 4}/file {number}.dat" if number % 3 else f"f{number}.bin"
        path = write(name, chance.randbytes(chance.randrange(1, 3000)))
        if number % 7 == 0:
            path.chmod(0o755)
    for number in range(large):
        write(f"large{number}.dat", chance.randbytes(300_000))
    write("notes.txt", b"in git\n" + chance.randbytes(20).hex().encode())
    write("twin a.dat", b"the same")
    write("twin b.dat", b"the same")
    write("empty.dat", b"")


def made(folder: Path, chance: random.Random, count: int, *, unlocked: bool = True) -> None:
    """A data set with that many files, saved; text goes into git, one file in five is unlocked."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    must(folder.parent, HOLD, "create", "-q", "--profile", "all-annexed", str(folder))
    with (folder / ".gitattributes").open("a") as file:
        file.write("\n*.txt annex.largefiles=nothing\n")
    fill(folder, chance, count)
    must(folder, HOLD, "save", "-q")
    if not unlocked:
        return
    some = [str(p) for p in tracked(folder) if p.suffix in (".dat", ".bin")][::5]
    must(folder, HOLD, "unlock", "-q", *some)
    must(folder, HOLD, "save", "-q")


def scene_save(base: Path, seed: int = 1, count: int = 40) -> Scene:
    """New, changed, deleted, retyped and renamed files to be saved."""
    chance = random.Random(seed)
    main = base / "main"
    made(main, chance, count // 2)
    old = objects_of_digests(main)
    for number in range(count):
        path = main / f"new{number % 3}" / f"n{number}.dat"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(1, 3000)))
    (main / "new large.dat").write_bytes(chance.randbytes(2 << 20))
    (main / "new.txt").write_bytes(b"for git")
    unlocked = [p for p in tracked(main) if not (main / p).is_symlink() and p.suffix == ".dat"]
    for path in [p for p in unlocked if not str(p).startswith("new")][:3]:
        (main / path).write_bytes(chance.randbytes(500))
    locked = [p for p in tracked(main) if (main / p).is_symlink()]
    (main / locked[0]).unlink()
    (main / locked[1]).rename(main / "d0/renamed.dat")
    (main / locked[2]).unlink()
    (main / locked[2]).write_bytes(chance.randbytes(400))
    return Scene("save", ("save", "-q", "-m", "more"), base, contents(main), old)


def cloned(base: Path, seed: int, count: int, *, unlocked: bool = True) -> Path:
    """A data set and a clone of it that has no content yet."""
    made(base / "origin", random.Random(seed), count, unlocked=unlocked)
    must(base, HOLD, "clone", "-q", str(base / "origin"), str(base / "main"))
    return base / "main"


def scene_get(base: Path, seed: int = 2, count: int = 60) -> Scene:
    """A clone that has nothing of what is to be brought."""
    cloned(base, seed, count)
    return Scene("get", ("get", "-q"), base, contents(base / "origin"))


def scene_drop(base: Path, seed: int = 3, count: int = 60, *, unlocked: bool = True) -> Scene:
    """A clone that has everything, as its origin does."""
    main = cloned(base, seed, count, unlocked=unlocked)
    must(main, HOLD, "get", "-q")
    return Scene(
        "drop", ("drop", "-q", "."), base, contents(base / "origin"), objects_of_digests(main),
        has_all=False,
    )  # fmt: skip


def scene_fsck(base: Path, seed: int = 4, count: int = 60, *, every: int = 4) -> Scene:
    """A clone whose content is damaged in several ways, each so many-th, with a good origin."""
    main = cloned(base, seed, count)
    must(main, HOLD, "get", "-q")
    chance = random.Random(seed)
    good = contents(base / "origin")
    for number, (_, path) in enumerate(sorted(objects(main).items())):
        if number % every == 0 and path.stat().st_size:
            damage(path, chance, cut=number % (2 * every) == 0)
    return Scene("fsck", ("fsck", "-q", "--repair"), base, good)


def damage(path: Path, chance: random.Random, *, cut: bool = False) -> None:
    """Flip a bit of a protected file, or cut it; its time stays as it was."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    if cut:
        del content[len(content) // 2 :]
    else:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


SCENES: dict[str, Callable[[Path], Scene]] = {
    "save": scene_save,
    "get": scene_get,
    "drop": scene_drop,
    "fsck": scene_fsck,
}

# From so many files on, hands are at work: fewer than for people, but in a deep run.
MANY_HERE = times(MANY // 4, MANY)
ENOUGH_FOR_HANDS = MANY_HERE + 80
MANY_FROM = (sys.executable, str(Path(__file__).with_name("many_from.py")), str(MANY_HERE))


def _by_hands(scene: Scene) -> Scene:
    return replace(scene, program=MANY_FROM)


SCENES_OF_MANY: dict[str, Callable[[Path], Scene]] = {
    "get": lambda base: _by_hands(scene_get(base, count=ENOUGH_FOR_HANDS)),
    "drop": lambda base: _by_hands(scene_drop(base, count=ENOUGH_FOR_HANDS, unlocked=False)),
    "fsck": lambda base: _by_hands(scene_fsck(base, count=ENOUGH_FOR_HANDS, every=times(25, 100))),
}
"""So many files that forked hands share the work."""


# ways to kill


def kill_after(command: Sequence[str], folder: Path, seconds: float) -> int:
    """Run a command, kill it after so long; its exit code (it may have been quicker)."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def kill_at(words: Sequence[str], folder: Path, number: int, count_file: Path) -> Ran:
    """Run hold and kill it just before its N-th change to the file system (0: only count them)."""
    runner = Path(__file__).with_name("kill_at.py")
    return run(folder, sys.executable, str(runner), str(count_file), str(number), *words)


SYSCALLS = (
    "rename,renameat,renameat2,unlink,unlinkat,fsync,fdatasync,syncfs,link,linkat,symlink,symlinkat"
)


def kill_by_strace(command: Sequence[str], folder: Path, calls: str, number: int) -> Ran:
    """Run a command; the thread or program of it that makes its N-th such call is killed there."""
    inject = f"inject={calls}:signal=SIGKILL:when={number}"
    return run(
        folder, "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject,
        *command,
    )  # fmt: skip


def has_strace() -> bool:
    """Whether strace is here and may trace."""
    if shutil.which("strace") is None:
        return False
    return run(Path("/"), "strace", "-qq", "-o", "/dev/null", "true").code == 0


def wait_for_orphans(folder: Path, patience_s: float = 5) -> None:
    """Let programs that a killed hold had started come to their end."""
    ends_at = time.monotonic() + patience_s
    while time.monotonic() < ends_at and _works_in(folder):
        time.sleep(0.01)


def _works_in(folder: Path) -> bool:
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                if Path(os.readlink(process / "cwd")).is_relative_to(folder):
                    return True
            except OSError:
                continue
    return False


# the look around


def check_nothing_lost(scene: Scene, main: Path) -> None:
    """After any fault: git is whole, and every content is where it was or where it shall be."""
    fsck = run(main, "git", "fsck", "--no-progress")
    bad = [line for line in (fsck.out + fsck.err).splitlines() if not line.startswith("dangling")]
    assert fsck.code == 0 and not bad, fsck.text
    elsewhere: Digests = {}
    if (main.parent / "origin").exists():
        elsewhere = contents(main.parent / "origin")
        assert elsewhere == scene.expected, "the origin was touched"
    here = contents(main)
    for path, digest in scene.expected.items():
        assert os.path.lexists(main / path), f"{path} is gone"
        if scene.name == "save":
            assert here.get(path) == digest, f"{path} has lost its content"
        elif path in here and scene.name != "fsck":
            assert here[path] == digest, f"{path} has wrong content"
    if scene.name == "save":
        now = objects_of_digests(main)
        for name, digest in scene.held.items():
            assert now.get(name) == digest, f"{name} is lost"


def check_with_annex(scene: Scene, main: Path) -> None:
    """After any fault, git-annex finds nothing bad but what was bad before. Changes the ledger."""
    fsck = run(main, "git", "annex", "fsck", "--quiet")
    if scene.name != "fsck":
        assert "bad file" not in fsck.text.lower(), fsck.text
    assert "No known copies" not in fsck.text, fsck.text
    assert "only" not in fsck.text.lower() or scene.name == "fsck", fsck.text
    if scene.name == "save":
        assert fsck.code == 0, fsck.text


def check_finished(scene: Scene, main: Path) -> None:
    """After the command was run again: all is done, all is clean, all is told as it is."""
    again = run(main, *scene.command())
    assert again.code == 0, f"the same command again: {again.text}"
    check_clean(scene, main)


def check_clean(scene: Scene, main: Path) -> None:
    """All is done and clean, and the ledger says what is so."""
    assert not left_locks(main), left_locks(main)
    assert not left_scratch(main), left_scratch(main)
    check_nothing_lost(scene, main)
    here = contents(main)
    for path, digest in scene.expected.items():
        in_git = path.endswith(".txt") or path.startswith(".")
        if scene.has_all or in_git:
            assert here.get(path) == digest, f"{path} has not its content"
        else:
            assert path not in here, f"{path} still has its content"
    status = must(main, HOLD, "status", "--json")
    assert not status.out, status.out
    changed = must(main, "git", "status", "--porcelain")
    assert not changed.out, changed.out
    check_ledger(main)
    fsck = run(main, "git", "annex", "fsck")
    assert fsck.code == 0 and "fixing location log" not in fsck.out, fsck.text


def check_ledger(main: Path) -> None:
    """What `git annex whereis` says of here is what is here."""
    uuid = must(main, "git", "config", "annex.uuid").out.strip()
    present = objects(main)
    answer = run(main, "git", "annex", "whereis", "--json")
    for line in answer.out.splitlines():
        record = json.loads(line)
        said = any(place["uuid"] == uuid for place in record["whereis"])
        name = record["key"].replace("&", "&a").replace("%", "&s").replace(":", "&c")
        name = name.replace("/", "%")
        assert said == (name in present), f"{record['file']}: the ledger says here is {said}"
