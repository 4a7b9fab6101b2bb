"""`hold annex` in the place of git-annex: its words, output, JSON and exit codes, side by side."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from warm_hold import run_program

pytestmark = pytest.mark.interop

HOLD = str(Path(sys.executable).with_name("hold"))
REAL = shutil.which("git-annex") or str(Path(sys.executable).with_name("git-annex"))
ENGINES = {"ours": [HOLD, "annex"], "real": [REAL]}


class Pair:
    """An origin and a clone of it, worked on by one engine."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.folder = folder
        self.engine = ENGINES[engine]
        self.clone = folder / "clone"
        self.origin = folder / "origin"
        self.environment = {
            **os.environ,
            "PATH": f"{Path(HOLD).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }
        self.environment.pop("HOLDFAST_ANNEX_LOG", None)

    def git(self, where: Path, *words: str) -> None:
        """Run git."""
        subprocess.run(
            ["git", *words], cwd=where, env=self.environment, check=True, capture_output=True
        )

    def annex(self, where: Path, *words: str) -> tuple[int, str]:
        """Run a verb: exit code and output."""
        done = run_program([*self.engine, *words], where, self.environment)
        return done.returncode, done.stdout.decode("utf-8", "surrogateescape")

    def make(self) -> Pair:
        """Make both, with two annexed files and one of git."""
        self.origin.mkdir(parents=True)
        self.git(self.origin, "init", "-q", "-b", "main")
        assert self.annex(self.origin, "init", "source")[0] == 0
        (self.origin / ".gitattributes").write_text("*.txt annex.largefiles=nothing\n")
        (self.origin / "one").write_bytes(b"one\n")
        (self.origin / "sub").mkdir()
        (self.origin / "sub" / "two").write_bytes(b"second\n")
        (self.origin / "notes.txt").write_bytes(b"in git\n")
        assert self.annex(self.origin, "add", ".")[0] == 0
        self.git(self.origin, "commit", "-qm", "files")
        self.git(self.folder, "clone", "-q", "origin", "clone")
        assert self.annex(self.clone, "init", "copy")[0] == 0
        return self


@pytest.fixture
def ours(tmp_path: Path) -> Pair:
    """Worked on by hold."""
    return Pair(tmp_path / "ours", "ours").make()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Worked on by git-annex."""
    return Pair(tmp_path_factory.mktemp("real"), "real").make()


def shape(output: str) -> list[str]:
    """Output without what differs by nature: UUIDs, progress, and the note on recording."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", output)
    text = re.sub(r"\s*\d+%.*?ok\n", " ok\n", text, flags=re.DOTALL)
    lines = [line.rstrip() for line in text.splitlines()]
    return sorted(line for line in lines if line and not line.startswith("(recording state"))


CALLS = (
    ("get", "one"),
    ("get", "one"),
    ("get", "--json", "sub"),
    ("find",),
    ("find", "--json", "one"),
    ("find", "sub", "one"),
    ("whereis", "sub", "one"),
    ("find", "--not", "--in", "here"),
    ("find", "--in=origin", "--and", "--include=sub/*"),
    ("whereis", "sub/two"),
    ("fsck", "--json", "one"),
    ("fsck", "--fast"),
    ("drop", "one"),
    ("drop", "one"),
    ("copy", "--from", "origin", "--json", "."),
    ("copy", "--to", "origin", "one"),
    ("move", "--from=origin", "one"),
    ("move", "one", "--to", "origin"),
    ("unlock", "sub/two"),
    ("lock", "--json", "sub/two"),
    ("edit", "--json", "sub/two"),
    ("lock", "-q", "sub/two"),
    ("get", "notes.txt"),
    ("get", "-J2", "--quiet", "."),
    ("drop", "--json", "--from", "origin", "one"),
    ("unused",),
    ("whereis", "nowhere"),
)


Answers = list[tuple[int, list[str]]]


def answers(pair: Pair) -> Answers:
    """What the engine answers to all calls, one after the other."""
    told = (pair.annex(pair.clone, *words) for words in CALLS)
    return [(code, shape(output)) for code, output in told]


@pytest.fixture(scope="module")
def after_calls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Answers]:
    """A pair that hold did all calls in, and its answers."""
    pair = Pair(tmp_path_factory.mktemp("ours"), "ours").make()
    return pair, answers(pair)


def test_answers_are_those_of_git_annex_call_by_call(
    after_calls: tuple[Pair, Answers], real: Pair
) -> None:
    for words, ours, theirs in zip(CALLS, after_calls[1], answers(real), strict=True):
        assert ours == theirs, words


def test_what_we_did_is_sound_to_git_annex(after_calls: tuple[Pair, Answers]) -> None:
    ours, _ = after_calls
    ours.git(ours.origin, "fetch", "-q", "../clone", "git-annex:refs/remotes/clone/git-annex")
    for where in (ours.clone, ours.origin):
        done = subprocess.run(
            [REAL, "fsck"], cwd=where, env=ours.environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        assert b"fixing" not in done.stdout


def test_a_drop_without_another_copy_is_refused_and_force_goes_without(ours: Pair) -> None:
    code, output = ours.annex(ours.origin, "drop", "one")
    assert code == 1
    assert output.startswith("drop one \n")
    assert output.endswith("failed\n")
    assert (ours.origin / "one").read_bytes() == b"one\n"
    assert ours.annex(ours.origin, "drop", "--force", "one")[0] == 0
    assert not (ours.origin / "one").exists()


def test_a_move_passes_the_only_copy_on_and_back(ours: Pair) -> None:
    assert ours.annex(ours.clone, "move", "--from", "origin", ".")[0] == 0
    assert not (ours.origin / "one").exists()
    assert (ours.clone / "one").read_bytes() == b"one\n"
    assert ours.annex(ours.clone, "move", "--to", "origin", ".")[0] == 0
    assert (ours.origin / "one").read_bytes() == b"one\n"
    assert not (ours.clone / "one").exists()


def test_a_move_never_leaves_fewer_copies_than_the_rule_wants(ours: Pair) -> None:
    assert ours.annex(ours.clone, "get", ".")[0] == 0
    assert ours.annex(ours.clone, "numcopies", "2")[0] == 0
    assert ours.annex(ours.clone, "move", "--to", "origin", "one")[0] == 1
    assert ours.annex(ours.clone, "move", "--from", "origin", "one")[0] == 1
    for folder in (ours.clone, ours.origin):
        assert (folder / "one").read_bytes() == b"one\n"


def test_unused_content_is_dropped_by_its_number(ours: Pair) -> None:
    ours.git(ours.origin, "rm", "-q", "one")
    ours.git(ours.origin, "commit", "-qm", "gone")
    code, output = ours.annex(ours.origin, "unused")
    assert code == 0
    assert "    1       SHA256E-s4--" in output
    assert ours.annex(ours.origin, "dropunused", "1")[0] == 1
    assert ours.annex(ours.origin, "dropunused", "7")[0] == 1
    assert ours.annex(ours.origin, "dropunused", "--force", "1-1") == (0, "dropunused 1 ok\n")
    assert "NUMBER" not in ours.annex(ours.origin, "unused")[1]


def test_changes_are_only_given_up_by_force(ours: Pair) -> None:
    assert ours.annex(ours.origin, "unlock", "one")[0] == 0
    (ours.origin / "one").write_bytes(b"changed\n")
    assert ours.annex(ours.origin, "lock", "one")[0] == 1
    assert (ours.origin / "one").read_bytes() == b"changed\n"
    assert ours.annex(ours.origin, "lock", "--force", "one")[0] == 0
    assert (ours.origin / "one").read_bytes() == b"one\n"


def test_the_backend_of_a_call_goes_over_the_configured_one(ours: Pair) -> None:
    (ours.origin / "new").write_bytes(b"new\n")
    code, output = ours.annex(ours.origin, "add", "--json", "new", "--backend=SHA1")
    assert code == 0
    record = json.loads(output)
    assert record["key"].startswith("SHA1-s4--")
    assert record["command"] == "add" and record["success"] is True


@pytest.mark.parametrize("engine", ENGINES)
def test_what_git_ignores_is_added_by_force_alone(tmp_path: Path, engine: str) -> None:
    pair = Pair(tmp_path, engine).make()
    (pair.clone / ".gitignore").write_text("*.tmp\n")
    (pair.clone / "scratch.tmp").write_bytes(b"ignored\n")
    for words, is_link in (((), False), (("--force",), True)):
        assert pair.annex(pair.clone, "add", *words, "scratch.tmp")[0] == 0
        assert (pair.clone / "scratch.tmp").is_symlink() is is_link


def test_an_unknown_path_is_told_as_datalad_reads_it(ours: Pair) -> None:
    code, output = ours.annex(ours.clone, "get", "--json", "--json-error-messages", "nowhere")
    assert code == 1
    record = json.loads(output)
    assert record["file"] == "nowhere"
    assert record["success"] is False


def test_what_is_not_ours_is_done_by_the_real_one(ours: Pair, tmp_path: Path) -> None:
    log = tmp_path / "calls.log"
    ours.environment["HOLDFAST_ANNEX_LOG"] = str(log)
    assert ours.annex(ours.clone, "describe", "here", "new name")[0] == 0
    assert ours.annex(ours.clone, "find", "--format=x")[0] == 0
    assert ours.annex(ours.clone, "find")[0] == 0
    calls = [line for line in log.read_text().splitlines() if not line.endswith("filter-process")]
    assert calls == ["real describe here new name", "real find --format=x", "ours find"]


def test_without_the_real_one_there_is_a_clear_error_and_no_circle(
    ours: Pair, tmp_path: Path
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "sh"):
        (folder / name).symlink_to(str(shutil.which(name)))
    shim = folder / "git-annex"
    shim.write_text(f'#!/bin/sh\nexec {HOLD} annex "$@"\n')
    shim.chmod(0o755)
    done = subprocess.run(
        [shim, "sync"], cwd=ours.clone, env={"PATH": str(folder)}, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"git-annex is not here" in done.stderr
