"""Exports of a version's tree, ours and git-annex's in turn: folders, WebDAV, rsync, rclone, S3."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Tools

from holdfast.testing.rclone_server import PASSWORD, USER, WebDavServer, find_rclone
from holdfast.wire.metadata import place_values

pytestmark = pytest.mark.interop

FILES = {
    "a.bin": b"one\n",
    "b.bin": b"two\n",
    "empty": b"",
    "sub/same.bin": b"one\n",
    "sub/ü & deep/c [1].bin": bytes(range(256)) * 500,
}
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
    "WEBDAV_USERNAME": USER, "WEBDAV_PASSWORD": PASSWORD,
}  # fmt: skip


@dataclass
class Bench:
    """A data set, and what is seen of the place ``x`` it is exported to."""

    tools: Tools
    folder: Path
    words: list[str]
    there: Path

    def annex(self, *words: str, exits: int = 0) -> str:
        return self.tools.annex(self.folder, *words, exits=exits, **SECRETS).all_text

    def hold(self, *words: str, exits: int = 0) -> list[dict[str, object]]:
        done = self.tools.hold(self.folder, *words, "--json", exits=exits, **SECRETS)
        return done.records()

    def export(self, exits: int = 0) -> dict[str, str]:
        """Notes, by file, of what was done."""
        told = self.hold("export-tree", "x", exits=exits)
        return {str(r.get("path", "")): str(r.get("note", r["status"])) for r in told}

    def git(self, *words: str) -> str:
        return self.tools.git(self.folder, *words).text.strip()

    def save(self, files: dict[str, bytes]) -> None:
        self.tools.write(self.folder, files)
        self.tools.save("annex", self.folder)

    def files(self) -> dict[str, bytes]:
        found = (p for p in self.there.rglob("*") if p.is_file())
        return {str(p.relative_to(self.there)): p.read_bytes() for p in found}

    def exported_files(self) -> list[str]:
        tree = self.export_log()[0]
        listing = self.git("ls-tree", "-r", "--name-only", "-z", tree)
        return [name for name in listing.split("\0") if name]

    def export_log(self) -> list[str]:
        return self.git("show", "git-annex:export.log").split()[2:]


@pytest.fixture(scope="module")
def dav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDavServer]:
    if find_rclone() is None:
        pytest.skip("rclone, which serves WebDAV here, is neither beside python nor on PATH")
    with WebDavServer(tmp_path_factory.mktemp("dav")) as server:
        yield server


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the data set is that each test has a copy of; made by the first."""
    return tmp_path_factory.mktemp("template") / "set"


def make_set(tools: Tools, template: Path, folder: Path) -> None:
    if not template.exists():
        tools.create("annex", template)
        tools.write(template, FILES)
        tools.save("annex", template)
        (template / "notes.txt").write_bytes(b"in git\n")
        (template / "link").symlink_to("notes.txt")
        tools.git(template, "-c", "annex.largefiles=nothing", "add", "notes.txt", "link")
        tools.git(template, "commit", "-qm", "notes")
    shutil.copytree(template, folder, symlinks=True)


@pytest.fixture
def make_bench(
    tools: Tools,
    tmp_path: Path,
    template: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Bench]:
    def make(kind: str) -> Bench:
        folder = tmp_path / "set"
        make_set(tools, template, folder)
        there = tmp_path / "there"
        if kind == "webdav":
            server: WebDavServer = request.getfixturevalue("dav")
            there = server.folder / tmp_path.name
            words = ["type=webdav", f"url={server.url}/{tmp_path.name}"]
        elif kind == "rsync":
            there.mkdir()
            words = ["type=rsync", f"rsyncurl={there}"]
        elif kind == "rclone":
            if find_rclone() is None:
                pytest.skip("rclone is neither beside python nor on PATH")
            there.mkdir()
            settings = tmp_path / "rclone.conf"
            settings.write_text(f"[drive]\ntype = alias\nremote = {tmp_path}\n")
            monkeypatch.setitem(tools.environment, "RCLONE_CONFIG", str(settings))
            # git-annex exports to nothing that rclone reaches but by our program.
            words = ["type=external", "externaltype=holdfast", "store=rclone"]
            words += ["rcloneremotename=drive", "rcloneprefix=there"]
        else:
            there.mkdir()
            words = ["type=directory", f"directory={there}"]
        words += ["exporttree=yes", "encryption=none"]
        return Bench(tools, folder, words, there)

    return make


ALL = {**FILES, "notes.txt": b"in git\n"}


@pytest.mark.parametrize("kind", ["directory", "webdav", "rsync", "rclone"])
def test_an_export_of_ours_is_got_and_checked_by_git_annex(
    make_bench: Callable[[str], Bench], kind: str
) -> None:
    bench = make_bench(kind)
    bench.hold("siblings", "add", "x", *bench.words)
    assert set(bench.export()) == set(ALL)
    assert bench.files() == ALL
    assert bench.git("rev-parse", "refs/remotes/x/main") == bench.git("rev-parse", "main")
    assert set(bench.exported_files()) == set(ALL)
    assert {p.name for p in bench.there.rglob("*") if p.is_dir()} == {"sub", "ü & deep"}
    assert bench.git("log", "--format=%s", "git-annex").count("graft cleanup") == 1
    assert "failed" not in bench.annex("fsck", "--from", "x")
    bench.annex("drop", "--force", ".")
    bench.annex("get", "--from", "x", ".")
    assert {name: (bench.folder / name).read_bytes() for name in FILES} == FILES
    assert bench.hold("export-tree", "x")[0]["status"] == "notneeded"


@pytest.mark.parametrize(
    ("kind", "first"),
    [("directory", "annex"), ("webdav", "hold"), ("rsync", "annex"), ("rclone", "annex")],
)
def test_the_next_version_is_exported_by_what_differs_whoever_exported_the_last(
    make_bench: Callable[[str], Bench], kind: str, first: str
) -> None:
    bench = make_bench(kind)
    if first == "annex":
        bench.annex("initremote", "x", *bench.words)
        bench.annex("export", "main", "--to", "x")
    else:
        bench.hold("siblings", "add", "x", *bench.words)
        bench.export()
    before = bench.git("rev-list", "git-annex", "--count")
    bench.git("mv", "a.bin", "z.bin")
    bench.git("rm", "-q", "sub/ü & deep/c [1].bin", "b.bin")
    bench.save({"b.bin": b"other\n", "new/d.bin": b"four\n"})
    moved = {"z.bin": "renamed from a.bin"}
    if kind == "rsync":
        moved = {"z.bin": "ok", "a.bin": "removed from x"}
    assert bench.export() == {
        **moved,
        "b.bin": "ok",
        "new/d.bin": "ok",
        "sub/ü & deep/c [1].bin": "removed from x",
    }
    kept = {"empty": b"", "sub/same.bin": b"one\n", "notes.txt": b"in git\n"}
    new = {"z.bin": b"one\n", "b.bin": b"other\n", "new/d.bin": b"four\n"}
    assert bench.files() == {**kept, **new}
    assert not (bench.there / "sub/ü & deep").exists()
    assert int(bench.git("rev-list", "git-annex", "--count")) > int(before)
    assert "failed" not in bench.annex("fsck", "--from", "x")
    bench.annex("export", "main", "--to", "x")
    assert bench.files() == {**kept, **new}
    assert len(bench.export_log()) == 1


@pytest.mark.parametrize("kind", ["directory", "rsync", "rclone"])
def test_files_take_the_places_of_each_other_and_of_folders(
    make_bench: Callable[[str], Bench], kind: str
) -> None:
    bench = make_bench(kind)
    bench.hold("siblings", "add", "x", *bench.words)
    bench.export()
    bench.git("rm", "-rq", "sub")
    for old, new in (("a.bin", "c"), ("b.bin", "a.bin"), ("c", "b.bin"), ("empty", "empty2")):
        bench.git("mv", old, new)
    bench.save({"sub": b"a file now\n", "empty/in": b"one\n"})
    bench.export()
    assert bench.files() == {
        "a.bin": b"two\n", "b.bin": b"one\n", "sub": b"a file now\n", "empty/in": b"one\n",
        "empty2": b"", "notes.txt": b"in git\n",
    }  # fmt: skip
    assert "failed" not in bench.annex("fsck", "--from", "x")
    assert not [path for path in bench.there.iterdir() if path.name.startswith(".")]


def test_missing_content_is_told_and_exported_when_it_is_here_again(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench("directory")
    bench.hold("siblings", "add", "x", *bench.words)
    kept = bench.folder.parent / "kept"
    bench.tools.git(bench.folder.parent, "clone", "-q", bench.folder, kept)
    bench.git("remote", "add", "kept", str(kept))
    bench.tools.annex(kept, "init", "-q", "kept")
    bench.annex("copy", "-q", "--to", "kept", ".")
    bench.annex("drop", "--force", "b.bin")
    told = bench.hold("export-tree", "x", exits=3)
    assert [r["path"] for r in told if r["status"] == "error"] == ["b.bin"]
    assert "H383" in str(told)
    assert bench.files() == {name: data for name, data in ALL.items() if name != "b.bin"}
    assert "refs/remotes/x" not in bench.git("for-each-ref")
    bench.hold("get", "b.bin")
    assert list(bench.export()) == ["b.bin"]
    assert bench.files() == ALL
    assert bench.git("rev-parse", "refs/remotes/x/main") == bench.git("rev-parse", "main")


def test_git_annex_brings_what_was_missing_in_an_export_of_ours(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench("directory")
    bench.hold("siblings", "add", "x", *bench.words)
    (content,) = [p for p in bench.folder.glob("b.bin") if p.is_symlink()]
    data, path = content.read_bytes(), content.resolve()
    path.parent.chmod(0o755)
    path.unlink()
    bench.hold("export-tree", "x", exits=3)
    path.write_bytes(data)
    bench.annex("export", "main", "--to", "x")
    assert bench.files() == ALL
    assert bench.hold("export-tree", "x")[0]["status"] == "notneeded"


def test_what_git_annex_left_out_is_brought_by_us(make_bench: Callable[[str], Bench]) -> None:
    bench = make_bench("directory")
    bench.annex("initremote", "x", *bench.words)
    path = (bench.folder / "b.bin").resolve()
    data = path.read_bytes()
    path.parent.chmod(0o755)
    path.unlink()
    bench.annex("export", "main", "--to", "x", exits=1)
    path.write_bytes(data)
    assert list(bench.export()) == ["b.bin"]
    assert bench.files() == ALL


def test_what_may_be_the_last_copy_is_not_removed(make_bench: Callable[[str], Bench]) -> None:
    bench = make_bench("directory")
    bench.hold("siblings", "add", "x", *bench.words)
    bench.export()
    bench.annex("drop", "--force", "b.bin")
    bench.git("rm", "-q", "b.bin")
    bench.git("commit", "-qm", "gone")
    for _ in range(2):
        told = bench.hold("export-tree", "x", exits=4)
        assert "H382" in str(told)
        assert bench.files() == ALL
    bench.git("checkout", "-q", "HEAD~1", "--", "b.bin")
    bench.hold("get", "--from", "x", "b.bin")
    bench.git("reset", "-q", "--hard")
    assert bench.export()["b.bin"] == "removed from x"
    assert "b.bin" not in bench.files()


def test_what_a_stopped_git_annex_had_set_aside_gets_its_new_name(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench("directory")
    bench.hold("siblings", "add", "x", *bench.words)
    bench.export()
    key = bench.annex("lookupkey", "b.bin").strip()
    bench.annex("drop", "--force", "b.bin")
    bench.git("mv", "b.bin", "z.bin")
    bench.git("rm", "-q", "empty")
    bench.git("commit", "-qm", "moved")
    add_line_of_another_clone(bench, "8c0a2b1e-0000-4000-8000-00000000000f", empty_tree_of(bench))
    (bench.there / "b.bin").rename(bench.there / f".git-annex-tmp-content-{key}")
    told = bench.export()
    assert told["z.bin"].startswith("renamed from .git-annex-tmp")
    assert bench.files()["z.bin"] == b"two\n"
    assert set(bench.files()) == {*ALL, "z.bin"} - {"b.bin", "empty"}


def empty_tree_of(bench: Bench) -> str:
    return bench.git("hash-object", "-t", "tree", "/dev/null")


def test_a_link_in_an_exported_folder_leads_nobody_out_of_it(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench("directory")
    bench.hold("siblings", "add", "x", *bench.words)
    bench.export()
    outside = bench.there.parent / "outside"
    (bench.there / "sub").rename(outside)
    (bench.there / "sub").symlink_to(outside)
    before = sorted(outside.rglob("*"))
    bench.git("mv", "sub/same.bin", "same.bin")
    bench.save({"sub/new.bin": b"new\n"})
    assert "H384" in str(bench.hold("export-tree", "x", exits=4))
    assert sorted(outside.rglob("*")) == before


def test_rsync_follows_no_link_in_an_exported_folder(make_bench: Callable[[str], Bench]) -> None:
    bench = make_bench("rsync")
    bench.hold("siblings", "add", "x", *bench.words)
    bench.export()
    outside = bench.there.parent / "outside"
    (bench.there / "sub").rename(outside)
    (bench.there / "sub").symlink_to(outside)
    before = sorted(outside.rglob("*"))
    bench.git("mv", "sub/same.bin", "same.bin")
    bench.save({"sub/new.bin": b"new\n"})
    bench.export()
    assert sorted(outside.rglob("*")) == before
    assert (bench.there / "sub/new.bin").read_bytes() == b"new\n"
    assert not (bench.there / "sub").is_symlink()


@pytest.mark.parametrize("kind", ["rsync", "rclone"])
def test_a_file_of_the_same_size_and_time_is_replaced(
    make_bench: Callable[[str], Bench], kind: str
) -> None:
    bench = make_bench(kind)
    bench.hold("siblings", "add", "x", *bench.words)
    for data in (b"old\n", b"new\n"):
        (bench.folder / "c.bin").unlink(missing_ok=True)
        bench.save({"c.bin": data})
        path = (bench.folder / "c.bin").resolve()
        path.chmod(0o644)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o444)
        bench.export()
        os.utime(bench.there / "c.bin", (1_000_000_000, 1_000_000_000))
        assert bench.files()["c.bin"] == data


def test_damaged_content_is_not_exported_and_git_annex_ends_what_we_began(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench("directory")
    bench.hold("siblings", "add", "x", *bench.words)
    path = (bench.folder / "b.bin").resolve()
    path.chmod(0o644)
    path.write_bytes(b"tow\n")
    told = bench.hold("export-tree", "x", exits=1)
    assert [r["path"] for r in told if r["status"] != "ok"] == ["b.bin"]
    assert "b.bin" not in bench.files()
    assert len(bench.export_log()) == 2
    path.write_bytes(b"two\n")
    bench.annex("export", "main", "--to", "x")
    assert len(bench.export_log()) == 1
    assert bench.files() == ALL
    assert bench.hold("export-tree", "x")[0]["status"] == "notneeded"


def test_trees_that_two_clones_exported_unknown_to_each_other_are_cleared_up(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench("directory")
    bench.hold("siblings", "add", "x", *bench.words)
    bench.export()
    other = "8c0a2b1e-0000-4000-8000-00000000000f"
    bench.git("branch", "-q", "theirs")
    bench.git("rm", "-q", "b.bin")
    bench.save({"theirs.bin": b"of them\n"})
    theirs = bench.git("rev-parse", "HEAD^{tree}")
    bench.git("reset", "-q", "--hard", "theirs")
    (bench.there / "theirs.bin").write_bytes(b"of them\n")
    add_line_of_another_clone(bench, other, theirs)
    told = bench.hold("export-tree", "x")
    assert "several clones" in str(told[0])
    assert bench.files() == ALL
    assert "several" not in str(bench.hold("export-tree", "x"))
    text = bench.annex("export", "main", "--to", "x")
    assert "conflict.." not in text


def add_line_of_another_clone(bench: Bench, other: str, tree: str) -> None:
    from holdfast.api.datasets import open_dataset
    from holdfast.core.place import PlaceId
    from holdfast.dataset.ledger_write import now, record
    from holdfast.wire.exports import Exported, finish_export

    with open_dataset(bench.folder) as dataset:
        place = PlaceId(bench.git("config", "remote.x.annex-uuid"))
        record(dataset.repository, [(b"export.log", lambda old: finish_export(
            old, PlaceId(other), place, tree.encode(), Exported(), now()))])  # fmt: skip


def test_what_a_place_does_not_want_is_not_exported_as_git_annex_has_it(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench("directory")
    bench.hold("siblings", "add", "x", *bench.words)
    bench.annex("wanted", "x", "exclude=sub/* and not smallerthan=1b")
    bench.export()
    ours, seen = bench.exported_files(), bench.files()
    assert set(ours) == set(seen) < set(ALL)
    bench.annex("export", "main", "--to", "x")
    assert (bench.exported_files(), bench.files()) == (ours, seen)


def test_a_place_that_holds_keys_takes_no_tree(make_bench: Callable[[str], Bench]) -> None:
    bench = make_bench("directory")
    words = [word for word in bench.words if word != "exporttree=yes"]
    bench.hold("siblings", "add", "x", *words)
    assert "H381" in str(bench.tools.hold(bench.folder, "export-tree", "x", exits=4).all_text)
    assert list(bench.there.iterdir()) == []


def test_an_export_to_a_bucket_is_got_and_checked_by_git_annex_and_gone_on_with(
    make_bench: Callable[[str], Bench], s3_port: int
) -> None:
    bench = make_bench("directory")
    words = [
        "type=S3", "host=127.0.0.1", f"port={s3_port}", "protocol=http", "requeststyle=path",
        "bucket=exported", "fileprefix=top/", "exporttree=yes", "encryption=none",
    ]  # fmt: skip
    bench.git("config", "annex.security.allowed-ip-addresses", "127.0.0.1")
    bench.hold("siblings", "add", "x", *words)
    assert set(bench.export()) == set(ALL)
    assert "failed" not in bench.annex("fsck", "--from", "x")
    bench.git("mv", "a.bin", "z.bin")
    bench.git("rm", "-q", "b.bin")
    bench.git("commit", "-qm", "moved")
    assert bench.export() == {
        "z.bin": "ok", "a.bin": "removed from x", "b.bin": "removed from x"
    }  # fmt: skip
    bench.annex("export", "main", "--to", "x")
    bench.annex("drop", "--force", ".")
    bench.annex("get", "--from", "x", ".")
    assert (bench.folder / "z.bin").read_bytes() == b"one\n"


def test_a_bucket_that_keeps_versions_is_exported_to_in_turn_and_no_version_is_lost(
    make_bench: Callable[[str], Bench], s3_port: int
) -> None:
    bench = make_bench("directory")
    words = [
        "type=S3", "host=127.0.0.1", f"port={s3_port}", "protocol=http", "requeststyle=path",
        "bucket=versions", "fileprefix=top/", "exporttree=yes", "versioning=yes",
        "encryption=none",
    ]  # fmt: skip
    bench.git("config", "annex.security.allowed-ip-addresses", "127.0.0.1")
    bench.hold("siblings", "add", "x", *words)
    assert set(bench.export()) == set(ALL)
    recorded = versions_recorded(bench)
    assert len(recorded) == len(ALL)
    assert sum(name.startswith("GIT--") for name in recorded.values()) == 1

    bench.git("rm", "-q", "b.bin")
    bench.save({"new.bin": b"three\n"})
    assert bench.export() == {"b.bin": "removed from x", "new.bin": "ok"}
    assert len(versions_recorded(bench)) == len(ALL) + 1
    bench.annex("export", "main", "--to", "x")
    assert len(versions_recorded(bench)) == len(ALL) + 1, "git-annex finds nothing to do"

    bench.annex("drop", "--force", ".")
    bench.annex("get", "--from", "x", ".")
    assert (bench.folder / "new.bin").read_bytes() == b"three\n"
    assert "failed" not in bench.annex("fsck", "--from", "x")
    for get in (["annex", "get", "b.bin"], ["hold", "get", "b.bin"]):
        bench.git("checkout", "-q", "HEAD~1")
        getattr(bench, get[0])(*get[1:])
        assert (bench.folder / "b.bin").read_bytes() == b"two\n", "though no path leads to it"
        bench.annex("drop", "--force", "b.bin")
        bench.git("checkout", "-q", "main")


def test_versions_that_git_annex_recorded_are_gone_on_with(
    make_bench: Callable[[str], Bench], s3_port: int
) -> None:
    bench = make_bench("directory")
    words = [
        "type=S3", "host=127.0.0.1", f"port={s3_port}", "protocol=http", "requeststyle=path",
        "bucket=theirs", "exporttree=yes", "versioning=yes", "encryption=none",
    ]  # fmt: skip
    bench.git("config", "annex.security.allowed-ip-addresses", "127.0.0.1")
    bench.annex("initremote", "x", *words)
    bench.annex("export", "main", "--to", "x")
    before = versions_recorded(bench)
    assert bench.export() == {"": "x holds this tree"}
    bench.git("mv", "a.bin", "z.bin")
    bench.git("commit", "-qm", "moved")
    assert bench.export() == {"z.bin": "ok", "a.bin": "removed from x"}
    assert set(before) < set(versions_recorded(bench))
    bench.annex("drop", "--force", ".")
    bench.hold("get", ".")
    assert (bench.folder / "z.bin").read_bytes() == b"one\n"


def versions_recorded(bench: Bench) -> dict[bytes, str]:
    """Each version that the ledger tells of, and the key it is of."""
    listed = bench.git("ls-tree", "-r", "--name-only", "git-annex").splitlines()
    names = [name for name in listed if name.endswith(".log.rmet")]
    return {
        value: name.rpartition("/")[2]
        for name in names
        for values in place_values(bench.git("show", f"git-annex:{name}").encode(), "V").values()
        for value in values
    }
