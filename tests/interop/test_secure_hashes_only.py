"""annex.securehashesonly: what one tool lets in, passes on and complains of, the other does too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.core.backends import HASH_BACKENDS

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

BACKENDS = [*(name.decode() + end for name in HASH_BACKENDS for end in ("", "E")), "WORM"]
WEAK = {"MD5", "MD5E", "SHA1", "SHA1E", "XXH3", "XXH3E", "WORM"}
SECURE = set(BACKENDS) - WEAK
RULES = (
    "".join(f"{name} annex.backend={name}\n" for name in BACKENDS)
    + ".git* annex.largefiles=nothing\n"
)
REFUSED = {"hold": 4, "annex": 1}


def names(found: set[bytes]) -> set[str]:
    return {os.fsdecode(name) for name in found}


def fill(tools: Tools, folder: Path) -> None:
    tools.write(folder, {".gitattributes": RULES.encode()})
    tools.write(folder, {name: f"content of {name}\n".encode() for name in BACKENDS})


def require(tools: Tools, folder: Path, value: str = "true") -> None:
    tools.git(folder, "config", "annex.securehashesonly", value)


@pytest.fixture(scope="module")
def lax(tools: Tools, shelf: Path) -> Path:
    """A data set with a file under each backend, from before anybody asked for secure ones."""
    folder = tools.create("annex", shelf / "lax")
    fill(tools, folder)
    tools.save("annex", folder)
    return folder


# taking in


def test_files_whose_hash_can_be_forged_are_left_alone_and_the_others_are_saved(
    tools: Tools, bench: Path
) -> None:
    taken = {}
    for tool in ("hold", "annex"):
        folder = tools.create(tool, bench / tool)
        require(tools, folder)
        fill(tools, folder)
        if tool == "hold":
            told = tools.hold(folder, "save", "--json", exits=4).records()
            failed = {str(r["path"]): r["error"] for r in told if r["status"] == "error"}
            assert set(failed) == WEAK
            assert {error["code"] for error in failed.values()} == {"H211"}  # type: ignore[index]
        else:
            tools.annex(folder, "add", ".", exits=1)
        taken[tool] = names(tools.here("annex", folder))
        for name in WEAK:
            assert not (folder / name).is_symlink()
            assert (folder / name).read_text() == f"content of {name}\n"
    assert taken == {"hold": SECURE, "annex": SECURE}
    tools.settled(bench / "hold", *(f"?? {name}" for name in sorted(WEAK)))


def test_a_refused_file_is_saved_once_it_has_a_secure_backend(tools: Tools, bench: Path) -> None:
    folder = tools.create("hold", bench / "study")
    require(tools, folder)
    rules = (folder / ".gitattributes").read_bytes()
    tools.write(folder, {".gitattributes": rules + b"*.dat annex.backend=MD5E\n"})
    tools.write(folder, {"scan.dat": b"scan"})
    os.chmod(folder / "scan.dat", 0o640)
    tools.hold(folder, "save", "scan.dat", exits=4)
    assert (folder / "scan.dat").stat().st_mode & 0o777 == 0o640
    assert not list((folder / ".git/annex/objects").rglob("MD5E-*"))
    tools.write(folder, {".gitattributes": rules})
    tools.hold(folder, "save")
    assert tools.keys(folder)[b"scan.dat"].startswith(b"SHA256E-")
    tools.settled(folder)


def test_the_front_refuses_to_add_as_git_annex_does(tools: Tools, bench: Path) -> None:
    folder = tools.create("annex", bench / "study")
    require(tools, folder)
    tools.write(folder, {"scan.dat": b"scan", "other.dat": b"other"})
    for add in (
        tools.annex,
        lambda *words, **more: tools.hold(words[0], "annex", *words[1:], **more),
    ):
        add(folder, "add", "--backend=SHA1", "scan.dat", exits=1)
        assert tools.porcelain(folder) == ["?? other.dat", "?? scan.dat"]
    tools.hold(folder, "annex", "add", "--backend=SHA512", "scan.dat")
    assert tools.porcelain(folder) == ["A  scan.dat", "?? other.dat"]


@pytest.mark.parametrize("way", ["save", "git"])
def test_an_unlocked_file_gets_a_secure_key_when_it_changes_and_keeps_its_own_when_not(
    tools: Tools, bench: Path, way: str
) -> None:
    folder = tools.create("hold", bench / "study")
    tools.write(folder, {"changed.dat": b"one", "touched.dat": b"two"})
    tools.hold(folder, "-c", "annex.backend=MD5", "save", "-q")
    tools.hold(folder, "unlock")
    tools.hold(folder, "save", "-q")
    before = tools.keys(folder)
    require(tools, folder)
    (folder / "changed.dat").write_bytes(b"other content")
    os.utime(folder / "touched.dat", (1_700_000_000, 1_700_000_000))
    os.chmod(folder / "touched.dat", 0o755)
    if way == "save":
        tools.hold(folder, "save", "-q")
    else:
        tools.git(folder, "commit", "-qam", "changed")
    after = tools.keys(folder)
    assert after[b"touched.dat"] == before[b"touched.dat"]
    assert after[b"changed.dat"].startswith(b"SHA256E-s13--")
    assert (folder / "changed.dat").read_bytes() == b"other content"
    assert tools.porcelain(folder) == []


# bringing and passing on


def test_content_under_insecure_keys_is_not_got(tools: Tools, lax: Path, bench: Path) -> None:
    for tool in ("hold", "annex"):
        clone = tools.clone(tool, lax, bench / tool)
        require(tools, clone)
        if tool == "hold":
            told = tools.hold(clone, "get", "--json", exits=4).records()
            assert {str(r["path"]) for r in told if r["status"] == "impossible"} == WEAK
        else:
            tools.annex(clone, "get", ".", exits=1)
        assert names(tools.here("annex", clone)) == SECURE
        left = [p for p in (clone / ".git/annex/tmp").glob("*") if p.is_file()]
        assert left == []
    tools.settled(bench / "hold")
    require(tools, bench / "hold", "false")
    tools.hold(bench / "hold", "get")
    assert names(tools.here("annex", bench / "hold")) == set(BACKENDS)


@pytest.mark.parametrize("verb", ["copy", "move"])
def test_it_is_not_brought_by_copy_or_move_either(
    tools: Tools, lax: Path, bench: Path, verb: str
) -> None:
    source = tools.clone("annex", lax, bench / "source")
    tools.annex(source, "get", "-q", ".")
    for tool in ("hold", "annex"):
        tools.copy(source, bench / f"from {tool}")
        clone = tools.clone("annex", bench / f"from {tool}", bench / tool)
        require(tools, clone)
        front = ("annex",) if tool == "hold" else ()
        run = tools.hold if tool == "hold" else tools.annex
        run(clone, *front, verb, "--from", "origin", ".", exits=1)
        assert names(tools.here("annex", clone)) == SECURE
        left = WEAK if verb == "move" else set(BACKENDS)
        assert names(tools.here("annex", bench / f"from {tool}")) == left


@pytest.mark.parametrize("verb", ["copy", "move"])
@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_it_is_not_sent_where_either_side_forbids_it(
    tools: Tools, lax: Path, bench: Path, verb: str, whose: str
) -> None:
    for tool in ("hold", "annex"):
        clone = tools.clone("annex", lax, bench / tool)
        tools.annex(clone, "get", "-q", ".")
        other = tools.clone("annex", lax, bench / f"other {tool}")
        tools.git(clone, "remote", "add", "other", str(other))
        tools.git(clone, "fetch", "-q", "other")
        require(tools, clone if whose == "ours" else other)
        front = ("annex",) if tool == "hold" else ()
        run = tools.hold if tool == "hold" else tools.annex
        run(clone, *front, verb, "--to", "other", ".", exits=1)
        assert names(tools.here("annex", other)) == SECURE
        assert names(tools.here("annex", clone)) == (WEAK if verb == "move" else set(BACKENDS))


# what is there already


def test_what_is_there_stays_and_fsck_speaks_of_it(tools: Tools, lax: Path, bench: Path) -> None:
    folder = bench / "study"
    tools.copy(lax, folder)
    require(tools, folder)
    told = tools.hold(folder, "fsck", "--json").records()
    assert {str(r["path"]) for r in told if "warning" in r} == WEAK
    assert {str(r["status"]) for r in told} == {"ok"}
    shown = tools.hold(folder, "fsck").text
    assert "here despite annex.securehashesonly: MD5E can be forged" in shown
    said = []
    for run in (tools.annex, lambda *words: tools.hold(words[0], "annex", *words[1:])):
        records = run(folder, "fsck", "--json", "--json-error-messages").records()
        assert all(r["success"] for r in records)
        said.append({str(r["file"]): r["error-messages"] for r in records})
    assert said[0] == said[1]
    assert {name for name, messages in said[0].items() if messages} == WEAK
    assert names(tools.here("annex", folder)) == set(BACKENDS)


def test_what_is_there_may_be_dropped_and_then_is_not_got_again(
    tools: Tools, lax: Path, bench: Path
) -> None:
    clone = tools.clone("hold", lax, bench / "clone")
    tools.hold(clone, "get")
    require(tools, clone)
    tools.hold(clone, "drop", "MD5")
    tools.hold(clone, "get", "MD5", exits=4)
    assert "MD5" not in names(tools.here("annex", clone))


# where it is set


@pytest.mark.parametrize("setter", ["hold", "annex"])
@pytest.mark.parametrize("cloner", ["hold", "annex", "git"])
def test_a_rule_of_the_data_set_counts_in_each_clone_for_both(
    tools: Tools, lax: Path, bench: Path, setter: str, cloner: str
) -> None:
    source = bench / "source"
    tools.copy(lax, source)
    if setter == "hold":
        tools.hold(source, "config", "--shared", "annex.securehashesonly=true")
    else:
        tools.annex(source, "config", "--set", "annex.securehashesonly", "true")
    assert tools.git(source, "config", "annex.securehashesonly").text == "true\n"
    if cloner == "git":
        tools.git(bench, "clone", "-q", source, "clone")
    else:
        tools.clone(cloner, source, bench / "clone")
    tools.hold(bench / "clone", "get", "SHA1", exits=4)
    tools.annex(bench / "clone", "get", "SHA1", exits=1)
    tools.hold(bench / "clone", "get", "SHA256")
    assert names(tools.here("annex", bench / "clone")) == {"SHA256"}


def test_a_clone_may_say_otherwise_than_the_data_set(tools: Tools, lax: Path, bench: Path) -> None:
    source = bench / "source"
    tools.copy(lax, source)
    tools.annex(source, "config", "--set", "annex.securehashesonly", "true")
    clone = tools.clone("hold", source, bench / "clone")
    # git-annex also asks a source on this machine whether it may pass content on.
    require(tools, source, "false")
    require(tools, clone, "false")
    tools.hold(clone, "get", "SHA1")
    tools.annex(clone, "get", "-q", "MD5")
    assert names(tools.here("annex", clone)) == {"SHA1", "MD5"}
