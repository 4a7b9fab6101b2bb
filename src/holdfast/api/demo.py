"""What a data set is good for, shown on real files, step by step, with the commands one would type.

Every step runs `hold` as a process of its own and then checks what it claims: exit codes, hashes,
which content is where. A step that did not do what it must makes the demo fail.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..core import faults
from ..core.errors import HoldError
from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress, Silence
from ..dataset.removing import delete_tree
from .demo_study import Made, copy_folder, lay_out_study

EXIT_REFUSED = 4
EXIT_DAMAGED = 1
NIFTI_DESCRIPTION_AT = 148
"""Where a NIfTI-1 header has its 80 bytes of free text."""
CHANGE = b"changed by hold demo"
FILES_FROM_AFAR = 3


def iter_demo(
    source: str | os.PathLike[str] | None = None,
    *,
    keep: bool = False,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Show the life of a data set; an outcome for each step, when it has ended.

    Uses a small study of its own, a copy of a folder, or a clone of a data set. Facts of an
    outcome: ``step``, ``shows``, ``transcript`` (what was typed and printed), ``seconds``. All of
    it happens in one new folder, which is removed at the end unless ``keep`` is given.

    Raises:
        UsageError: The folder has too few files.
    """
    folder = tempfile.mkdtemp(prefix="hold-demo-")
    listener = progress or Silence()
    try:
        listener.start(None, None)
        demo = _Demo(os.path.realpath(folder), listener.note)
        for step in demo.steps(None if source is None else os.fspath(source)):
            outcome = demo.carry_out(step)
            yield outcome
            if not outcome.good:
                break
    finally:
        listener.stop()
        if not keep:
            delete_tree(os.fsencode(folder))


def demo(source: str | os.PathLike[str] | None = None, **options: object) -> Report:
    """Show the life of a data set; see `iter_demo`.

    Raises:
        IncompleteError: A step did not do what it must.
    """
    return complete(iter_demo(source, **options))  # type: ignore[arg-type]


class Broken(Exception):
    """A step did not do what it claims."""


@dataclass(frozen=True, slots=True)
class Step:
    """One part of the demo: its name, what it shows, and what it does."""

    name: str
    shows: str
    act: Callable[[], str | None]
    """Runs commands and checks; raises Broken, may give a text that takes the place of shows."""


@dataclass(slots=True)
class Ran:
    """A command that was run: its exit code and what it printed."""

    code: int
    output: str


@dataclass(slots=True)
class _Scene:
    """The files the demo plays with: one is changed, another one damaged; their hashes."""

    changed: str = ""
    damaged: str = ""
    hashes: dict[str, str] = field(default_factory=dict)


class _Demo:
    """Runs steps in one folder that holds the data sets ``study`` and ``laptop``."""

    def __init__(self, folder: str, note: Callable[[str], None]) -> None:
        self._folder = folder
        self._note = note
        self._environment = _environment(folder)
        self._transcript: list[str] = []
        self._scene = _Scene()
        self._all_annexed = False
        self._names: list[str] = []

    def steps(self, source: str | None) -> Iterator[Step]:
        """The steps, for our own study, a folder, or a data set given by path or URL."""
        if source is not None and _is_dataset(source):
            yield Step(
                "clone", "names and versions are here, content is not", lambda: self._fetch(source)
            )
            yield Step("get", "some content, checked as it came", self._get_some)
        else:
            yield Step("files", "", lambda: self._files(source))
            yield Step("create", "a folder became a data set", self._create)
            yield Step("save", "all of it is in a version; large files in the annex", self._save)
        yield Step("clone", "a second place has all names and versions, no content", self._clone)
        yield Step("get", "content came over and is the same, byte for byte", self._get)
        yield Step("change", "a file was unlocked, changed and saved there", self._change)
        yield Step("drop refused", "the only copy of what is new stays", self._drop_refused)
        yield Step("second copy", "what is new is at both places", self._second_copy)
        yield Step(
            "drop granted", "a copy was seen elsewhere, so this one could go", self._drop_granted
        )
        yield Step("damage", "one byte of a stored file was changed behind our back", self._damage)
        yield Step("fsck", "exactly that file was found, and put aside", self._fsck)
        yield Step("repair", "a good copy came back: the hash is what it was", self._repair)
        yield Step("check", "all that is stored is what its key names", self._check)

    def carry_out(self, step: Step) -> Outcome:
        """Run one step and tell how it went."""
        self._transcript = []
        self._note(step.name)
        began = time.perf_counter()
        error: HoldError | None = None
        shows = step.shows
        try:
            shows = step.act() or shows
        except Broken as broken:
            error = HoldError(
                f"the step {step.name} did not do what it must: {broken}",
                why="its output above says what happened instead",
                safe="the demo works on copies only",
                hint="hold demo --keep    (leaves its folder, to look into)",
            )
        facts = {
            "step": step.name,
            "shows": shows,
            "transcript": "\n".join(self._transcript),
            "seconds": round(time.perf_counter() - began, 3),
            "folder": self._folder,
        }
        status = Status.ERROR if error else Status.OK
        return Outcome(
            "demo", status, note=error.what if error else shows, error=error, facts=facts
        )

    # how steps act

    def _run(self, *words: str, expect: int = 0, program: str = "hold") -> Ran:
        """Run a command as it would be typed in the demo's folder."""
        self._say(f"$ {shlex.join([program, *words])}")
        start = [sys.executable, "-m", "holdfast"] if program == "hold" else [program]
        ran = subprocess.run(
            [*start, *words], cwd=self._folder, env=self._environment, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        output = ran.stdout.decode("utf-8", "replace").rstrip("\n")
        if output:
            self._say(output)
        if ran.returncode != expect:
            typed = shlex.join([program, *words[:4]])
            raise Broken(f"{typed} … exited with {ran.returncode}, not {expect}")
        return Ran(ran.returncode, output)

    def _say(self, text: str) -> None:
        self._transcript.append(text)

    def _annexed(self, dataset: str, *words: str) -> list[Mapping[str, object]]:
        """Annexed files of a data set, as `hold find --json` tells them; not shown."""
        ran = subprocess.run(
            [sys.executable, "-m", "holdfast", "-C", dataset, "find", "--json", *words],
            cwd=self._folder, env=self._environment, check=False, capture_output=True,
        )  # fmt: skip
        return [json.loads(line) for line in ran.stdout.splitlines()]

    def _path(self, dataset: str, name: str) -> str:
        return os.path.join(self._folder, dataset, name)

    def _hash(self, dataset: str, name: str) -> str:
        with open(self._path(dataset, name), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _has(self, dataset: str, name: str) -> bool:
        return os.path.exists(self._path(dataset, name))

    # the steps

    def _files(self, source: str | None) -> str:
        folder = os.path.join(self._folder, "study")
        os.makedirs(folder)
        made: Made = lay_out_study(folder) if source is None else copy_folder(source, folder)
        for size, name in made.largest:
            self._say(f"# {size:9,} bytes  study/{name}")
        if len(made.largest) < made.files:
            self._say(f"# and {made.files - len(made.largest)} more")
        if made.remark:
            self._say(f"# {made.remark}")
        self._all_annexed = made.count_large < 2
        return f"{made.files} files, {made.size:,} bytes: {made.what}"

    def _create(self) -> None:
        profile = "mixed"
        if self._all_annexed:
            # Small files would all go to git, and there would be nothing to get, drop or mend.
            profile = "all-annexed"
        elif self._has("study", "dataset_description.json"):
            profile = "bids"
        self._run("create", "--profile", profile, "study")
        _must(self._has("study", ".datalad/config"), "there is no .datalad/config")

    def _save(self) -> None:
        self._run("-C", "study", "save", "-m", "first import")
        self._choose(self._annexed("study"))
        _must(not self._changes("study"), "something is left to save")

    def _changes(self, dataset: str) -> bytes:
        ran = subprocess.run(
            ["git", "status", "--porcelain"],
            cwd=os.path.join(self._folder, dataset), env=self._environment,
            check=False, capture_output=True,
        )  # fmt: skip
        return ran.stdout

    def _choose(self, files: Sequence[Mapping[str, object]]) -> None:
        """Choose the file to change and the one to damage: small ones, of different content."""
        sizes = {str(f["key"]): f for f in files if f.get("size") and f.get("locked")}
        ordered = sorted(sizes.values(), key=_liking)
        if len(ordered) < 2:
            raise faults.BAD_USAGE(
                what="the demo needs two files of more than 64 KiB and different content",
                command="demo",
            )
        self._scene.changed, self._scene.damaged = (str(f["path"]) for f in ordered[:2])

    def _fetch(self, source: str) -> None:
        path = os.path.abspath(source) if os.path.exists(source) else source
        self._run("clone", path, "study")

    def _get_some(self) -> None:
        absent = [f for f in self._annexed("study", "--absent") if f.get("size") and f["locked"]]
        ordered = sorted(absent, key=_liking)[:FILES_FROM_AFAR]
        if len(ordered) < 2:
            raise faults.BAD_USAGE(
                what="the demo needs a data set with two annexed files", command="demo"
            )
        self._names = [str(file["path"]) for file in ordered]
        self._run("-C", "study", "get", *self._names)
        self._choose(ordered)

    def _clone(self) -> None:
        self._run("clone", "study", "laptop")
        _must(os.path.islink(self._path("laptop", self._scene.damaged)), "a name is missing")
        _must(not self._has("laptop", self._scene.damaged), "content is there already")

    def _get(self) -> None:
        scene = self._scene
        self._run("-C", "laptop", "get", *self._names)
        for name in (scene.changed, scene.damaged):
            scene.hashes[name] = self._hash("study", name)
            _must(self._hash("laptop", name) == scene.hashes[name], f"{name} differs")

    def _change(self) -> None:
        name = self._scene.changed
        self._run("-C", "laptop", "unlock", name)
        self._edit(name)
        self._run("-C", "laptop", "status")
        self._run("-C", "laptop", "save", "-m", "change it", name)
        _must(self._hash("laptop", name) != self._scene.hashes[name], "nothing was changed")
        _must(not self._changes("laptop"), "something is left to save")
        self._scene.hashes[name] = self._hash("laptop", name)

    def _edit(self, name: str) -> None:
        path = self._path("laptop", name)
        with open(path, "r+b") as file:
            nifti = name.endswith(".nii") and os.path.getsize(path) > 352
            file.seek(NIFTI_DESCRIPTION_AT if nifti else 0, os.SEEK_SET if nifti else os.SEEK_END)
            file.write(CHANGE)
        where = "the description in its header" if nifti else "its end"
        self._say(f'# {where} now says "{CHANGE.decode()}"')

    def _drop_refused(self) -> None:
        name = self._scene.changed
        self._run("-C", "laptop", "drop", name, expect=EXIT_REFUSED)
        kept = self._hash("laptop", name) == self._scene.hashes[name]
        _must(kept, "the only copy is gone or changed")

    def _second_copy(self) -> None:
        name = self._scene.changed
        branch = subprocess.run(
            ["git", "symbolic-ref", "--short", "HEAD"],
            cwd=os.path.join(self._folder, "laptop"), check=False, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        self._run("-C", "study", "remote", "add", "-f", "laptop", "../laptop", program="git")
        self._run("-C", "study", "merge", "--quiet", "--ff-only", f"laptop/{branch}", program="git")
        self._run("-C", "study", "get", name)
        _must(self._hash("study", name) == self._scene.hashes[name], "the copy differs")

    def _drop_granted(self) -> None:
        name = self._scene.changed
        self._run("-C", "laptop", "drop", name)
        absent = [str(file["path"]) for file in self._annexed("laptop", "--absent")]
        _must(name in absent, "its content is still there")
        _must(self._hash("study", name) == self._scene.hashes[name], "the other copy is gone")

    def _damage(self) -> None:
        path = os.path.realpath(self._path("study", self._scene.damaged))
        os.chmod(path, 0o644)
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        os.chmod(path, 0o444)
        self._say(f"# one bit of study/{self._scene.damaged} was flipped, as a failing disk does")
        damaged = self._hash("study", self._scene.damaged)
        _must(damaged != self._scene.hashes[self._scene.damaged], "it is not damaged")

    def _fsck(self) -> None:
        before = {str(file["path"]) for file in self._annexed("study")}
        self._run("-C", "study", "fsck", *self._names, expect=EXIT_DAMAGED)
        gone = before - {str(file["path"]) for file in self._annexed("study")}
        _must(gone == {self._scene.damaged}, f"it put aside {sorted(gone)}")

    def _repair(self) -> None:
        name = self._scene.damaged
        self._run("-C", "study", "get", name)
        _must(self._hash("study", name) == self._scene.hashes[name], "the hash is another one")

    def _check(self) -> None:
        self._run("-C", "study", "fsck", *self._names)
        self._run("-C", "study", "log")


def _liking(file: Mapping[str, object]) -> tuple[bool, int]:
    """What the demo plays with first: images, small ones."""
    return ".nii" not in str(file["path"]), int(str(file["size"]))


def _must(holds: bool, otherwise: str) -> None:  # noqa: FBT001
    if not holds:
        raise Broken(otherwise)


def _is_dataset(source: str) -> bool:
    """Whether this is to be cloned rather than copied."""
    if not os.path.isdir(source):
        return True
    return os.path.isdir(os.path.join(source, ".git", "annex")) or os.path.isdir(
        os.path.join(source, "annex", "objects")
    )


def _environment(folder: str) -> dict[str, str]:
    """Ours, without what would lead `hold` or git elsewhere; with a name for git if it has none."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("HOLDFAST_")
        and name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    }
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    for setting, value in (("name", "hold demo"), ("email", "demo@example.org")):
        known = subprocess.run(
            ["git", "config", f"user.{setting}"], cwd=folder, check=False, capture_output=True
        )
        if known.returncode and f"GIT_AUTHOR_{setting.upper()}" not in environment:
            environment[f"GIT_AUTHOR_{setting.upper()}"] = value
            environment[f"GIT_COMMITTER_{setting.upper()}"] = value
    return environment
