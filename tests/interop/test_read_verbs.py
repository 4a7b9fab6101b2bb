"""What the verbs that only look say, against git-annex and git on the same repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.api.datasets import Dataset, open_dataset
from holdfast.core.outcome import Outcome

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("git-annex") is None, reason="no git-annex on PATH"),
]

ODD = [b"a b", b"tab\there", b"new\nline", b"\xff\xfe.dat", b"%&c:", "öß🎉.nii.gz".encode(), b"-x"]


@pytest.fixture(autouse=True)
def nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        '[user]\n\tname = Test\n\temail = test@example.org\n[protocol "file"]\n\tallow = always\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def git(folder: Path, *words: str | bytes) -> bytes:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True).stdout


def annex(folder: Path, *words: str) -> list[dict[str, Any]]:
    done = subprocess.run(["git", "annex", *words], cwd=folder, check=False, capture_output=True)
    lines = done.stdout.decode("utf-8", "surrogateescape").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def make(folder: Path, *options: str) -> Path:
    folder.mkdir()
    git(folder, "init", "-q", *options)
    git(folder, "annex", "init", "-q", folder.name)
    return folder


def add(folder: Path, names: dict[str, str]) -> None:
    for name, text in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "annex", "add", "-q", ".")
    git(folder, "commit", "-qm", "add")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Locked, unlocked and plain files, odd names, one content twice, two versions."""
    folder = make(tmp_path / "source")
    (folder / ".gitattributes").write_text("*.txt annex.largefiles=nothing\n")
    for number, name in enumerate(ODD):
        (folder / os.fsdecode(name)).write_bytes(b"%d" % number)
    add(folder, {"sub/a.dat": "a", "sub/twin.dat": "a", "plain.txt": "text", "u.dat": "unlocked"})
    git(folder, "annex", "unlock", "-q", "u.dat")
    git(folder, "commit", "-qm", "unlock")
    return folder


@pytest.fixture
def opened(source: Path) -> Iterator[Dataset]:
    with open_dataset(source) as dataset:
        yield dataset


def states(dataset: Dataset, **options: Any) -> dict[str, tuple[object, object]]:
    return {o.path: (o.facts["state"], o.facts["type"]) for o in hf.iter_status(dataset, **options)}


def shape(name: object) -> str:
    return str(name).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def found(outcomes: Iterator[Outcome]) -> dict[str, str]:
    return {shape(o.path): o.key.text for o in outcomes if o.key is not None}


def found_by_annex(folder: Path, *words: str) -> dict[str, str]:
    return {shape(r["file"]): r["key"] for r in annex(folder, "find", "--json", *words)}


def told(outcome: Outcome) -> tuple[object, ...]:
    sides = [outcome.facts[side] for side in ("places", "untrusted")]
    return tuple(sorted((p["uuid"], p["here"], tuple(p["urls"])) for p in side) for side in sides)


def told_by_annex(record: dict[str, Any]) -> tuple[object, ...]:
    sides = [record["whereis"], record["untrusted"]]
    return tuple(sorted((p["uuid"], p["here"], tuple(p["urls"])) for p in side) for side in sides)


def assert_whereis_agrees(folder: Path, *words: str, **options: Any) -> None:
    with open_dataset(folder) as dataset:
        ours = {
            (shape(o.path), o.key and o.key.text): told(o)
            for o in hf.iter_whereis(dataset, **options)
        }
    theirs = {
        (shape(r.get("file") or ""), r["key"]): told_by_annex(r)
        for r in annex(folder, "whereis", "--json", *words)
    }
    assert ours == theirs


# status


def test_a_clean_data_set_has_nothing_to_tell(opened: Dataset) -> None:
    assert states(opened) == {}


def test_each_kind_of_change_is_told_by_its_word(source: Path, opened: Dataset) -> None:
    (source / "plain.txt").write_text("changed")
    (source / "sub/a.dat").unlink()
    (source / "new.dat").write_text("new")
    (source / "folder").mkdir()
    (source / "folder/one").write_text("1")
    (source / "staged.dat").write_text("staged")
    git(source, "annex", "add", "-q", "staged.dat")
    (source / "u.dat").write_text("UNLOCKED")
    assert states(opened, untracked="normal") == {
        "plain.txt": ("modified", "file"),
        "sub/a.dat": ("deleted", "symlink"),
        "new.dat": ("untracked", "file"),
        "folder": ("untracked", "directory"),
        "staged.dat": ("added", "file"),
        "u.dat": ("modified", "file"),
    }
    assert "folder/one" in states(opened)
    git(source, "rm", "-q", "--cached", "sub/twin.dat")
    assert states(opened)["sub/twin.dat"] == ("untracked", "file")
    assert "new.dat" not in states(opened, untracked="no")


def test_touched_files_are_clean_whether_plain_locked_or_unlocked(
    source: Path, opened: Dataset
) -> None:
    for name in ("plain.txt", "u.dat"):
        os.utime(source / name, (1_000_000_000, 1_000_000_000))
    os.utime(source / "sub/a.dat", (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    assert states(opened) == {}


def test_an_unlocked_file_that_became_executable_is_modified(source: Path, opened: Dataset) -> None:
    (source / "u.dat").chmod(0o755)
    assert states(opened) == {"u.dat": ("modified", "file")}


def test_with_annex_every_file_is_told_with_its_presence(source: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", str(source), "clone")
    git(tmp_path / "clone", "annex", "init", "-q", "clone")
    git(tmp_path / "clone", "annex", "get", "-q", "u.dat")
    with open_dataset(tmp_path / "clone") as dataset:
        records = {o.path: o for o in hf.iter_status(dataset, annex=True)}
    listed = git(tmp_path / "clone", "ls-files", "-z").split(b"\0")[:-1]
    assert set(map(os.fsencode, records)) == set(listed)
    assert records["u.dat"].facts["present"] is True
    assert records["sub/a.dat"].facts["present"] is False
    assert "present" not in records["plain.txt"].facts
    assert {o.facts["state"] for o in records.values()} == {"clean"}


def test_a_data_set_in_a_data_set_is_told_as_one(source: Path, opened: Dataset) -> None:
    add(make(source / "inner"), {"x.dat": "x"})
    assert states(opened) == {"inner": ("untracked", "dataset")}
    git(source, "submodule", "add", "-q", "./inner", "inner")
    git(source, "commit", "-qm", "inner")
    assert states(opened) == {}
    assert states(opened, clean=True)["inner"] == ("clean", "dataset")
    add(source / "inner", {"y.dat": "y"})
    assert states(opened) == {"inner": ("modified", "dataset")}


def test_status_reads_on_an_unborn_branch_and_a_detached_head(
    source: Path, opened: Dataset, tmp_path: Path
) -> None:
    git(source, "checkout", "-q", "--detach")
    (source / "plain.txt").write_text("changed")
    assert states(opened) == {"plain.txt": ("modified", "file")}
    unborn = make(tmp_path / "unborn")
    (unborn / "f").write_text("f")
    with open_dataset(unborn) as dataset:
        assert states(dataset) == {"f": ("untracked", "file")}
        assert list(hf.iter_log(dataset)) == []
        assert next(iter(hf.iter_info(dataset))).facts["versions"] == 0


def test_status_writes_nothing(source: Path, opened: Dataset) -> None:
    os.utime(source / "plain.txt", (1_000_000_000, 1_000_000_000))
    before = {p: p.stat().st_mtime_ns for p in (source / ".git").rglob("*") if p.is_file()}
    states(opened, annex=True)
    assert before == {p: p.stat().st_mtime_ns for p in (source / ".git").rglob("*") if p.is_file()}


# find and whereis


def test_find_agrees_with_git_annex_on_present_absent_locked_and_unlocked(source: Path) -> None:
    clone = source.parent / "clone"
    git(source.parent, "clone", "-q", str(source), "clone")
    git(clone, "annex", "init", "-q", "clone")
    git(clone, "annex", "get", "-q", "sub", "u.dat")
    with open_dataset(clone) as dataset:
        assert found(hf.iter_find(dataset)) == found_by_annex(clone)
        assert found(hf.iter_find(dataset, anything=True)) == found_by_annex(clone, "--anything")
        absent = found_by_annex(clone, "--not", "--in", "here")
        assert len(absent) > len(ODD) - 1
        assert found(hf.iter_find(dataset, absent=True)) == absent
        assert found(hf.iter_find(dataset, unlocked=True)) == found_by_annex(clone, "--unlocked")
        at_origin = found_by_annex(clone, "--in", "origin")
        assert found(hf.iter_find(dataset, place="origin")) == at_origin
        assert found(hf.iter_find(dataset, [b"sub"])) == found_by_annex(clone, "sub")
        larger = found_by_annex(clone, "--largerthan=2B")
        assert found(hf.iter_find(dataset, largerthan=2)) == larger


def test_a_file_taken_out_of_the_folder_is_not_listed(source: Path, opened: Dataset) -> None:
    (source / "sub/a.dat").unlink()
    assert found(hf.iter_find(opened)) == found_by_annex(source)
    assert_whereis_agrees(source)


def test_whereis_agrees_on_files_keys_urls_trust_and_the_dead(source: Path) -> None:
    for name in ("one", "two", "three"):
        git(source.parent, "clone", "-q", str(source), name)
        git(source.parent / name, "annex", "init", "-q", name)
        git(source.parent / name, "annex", "get", "-q", ".")
        git(source, "remote", "add", name, str(source.parent / name))
    git(source, "annex", "sync", "-q", "--no-push", "--no-content")
    git(source, "annex", "untrust", "-q", "two")
    git(source, "annex", "dead", "-q", "three")
    key = git(source, "annex", "lookupkey", "sub/a.dat").decode().strip()
    git(source, "annex", "registerurl", key, "http://example.org/a b")
    git(source, "rm", "-q", "sub/twin.dat", "a b")
    add(source, {"plain.bin": "only here"})
    assert_whereis_agrees(source)
    assert_whereis_agrees(source, "sub/a.dat", paths=[b"sub/a.dat"])
    assert_whereis_agrees(source, "--all", all_versions=True)
    gone = git(source, "annex", "lookupkey", "plain.bin").decode().strip()
    git(source, "annex", "drop", "-q", "--force", "plain.bin")
    git(source, "annex", "dead", "-q", "--key", gone)
    assert_whereis_agrees(source, "--all", all_versions=True)


def test_a_fresh_clone_and_a_bare_repository_tell_what_their_origin_knows(source: Path) -> None:
    git(source.parent, "clone", "-q", str(source), "fresh")
    with open_dataset(source.parent / "fresh") as dataset:
        places = {p["name"] for o in hf.iter_whereis(dataset) for p in o.facts["places"]}  # type: ignore[attr-defined]
    assert len(places) == 1
    git(source.parent, "clone", "-q", "--bare", str(source), "bare.git")
    git(source.parent / "bare.git", "annex", "init", "-q", "bare")
    assert_whereis_agrees(source.parent / "bare.git", "--all")
    with open_dataset(source.parent / "bare.git") as dataset:
        assert len(found(hf.iter_find(dataset, absent=True))) == len(found_by_annex(source))
        assert next(iter(hf.iter_info(dataset))).facts["bare"] is True
        assert list(hf.iter_unused(dataset)) == []
        with pytest.raises(hf.UsageError, match="bare repository"):
            list(hf.iter_status(dataset))


def test_a_repository_that_may_not_be_written_is_read_with_its_remotes_news(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(source.parent, "clone", "-q", str(source), "fresh")
    fresh = source.parent / "fresh"
    git(fresh, "annex", "init", "-q", "fresh")
    add(source, {"late.dat": "late"})
    git(fresh, "pull", "-q")
    before = git(fresh, "rev-parse", "git-annex")
    may = os.access
    monkeypatch.setattr(os, "access", lambda p, mode: mode != os.W_OK and may(p, mode))
    with open_dataset(fresh) as dataset:
        (late,) = hf.iter_whereis(dataset, [b"late.dat"])
        assert [p["description"] for p in late.facts["places"]] == ["source"]  # type: ignore[attr-defined]
        assert list(hf.iter_unused(dataset)) == []
    assert git(fresh, "rev-parse", "git-annex") == before


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_linked_work_trees_of_both_object_formats_are_read(
    tmp_path: Path, object_format: str
) -> None:
    main = make(tmp_path / "main", f"--object-format={object_format}")
    add(main, {"a.dat": "a", "b.dat": "b"})
    git(main, "worktree", "add", "-q", "../linked", "-b", "other")
    (tmp_path / "linked/a.dat").unlink()
    with open_dataset(tmp_path / "linked") as dataset:
        assert states(dataset) == {"a.dat": ("deleted", "symlink")}
        assert list(found(hf.iter_find(dataset))) == ["b.dat"]
        assert [len(o.facts["places"]) for o in hf.iter_whereis(dataset)] == [1]  # type: ignore[arg-type]
        assert list(hf.iter_unused(dataset)) == []
        assert len(list(hf.iter_log(dataset))) == 1


# info


def test_info_agrees_with_git_annex_on_counts_bytes_and_places(
    source: Path, opened: Dataset
) -> None:
    (record,) = annex(source, "info", "--json", "--bytes")
    facts = next(iter(hf.iter_info(opened))).facts
    assert facts["annexed_files"] == record["annexed files in working tree"]
    assert str(facts["annexed_bytes"]) == record["size of annexed files in working tree"]
    assert facts["local_keys"] == record["local annex keys"]
    assert str(facts["local_bytes"]) == record["local annex size"]
    assert facts["uuid"] in {p["uuid"] for p in record["semitrusted repositories"]}


def test_info_of_a_file_a_folder_and_a_place(source: Path, opened: Dataset) -> None:
    one, folder, place = hf.iter_info(opened, [b"u.dat", b"sub"], places=["source"])  # type: ignore[misc]
    one, folder, place = sorted(
        (one, folder, place), key=lambda o: (o.path != "u.dat", o.path == "")
    )
    assert (one.facts["present"], one.facts["locked"], one.size) == (True, False, 8)
    assert (folder.facts["annexed_files"], folder.facts["local_files"]) == (2, 2)
    assert (place.facts["files"], place.facts["here"]) == (len(ODD) + 3, True)
    with pytest.raises(hf.NotFoundError, match="no place is called nowhere"):
        list(hf.iter_info(opened, places=["nowhere"]))


# unused


def test_unused_agrees_with_git_annex_and_git_annex_takes_our_numbers(source: Path) -> None:
    add(source, {"gone.dat": "gone", "tagged.dat": "tagged", "branched.dat": "branched"})
    git(source, "tag", "-a", "-m", "t", "v1")
    git(source, "branch", "side")
    git(source, "rm", "-q", "sub/twin.dat", "sub/a.dat", "tagged.dat")
    add(source, {"soon.dat": "soon"})
    git(source, "rm", "-q", "soon.dat")
    git(source, "commit", "-qm", "rm")
    (source / ".git/annex/tmp").mkdir(exist_ok=True)
    (source / ".git/annex/bad").mkdir(exist_ok=True)
    (source / ".git/annex/bad/SHA256E-s99--aaaa").write_text("x")
    (source / ".git/annex/tmp/SHA256E-s98--bbbb").write_text("y")
    with open_dataset(source) as dataset:
        ours = {
            (o.facts["kind"], o.facts["number"], o.key and o.key.text)
            for o in hf.iter_unused(dataset)
        }
    known = (source / ".git/annex/unused").read_text().split()[1]
    (record,) = annex(source, "unused", "--json")
    theirs = {
        (kind, int(number), key)
        for kind in ("unused", "bad", "tmp")
        for number, key in record[f"{kind}-list"].items()
    }
    assert ours == theirs
    assert len(ours) == 3
    with open_dataset(source) as dataset:
        list(hf.iter_unused(dataset))
    git(source, "annex", "dropunused", "--force", "1")
    assert not list((source / ".git/annex/objects").rglob(known))


# log and diff


def test_log_tells_versions_newest_first_and_run_records(source: Path, opened: Dataset) -> None:
    record = json.dumps({"cmd": "true", "exit": 0})
    git(source, "commit", "--allow-empty", "-qm",
        "[DATALAD RUNCMD] do it\n\n=== Do not change lines below ===\n"
        f"{record}\n^^^ Do not change lines above ^^^")  # fmt: skip
    versions = list(hf.iter_log(opened))
    commits = git(source, "log", "--format=%H").decode().split()
    assert [o.facts["version"] for o in versions] == commits
    assert versions[0].facts["message"] == "do it"
    assert versions[0].facts["run"] == {"title": "do it", "cmd": "true", "exit": 0}
    assert versions[0].facts["author"] == "Test <test@example.org>"
    assert len(list(hf.iter_log(opened, [b"u.dat"]))) == 2
    assert len(list(hf.iter_log(opened, count=1))) == 1
    with pytest.raises(hf.NotFoundError, match="nothing is not a version"):
        list(hf.iter_log(opened, start="nothing"))


def test_diff_tells_changes_by_path_and_key(source: Path, opened: Dataset) -> None:
    git(source, "tag", "v1")
    git(source, "mv", "sub/a.dat", "moved.dat")
    git(source, "rm", "-q", "a b")
    (source / "plain.txt").write_text("longer text")
    add(source, {"new.dat": "new"})
    changes = {o.path: o for o in hf.iter_diff(opened, "v1", "HEAD")}
    assert {path: o.facts["state"] for path, o in changes.items()} == {
        "moved.dat": "renamed", "a b": "deleted", "plain.txt": "modified", "new.dat": "added",
    }  # fmt: skip
    assert changes["moved.dat"].facts["old_path"] == "sub/a.dat"
    assert (changes["plain.txt"].facts["old_size"], changes["plain.txt"].size) == (4, 11)
    assert changes["new.dat"].size == 3


def test_diff_to_the_folder_sees_real_changes_of_unlocked_files_only(
    source: Path, opened: Dataset
) -> None:
    os.utime(source / "u.dat", (1_000_000_000, 1_000_000_000))
    assert list(hf.iter_diff(opened)) == []
    (source / "u.dat").write_text("something else")
    (change,) = hf.iter_diff(opened)
    assert (change.path, change.facts["state"], change.size) == ("u.dat", "modified", 14)
    assert change.facts["old_size"] == 8


# config


def test_numbers_of_copies_are_shared_with_git_annex(source: Path, opened: Dataset) -> None:
    list(hf.iter_config(opened, ["annex.numcopies=3", "annex.mincopies=2"], shared=True))
    assert git(source, "annex", "numcopies").strip() == b"3"
    assert git(source, "annex", "mincopies").strip() == b"2"
    git(source, "annex", "numcopies", "4")
    opened.forget()
    (shown,) = hf.iter_config(opened, ["annex.numcopies"])
    assert (shown.facts["value"], shown.facts["source"]) == ("4", "ledger")
    with pytest.raises(hf.UsageError, match="number of copies"):
        list(hf.iter_config(opened, ["annex.mincopies=0"], shared=True))


def test_settings_go_where_git_annex_and_datalad_look(source: Path, opened: Dataset) -> None:
    list(hf.iter_config(opened, ["annex.largefiles=include=*.x or include=*.y"], shared=True))
    assert (
        git(source, "annex", "config", "--get", "annex.largefiles").strip()
        == b"include=*.x or include=*.y"
    )
    list(hf.iter_config(opened, ["datalad.thing.Name=v"], shared=True))
    assert git(source, "config", "-f", ".datalad/config", "datalad.thing.name").strip() == b"v"
    list(hf.iter_config(opened, ["annex.backend=MD5E"]))
    assert git(source, "config", "--local", "annex.backend").strip() == b"MD5E"
    list(hf.iter_config(opened, ["annex.backend="]))
    (gone,) = hf.iter_config(opened, ["annex.backend"])
    assert not gone.good
