"""A data set, a place behind a proxy that makes faults, and a look around after each command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from holdfast.api.datasets import open_dataset
from holdfast.cli.errors import EXIT_STOPPED
from holdfast.cli.main import run
from holdfast.core import faults
from holdfast.core.key import Key
from holdfast.testing.fault_proxy import FaultProxy, Trouble

SIZE = 100_000
USER, SECRET = "ada-of-the-test", "pa55-0f-the-t3st"
BehindOf = Callable[[str], bytes | None]


@dataclass(frozen=True)
class Ran:
    """How one call of `hold` ended: its exit code, its outcomes, all it wrote."""

    code: int
    records: list[dict[str, object]]
    text: str

    @property
    def fault(self) -> str:
        """The codes of all faults, or nothing."""
        errors = [record.get("error") for record in self.records]
        codes = {str(error["code"]) for error in errors if isinstance(error, dict)}
        return " ".join(sorted(codes))


@dataclass
class Scene:
    """A clone and the place ``there`` that it reaches through the proxy."""

    folder: Path
    proxy: FaultProxy
    capsys: pytest.CaptureFixture[str]
    behind: BehindOf = lambda _: None
    """What the place has under a key, whoever asks."""
    place: str = "there"
    user_wrote: set[str] = field(default_factory=set)
    """Files in ``.git`` in which a person wrote the secret."""
    prepare: list[Callable[[Trouble], None]] = field(default_factory=list)
    """What else is done when a trouble begins."""
    contents: dict[str, bytes] = field(default_factory=dict)
    text: str = ""
    """All that any command wrote."""

    def begin(self, trouble: Trouble) -> None:
        """From now on there is this trouble."""
        self.proxy.begin(trouble)
        for prepare in self.prepare:
            prepare(trouble)

    def hold(self, *words: str, exits: int | None = 0) -> Ran:
        """Run one command in this process, by its words."""
        self.capsys.readouterr()
        started = os.getcwd()
        code = run(["-C", str(self.folder), *words])
        os.chdir(started)
        out, err = self.capsys.readouterr()
        self.text += out + err
        if code == EXIT_STOPPED:
            raise KeyboardInterrupt  # of who runs the tests, which a command ends by
        assert "Traceback" not in err or "--debug" in words, err
        assert exits is None or code == exits, f"{words}: exit {code}\n{out}\n{err}"
        records = [json.loads(line) for line in out.splitlines()] if "--json" in words else []
        return Ran(code, records, out + err)

    def write(self, *names: str) -> None:
        """Make files of random content, and save them."""
        for name in names:
            self.contents[name] = os.urandom(SIZE)
            (self.folder / name).write_bytes(self.contents[name])
        self.hold("save", "-q", "-m", "more")

    def key(self, name: str) -> Key:
        return Key(os.fsencode(os.path.basename(os.readlink(self.folder / name))))

    def is_here(self, name: str) -> bool:
        """Whether a file's content is here; what is here has to be right."""
        path = self.folder / name
        if not path.exists():
            return False
        assert path.read_bytes() == self.contents[name], f"{name} is wrong here"
        return True

    def is_there(self, name: str) -> bool | None:
        """Whether the place has a file's content; None when it has another in its stead."""
        found = self.behind(self.key(name).text)
        return None if found not in (None, self.contents[name]) else found is not None

    def is_told(self, name: str) -> bool:
        """Whether the ledger says that the place has it."""
        with open_dataset(self.folder) as dataset:
            config = dataset.repository.config
            key = self.key(name)
            return config.get("remote.there.annex-uuid") in dataset.ledger.locations([key])[key]

    def kept(self) -> str:
        """All that the repository holds, but the contents and the file for credentials."""
        found = []
        for top, folders, names in os.walk(self.folder / ".git"):
            hidden = ("creds", "objects") if Path(top).name == "annex" else ()
            folders[:] = [name for name in folders if name not in hidden]
            found += [Path(top, name).read_bytes() for name in names if name not in self.user_wrote]
        found.append(git(self.folder, "log", "--all", "-p").encode())
        return b"\n".join(found).decode("utf-8", "replace")


@dataclass
class Seen:
    """The words of all programs that were started."""

    words: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def hear(self, event: str, given: tuple[object, ...]) -> None:
        if event in ("subprocess.Popen", "os.posix_spawn", "os.exec") and not self.over.is_set():
            self.words.add(repr(given[:2]))

    def look(self) -> None:
        while not self.over.wait(0.01):
            self.words.update(_iter_words(os.getpid()))


def _iter_words(process: int) -> Iterator[str]:
    """The words of all programs below a process, as anybody may see them."""
    try:
        tasks = os.listdir(f"/proc/{process}/task")
        lists = [Path(f"/proc/{process}/task/{task}/children").read_text() for task in tasks]
        for child in " ".join(lists).split():
            words = Path(f"/proc/{child}/cmdline").read_bytes()
            yield words.replace(b"\0", b" ").decode("utf-8", "replace")
            yield from _iter_words(int(child))
    except OSError:
        return


@contextmanager
def watched() -> Iterator[Seen]:
    """Hear of each program that is started, and look at the list of processes meanwhile."""
    seen = Seen()
    sys.addaudithook(seen.hear)
    looking = threading.Thread(target=seen.look)
    looking.start()
    try:
        yield seen
    finally:
        seen.over.set()
        looking.join()


def reading(trouble: Trouble) -> str:
    return f"in-{trouble.name.lower()}.dat"


def sending(trouble: Trouble) -> str:
    return f"out-{trouble.name.lower()}.dat"


INNER = {
    re.sub(r"{\w+}", "[^:;(]+", fault.what): fault.code
    for fault in (
        faults.UNREACHABLE, faults.REFUSED, faults.BAD_ANSWER, faults.STALLED, faults.UNTRUSTED,
        faults.WRONG_CONTENT, faults.EXTERNAL_FAILED, faults.EXTERNAL_HANGS,
        faults.EXTERNAL_DIED, faults.EXTERNAL_GAVE_UP, faults.NOT_THERE,
    )
}  # fmt: skip


def outcome(ran: Ran, *, came: bool | None) -> str:
    """One cell of the table."""
    assert came is not None or ran.code, "wrong content is there, and nobody was told"
    if ran.code == 0:
        assert came, ran.text
        return "done"
    inner = {code for what, code in INNER.items() if re.search(what, ran.text)}
    codes = ran.fault if ran.fault != "H205" else f"H205: {' '.join(sorted(inner))}"
    return f"{codes} ({ran.code}){', there' if came else ''}{', wrong' if came is None else ''}"


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *words], check=True, capture_output=True, text=True
    ).stdout.strip()
