"""git-annex keeps content in our stores, through the program it runs for them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from holdfast_program import write_program

if TYPE_CHECKING:
    from conftest import Tools


pytestmark = pytest.mark.interop

SECRET = "a-secret-of-hers"
BIG = bytes(range(256)) * 400
OURS = ("type=external", "externaltype=holdfast", "store=directory")


class Annex:
    """A repository of git-annex's, which finds our program."""

    def __init__(self, tools: Tools, bench: Path) -> None:
        write_program(bench / "bin")
        self.tools = tools
        self.bench = bench
        self.folder = bench / "study"
        self.store = bench / "store"
        self.path = f"{bench / 'bin'}{os.pathsep}{tools.environment['PATH']}"
        tools.git(bench, "init", "-q", "study")
        self("init", "-q", "here")

    def __call__(self, *words: str, exits: int = 0) -> str:
        done = self.tools.annex(self.folder, *words, exits=exits, PATH=self.path)
        return done.all_text

    def add(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)
        self("add", "-q", name)

    def set_up(self, *words: str, exits: int = 0) -> str:
        given = words or ("encryption=none",)
        return self("initremote", "ours", *OURS, f"directory={self.store}", *given, exits=exits)

    def check_kind(self, kind: str, *words: str, **secrets: str) -> None:
        """Have git-annex look for faults of a kind; it keeps what only the set-up is told."""
        self.tools.git(self.folder, "config", "annex.security.allowed-ip-addresses", "127.0.0.1")
        given = ("type=external", "externaltype=holdfast", "encryption=none", f"store={kind}")
        self.tools.annex(
            self.folder, "initremote", "ours", *given, *words, PATH=self.path, **secrets
        )
        said = self("testremote", "--fast", "--size", "10kb", "ours")
        assert "tests passed" in said and "FAIL" not in said
        assert SECRET not in self.tools.git(self.folder, "show", "git-annex:remote.log").text
        assert SECRET not in said

    def stored(self) -> list[Path]:
        return [path for path in self.store.rglob("*") if path.is_file()]


@contextmanager
def server(name: str, *words: str) -> Iterator[int]:
    """A server on this machine alone, on a port of its own, which its last word is told."""
    beside = Path(sys.executable).with_name(name)
    program = str(beside) if beside.exists() else shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    last = f"127.0.0.1:{port}" if words[-1] == ":" else str(port)
    given = words[:-1] if words[-1] == ":" else words
    process = subprocess.Popen(
        [program, *given, last], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def annex(tools: Tools, bench: Path) -> Annex:
    return Annex(tools, bench)


def test_git_annex_finds_no_fault_with_it(annex: Annex) -> None:
    annex.set_up()
    said = annex("testremote", "--fast", "--size", "10kb", "ours")
    assert "tests passed" in said
    assert "FAIL" not in said


def test_git_annex_finds_no_fault_with_it_on_s3(annex: Annex, s3_port: int) -> None:
    annex.check_kind(
        "S3", "bucket=scans", "host=127.0.0.1", f"port={s3_port}", "protocol=http",
        "requeststyle=path", AWS_ACCESS_KEY_ID="ada", AWS_SECRET_ACCESS_KEY=SECRET,
    )  # fmt: skip


def test_git_annex_finds_no_fault_with_it_on_webdav(annex: Annex) -> None:
    annex.store.mkdir()
    login = ("--user", "ada", "--pass", SECRET)
    with server("rclone", "serve", "webdav", str(annex.store), *login, "--addr", ":") as port:
        annex.check_kind(
            "webdav", f"url=http://127.0.0.1:{port}/a", WEBDAV_USERNAME="ada",
            WEBDAV_PASSWORD=SECRET,
        )  # fmt: skip
    assert annex.stored() == []


def test_content_goes_there_and_comes_back(annex: Annex) -> None:
    annex.set_up()
    for number in range(4):
        annex.add(f"file {number}.dat", BIG + b"%d" % number)
    annex("copy", "-J3", "--to", "ours", "--quiet")
    assert len(annex.stored()) == 4
    annex("drop", "--quiet")
    annex("get", "-J3", "--quiet")
    for number in range(4):
        assert (annex.folder / f"file {number}.dat").read_bytes() == BIG + b"%d" % number
    annex("fsck", "--from", "ours", "--quiet")
    annex("drop", "--from", "ours", "--quiet")
    assert annex.stored() == []


def test_chunks_pass_as_they_are(annex: Annex) -> None:
    annex.set_up("encryption=none", "chunk=30kb")
    annex.add("a.dat", BIG)
    annex("move", "--to", "ours", "--quiet")
    assert len(annex.stored()) == 4
    annex("get", "--quiet")
    assert (annex.folder / "a.dat").read_bytes() == BIG


def test_it_says_what_it_is(annex: Annex) -> None:
    annex.set_up()
    said = annex("info", "ours")
    assert f"directory: {annex.store}" in said
    assert "cost: 100" in said
    listed = annex("initremote", "other", *OURS, "--whatelse")
    assert "the kind of the place: " in listed and "directory" in listed


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("directory=relative/path",), "full path"),
        (("directory=",), "directory= is missing"),
        (("store=tapes", "directory=/x"), "there is no store=tapes"),
    ],
)
def test_words_that_do_not_fit_are_refused_with_the_reason(
    annex: Annex, words: tuple[str, ...], says: str
) -> None:
    said = annex("initremote", "ours", *OURS, "encryption=none", *words, exits=1)
    assert says in said


def test_damaged_content_is_not_taken_from_there(annex: Annex) -> None:
    annex.set_up()
    annex.add("a.dat", BIG)
    annex("move", "--to", "ours", "--quiet")
    [stored] = annex.stored()
    stored.chmod(0o644)
    stored.write_bytes(BIG[:-1] + b"!")
    assert "instead of" in (said := annex("get", exits=1)) or "hash should be" in said
    assert not (annex.folder / "a.dat").exists()
    assert not any((annex.folder / ".git" / "annex" / "tmp").rglob("SHA256E*.dat"))


def test_damaged_content_is_not_sent_there(annex: Annex) -> None:
    annex.set_up()
    annex.add("a.dat", BIG)
    here = (annex.folder / "a.dat").resolve()
    here.chmod(0o644)
    here.write_bytes(BIG[:-1] + b"!")
    annex("copy", "--to", "ours", "a.dat", exits=1)
    assert annex.stored() == []


def test_a_place_that_is_away_is_said_to_be_away(annex: Annex) -> None:
    annex.set_up()
    annex.add("a.dat", BIG)
    annex("copy", "--to", "ours", "--quiet")
    annex.store.rename(annex.bench / "away")
    annex("drop", "a.dat", exits=1)
    assert (annex.folder / "a.dat").read_bytes() == BIG
