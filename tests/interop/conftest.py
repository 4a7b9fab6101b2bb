"""Three tools on one folder: hold, the real git-annex and the real DataLad, in a home of their own.

Nothing of the user's or the system's git settings is seen. A tool that is not installed skips the
tests that need it, with the reason.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from s3_server import s3_server
from warm_hold import run_program

HERE_AND_NOW = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
IDENTITY = "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
TOLD_OF_MENDING = re.compile(r"fixing|\*\*|failed|bad file|not enough|only \d+ of", re.IGNORECASE)

Word = str | bytes | os.PathLike[str]


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_stops() -> None:
    """Where tests run in the background the system has it ignored, by us and by what we start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def find_program(name: str) -> str | None:
    """A program beside python, or on PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if os.access(beside, os.X_OK) else shutil.which(name)


@dataclass(frozen=True)
class Done:
    """How a program ended; `text` is what it wrote to standard output."""

    code: int
    output: bytes
    errors: bytes

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "surrogateescape")

    @property
    def all_text(self) -> str:
        return (self.output + self.errors).decode("utf-8", "surrogateescape")

    def records(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.output.splitlines()]


class Tools:
    """The three tools and git; each call checks its exit code and shows all when it is another."""

    def __init__(self, home: Path, programs: dict[str, str | None]) -> None:
        self._programs = programs
        kept = ("PATH", "PYTHONPATH", "SYSTEMROOT", "TMPDIR", "LD_LIBRARY_PATH")
        folders = dict.fromkeys(str(Path(p).parent) for p in programs.values() if p)
        self.environment = {name: os.environ[name] for name in kept if name in os.environ}
        self.environment |= HERE_AND_NOW | {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_CACHE_HOME": str(home / ".cache"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "PATH": os.pathsep.join([*folders, os.environ["PATH"]]),
            "DATALAD_UI_PROGRESSBAR": "none",
            "DATALAD_LOG_LEVEL": "warning",
        }

    # the tools

    def hold(self, folder: Path, *words: Word, exits: int = 0, **environment: str) -> Done:
        return self._run("hold", folder, words, exits, environment)

    def annex(self, folder: Path, *words: Word, exits: int = 0, **environment: str) -> Done:
        """The real git-annex, whatever `git annex` would find."""
        return self._run("git-annex", folder, words, exits, environment)

    def datalad(self, folder: Path, *words: Word, exits: int = 0, **environment: str) -> Done:
        return self._run("datalad", folder, words, exits, environment)

    def git(self, folder: Path, *words: Word, exits: int | None = 0, **environment: str) -> Done:
        return self._run("git", folder, words, exits, environment)

    def _run(
        self,
        name: str,
        folder: Path,
        words: Sequence[Word],
        exits: int | None,
        environment: dict[str, str],
    ) -> Done:
        program = self._programs[name]
        if program is None:
            pytest.skip(f"{name} is neither beside python nor on PATH")
        command = [program, *words]
        ended = run_program(command, folder, {**self.environment, **environment})
        done = Done(ended.returncode, ended.stdout, ended.stderr)
        if exits is not None and done.code != exits:
            line = shlex.join(os.fsdecode(word) for word in [name, *command[1:]])
            pytest.fail(
                f"{line}\n  in {folder}\n  ended with {done.code}, not {exits}\n"
                f"--- output\n{done.text}--- errors\n{os.fsdecode(done.errors)}"
            )
        return done

    # one step by whichever tool

    def create(self, tool: str, folder: Path) -> Path:
        """A new data set in which every file is annexed."""
        if tool == "hold":
            self.hold(
                folder.parent, "create", "--profile", "all-annexed", "--backend", "SHA256E",
                "--description", f"{folder.name} by hold", folder,
            )  # fmt: skip
        elif tool == "annex":
            self.git(folder.parent, "init", "-q", folder)
            self.annex(folder, "init", "-q", f"{folder.name} by git-annex")
        else:
            self.datalad(folder.parent, "create", "--description", folder.name, folder)
        return folder

    def save(self, tool: str, folder: Path, *paths: Word, message: str = "more") -> None:
        """A new version of all that changed, or of some paths."""
        if tool == "hold":
            self.hold(folder, "save", "-m", message, "--", *paths)
        elif tool == "annex":
            # git-annex takes what is new and changed, git what is gone.
            self.annex(folder, "add", "-q", "--", *(paths or (".",)))
            self.git(folder, "add", "-u", "--", *(paths or (".",)))
            self.git(folder, "commit", "-q", "-m", message)
        else:
            self.datalad(folder, "save", "-m", message, *paths)

    def save_tracked(self, tool: str, folder: Path, message: str = "changed") -> None:
        """A new version of what is tracked; unlocked files stay so, which git-annex's add ends."""
        if tool == "hold":
            self.hold(folder, "save", "--updated", "-m", message)
        elif tool == "annex":
            self.git(folder, "commit", "-q", "-a", "-m", message)
        else:
            self.datalad(folder, "save", "--updated", "-m", message)

    def clone(self, tool: str, source: Path, folder: Path) -> Path:
        if tool == "hold":
            self.hold(folder.parent, "clone", source, folder)
        elif tool == "annex":
            self.git(folder.parent, "clone", "-q", source, folder)
            self.annex(folder, "init", "-q", folder.name)
        else:
            self.datalad(folder.parent, "clone", source, folder)
        return folder

    def get(self, tool: str, folder: Path, *paths: Word) -> None:
        words = ("--", *(paths or (".",))) if tool != "datalad" else paths or (".",)
        self._tool(tool)(folder, "get", *words)

    def drop(self, tool: str, folder: Path, *paths: Word) -> None:
        words = ("--", *(paths or (".",))) if tool != "datalad" else paths or (".",)
        self._tool(tool)(folder, "drop", *words)

    def unlock(self, tool: str, folder: Path, *paths: Word) -> None:
        self._tool(tool)(folder, "unlock", *paths)

    def fsck(self, tool: str, folder: Path, *paths: Word) -> None:
        """Find nothing to complain of and nothing to mend. DataLad leaves it to git-annex."""
        if tool == "hold":
            told = self.hold(folder, "fsck", "--json", "--", *paths).records()
            assert [r for r in told if "mended" in str(r.get("note"))] == []
        else:
            told_text = self.annex(folder, "fsck", "--", *paths).all_text
            assert not TOLD_OF_MENDING.search(told_text), told_text

    def _tool(self, tool: str):  # type: ignore[no-untyped-def]
        return {"hold": self.hold, "annex": self.annex, "datalad": self.datalad}[tool]

    @staticmethod
    def write(folder: Path, files: Mapping[str, bytes]) -> None:
        """Make files, in new folders where need be."""
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    @staticmethod
    def copy(folder: Path, target: Path) -> None:
        """A second folder with all of the same in it, times and modes too."""
        subprocess.run(["cp", "-Rp", folder, target], check=True)

    # what they say

    def is_clean(self, tool: str, folder: Path) -> bool:
        """Whether a tool finds nothing to save."""
        if tool == "hold":
            return self.hold(folder, "status", "--json").records() == []
        if tool == "annex":
            return self.annex(folder, "status").output == b""
        return "nothing to save" in self.datalad(folder, "status").text

    def whereis(self, tool: str, folder: Path) -> dict[str, set[str]]:
        """Each annexed file, and the UUIDs of the places that are said to have it."""
        if tool == "hold":
            told = self.hold(folder, "whereis", "--json").records()
            return {
                str(r["path"]): {p["uuid"] for p in (*r["places"], *r["untrusted"])}  # type: ignore[misc]
                for r in told
            }
        # It fails when no place counts for a file; what it says is good all the same.
        told = self._run("git-annex", folder, ("whereis", "--json"), None, {}).records()
        return {
            str(r["file"]): {p["uuid"] for p in (*r["whereis"], *r["untrusted"])}  # type: ignore[misc]
            for r in told
        }

    def here(self, tool: str, folder: Path) -> set[bytes]:
        """The annexed files whose content is here."""
        if tool == "hold":
            return set(self.hold(folder, "find", "-0").output.split(b"\0")) - {b""}
        return set(self.annex(folder, "find", "--print0").output.split(b"\0")) - {b""}

    def keys(self, folder: Path) -> dict[bytes, bytes]:
        """Each annexed file and its key, by git-annex."""
        told = self.annex(folder, "find", "--anything", "--format=${file}\\000${key}\\000").output
        fields = told.split(b"\0")
        return dict(zip(fields[::2], fields[1::2], strict=False))

    def uuid(self, folder: Path) -> str:
        return self.git(folder, "config", "annex.uuid").text.strip()

    def porcelain(self, folder: Path) -> list[str]:
        """What git says differs, filters and all."""
        told = self.git(folder, "status", "--porcelain", "-z", "--no-renames").text
        return [field for field in told.split("\0") if field]

    def is_annexed(self, folder: Path, path: str, version: str = "HEAD") -> bool:
        """Whether git has only the name of a file's content."""
        blob = self.git(folder, "cat-file", "blob", f"{version}:{path}").output
        return b"annex/objects/" in blob

    def settled(self, folder: Path, *differs: str, annex: bool = True) -> None:
        """Nothing is broken in the end: git's objects, git-annex's view, and what git says."""
        assert self.porcelain(folder) == list(differs)
        self.git(folder, "fsck", "--no-dangling", "--no-progress")
        if annex:
            told = self.annex(folder, "fsck", "--fast").all_text
            assert not TOLD_OF_MENDING.search(told), told
            assert self.porcelain(folder) == list(differs)


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    home = tmp_path_factory.mktemp("home")
    # Without the sample hooks, a repository has few files and is soon made, copied and removed.
    for name in ("hooks", "info"):
        (home / "template" / name).mkdir(parents=True)
    (home / ".gitconfig").write_text(f"{IDENTITY}\ttemplateDir = {home}/template\n")
    names = ("hold", "git-annex", "datalad", "git")
    programs = {name: find_program(name) for name in names}
    if programs["git-annex"] is None:
        pytest.skip("git-annex is neither beside python nor on PATH")
    return Tools(home, programs)


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """The port of a server on this machine that speaks S3."""
    with s3_server() as port:
        yield port


@pytest.fixture(scope="session")
def ssh_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What to call for ssh to reach a real sshd on this machine, with its SFTP."""
    yield from sshd(tmp_path_factory.mktemp("sshd"), "Subsystem sftp internal-sftp")


@pytest.fixture(scope="session")
def ssh_environment(ssh_command: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which ``ssh`` reaches the test's server without another word."""
    folder = tmp_path_factory.mktemp("ssh")
    words = shlex.split(ssh_command)
    words[0] = shutil.which("ssh") or "ssh"
    (folder / "ssh").write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    (folder / "ssh").chmod(0o755)
    found = [find_program(name) for name in ("git-annex", "datalad")]
    beside = [os.path.dirname(program) for program in found if program]
    return {"PATH": os.pathsep.join([str(folder), *beside, os.environ["PATH"]])}


@pytest.fixture(scope="session")
def ssh_command_without_sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same of a server that has no SFTP."""
    yield from sshd(tmp_path_factory.mktemp("sshd"))


def sshd(folder: Path, *settings: str) -> Iterator[str]:
    """Run an sshd for the one who runs the tests; skips where that cannot be."""
    server = "/usr/sbin/sshd"
    if not (os.path.exists(server) and shutil.which("ssh") and shutil.which("ssh-keygen")):
        pytest.skip("sshd is not installed (package openssh-server)")
    for name in ("host", "id"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True)
    shutil.copy(folder / "id.pub", folder / "authorized")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = [
        f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {folder}/host",
        f"PidFile {folder}/pid", f"AuthorizedKeysFile {folder}/authorized", "StrictModes no",
        "PasswordAuthentication no", "KbdInteractiveAuthentication no", "UsePAM no",
        "PermitRootLogin yes", f"SetEnv PATH={os.environ['PATH']}", *settings,
    ]  # fmt: skip
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    process = subprocess.Popen(
        [server, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.DEVNULL
    )
    command = (
        f"ssh -p {port} -i {folder}/id -o BatchMode=yes -o IdentitiesOnly=yes "
        f"-o StrictHostKeyChecking=no -o UserKnownHostsFile={folder}/known -o LogLevel=ERROR"
    )
    try:
        if not _answers(f"{command} {getpass.getuser()}@127.0.0.1 true"):
            pytest.skip("sshd runs, but this account cannot log in")
        yield command
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(5)


def _answers(call: str) -> bool:
    for _ in range(20):
        if subprocess.run(["sh", "-c", call], capture_output=True).returncode == 0:
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Path]:
    """A folder to work in, removed afterwards with all that is write-protected in it."""
    yield tmp_path
    remove(tmp_path)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for what several tests of a file look at, and none changes."""
    folder = tmp_path_factory.mktemp("shelf")
    yield folder
    remove(folder)


def remove(folder: Path) -> None:
    for top, names, _ in os.walk(folder):
        for name in names:
            path = Path(top, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(folder)
