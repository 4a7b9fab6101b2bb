"""Packs: git takes them as they are, and would have made the same index."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from holdfast.wire import gitpack
from holdfast.wire.gitobjects import (
    FILE_MODE,
    SHA1,
    SHA256,
    TREE_MODE,
    ObjectFormat,
    Oid,
    encode_commit,
    encode_tree,
    hash_object,
)
from holdfast.wire.gitpack import BLOB, COMMIT, TREE, PackWriter

WHO = b"A Person <a@example.org> 1795240000 +0100"
FORMATS = pytest.mark.parametrize("fmt", [SHA1, SHA256], ids=["sha1", "sha256"])

# On both sides of each step of the size in an object's header, and of the small compressor.
SIZES = [0, 1, 15, 16, 2047, 2048, 4096, 4097, 262_143, 262_144, 3_000_000]


def git(repository: Path, *words: str) -> bytes:
    command = ["git", "-C", str(repository), *words]
    return subprocess.run(command, capture_output=True, check=True).stdout


def make_repository(folder: Path, fmt: ObjectFormat) -> Path:
    git(folder, "init", "-q", f"--object-format={fmt.name}")
    return folder


def write_history(writer: PackWriter) -> Oid:
    """A version with blobs of many sizes, half of them in a folder; gives its commit."""
    noise = os.urandom(max(SIZES) // 2)
    blobs = [writer.add(BLOB, (noise + bytes(size))[-size:] if size else b"") for size in SIZES]
    files = [(FILE_MODE, b"f%d" % number, oid) for number, oid in enumerate(blobs)]
    folder = writer.add(TREE, encode_tree(files[:5]))
    root = writer.add(TREE, encode_tree([*files[5:], (TREE_MODE, b"folder", folder)]))
    return writer.add(COMMIT, encode_commit(root, [], WHO, WHO, b"all\n"))


@FORMATS
def test_git_finds_nothing_wrong_with_a_pack(tmp_path: Path, fmt: ObjectFormat) -> None:
    """Strict index-pack, verify-pack and fsck of it pass; every object is there."""
    repository = make_repository(tmp_path, fmt)
    name = tmp_path / "new.pack"
    with name.open("w+b") as out:
        writer = PackWriter(out, fmt)
        commit = write_history(writer)
        trailer = writer.finish()
    final = repository / ".git/objects/pack" / f"pack-{trailer.hex()}.pack"
    name.rename(final)
    final.with_suffix(".idx").write_bytes(writer.index_bytes())
    git(repository, "update-ref", "HEAD", commit.hex())
    git(repository, "index-pack", "--strict", "-o", str(tmp_path / "again.idx"), str(final))
    listed = git(repository, "verify-pack", "-v", str(final)).splitlines()
    assert sum(b" blob " in line or b" tree" in line for line in listed) == writer.count - 1
    assert git(repository, "fsck", "--full", "--strict") == b""
    assert git(repository, "ls-tree", "-r", "--name-only", "HEAD").count(b"\n") == len(SIZES)


@FORMATS
@pytest.mark.parametrize("near_max", [0x7FFFFFFF, 0x40], ids=["near", "far"])
def test_the_index_is_the_one_git_makes(
    tmp_path: Path, fmt: ObjectFormat, near_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with offsets of 64 bits, which git can be told to use early."""
    monkeypatch.setattr(gitpack, "_NEAR_MAX", near_max)
    repository = make_repository(tmp_path, fmt)
    name = repository / "new.pack"
    with name.open("w+b") as out:
        writer = PackWriter(out, fmt)
        write_history(writer)
        writer.finish()
    git(repository, "index-pack", f"--index-version=2,{near_max:#x}", str(name))
    assert writer.index_bytes() == name.with_suffix(".idx").read_bytes()


def test_an_object_is_kept_once() -> None:
    out = io.BytesIO()
    writer = PackWriter(out, SHA1)
    first = writer.add(BLOB, b"same")
    size = writer.size
    assert writer.add(BLOB, b"same") == first
    assert (writer.count, writer.size) == (1, size)
    assert first in writer
    assert first == hash_object(b"blob", b"same", SHA1)


def test_an_empty_pack_is_a_pack(tmp_path: Path) -> None:
    repository = make_repository(tmp_path, SHA1)
    out = io.BytesIO()
    writer = PackWriter(out, SHA1)
    trailer = writer.finish()
    assert out.getvalue() == b"PACK\0\0\0\2\0\0\0\0" + trailer
    name = repository / "empty.pack"
    name.write_bytes(out.getvalue())
    git(repository, "index-pack", str(name))
    assert writer.index_bytes() == name.with_suffix(".idx").read_bytes()


def test_a_pack_takes_nothing_more_when_it_is_finished() -> None:
    writer = PackWriter(io.BytesIO(), SHA1)
    writer.finish()
    with pytest.raises(AssertionError):
        writer.add(BLOB, b"late")
