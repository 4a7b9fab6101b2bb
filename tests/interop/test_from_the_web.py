"""Files from URLs, archives and bags, metadata: what hold writes the others read, and back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.testing.lying_server import LyingServer

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

BIG = bytes(range(256)) * 400
FILES = {"a.txt": b"hello\n", "big.bin": BIG, "sub%20dir/b%20c.txt": b"x\n"}
WEB = "00000000-0000-0000-0000-000000000001"
ARCHIVES = "c04eb54b-4b4e-5755-8436-866b043170fa"
ODD = "a%b&c#d+e=é.txt"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with LyingServer(FILES) as server:
        yield server.url


@pytest.fixture
def dataset(tools: Tools, bench: Path) -> Path:
    return allow(tools, tools.create("hold", bench / "d"))


def allow(tools: Tools, folder: Path) -> Path:
    tools.git(folder, "config", "annex.security.allowed-ip-addresses", "all")
    return folder


def log_of(tools: Tools, folder: Path, pattern: str) -> list[str]:
    """Lines of the git-annex branch in files that match, without times."""
    text = tools.git(folder, "grep", "-h", ".", "git-annex", "--", pattern, exits=None).text
    return sorted(line.partition(" ")[2] for line in text.splitlines())


# URLs


def test_files_from_the_web_are_as_git_annex_makes_them(
    tools: Tools, dataset: Path, bench: Path, url: str
) -> None:
    urls = [f"{url}/{name}" for name in FILES]
    tools.hold(dataset, "addurl", *urls)
    other = allow(tools, tools.create("annex", bench / "o"))
    for one, name in zip(urls, ("a.txt", "big.bin", "b c.txt"), strict=True):
        tools.annex(other, "addurl", "-q", one, "--file", name)
    assert log_of(tools, dataset, "*.log.web") == log_of(tools, other, "*.log.web")
    assert set(tools.keys(dataset).values()) == set(tools.keys(other).values())
    tools.settled(dataset)
    tools.fsck("annex", dataset)
    assert tools.whereis("annex", dataset)["big.bin"] == {WEB, tools.uuid(dataset)}
    assert tools.git(dataset, "log", "--format=%s").text.count("\n") == 2
    tools.annex(dataset, "drop", "big.bin")
    tools.hold(dataset, "get", "big.bin")
    tools.hold(dataset, "drop", "a.txt")
    tools.annex(dataset, "get", "a.txt")


def test_keys_of_what_is_not_fetched_are_those_of_git_annex(
    tools: Tools, dataset: Path, bench: Path, url: str
) -> None:
    other = allow(tools, tools.create("annex", bench / "o"))
    for how, one in (
        ("--relaxed", f"{url}/sub%20dir/b%20c.txt?x=1&y=ä"),
        ("--fast", f"{url}/big.bin"),
    ):
        tools.hold(dataset, "addurl", how, one)
        tools.annex(other, "addurl", "-q", how, one)
    assert set(tools.keys(dataset).values()) == set(tools.keys(other).values())
    tools.settled(dataset)
    # Content comes by either, and its hash is then known to both.
    tools.hold(dataset, "get", "big.bin")
    tools.annex(dataset, "get", "b c.txt")
    found = log_of(tools, dataset, "*.log.ek")
    assert len(found) == 2 and all(line.startswith("1 SHA256E-s") for line in found)
    tools.annex(dataset, "fsck")
    tools.hold(dataset, "drop", "b c.txt")
    tools.hold(dataset, "get", "b c.txt")


def test_a_table_becomes_files_with_metadata_for_all_three(
    tools: Tools, dataset: Path, bench: Path, url: str
) -> None:
    table = bench / "t.csv"
    table.write_text(f"who,ext,link\nann,txt,{url}/a.txt\nbob,bin,{url}/big.bin\n")
    words = ("addurls", "../t.csv", "{link}", "f/{who}.{_url_basename_ext}")
    tools.hold(dataset, *words, "--meta", "who={who}")
    told = tools.annex(dataset, "metadata", "--json", "f/ann..txt").records()[0]
    assert told["fields"]["who"] == ["ann"]  # type: ignore[index]
    found = tools.hold(dataset, "find", "--metadata", "who=b*").text
    assert found.strip() == "f/bob..bin"
    tools.settled(dataset)
    again = tools.hold(dataset, *words, "--json").records()
    assert {record["status"] for record in again} == {"notneeded"}
    assert "nothing to save" in tools.datalad(dataset, "status").text
    listed = tools.hold(dataset, "urls", "--check", "--rate", "1000", "--json").records()
    assert [record["status"] for record in listed] == ["ok", "ok"]


def test_hashes_of_a_table_are_believed_and_checked_when_content_comes(
    tools: Tools, dataset: Path, url: str
) -> None:
    rows = [
        {"u": f"{url}/a.txt", "f": "good.txt", "h": "b1946ac92492d2347c6235b4d2611184"},
        {"u": f"{url}/a.txt", "f": "bad.txt", "h": "0" * 32},
    ]
    (dataset.parent / "t.json").write_text(json.dumps(rows))
    tools.hold(dataset, "addurls", "../t.json", "{u}", "{f}", "--key", "et:MD5-s6--{h}")
    assert tools.keys(dataset)[b"good.txt"] == b"MD5E-s6--b1946ac92492d2347c6235b4d2611184.txt"
    tools.annex(dataset, "get", "good.txt")
    tools.annex(dataset, "get", "bad.txt", exits=1)
    tools.hold(dataset, "get", "bad.txt", exits=3)


def test_urls_registered_and_removed_are_seen_by_git_annex(
    tools: Tools, dataset: Path, url: str
) -> None:
    tools.write(dataset, {"mine.txt": b"hello\n"})
    tools.save("hold", dataset)
    tools.hold(dataset, "urls", "--add", f"{url}/a.txt", "mine.txt")
    assert WEB in tools.whereis("annex", dataset)["mine.txt"]
    tools.annex(dataset, "drop", "mine.txt")
    tools.annex(dataset, "get", "mine.txt")
    key = tools.keys(dataset)[b"mine.txt"]
    tools.annex(dataset, "registerurl", key, f"{url}/gone.txt")
    tools.annex(dataset, "registerurl", key, "http://[half/a.txt")
    checked = tools.hold(dataset, "urls", "--check", "--json", exits=3).records()
    assert sorted(str(record["status"]) for record in checked) == ["error", "error", "ok"]
    tools.annex(dataset, "unregisterurl", key, "http://[half/a.txt")
    for name in ("a.txt", "gone.txt"):
        tools.hold(dataset, "urls", "--remove", f"{url}/{name}", "mine.txt")
    assert WEB not in tools.whereis("annex", dataset)["mine.txt"]
    assert "web:" not in tools.annex(dataset, "whereis", "mine.txt").text


# archives


@pytest.fixture
def reads_zip(tools: Tools, tmp_path: Path) -> dict[str, str]:
    """An environment in which DataLad's program can unpack zip.

    git-annex's package sets MAGIC for its children, which another `file` than its own rejects.
    """
    file = shutil.which("file")
    if file is None:
        pytest.skip("the program file, which DataLad unpacks archives with, is not installed")
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin/file"
    wrapper.write_text(f'#!/bin/sh\nunset MAGIC\nexec {file} "$@"\n')
    wrapper.chmod(0o755)
    return {"PATH": f"{tmp_path}/bin{os.pathsep}{tools.environment['PATH']}"}


def write_archives(folder: Path) -> None:
    with zipfile.ZipFile(folder / "p.zip", "w") as file:
        for name in ("in/one.txt", "in/two words.txt", ODD):
            file.writestr(name, f"content of {name}")
    with tarfile.open(folder / "p.tar.gz", "w:gz") as tar:
        for name in ("one.txt", "deep/two words.txt"):
            (folder / "tmp").write_text(f"tar {name}")
            tar.add(folder / "tmp", name)
    (folder / "tmp").unlink()


def test_what_we_unpack_datalad_gets_out_of_the_archive(
    tools: Tools, bench: Path, reads_zip: dict[str, str]
) -> None:
    ours = tools.create("hold", bench / "d")
    write_archives(ours)
    tools.save("hold", ours)
    tools.hold(ours, "unpack", "p.zip")
    tools.hold(ours, "add-archive-content", "--into", "t", "p.tar.gz")
    tools.settled(ours)
    tools.fsck("annex", ours)
    assert tools.whereis("annex", ours)["in/one.txt"] == {ARCHIVES, tools.uuid(ours)}
    title = tools.git(ours, "log", "-1", "--format=%s").text.strip()
    assert title == "[DATALAD] Added content extracted from archive p.tar.gz"
    # A clone gets the archives first, then what is in them, by either.
    clone = tools.clone("hold", ours, bench / "c")
    tools.hold(clone, "get", "p.zip", "p.tar.gz")
    tools.git(clone, "remote", "remove", "origin")
    tools.hold(clone, "get", "t", "in/one.txt")
    assert (clone / "t/deep/two words.txt").read_text() == "tar deep/two words.txt"
    tools.datalad(clone, "get", "in", ODD, **reads_zip)
    assert (clone / ODD).read_text() == f"content of {ODD}"


def test_what_datalad_unpacked_we_get_out_of_the_archive(
    tools: Tools, bench: Path, reads_zip: dict[str, str]
) -> None:
    theirs = tools.create("hold", bench / "d")
    write_archives(theirs)
    tools.save("hold", theirs)
    tools.datalad(theirs, "add-archive-content", "p.zip", **reads_zip)
    names = ["in/one.txt", "in/two words.txt", ODD]
    tools.hold(theirs, "drop", *names)
    assert not (theirs / ODD).exists()
    tools.hold(theirs, "get", *names)
    for name in names:
        assert (theirs / name).read_text() == f"content of {name}"
    # Unpacked again it is what is there already: nothing to record.
    head = tools.git(theirs, "rev-parse", "HEAD", "git-annex").text
    again = tools.hold(theirs, "unpack", "p.zip", "--json").records()
    assert {record["status"] for record in again} == {"notneeded"}
    assert tools.git(theirs, "rev-parse", "HEAD", "git-annex").text == head
    tools.fsck("annex", theirs)


def test_an_archive_is_not_dropped_for_the_copies_in_it(tools: Tools, dataset: Path) -> None:
    write_archives(dataset)
    tools.save("hold", dataset)
    tools.hold(dataset, "unpack", "p.zip")
    tools.hold(dataset, "drop", "p.zip", exits=4)
    tools.hold(dataset, "drop", "in")
    tools.hold(dataset, "drop", "--force", "a test", "p.zip")
    told = tools.hold(dataset, "get", "in/one.txt", exits=3)
    assert "is not here" in told.all_text


# metadata


def test_metadata_goes_both_ways(tools: Tools, dataset: Path) -> None:
    tools.write(dataset, {"a": b"1", "b": b"2", "sub/c": b"3"})
    tools.save("hold", dataset)
    tools.hold(
        dataset, "metadata", "--set", "author=Ada L.", "--tag", "raw", "--tag", "old", "a", "sub"
    )
    tools.hold(dataset, "metadata", "--untag", "old", "--add", "Author=Bob", "a")
    fields = tools.annex(dataset, "metadata", "--json", "a").records()[0]["fields"]
    assert fields["author"] == ["Ada L.", "Bob"]  # type: ignore[index]
    assert fields["tag"] == ["raw"]  # type: ignore[index]
    tools.annex(dataset, "metadata", "-s", "author-=Bob", "-s", "year=2024", "-t", "x y", "a")
    said = tools.hold(dataset, "metadata", "--json", "a").records()[0]
    assert said["fields"] == {"author": ["Ada L."], "tag": ["raw", "x y"], "year": ["2024"]}
    for ours, theirs in (
        (("--tag", "raw"), ("tag=raw",)),
        (("--metadata", "AUTHOR=ada*"), ("author=ada*",)),
        (("--metadata", "year>=2000", "--tag", "x*"), ("year>=2000",)),
    ):
        expressions = [f"--metadata={one}" for one in theirs]
        found = tools.hold(dataset, "find", *ours).text
        assert found == tools.annex(dataset, "find", *expressions).text
    tools.hold(dataset, "metadata", "--remove", "author", "a", "sub")
    assert "author=" not in tools.annex(dataset, "metadata").text


# bags


def test_a_bag_of_ours_is_valid_and_comes_back_the_same(
    tools: Tools, dataset: Path, bench: Path
) -> None:
    pytest.importorskip("bagit", reason="the Python package bagit is not installed")
    tools.write(dataset, {"a.dat": b"a" * 999, "sub/b c.txt": b"b", "sub/ü": b"", "run": b"#!"})
    (dataset / "run").chmod(0o755)
    tools.save("hold", dataset)
    tools.hold(dataset, "export-bag", "../bag")
    words = [sys.executable, "-m", "bagit", "--validate", str(bench / "bag")]
    subprocess.run(words, check=True, capture_output=True)
    told = tools.hold(dataset, "export-bag", "../bag", exits=4)
    assert "there already" in told.all_text
    other = tools.create("hold", bench / "o")
    tools.hold(other, "import-bag", "../bag", "--if-exists", "skip")
    mine, theirs = tools.keys(dataset), tools.keys(other)
    assert {path: key for path, key in theirs.items() if path in mine} == mine
    assert (other / "run").stat().st_mode & 0o100
    tools.settled(other)
    tools.fsck("annex", other)


def test_a_bag_made_by_others_comes_in(tools: Tools, dataset: Path, bench: Path) -> None:
    bagit = pytest.importorskip("bagit", reason="the Python package bagit is not installed")
    tools.write(bench / "their", {"x/y.dat": b"y" * 99, "z": b"z"})
    bagit.make_bag(str(bench / "their"), checksums=["md5", "sha512"])
    tools.hold(dataset, "import-bag", "../their", "--into", "raw")
    assert sorted(tools.keys(dataset)) == [b"raw/x/y.dat", b"raw/z"]
    tools.settled(dataset)


def test_an_export_holds_the_files_of_a_version(tools: Tools, dataset: Path, bench: Path) -> None:
    files = {"a.dat": b"a" * 999, "sub/b c.txt": b"b", "run": b"#!"}
    tools.write(dataset, files)
    (dataset / "run").chmod(0o755)
    tools.save("hold", dataset)
    tools.git(dataset, "tag", "v1")
    (dataset / "run").unlink()
    tools.save("hold", dataset)
    for name in ("plain", "out.tar.gz", "out.zip"):
        tools.hold(dataset, "export", "--at", "v1", f"../{name}")
        out = bench / name.partition(".")[2] if "." in name else bench / name
        if "." in name:
            shutil.unpack_archive(bench / name, out)
        for path, content in files.items():
            assert (out / path).read_bytes() == content
            assert not (out / path).is_symlink()
        if name != "out.zip":  # shutil forgets modes in zip files
            assert (out / "run").stat().st_mode & 0o100
