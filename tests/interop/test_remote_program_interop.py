"""git-annex keeps content in our stores, through the program it runs for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from holdfast_program import write_program

if TYPE_CHECKING:
    from conftest import Tools


pytestmark = pytest.mark.interop

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

    def stored(self) -> list[Path]:
        return [path for path in self.store.rglob("*") if path.is_file()]


@pytest.fixture
def annex(tools: Tools, bench: Path) -> Annex:
    return Annex(tools, bench)


def test_git_annex_finds_no_fault_with_it(annex: Annex) -> None:
    annex.set_up()
    said = annex("testremote", "--fast", "--size", "10kb", "ours")
    assert "tests passed" in said
    assert "FAIL" not in said


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


def test_chunks_and_encrypted_content_pass_as_they_are(annex: Annex) -> None:
    annex.set_up("encryption=shared", "chunk=30kb")
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
