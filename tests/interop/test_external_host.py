"""Places that other people's programs reach: git-annex and hold run the same programs, in turn."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from holdfast_program import write_program

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop


PROGRAMS = Path(__file__).parents[1] / "programs"
BIG = bytes(range(256)) * 400


@pytest.fixture
def path(tools: Tools, bench: Path) -> str:
    """A PATH with the programs of the tests, run by the python that runs us."""
    pytest.importorskip("annexremote", reason="the package annexremote is not installed")
    return f"{PROGRAMS}{os.pathsep}{tools.environment['PATH']}"


@pytest.fixture
def study(tools: Tools, bench: Path, path: str) -> Path:
    """A data set with one file, and a shelf for content."""
    study = tools.create("hold", bench / "study")
    tools.write(study, {"a.dat": BIG, "b.dat": BIG + b"b"})
    tools.save("annex", study)
    tools.annex(
        study, "initremote", "shelf", "type=external", "externaltype=shelf", "encryption=none",
        f"folder={bench / 'shelf'}", PATH=path,
    )  # fmt: skip
    return study


def test_what_git_annex_put_there_comes_back_by_hold(tools: Tools, study: Path, path: str) -> None:
    tools.annex(study, "copy", "--to", "shelf", "--quiet", PATH=path)
    dropped = tools.hold(study, "drop", "-v", ".", PATH=path)
    assert "also in shelf" in dropped.text
    assert "from shelf" in tools.hold(study, "get", "-v", ".", PATH=path).text
    assert (study / "a.dat").read_bytes() == BIG
    assert list((study / ".git" / "annex" / "othertmp").iterdir()) == []


def test_what_hold_put_there_comes_back_by_git_annex(tools: Tools, study: Path, path: str) -> None:
    tools.hold(study, "copy", "--to", "shelf", ".", PATH=path)
    tools.annex(study, "fsck", "--from", "shelf", "--quiet", PATH=path)
    assert "stored here" in tools.annex(study, "whereis", "a.dat", PATH=path).text
    tools.annex(study, "drop", "--quiet", PATH=path)
    tools.annex(study, "get", "--quiet", PATH=path)
    assert (study / "b.dat").read_bytes() == BIG + b"b"
    tools.hold(study, "drop", "--from", "shelf", "a.dat", PATH=path)
    assert "b.dat" in tools.annex(study, "find", "--in", "shelf", PATH=path).text
    assert "a.dat" not in tools.annex(study, "find", "--in", "shelf", PATH=path).text


def test_damaged_content_of_a_program_is_not_taken(
    tools: Tools, study: Path, bench: Path, path: str
) -> None:
    tools.annex(study, "move", "a.dat", "--to", "shelf", "--quiet", PATH=path)
    [stored] = (bench / "shelf").glob("SHA256E-*")
    stored.write_bytes(BIG[:-1] + b"!")
    failed = tools.hold(study, "get", "a.dat", exits=3, PATH=path)
    assert "hash should be" in failed.all_text
    assert not (study / "a.dat").exists()


def test_a_program_that_is_not_installed_is_named(tools: Tools, study: Path, path: str) -> None:
    tools.annex(study, "move", "a.dat", "--to", "shelf", "--quiet", PATH=path)
    failed = tools.hold(study, "get", "a.dat", exits=3)
    assert "needs the program git-annex-remote-shelf" in failed.all_text


def test_content_of_archives_comes_by_the_program_of_datalad(
    tools: Tools, bench: Path, path: str
) -> None:
    study = tools.create("hold", bench / "study")
    tools.write(study, {"one.dat": BIG})
    with tarfile.open(study / "a.tar", "w") as archive:
        archive.add(study / "one.dat", "d/one.dat")
    tools.save("hold", study)
    keys = tools.keys(study)
    url = f"dl+archive:{keys[b'a.tar'].decode()}#path=d/one.dat&size={len(BIG)}"
    tools.annex(
        study, "initremote", "datalad-archives", "type=external", "externaltype=datalad-archives",
        "encryption=none",
    )  # fmt: skip
    tools.annex(study, "registerurl", keys[b"one.dat"].decode(), url)
    tools.hold(study, "drop", "--force", "a test", "one.dat")
    assert "from datalad-archives" in tools.hold(study, "get", "-v", "one.dat").text
    assert (study / "one.dat").read_bytes() == BIG


def test_content_of_a_ria_store_comes_by_the_program_of_datalad(
    tools: Tools, bench: Path, path: str
) -> None:
    study = tools.create("hold", bench / "study")
    tools.write(study, {"a.dat": BIG})
    tools.save("hold", study)
    (bench / "ria" / "712" / "02a15").mkdir(parents=True)
    for folder in (bench / "ria", bench / "ria" / "712" / "02a15"):
        (folder / "ria-layout-version").write_text("1\n")
    tools.annex(
        study, "initremote", "ora", "type=external", "externaltype=ora", "encryption=none",
        f"url=ria+file://{bench / 'ria'}", "archive-id=71202a15",
    )  # fmt: skip
    tools.annex(study, "move", "--to", "ora", "--quiet")
    assert "from ora" in tools.hold(study, "get", "-v", ".").text
    assert (study / "a.dat").read_bytes() == BIG


def test_a_place_that_hold_set_up_is_one_for_git_annex(
    tools: Tools, study: Path, bench: Path, path: str
) -> None:
    tools.hold(
        study, "siblings", "add", "other", "type=external", "externaltype=shelf",
        "encryption=none", f"folder={bench / 'other'}", PATH=path,
    )  # fmt: skip
    config = tools.git(study, "show", "git-annex:remote.log").text
    assert "made=by&32;initremote name=other" in config
    assert tools.annex(study, "wanted", "other").text == "include=*.dat\n"
    uuid = tools.git(study, "config", "remote.other.annex-uuid").text.strip()
    creds = study / ".git" / "annex" / "creds" / f"{uuid}-door"
    assert creds.read_text() == "ada\nopen sesame\n"
    tools.hold(study, "copy", "--to", "other", "a.dat", PATH=path)
    assert "include=*.dat" in tools.annex(study, "whereis", "a.dat", PATH=path).text
    tools.annex(study, "fsck", "--from", "other", "--quiet", PATH=path)


def test_a_place_of_ours_inside_is_used_without_its_program(
    tools: Tools, bench: Path, study: Path
) -> None:
    write_program(bench / "bin")
    path = f"{bench / 'bin'}{os.pathsep}{tools.environment['PATH']}"
    tools.hold(
        study, "siblings", "add", "ours", "type=external", "externaltype=holdfast",
        "encryption=shared", "chunk=30kb", "store=directory", f"directory={bench / 'ours'}",
    )  # fmt: skip
    tools.hold(study, "copy", "--to", "ours", ".")
    tools.annex(study, "fsck", "--from", "ours", "--quiet", PATH=path)
    tools.annex(study, "drop", "--quiet", PATH=path)
    tools.hold(study, "get", ".")
    tools.annex(study, "drop", "--from", "ours", "--quiet", PATH=path)
    assert not [entry for entry in (bench / "ours").rglob("*") if entry.is_file()]
