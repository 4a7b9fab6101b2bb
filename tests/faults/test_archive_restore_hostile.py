"""Pieces that somebody made on purpose: nothing is written outside of the target, nothing hangs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from depth import times
from piece_forger import Forger
from scenes import HOLD, environment, must, run

from holdfast.archive import plain_tree
from holdfast.archive.chosen_paths import ChosenPaths
from holdfast.archive.finding import find
from holdfast.archive.pieces import FilePiece
from holdfast.archive.plain_tree import tree_of
from holdfast.core.errors import IntegrityError
from holdfast.wire.archive_manifest import BundleRef, Manifest
from holdfast.wire.archive_rows import Row, RowKind
from holdfast.wire.cid import RAW, Cid, make_cid, raw_cid
from holdfast.wire.file_layout import Block
from holdfast.wire.multihash import IDENTITY, Multihash


def _restore(tmp_path: Path, *words: str) -> tuple[int, str]:
    inner = tmp_path / "in"
    inner.mkdir(exist_ok=True)
    done = run(
        inner, HOLD, "archive", "restore", "../piece", "--to", "out", "--json", *words, timeout_s=60
    )
    assert "Traceback" not in done.err, done.text
    assert set(os.listdir(inner)) <= {"out"}, os.listdir(inner)
    assert set(os.listdir(tmp_path)) <= {"in", "piece", "repo", "evil.bundle"}, os.listdir(tmp_path)
    return done.code, done.text


def _tree_of(forger: Forger, files: Cid) -> Cid:
    return forger.folder([(b"files", files)])


@pytest.mark.parametrize(
    "name", [b"..", b".", b"a/b", b"../evil", b"/evil", b"a\0b", b"", b"x" * 1100, b"\xff"]
)
def test_names_that_lead_out_are_refused_with_all_of_their_folder(
    tmp_path: Path, name: bytes
) -> None:
    forger = Forger()
    evil = forger.file(b"files/sub/" + (name or b"x"), b"evil")
    bad = forger.folder([(name, evil)])
    good = forger.file(b"files/z", b"good")
    forger.write(tmp_path / "piece", _tree_of(forger, forger.folder([(b"sub", bad), (b"z", good)])))
    code, text = _restore(tmp_path)
    assert code == 1, text
    found = [path for path in (tmp_path / "in/out").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in found] == [b"good"], text


def test_a_folder_below_its_own_symlink_cannot_be(tmp_path: Path) -> None:
    forger = Forger()
    link = forger.link(b"files/a", b"../..")
    evil = forger.file(b"files/a/evil", b"evil")
    below = forger.folder([(b"evil", evil)])
    forger.write(tmp_path / "piece", _tree_of(forger, forger.folder([(b"a", link), (b"a", below)])))
    code, text = _restore(tmp_path)
    assert code == 1, text
    assert not list(tmp_path.rglob("evil"))


def test_a_symlink_in_the_way_is_not_followed(tmp_path: Path) -> None:
    forger = Forger()
    inner = forger.file(b"files/sub/evil", b"evil")
    sub = forger.folder([(b"evil", inner)])
    forger.write(tmp_path / "piece", _tree_of(forger, forger.folder([(b"sub", sub)])))
    (tmp_path / "in/out").mkdir(parents=True)
    (tmp_path / "in/out/sub").symlink_to("../..")
    code, text = _restore(tmp_path)
    assert code == 4 and "H927" in text, text
    assert not list(tmp_path.rglob("evil"))


def test_what_is_there_is_never_replaced(tmp_path: Path) -> None:
    forger = Forger()
    cids = [(b"a", forger.file(b"files/a", b"new")), (b"b", forger.link(b"files/b", b"new"))]
    forger.write(tmp_path / "piece", _tree_of(forger, forger.folder(cids)))
    (tmp_path / "in/out").mkdir(parents=True)
    (tmp_path / "in/out/a").write_bytes(b"old")
    (tmp_path / "in/out/b").symlink_to("old")
    code, text = _restore(tmp_path)
    assert code == 4 and text.count("H927") >= 1, text
    assert (tmp_path / "in/out/a").read_bytes() == b"old"
    assert os.readlink(tmp_path / "in/out/b") == "old"


def test_modes_give_no_rights_of_others(tmp_path: Path) -> None:
    forger = Forger()
    cid = forger.file(b"files/a", b"program", mode=0o107777)
    forger.write(tmp_path / "piece", _tree_of(forger, forger.folder([(b"a", cid)])))
    code, text = _restore(tmp_path)
    assert code == 0, text
    assert (tmp_path / "in/out/a").stat().st_mode & 0o7000 == 0


@pytest.mark.parametrize(
    ("offset", "length", "size"),
    [
        (1 << 63, 10, 4), ((1 << 64) - 5, 4, 4), (59, 1 << 62, 4), (0, 59, 4), (60, 40, 4),
        (59, 40, 1 << 62), (59, 40, 5),
    ],
)  # fmt: skip
def test_rows_that_lie_are_found_out(tmp_path: Path, offset: int, length: int, size: int) -> None:
    forger = Forger()
    cid = raw_cid(b"good")
    forger.put(Block(cid, b"good"))
    row = Row(b"files/a", RowKind.PLAIN, 0o100644, size, cid, None, offset, length)
    forger.rows.append(row)
    forger.write(tmp_path / "piece", _tree_of(forger, forger.folder([(b"a", cid)])))
    code, text = _restore(tmp_path)
    if (tmp_path / "in/out/a").exists():
        assert (tmp_path / "in/out/a").read_bytes() == b"good"
    else:
        assert code in (1, 3), text


def _assert_not_taken(tmp_path: Path, forger: Forger, wanted: Cid) -> None:
    """What stands in the place of the file `a` is told as damage, and is not restored."""
    forger.write(tmp_path / "piece", _tree_of(forger, forger.folder([(b"a", wanted)])))
    code, text = _restore(tmp_path)
    assert code == 1 and "damaged at byte" in text, text
    assert not (tmp_path / "in/out/a").exists()


def test_another_block_than_the_tree_names_is_not_taken(tmp_path: Path) -> None:
    forger = Forger()
    wanted = raw_cid(b"good")
    at, length = forger.put(Block(raw_cid(b"evil"), b"evil"))
    forger.rows.append(Row(b"files/a", RowKind.PLAIN, 0o100644, 4, wanted, None, at, length))
    _assert_not_taken(tmp_path, forger, wanted)


def test_a_leaf_whose_cid_is_its_content_is_no_leaf(tmp_path: Path) -> None:
    forger = Forger()
    wanted = raw_cid(b"these are the bytes of this file")
    evil = wanted[4:]
    identity = make_cid(RAW, Multihash(IDENTITY, evil))
    assert len(identity) == len(wanted) and identity[4:] == wanted[4:]
    at, length = forger.put(Block(identity, evil))
    row = Row(b"files/a", RowKind.PLAIN, 0o100644, len(evil), wanted, None, at, length)
    forger.rows.append(row)
    _assert_not_taken(tmp_path, forger, wanted)


def test_a_symlink_to_what_no_path_can_be_fails_alone(tmp_path: Path) -> None:
    forger = Forger()
    cids = [(b"a", forger.link(b"files/a", b"b\0c")), (b"b", forger.file(b"files/b", b"good"))]
    forger.write(tmp_path / "piece", _tree_of(forger, forger.folder(cids)))
    code, text = _restore(tmp_path)
    assert code == 4 and "H927" in text, text
    assert os.listdir(tmp_path / "in/out") == ["b"], text


def test_a_symlink_comes_from_the_copy_that_is_whole(tmp_path: Path) -> None:
    forger, folder = Forger(), tmp_path / "piece"
    link = forger.link(b"files/a", b"where it leads to")
    folder.mkdir()
    forger.write(folder / "1", _tree_of(forger, forger.folder([(b"a", link)])))
    whole = (folder / "1").read_bytes()
    (folder / "2").write_bytes(whole)
    (folder / "1").write_bytes(whole.replace(b"where it leads", b"where it leapt"))
    code, text = _restore(tmp_path)
    assert code == 0, text
    assert os.readlink(tmp_path / "in/out/a") == "where it leads to"


def test_a_few_blocks_that_name_very_many_files_end_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_tree, "_ENTRIES", times(10_000, plain_tree._ENTRIES))
    forger = Forger()
    cid = forger.folder([])
    for _ in range(16):
        cid = forger.folder([(b"%03d" % number, cid) for number in range(10)])
    path = tmp_path / "piece"
    forger.write(path, _tree_of(forger, cid))
    finding = find([(FilePiece(os.fsencode(path)), True)], os.fsencode(tmp_path))
    tree = tree_of(finding, finding.snapshots[0])
    assert tree is not None
    with pytest.raises(IntegrityError, match="the tree"):
        for count, _ in enumerate(tree.walk(ChosenPaths(()))):
            assert count < 1_000_000


# git

_EVIL_TREES = {
    "dot-dot": [("100644", "..")],
    "slash": [("100644", "../evil")],
    "hooks": [("40000", ".git", "hooks", "post-checkout")],
    "case": [("40000", ".GIT", "hooks", "post-checkout")],
}


def _object(repo: Path, kind: str, data: bytes) -> str:
    done = subprocess.run(
        ["git", "hash-object", "-t", kind, "-w", "--stdin", "--literally"],
        cwd=repo, input=data, env=environment(), capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.decode().strip()


def _evil_commit(repo: Path, entry: tuple[str, ...]) -> str:
    mode, *names = entry
    oid = _object(repo, "blob", b"#!/bin/sh\ntouch ../../evil ../evil evil\n")
    modes = [mode] * (len(names) - 1) + ["100755"]
    for one, name in reversed(list(zip(modes, names, strict=True))):
        oid = _object(repo, "tree", f"{one} {name}\0".encode() + bytes.fromhex(oid))
    return must(repo, "git", "commit-tree", "-m", "evil", oid).out.strip()


@pytest.mark.parametrize("kind", _EVIL_TREES)
def test_a_bundle_whose_names_lead_out_makes_nothing(tmp_path: Path, kind: str) -> None:
    repo = tmp_path / "repo"
    must(tmp_path, "git", "init", "-q", "repo")
    commit = _evil_commit(repo, _EVIL_TREES[kind][0])
    must(repo, "git", "update-ref", "refs/heads/main", commit)
    must(repo, "git", "bundle", "create", "-q", "../evil.bundle", "main")
    code, text = _of_bundle(tmp_path, (tmp_path / "evil.bundle").read_bytes(), commit, "main")
    assert code not in (0, 3), text
    assert not [path for path in tmp_path.rglob("*") if path.name in ("evil", "post-checkout")]
    assert not (tmp_path / "in/out").exists()


@pytest.mark.parametrize(
    ("commit", "branch"),
    [("--upload-pack=evil", "main"), ("f" * 40, "main"), ("HEAD", "main"), ("", "../../x"),
     ("", "git-annex"), ("", "-x")],
)  # fmt: skip
def test_commits_and_branches_that_cannot_be_are_refused(
    tmp_path: Path, commit: str, branch: str
) -> None:
    repo = tmp_path / "repo"
    must(tmp_path, "git", "init", "-q", "repo")
    must(repo, "git", "commit", "-q", "--allow-empty", "-m", "one")
    must(repo, "git", "bundle", "create", "-q", "../evil.bundle", "HEAD")
    there = must(repo, "git", "rev-parse", "HEAD").out.strip()
    data = (tmp_path / "evil.bundle").read_bytes()
    code, text = _of_bundle(tmp_path, data, commit or there, branch)
    assert code == 1, text
    assert not (tmp_path / "in/out").exists()


def test_what_is_no_bundle_makes_nothing(tmp_path: Path) -> None:
    code, text = _of_bundle(tmp_path, b"# v2 git bundle\n\nnothing", "f" * 40, "main")
    assert code == 1, text
    assert not (tmp_path / "in/out").exists()


def _of_bundle(tmp_path: Path, data: bytes, commit: str, branch: str) -> tuple[int, str]:
    forger = Forger()
    cid = raw_cid(data)
    at, length = forger.put(Block(cid, data))
    ref = BundleRef((), commit, "", cid, len(data), at, length)

    def change(manifest: Manifest) -> Manifest:
        return manifest._replace(version=commit, branch=branch)

    forger.write(tmp_path / "piece", forger.folder([]), change, [ref])
    return _restore(tmp_path)
