"""Git objects: the same bytes as git writes, and nothing read that is not an object."""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path

import pytest

from holdfast.core.errors import LocalProtocolError, ProtocolError
from holdfast.wire.gitobjects import (
    EXECUTABLE_MODE,
    FILE_MODE,
    SHA1,
    SHA256,
    SYMLINK_MODE,
    TREE_MODE,
    Commit,
    ObjectFormat,
    Oid,
    deflate,
    encode_commit,
    encode_tree,
    hash_object,
    iter_tree,
    parse_commit,
)

WHO = b"A Person <a@example.org> 1795240000 +0100"
FORMATS = pytest.mark.parametrize("fmt", [SHA1, SHA256], ids=["sha1", "sha256"])


def git(repository: Path, *words: str, stdin: bytes = b"") -> bytes:
    command = ["git", "-C", str(repository), *words]
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


def make_repository(folder: Path, fmt: ObjectFormat) -> Path:
    git(folder, "init", "-q", f"--object-format={fmt.name}")
    return folder


def blob(fmt: ObjectFormat, data: bytes = b"") -> Oid:
    return hash_object(b"blob", data, fmt)


@FORMATS
@pytest.mark.parametrize("data", [b"", b"hello\n", bytes(100_000)])
def test_an_object_has_the_name_git_gives_it(
    tmp_path: Path, fmt: ObjectFormat, data: bytes
) -> None:
    repository = make_repository(tmp_path, fmt)
    named = git(repository, "hash-object", "--stdin", stdin=data).strip()
    assert hash_object(b"blob", data, fmt).hex().encode() == named


@pytest.mark.parametrize("size", [0, 1, 200, 4096, 4097, 100_000])
def test_what_is_deflated_inflates_to_itself(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert zlib.decompress(deflate(data)) == data


@FORMATS
def test_a_tree_is_sorted_as_git_sorts_it(tmp_path: Path, fmt: ObjectFormat) -> None:
    """A directory sorts as if its name ended in a slash: after ``a.b``, before ``a0``."""
    repository = make_repository(tmp_path, fmt)
    empty = blob(fmt)
    entries = [
        (FILE_MODE, b"a0", empty),
        (TREE_MODE, b"a", hash_object(b"tree", b"", fmt)),
        (SYMLINK_MODE, b"a.b", empty),
        (EXECUTABLE_MODE, b"line\nbreak \xff", empty),
    ]
    git(repository, "hash-object", "-w", "--stdin")
    git(repository, "hash-object", "-w", "-t", "tree", "--stdin")
    listing = b"".join(
        b"%06d %b %b\t%b\0"
        % (int(mode), b"tree" if mode == TREE_MODE else b"blob", oid.hex().encode(), name)
        for mode, name, oid in entries
    )
    named = git(repository, "mktree", "-z", stdin=listing).strip()
    raw = encode_tree(entries)
    assert hash_object(b"tree", raw, fmt).hex().encode() == named
    assert [name for _, name, _ in iter_tree(raw, fmt)] == [b"a.b", b"a", b"a0", entries[3][1]]


def test_an_empty_tree_is_no_bytes() -> None:
    assert encode_tree([]) == b""
    assert list(iter_tree(b"", SHA1)) == []


def test_a_file_and_a_directory_of_one_name_are_refused() -> None:
    """git would take the tree, and then find only one of them."""
    oid = blob(SHA1)
    with pytest.raises(LocalProtocolError, match="twice"):
        encode_tree([(FILE_MODE, b"a", oid), (TREE_MODE, b"a", oid)])


@pytest.mark.parametrize("name", [b"", b".", b"..", b".git", b"a/b", b"a\0b"])
def test_names_that_lead_elsewhere_are_not_written(name: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        encode_tree([(FILE_MODE, name, blob(SHA1))])


@pytest.mark.parametrize("name", [b".", b"..", b".git", b"a/b", b""])
def test_names_that_lead_elsewhere_are_not_read(name: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(iter_tree(b"100644 %b\0%b" % (name, blob(SHA1)), SHA1))


def test_a_mode_that_an_old_program_padded_is_read_as_git_writes_it() -> None:
    raw = b"040000 a\0%b100644 b\0%b" % (blob(SHA1), blob(SHA1))
    assert [mode for mode, _, _ in iter_tree(raw, SHA1)] == [TREE_MODE, FILE_MODE]


@pytest.mark.parametrize("change", [b"x", b"100644 a\0short", b"100648 a\0" + bytes(20)])
def test_what_is_no_tree_is_refused_before_anything_is_given(change: bytes) -> None:
    raw = encode_tree([(FILE_MODE, b"a", blob(SHA1))])
    for garbage in (raw + change, change + raw, raw[:-1]):
        with pytest.raises(ProtocolError, match="not a tree"):
            iter_tree(garbage, SHA1)


@FORMATS
def test_a_commit_is_the_one_git_makes(
    tmp_path: Path, fmt: ObjectFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository(tmp_path, fmt)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A Person")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@example.org")
        monkeypatch.setenv(f"GIT_{role}_DATE", "1795240000 +0100")
    hexed = git(repository, "hash-object", "-w", "-t", "tree", "--stdin").decode().strip()
    tree = Oid(bytes.fromhex(hexed))
    first = git(repository, "commit-tree", hexed, stdin=b"first\n").decode().strip()
    second = git(repository, "commit-tree", "-p", first, hexed, stdin=b"second\n").strip()
    ours = encode_commit(tree, [Oid(bytes.fromhex(first))], WHO, WHO, b"second\n")
    assert hash_object(b"commit", ours, fmt).hex().encode() == second
    assert git(repository, "cat-file", "commit", second.decode()) == ours


def test_a_commit_is_read_back_with_every_header() -> None:
    """A signature has several lines, one of them empty; the message keeps its empty lines."""
    tree, parent = Oid(b"t" * 20), Oid(b"p" * 20)
    signature = (b"gpgsig", b"-----BEGIN-----\n\nabc\n-----END-----\n")
    message = b"title\n\nbody\n\n"
    raw = encode_commit(tree, [parent, tree], WHO, WHO, message, b"latin-1", [signature])
    assert parse_commit(raw) == Commit(
        tree, (parent, tree), WHO, WHO, message, b"latin-1", (signature,)
    )


def test_a_commit_may_have_no_message() -> None:
    raw = encode_commit(Oid(b"t" * 32), [], WHO, WHO, b"")
    assert parse_commit(raw).message == b""
    assert parse_commit(raw[:-1]).message == b""


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"tree 00\nauthor a\ncommitter b\n\n",
        b"tree %b\nauthor a\n\n" % (b"0" * 40),
        b"tree %b\nauthor a\nparent %b\ncommitter b\n\n" % (b"0" * 40, b"0" * 40),
        b"author a\ncommitter b\n\n",
        b"tree %b\nauthor a\ncommitter b" % (b"0" * 40),
    ],
)
def test_what_is_no_commit_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a commit"):
        parse_commit(raw)


@pytest.mark.parametrize(
    ("author", "message"), [(b"a\ntree x", b"m"), (WHO, b"a\0b")], ids=["line", "nul"]
)
def test_a_commit_git_could_not_read_is_not_written(author: bytes, message: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        encode_commit(Oid(bytes(20)), [], author, WHO, message)
