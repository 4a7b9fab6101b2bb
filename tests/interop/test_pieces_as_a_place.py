"""The pieces of a data set are a place for hold, git-annex and DataLad alike: read, counted, kept."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from holdfast_program import write_program
from test_remote_program_interop import server

if TYPE_CHECKING:
    from conftest import Done, Tools

pytestmark = pytest.mark.interop

LARGE = random.Random(3).randbytes(6_500_000)
"""It is split between two pieces."""
FILES = {
    "large.dat": LARGE,
    "empty.dat": b"",
    **{f"sub/{n:02}.dat": b"%d " % n * 900 for n in range(12)},
}
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


class Study:
    """A data set, packed into pieces, and a clone of it that has no content and no other place."""

    def __init__(self, tools: Tools, bench: Path) -> None:
        write_program(bench / "bin")
        self.tools = tools
        self.main = bench / "main"
        self.clone = bench / "clone"
        self.pieces = bench / "pieces"
        self.path = f"{bench / 'bin'}{os.pathsep}{tools.environment['PATH']}"
        tools.create("hold", self.main)
        self.change(FILES)
        tools.git(bench, "clone", "-q", self.main, self.clone)
        self.annex("init", "-q", "clone")
        tools.git(self.clone, "remote", "rm", "origin")
        tools.git(self.clone, "config", "annex.security.allowed-ip-addresses", "127.0.0.1")

    def change(self, files: Mapping[str, bytes]) -> None:
        """One more version, packed as one more snapshot."""
        self.tools.write(self.main, files)
        self.tools.save("hold", self.main)
        words = ("--write", self.pieces, "--piece-size", "4MiB", "-q")
        self.tools.hold(self.main, "archive", "pack", *words)

    def annex(self, *words: str, exits: int = 0, **environment: str) -> str:
        done = self.tools.annex(self.clone, *words, exits=exits, PATH=self.path, **environment)
        return done.all_text

    def hold(self, *words: str | Path, exits: int = 0, **environment: str) -> Done:
        return self.tools.hold(self.clone, *words, exits=exits, **environment)

    def datalad(self, *words: str, exits: int = 0) -> str:
        return self.tools.datalad(self.clone, *words, exits=exits, PATH=self.path).all_text

    def check_get(self, tool: str) -> None:
        """All content comes from the pieces, and is right."""
        self.forget_content()
        if tool == "hold":
            self.hold("get", "-q")
        elif tool == "annex":
            self.annex("get", "--quiet", ".")
        else:
            self.datalad("get", ".")
        assert {name: (self.clone / name).read_bytes() for name in FILES} == FILES

    def forget_content(self) -> None:
        self.hold("drop", "-q", "--force", "a test", ".")

    def piece_with(self, data: bytes) -> Path:
        [found] = [path for path in self.pieces.iterdir() if data in path.read_bytes()]
        return found


@pytest.fixture
def study(tools: Tools, bench: Path) -> Study:
    return Study(tools, bench)


def tell(study: Study, *words: str | Path, exits: int = 0, **environment: str) -> dict[str, object]:
    """What `hold archive place` says in the end."""
    done = study.hold("archive", "place", *words, "--json", exits=exits, **environment)
    return done.records()[-1]


@pytest.mark.parametrize("tool", ["hold", "annex", "datalad"])
def test_all_content_comes_out_of_a_folder_of_pieces(study: Study, tool: str) -> None:
    told = tell(study, "cold", study.pieces)
    assert (told["recorded"], told["known"], told["gone"]) == (len(FILES), 0, 0)
    study.check_get(tool)


def test_git_annex_shows_finds_and_checks_what_is_in_pieces(study: Study) -> None:
    tell(study, "cold", study.pieces)
    said = study.annex("whereis", "sub/03.dat")
    piece = study.piece_with(FILES["sub/03.dat"])
    assert re.search(rf"cold: {re.escape(str(piece))} bytes \d+-\d+\n", said)
    assert set(study.annex("find", "--in", "cold").split()) == set(FILES)
    study.annex("fsck", "--quiet", "--fast", "--from", "cold")
    study.annex("fsck", "--quiet", "--from", "cold")
    study.hold("get", "-q", "large.dat")
    said = study.annex("testremote", "--test-readonly=large.dat", "cold")
    assert "tests passed" in said
    assert "FAIL" not in said


def test_git_annex_sets_it_up_and_finds_out_by_itself_what_is_there(study: Study) -> None:
    words = ("type=external", "externaltype=holdfast", "encryption=none", "store=pieces")
    study.annex("initremote", "cold", *words, f"directory={study.pieces}")
    assert "dataset=" in study.tools.git(study.clone, "show", "git-annex:remote.log").text
    assert study.annex("find", "--in", "cold") == ""
    study.annex("fsck", "--fast", "--quiet", "--from", "cold")
    assert set(study.annex("find", "--in", "cold").split()) == set(FILES)
    study.check_get("hold")
    assert tell(study, "cold")["known"] == len(FILES)


def test_it_cannot_be_set_up_where_there_are_no_pieces(study: Study, bench: Path) -> None:
    (bench / "empty").mkdir()
    words = ("type=external", "externaltype=holdfast", "encryption=none", "store=pieces")
    said = study.annex("initremote", "cold", *words, f"directory={bench / 'empty'}", exits=1)
    assert "no piece of an archive is in" in said
    assert "H924" in study.hold("archive", "place", "cold", bench / "empty", exits=1).all_text
    assert study.tools.git(study.clone, "remote").text == ""


def test_nothing_is_sent_there_or_removed(study: Study) -> None:
    tell(study, "cold", study.pieces)
    study.tools.write(study.clone, {"new.dat": b"new"})
    study.tools.save("hold", study.clone)
    assert "cold can only be read" in study.annex("copy", "--to", "cold", "new.dat", exits=1)
    study.hold("get", "-q", "large.dat")
    assert "can only be read" in study.annex("drop", "--from", "cold", "large.dat", exits=1)
    for words in (("copy", "--to", "cold", "new.dat"), ("drop", "--from", "cold", "large.dat")):
        done = study.hold(*words, exits=4)
        assert "cold can only be read" in done.all_text
    assert study.annex("find", "--in", "cold", "new.dat") == ""


@pytest.mark.parametrize("tool", ["hold", "annex"])
def test_a_drop_counts_pieces_as_far_as_they_are_trusted_and_there(study: Study, tool: str) -> None:
    tell(study, "cold", study.pieces)
    study.hold("get", "-q")

    def drop(name: str, *, goes: bool) -> None:
        if tool == "hold":
            study.hold("drop", name, exits=0 if goes else 4)
        else:
            study.annex("drop", name, exits=0 if goes else 1)
        assert (study.clone / name).exists() is not goes

    drop("sub/01.dat", goes=True)
    study.annex("untrust", "cold")
    drop("sub/02.dat", goes=False)
    study.annex("semitrust", "cold")
    drop("sub/02.dat", goes=True)
    study.piece_with(FILES["sub/03.dat"]).unlink()
    drop("sub/03.dat", goes=False)
    study.annex("fsck", "--fast", "--from", "cold", "sub/03.dat", exits=1)
    assert study.annex("find", "--in", "cold", "sub/03.dat") == ""


def test_what_is_packed_later_is_told_too_and_what_is_linked_is_found_in_the_earlier_piece(
    study: Study,
) -> None:
    tell(study, "cold", study.pieces)
    study.change({"new.dat": b"new" * 999, "copied.dat": LARGE})
    study.tools.git(study.clone, "pull", "-q", study.main, "HEAD")
    told = tell(study, "cold")
    assert (told["recorded"], told["known"], told["gone"]) == (1, len(FILES), 0)
    study.annex("get", "--quiet", "new.dat", "copied.dat")
    assert (study.clone / "new.dat").read_bytes() == b"new" * 999
    assert (study.clone / "copied.dat").read_bytes() == LARGE
    before = study.tools.git(study.clone, "rev-parse", "git-annex").text
    assert tell(study, "cold")["status"] == "notneeded"
    assert study.tools.git(study.clone, "rev-parse", "git-annex").text == before
    study.piece_with(b"new" * 999).unlink()
    assert tell(study, "cold")["gone"] == 1
    assert study.annex("find", "--in", "cold", "new.dat") == ""


def test_pieces_of_another_data_set_are_no_place_of_this_one(
    study: Study, tools: Tools, bench: Path
) -> None:
    other = tools.create("hold", bench / "other")
    tools.write(other, {"a.dat": b"of another"})
    tools.save("hold", other)
    tools.hold(other, "archive", "pack", "--write", bench / "others", "-q")
    said = study.hold("archive", "place", "cold", bench / "others", exits=4).all_text
    assert "H922" in said
    assert study.tools.git(study.clone, "remote").text == ""
    # Where both are, each is found by who asks for it.
    for path in (bench / "others").iterdir():
        shutil.copy(path, study.pieces)
    assert tell(study, "cold", study.pieces)["recorded"] == len(FILES)


def test_what_is_wrong_with_content_is_told_with_the_piece_and_nothing_is_stored(
    study: Study,
) -> None:
    tell(study, "cold", study.pieces)
    piece = study.piece_with(FILES["sub/05.dat"])
    data = bytearray(piece.read_bytes())
    data[data.index(FILES["sub/05.dat"]) + 7] ^= 1
    piece.write_bytes(data)
    for said in (
        study.annex("get", "sub/05.dat", exits=1),
        study.hold("get", "sub/05.dat", exits=3).all_text,
    ):
        assert re.search(rf"{piece.name} is damaged at byte \d+", said)
    study.annex("fsck", "--from", "cold", "sub/05.dat", exits=1)
    assert not (study.clone / "sub/05.dat").exists()
    study.annex("get", "--quiet", "sub/06.dat")


@pytest.mark.parametrize("tool", ["hold", "annex", "datalad"])
def test_all_content_comes_out_of_pieces_whose_index_is_damaged(study: Study, tool: str) -> None:
    tell(study, "cold", study.pieces)
    for number, path in enumerate(sorted(study.pieces.iterdir())):
        data = bytearray(path.read_bytes())
        manifest, index = (int.from_bytes(data[-96 + at : -88 + at], "little") for at in (16, 32))
        data[index + 60] ^= 1
        if number % 2:
            data[manifest + 30] ^= 1
        path.write_bytes(data)
    told = tell(study, "cold", exits=1)
    assert (told["known"], told["gone"]) == (len(FILES), 0)
    study.check_get(tool)


@contextmanager
def serving(study: Study) -> Iterator[str]:
    """`hold archive serve` of the data set: its pieces are made while they are read."""
    program = [sys.executable, "-m", "holdfast", "archive", "serve"]
    process = subprocess.Popen(
        program, cwd=study.main, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=study.tools.environment | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("names_newest", [True, False])
def test_all_content_comes_from_a_server_of_pieces(study: Study, names_newest: bool) -> None:
    with serving(study) as url:
        if names_newest:
            newest = study.piece_with(b"# v2 git bundle")
            url = f"{url.rstrip('/')}/piece/{newest.stem}"
        told = tell(study, "cold", url)
        assert told["recorded"] == len(FILES)
        for tool in ("hold", "annex", "datalad"):
            study.check_get(tool)
        study.annex("fsck", "--fast", "--quiet", "--from", "cold")
        assert re.search(r"cold: http://.*/piece/baf\w+ bytes", study.annex("whereis", "large.dat"))
    study.forget_content()
    study.annex("get", "large.dat", exits=1)
    study.hold("get", "sub/01.dat", exits=3)


def test_all_content_comes_from_pieces_in_a_bucket(study: Study, bench: Path) -> None:
    secrets = dict(zip(KEYS, ("ada", "a-secret-of-hers"), strict=True))
    with server("moto_server", "-H", "127.0.0.1", "-p") as port:
        words = ("host=127.0.0.1", f"port={port}", "protocol=http", "requeststyle=path")
        fill(study, bench, words, secrets)
        told = tell(study, "cold", "bucket=cold", *words, "fileprefix=study/", **secrets)
        assert told["recorded"] == len(FILES)
        for tool in ("hold", "annex", "datalad"):
            study.check_get(tool)
        study.annex("fsck", "--quiet", "--from", "cold")
        given = ("type=external", "externaltype=holdfast", "encryption=none", "store=pieces")
        study.annex(
            "initremote", "again", *given, "bucket=cold", "fileprefix=study/", *words, **secrets
        )
        study.annex("fsck", "--fast", "--quiet", "--from", "again")
        assert set(study.annex("find", "--in", "again").split()) == set(FILES)
        log = study.tools.git(study.clone, "show", "git-annex:remote.log").text
        assert "a-secret-of-hers" not in log


def fill(study: Study, bench: Path, words: tuple[str, ...], secrets: Mapping[str, str]) -> None:
    """Put the pieces into a bucket, by exporting a data set that holds them."""
    tools, away = study.tools, bench / "away"
    tools.create("hold", away)
    tools.git(away, "config", "annex.security.allowed-ip-addresses", "127.0.0.1")
    for path in study.pieces.iterdir():
        shutil.copy(path, away)
    tools.save("hold", away)
    given = ("type=S3", "encryption=none", "exporttree=yes", "bucket=cold", "fileprefix=study/")
    tools.hold(away, "siblings", "add", "cold", *given, *words, **secrets)
    tools.hold(away, "export-tree", "cold", **secrets)
