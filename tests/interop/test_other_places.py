"""Directories, rsync, WebDAV and rclone, in both directions: what git-annex stored and what we did.

Trees that git-annex exported are read, too.
"""

from __future__ import annotations

import getpass
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Tools

from holdfast.testing.rclone_server import PASSWORD, USER, WebDavServer, find_rclone

pytestmark = pytest.mark.interop

FILES = {
    "big.dat": bytes(range(251)) * 4000,
    "small.txt": b"one line\n",
    "empty": b"",
    "sub/ü [a] b.x": b"odd",
}
LOGIN = {"WEBDAV_USERNAME": USER, "WEBDAV_PASSWORD": PASSWORD}


@dataclass
class Bench:
    """A data set, and the words that set up a place of one kind for it."""

    tools: Tools
    folder: Path
    words: list[str]
    environment: dict[str, str]
    kept_in: Path

    def annex(self, *words: str, exits: int = 0) -> str:
        return self.tools.annex(self.folder, *words, exits=exits, **self.environment).all_text

    def hold(self, *words: str, exits: int = 0) -> list[dict[str, object]]:
        done = self.tools.hold(self.folder, *words, "--json", exits=exits, **self.environment)
        return done.records()

    def has_all(self) -> bool:
        return {name: (self.folder / name).read_bytes() for name in FILES} == FILES

    def drop_here(self) -> None:
        self.annex("drop", "--force", "--quiet", ".")
        assert not any((self.folder / name).exists() for name in FILES)


@pytest.fixture(scope="module")
def dav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDavServer]:
    if find_rclone() is None:
        pytest.skip("rclone, which serves WebDAV here, is neither beside python nor on PATH")
    with WebDavServer(tmp_path_factory.mktemp("dav")) as server:
        yield server


@pytest.fixture
def make_bench(
    tools: Tools, tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[str], Bench]:
    """Makes a data set with a place of a kind to be; rclone's kinds name their layout."""

    def make(kind: str) -> Bench:
        folder = tools.create("annex", tmp_path / "set")
        tools.write(folder, FILES)
        tools.save("annex", folder)
        there = tmp_path / "there"
        there.mkdir()
        environment: dict[str, str] = {}
        if kind == "directory":
            words = ["type=directory", f"directory={there}"]
        elif kind == "rsync":
            if shutil.which("rsync") is None:
                pytest.skip("rsync is not on PATH")
            words = ["type=rsync", f"rsyncurl={there}"]
        elif kind == "webdav":
            server: WebDavServer = request.getfixturevalue("dav")
            there = server.folder / tmp_path.name
            words, environment = ["type=webdav", f"url={server.url}/{tmp_path.name}"], dict(LOGIN)
        else:
            program = find_rclone()
            if program is None:
                pytest.skip("rclone is neither beside python nor on PATH")
            settings = tmp_path / "rclone.conf"
            settings.write_text(f"[far]\ntype = alias\nremote = {there}\n")
            layout = kind.partition(" ")[2]
            words = [
                "type=rclone",
                "rcloneremotename=far",
                "rcloneprefix=a/b",
                f"rclonelayout={layout}",
            ]
            path = f"{Path(program).parent}{os.pathsep}{tools.environment['PATH']}"
            environment = {"RCLONE_CONFIG": str(settings), "PATH": path}
        return Bench(tools, folder, [*words, "encryption=none"], environment, there)

    return make


@pytest.mark.parametrize("kind", ["directory", "rsync", "webdav", "rclone frankencase"])
def test_what_git_annex_stored_is_read_and_dropped_by_us(
    make_bench: Callable[[str], Bench], kind: str
) -> None:
    bench = make_bench(kind)
    bench.annex("initremote", "far", *bench.words)
    bench.annex("copy", "--to", "far", ".")
    bench.drop_here()
    told = bench.hold("get", "--from", "far")
    assert {record["status"] for record in told} == {"ok"}
    assert bench.has_all()
    told = bench.hold("drop", "--from", "far", "small.txt", "big.dat")
    assert [record["status"] for record in told] == ["ok", "ok"]
    bench.annex("fsck", "--fast", "--from", "far")
    assert bench.annex("find", "--in", "far").split() == ["empty", "sub/ü", "[a]", "b.x"]


@pytest.mark.parametrize("kind", ["directory", "rsync", "webdav", "rclone directory"])
def test_what_we_stored_is_read_checked_and_dropped_by_git_annex(
    make_bench: Callable[[str], Bench], kind: str
) -> None:
    bench = make_bench(kind)
    bench.hold("siblings", "add", "far", *bench.words)
    told = bench.hold("copy", "--to", "far")
    assert {record["status"] for record in told} == {"ok"}
    bench.annex("fsck", "--from", "far")
    bench.drop_here()
    bench.annex("get", "--from", "far", ".")
    assert bench.has_all()
    bench.annex("drop", "--from", "far", ".")
    assert not [path for path in bench.kept_in.rglob("SHA256E-*") if path.is_file()]


@pytest.mark.parametrize("kind", ["rsync", "webdav"])
def test_an_exported_tree_is_read_but_no_copy_to_count_on(
    make_bench: Callable[[str], Bench], kind: str
) -> None:
    bench = make_bench(kind)
    bench.annex("initremote", "far", *bench.words, "exporttree=yes")
    bench.annex("export", "main", "--to", "far")
    told = bench.hold("drop", "big.dat", exits=4)
    assert "not trusted" in str(told[0])
    bench.drop_here()
    bench.tools.git(bench.folder, "mv", "small.txt", "renamed.txt")
    told = bench.hold("get", "--from", "far")
    assert {record["status"] for record in told} == {"ok"}
    assert (bench.folder / "renamed.txt").read_bytes() == FILES["small.txt"]


def test_a_file_that_was_changed_in_an_exported_tree_is_not_taken(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench("directory")
    bench.annex("initremote", "far", *bench.words, "exporttree=yes")
    bench.annex("export", "main", "--to", "far")
    bench.drop_here()
    (bench.kept_in / "small.txt").unlink()
    (bench.kept_in / "small.txt").write_bytes(b"ONE LINE\n")
    told = bench.hold("get", "small.txt", "big.dat", exits=3)
    assert {str(r["path"]): r["status"] for r in told} == {
        "big.dat": "ok",
        "small.txt": "impossible",
    }
    assert not (bench.folder / "small.txt").exists()


def test_contents_are_not_sent_one_by_one_to_a_place_that_holds_a_tree(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench("directory")
    bench.annex("initremote", "far", *bench.words, "exporttree=yes")
    told = bench.hold("copy", "--to", "far", "small.txt", exits=4)
    assert "H337" in str(told)
    assert list(bench.kept_in.iterdir()) == []


def test_rsync_goes_by_ssh_where_its_address_says_so(
    make_bench: Callable[[str], Bench], ssh_command: str, tmp_path: Path
) -> None:
    bench = make_bench("rsync")
    far = tmp_path / "far away"
    words = ["type=rsync", f"rsyncurl={getpass.getuser()}@127.0.0.1:{far}", "encryption=none"]
    bench.environment["RSYNC_RSH"] = ssh_command
    bench.hold("siblings", "add", "far", *words)
    told = bench.hold("copy", "--to", "far")
    assert {record["status"] for record in told} == {"ok"}
    assert len([path for path in far.rglob("SHA256E-*") if path.is_file()]) == len(FILES)
    bench.drop_here()
    bench.hold("get", "--from", "far")
    assert bench.has_all()
