"""The index: read as git reads it, written so that git finds nothing to refresh."""

from __future__ import annotations

import io
import mmap
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from holdfast.core.errors import LocalProtocolError, ProtocolError
from holdfast.wire.gitindex import (
    CacheTree,
    IndexEntry,
    IndexView,
    StatFacts,
    encode_cache_tree,
    encode_entry,
    invalidate,
    is_racy,
    parse_cache_tree,
    stat_facts,
    write_index,
)
from holdfast.wire.gitobjects import SHA1, SHA256, ObjectFormat, Oid, hash_object

FORMATS = pytest.mark.parametrize("fmt", [SHA1, SHA256], ids=["sha1", "sha256"])
STAT = StatFacts(1, 2, 3, 4, 5, 6, 7, 8, 9)
FILE = 0o100644
LONG = b"long/" + b"n" * 4090  # 0xFFF bytes: the first length that does not fit
LONGER = b"long/" + b"n" * 5000


def git(repository: Path, *words: str, stdin: bytes = b"") -> bytes:
    command = ["git", "-C", str(repository), *words]
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


def make_repository(folder: Path, fmt: ObjectFormat = SHA1) -> Path:
    """A version of a few files in folders of names of different lengths."""
    git(folder, "init", "-q", f"--object-format={fmt.name}")
    for name in ("name", "email"):
        git(folder, "config", f"user.{name}", "a@example.org")
    for path in (b"top", b"bb/f", b"a/f", b"ccc/deep/f", b"ab/f", b"B/f", b"a.b", b"a0"):
        make_file(folder, path, path)
    make_file(folder, b"line\nbreak \xff\xfe/caf\xe9", b"x")
    os.symlink(b"nowhere", os.fsencode(folder) + b"/link")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def make_file(folder: Path, path: bytes, content: bytes) -> None:
    full = os.path.join(os.fsencode(folder), path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "wb") as out:
        out.write(content)


def add_odd_entries(repository: Path, fmt: ObjectFormat) -> None:
    """A conflict, very long names, and every flag."""
    oid = git(repository, "hash-object", "-w", "--stdin", stdin=b"x").strip()
    git(
        repository,
        *("update-index", "-z", "--index-info"),
        stdin=b"".join(
            b"100644 %b %d\t%b\0" % (oid, stage, path)
            for stage, path in [(1, b"fight"), (2, b"fight"), (3, b"fight"), (0, LONG), (0, LONGER)]
        ),
    )
    make_file(repository, b"new", b"not added yet")
    git(repository, "add", "-N", "new")
    git(repository, "update-index", "--assume-unchanged", "a0")
    git(repository, "update-index", "--skip-worktree", "top")


def read(repository: Path, fmt: ObjectFormat = SHA1) -> IndexView:
    return IndexView((repository / ".git/index").read_bytes(), fmt)


def written(
    view: IndexView | None,
    changes: Iterable[tuple[bytes, bytes | None]] = (),
    cache_tree: bytes | None = None,
    fmt: ObjectFormat = SHA1,
) -> bytes:
    out = io.BytesIO()
    count = write_index(out, fmt, view, changes, cache_tree)
    assert count == len(IndexView(out.getvalue(), fmt))
    return out.getvalue()


def entry(path: bytes, **facts: int) -> bytes:
    return encode_entry(path, FILE, Oid(b"o" * 20), STAT, **facts)


def paths(index: bytes) -> list[bytes]:
    return list(IndexView(index, SHA1).iter_paths())


def as_git_debugs(view: IndexView) -> bytes:
    """What `git ls-files -sz --debug` prints, without its flags."""
    return b"".join(
        b"%06o %b %d\t%b\0  ctime: %d:%d\n  mtime: %d:%d\n  dev: %d\tino: %d\n  uid: %d\tgid: %d\n  size: %d\n"
        % (item.mode, item.oid.hex().encode(), item.stage, item.path, *item.stat)
        for item in view.iter_entries()
    )


# Reading


@FORMATS
@pytest.mark.parametrize("version", [2, 4])
def test_every_fact_is_read_as_git_reads_it(
    tmp_path: Path, fmt: ObjectFormat, version: int
) -> None:
    repository = make_repository(tmp_path, fmt)
    add_odd_entries(repository, fmt)
    git(repository, "update-index", "--index-version", str(version))
    view = read(repository, fmt)
    assert view.version == (3 if version == 2 else 4)
    said = git(repository, "ls-files", "-sz", "--debug")
    assert as_git_debugs(view) == re.sub(rb"\tflags: [0-9a-f]+", b"", said)
    flagged = {
        item.path: (item.assume_valid, item.skip_worktree, item.intent_to_add)
        for item in view.iter_entries()
        if item.assume_valid or item.skip_worktree or item.intent_to_add
    }
    assert flagged == {
        b"a0": (True, False, False),
        b"new": (False, False, True),
        b"top": (False, True, False),
    }


@FORMATS
def test_version_4_is_read_as_the_same_entries(tmp_path: Path, fmt: ObjectFormat) -> None:
    repository = make_repository(tmp_path, fmt)
    add_odd_entries(repository, fmt)
    plain = read(repository, fmt)
    git(repository, "update-index", "--index-version", "4")
    folded = read(repository, fmt)
    assert folded.data[4:12] != plain.data[4:12]
    assert [folded.raw(i) for i in range(len(folded))] == [plain.raw(i) for i in range(len(plain))]
    assert folded.cache_tree == plain.cache_tree


def test_a_path_is_found_where_it_is(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    add_odd_entries(repository, SHA1)
    view = read(repository)
    known = list(view.iter_paths())
    for position, path in enumerate(known):
        assert view.bisect(path) == known.index(path)
        assert view.bisect(path, known.index(path)) == known.index(path)
        if path != b"fight":
            assert view.find(path) == position
            assert view.path(position) == view.entry(position).path == view.row(position)[0] == path
    assert view.find(b"fight") is None
    assert view.find(b"zzz") is None
    assert view.bisect(b"") == 0
    assert view.bisect(b"zzz") == len(view)
    assert view.bisect(b"aa") == known.index(b"ab/f")


def test_an_index_can_be_mapped(tmp_path: Path) -> None:
    """And closed after use: the view holds no buffer on it."""
    repository = make_repository(tmp_path)
    with (repository / ".git/index").open("rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            view = IndexView(mapped, SHA1)
            assert written(view, (), view.cache_tree) == mapped[:]
            assert written(view, [(b"top", None)])
        with pytest.raises(ValueError, match="closed"):
            view.path(0)


def test_a_checksum_left_out_is_allowed_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    raw = (repository / ".git/index").read_bytes()
    assert len(IndexView(raw[:-20] + bytes(20), SHA1)) == len(IndexView(raw, SHA1))
    with pytest.raises(ProtocolError, match="damaged"):
        IndexView(raw[:-1] + bytes([raw[-1] ^ 1]), SHA1)
    with pytest.raises(ProtocolError, match="damaged"):
        IndexView(raw[:100] + bytes([raw[100] ^ 1]) + raw[101:], SHA1)


@pytest.mark.parametrize("version", ["2", "4"])
def test_an_index_cut_short_is_refused_wherever_it_is_cut(tmp_path: Path, version: str) -> None:
    """But for where an extension begins: cut there, it is an index that has fewer of them."""
    repository = make_repository(tmp_path)
    git(repository, "update-index", "--index-version", version)
    raw = (repository / ".git/index").read_bytes()[:-20]
    for size in set(range(len(raw))) - {raw.index(b"TREE\0\0")}:
        with pytest.raises(ProtocolError):
            IndexView(raw[:size] + bytes(20), SHA1)


def test_blocks_for_threads_do_not_change_the_entries(tmp_path: Path) -> None:
    """In a large index of version 4, git begins the folding of paths anew at each block."""
    git(tmp_path, "init", "-q")
    for name, value in ("index.threads", "3"), ("index.version", "4"):
        git(tmp_path, "config", name, value)
    wanted = [b"folder/%06d" % number for number in range(30_000)]
    lines = b"".join(b"100644 %b\t%b\n" % (b"12" * 20, path) for path in wanted)
    git(tmp_path, "update-index", "--index-info", stdin=lines)
    view = read(tmp_path)
    assert view.version == 4
    assert b"IEOT" in (tmp_path / ".git/index").read_bytes()
    assert list(view.iter_paths()) == wanted


def test_a_split_index_is_left_to_git(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    git(repository, "update-index", "--split-index")
    with pytest.raises(ProtocolError, match="only git can handle"):
        read(repository)


def test_a_sparse_index_is_left_to_git(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    git(repository, "sparse-checkout", "set", "--cone", "--sparse-index", "a")
    with pytest.raises(ProtocolError, match="only git can handle"):
        read(repository)


def test_an_extension_that_may_be_ignored_is(tmp_path: Path) -> None:
    """git's memory of untracked files does not stop us, and is not in what we write."""
    repository = make_repository(tmp_path)
    git(repository, "update-index", "--force-untracked-cache")
    git(repository, "status")
    view = read(repository)
    assert b"UNTR" in bytes(view.data)
    assert b"UNTR" not in written(view, (), view.cache_tree)


# Writing


@FORMATS
def test_an_index_without_changes_is_written_as_git_wrote_it(
    tmp_path: Path, fmt: ObjectFormat
) -> None:
    repository = make_repository(tmp_path, fmt)
    for version in 2, 3:
        view = read(repository, fmt)
        assert view.version == version
        assert view.cache_tree is not None
        assert written(view, (), view.cache_tree, fmt) == view.data
        again = [(item.path, item.encode()) for item in view.iter_entries()]
        assert written(None, again, view.cache_tree, fmt) == view.data
        assert written(view, again, view.cache_tree, fmt) == view.data
        add_odd_entries(repository, fmt)


@FORMATS
def test_git_has_nothing_to_refresh_after_us(tmp_path: Path, fmt: ObjectFormat) -> None:
    """An index made from lstat alone: git finds all clean without looking at content."""
    repository = make_repository(tmp_path, fmt)
    (repository / ".git/index").unlink()
    changes = []
    for line in git(repository, "ls-tree", "-rz", "HEAD").split(b"\0")[:-1]:
        facts, _, path = line.partition(b"\t")
        mode, _, oid = facts.split(b" ")
        stat = stat_facts(os.lstat(os.fsencode(repository) + b"/" + path))
        changes.append(
            (path, encode_entry(path, int(mode, 8), Oid(bytes.fromhex(oid.decode())), stat))
        )
    (repository / ".git/index").write_bytes(written(None, sorted(changes), fmt=fmt))
    assert git(repository, "status", "--porcelain") == b""
    assert git(repository, "diff-files") == b""
    ours = [item.stat for item in read(repository, fmt).iter_entries()]
    git(repository, "update-index", "--really-refresh")
    assert [item.stat for item in read(repository, fmt).iter_entries()] == ours
    assert b"error" not in git(repository, "fsck", "--cache", "--strict")


def test_git_takes_an_index_that_was_changed_with_its_cache_tree(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    git(repository, "update-index", "--index-version", "4")
    make_file(repository, b"ccc/deep/more", b"more")
    os.unlink(repository / "bb/f")
    oid = git(repository, "hash-object", "-w", "ccc/deep/more").decode().strip()
    stat = stat_facts(os.lstat(repository / "ccc/deep/more"))
    more = encode_entry(b"ccc/deep/more", FILE, Oid(bytes.fromhex(oid)), stat)
    view = read(repository)
    assert view.cache_tree is not None
    trees = parse_cache_tree(view.cache_tree, SHA1)
    changes = [(b"bb/f", None), (b"ccc/deep/more", more)]
    for path, _ in changes:
        invalidate(trees, path)
    assert trees.children[b"a"].oid is not None
    (repository / ".git/index").write_bytes(written(view, changes, encode_cache_tree(trees)))
    assert git(repository, "status", "--porcelain") == b"D  bb/f\nA  ccc/deep/more\n"
    assert b"error" not in git(repository, "fsck", "--cache", "--strict")
    ours = git(repository, "write-tree")
    git(repository, "read-tree", "HEAD")
    git(repository, "add", ".")
    assert git(repository, "write-tree") == ours


def test_a_deleted_path_takes_all_its_stages() -> None:
    old = [(b"a", entry(b"a"))]
    old += [(b"b", entry(b"b", stage=stage)) for stage in (1, 2, 3)]
    old += [(b"c", entry(b"c"))]
    view = IndexView(written(None, old), SHA1)
    assert [view.stage(position) for position in range(5)] == [0, 1, 2, 3, 0]
    assert paths(written(view, [(b"b", None)])) == [b"a", b"c"]


def test_a_new_entry_takes_the_place_of_all_stages() -> None:
    old = [(b"b", entry(b"b", stage=stage)) for stage in (1, 2, 3)]
    view = IndexView(written(None, [*old, (b"c", entry(b"c"))]), SHA1)
    merged = IndexView(written(view, [(b"b", entry(b"b"))]), SHA1)
    assert list(merged.iter_paths()) == [b"b", b"c"]
    assert merged.find(b"b") == 0


def test_a_path_given_several_times_gets_all_its_stages() -> None:
    view = IndexView(written(None, [(b"b", entry(b"b")), (b"c", entry(b"c"))]), SHA1)
    sides = [(b"b", entry(b"b", stage=stage)) for stage in (2, 3)]
    merged = IndexView(written(view, sides), SHA1)
    assert [(item.path, item.stage) for item in merged.iter_entries()] == [
        (b"b", 2),
        (b"b", 3),
        (b"c", 0),
    ]


def test_a_file_becomes_a_folder_and_back() -> None:
    view = IndexView(written(None, [(b"a", entry(b"a")), (b"b/c", entry(b"b/c"))]), SHA1)
    changes = [(b"a", None), (b"a/x", entry(b"a/x")), (b"b", entry(b"b")), (b"b/c", None)]
    assert paths(written(view, changes)) == [b"a/x", b"b"]


def test_deleting_what_is_not_there_changes_nothing() -> None:
    view = IndexView(written(None, [(b"b", entry(b"b"))]), SHA1)
    assert written(view, [(b"a", None), (b"c", None)]) == view.data


def test_the_version_is_the_least_that_can_say_it_all() -> None:
    """Version 3 comes with the first extended flag and goes with the last."""
    old = [(b"a", entry(b"a")), (b"b", entry(b"b", skip_worktree=True)), (b"c", entry(b"c"))]
    view = IndexView(written(None, old), SHA1)
    assert (view.version, view.extended) == (3, [1])
    assert IndexView(written(view, [(b"a", None)]), SHA1).version == 3
    assert IndexView(written(view, [(b"b", None)]), SHA1).version == 2
    assert IndexView(written(view, [(b"b", entry(b"b"))]), SHA1).version == 2


def test_changes_that_are_not_sorted_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match="not sorted"):
        write_index(io.BytesIO(), SHA1, None, [(b"b", entry(b"b")), (b"a", entry(b"a"))])


@pytest.mark.parametrize("changed", [0, 1, 2, 7, 5000])
def test_a_merge_is_what_a_dictionary_would_give(changed: int) -> None:
    """With runs long enough to be copied by themselves, and changes in every place."""
    old = {b"%05d" % number: entry(b"%05d" % number) for number in range(0, 40_000, 2)}
    view = IndexView(written(None, sorted(old.items())), SHA1)
    changes: dict[bytes, bytes | None] = {}
    for number in range(0, 40_000, 40_000 // changed if changed else 40_001):
        path = b"%05d" % number
        changes[path] = None if number % 3 else entry(path, assume_valid=True)
    wanted = {path: raw for path, raw in {**old, **changes}.items() if raw is not None}
    merged = IndexView(written(view, sorted(changes.items())), SHA1)
    assert {merged.path(i): merged.raw(i) for i in range(len(merged))} == wanted


@pytest.mark.parametrize("size", [1, 255, 256, 0xFFE, 0xFFF, 0x1000, 70_000])
def test_names_of_any_length_come_back(size: int) -> None:
    names = [b"a", b"b" * size, b"c"]
    view = IndexView(written(None, [(name, entry(name)) for name in names]), SHA1)
    assert list(view.iter_paths()) == names
    assert [view.row(position)[0] for position in range(3)] == names
    assert view.find(names[1]) == 1


def test_facts_wider_than_32_bits_lose_their_upper_bits() -> None:
    """As git does it: they are compared in the same way."""
    stat = StatFacts(*(value | 1 << 40 for value in STAT))
    assert encode_entry(b"a", FILE, Oid(b"o" * 20), stat) == entry(b"a")


@pytest.mark.parametrize(
    ("path", "oid", "stage"), [(b"", 20, 0), (b"a\0b", 20, 0), (b"a", 19, 0), (b"a", 20, 4)]
)
def test_an_entry_git_could_not_read_is_not_made(path: bytes, oid: int, stage: int) -> None:
    with pytest.raises(LocalProtocolError):
        encode_entry(path, FILE, Oid(bytes(oid)), STAT, stage=stage)


def test_an_entry_comes_back_from_its_bytes() -> None:
    made = IndexEntry(b"a", 0o120000, Oid(b"o" * 20), STAT, 2, True, True, True)
    view = IndexView(written(None, [(b"a", made.encode())]), SHA1)
    assert view.entry(0) == made


@pytest.mark.parametrize(
    ("entry_mtime", "index_mtime", "racy"),
    [
        ((10, 5), (10, 6), False),
        ((10, 5), (10, 5), True),
        ((10, 6), (10, 5), True),
        ((9, 0), (10, 0), False),
        ((10, 0), (10, 5), True),
        ((10, 5), (10, 0), True),
        ((11, 0), (10, 5), True),
    ],
)
def test_a_file_not_older_than_the_index_may_have_changed(
    entry_mtime: tuple[int, int], index_mtime: tuple[int, int], racy: bool
) -> None:
    assert is_racy(entry_mtime, index_mtime) is racy


def test_a_change_that_left_no_trace_is_still_seen_after_we_wrote(tmp_path: Path) -> None:
    """A file changed in the moment git wrote the index, to the same size: only smudging helps."""
    repository = make_repository(tmp_path)
    git(repository, "config", "core.trustctime", "false")
    index = repository / ".git/index"
    top = repository / "top"
    view = read(repository)
    moment = os.stat(top).st_mtime_ns
    top.write_bytes(b"TOP")
    os.utime(top, ns=(moment, moment))
    racy = view.racy(divmod(moment, 1_000_000_000))
    assert view.find(b"top") in racy
    for smudge, seen in ([], b""), (racy, b" M top\n"):
        out = io.BytesIO()
        write_index(out, SHA1, view, [(b"a0", view.raw(view.bisect(b"a0")))], None, smudge)
        index.write_bytes(out.getvalue())
        later = moment + 10_000_000_000
        os.utime(index, ns=(later, later))
        assert git(repository, "status", "--porcelain") == seen


def test_only_entries_as_late_as_the_index_are_racy() -> None:
    stats = [STAT._replace(mtime_s=seconds, mtime_ns=7) for seconds in (9, 10, 11)]
    old = [
        (b"%d" % place, encode_entry(b"%d" % place, FILE, Oid(b"o" * 20), stat))
        for place, stat in enumerate(stats)
    ]
    view = IndexView(written(None, old), SHA1)
    assert view.racy((10, 7)) == [1, 2]
    assert view.racy((10, 8)) == [2]
    assert view.racy((10, 0)) == [1, 2]
    assert view.racy((12, 0)) == []


@pytest.mark.parametrize("smudge", [[], [0], [3, 4, 5], [0, 2, 9], list(range(10))])
def test_smudging_touches_the_size_of_entries_that_stay_and_nothing_else(
    smudge: list[int],
) -> None:
    old = {b"%d" % number: entry(b"%d" % number) for number in range(10)}
    view = IndexView(written(None, sorted(old.items())), SHA1)
    out = io.BytesIO()
    write_index(out, SHA1, view, [(b"2", old[b"2"]), (b"4", None)], None, smudge)
    found = {item.path: item for item in IndexView(out.getvalue(), SHA1).iter_entries()}
    assert sorted(found) == sorted(old.keys() - {b"4"})
    for position, item in enumerate(view.iter_entries()):
        if position in smudge and position not in (2, 4):
            assert found.pop(item.path).stat == STAT._replace(size=0)
        elif position != 4:
            assert found.pop(item.path) == item


# The cache tree


@FORMATS
def test_the_cache_tree_is_the_one_git_keeps(tmp_path: Path, fmt: ObjectFormat) -> None:
    """Shorter names come first, then bytes; every tree is the one of the version."""
    repository = make_repository(tmp_path, fmt)
    raw = read(repository, fmt).cache_tree
    assert raw is not None
    root = parse_cache_tree(raw, fmt)
    odd = b"line\nbreak \xff\xfe"
    assert list(root.children) == [b"B", b"a", b"ab", b"bb", b"ccc", odd]
    assert root.entry_count == 10
    assert encode_cache_tree(root) == raw
    root.children = dict(sorted(root.children.items()))
    assert encode_cache_tree(root) == raw
    assert root.oid is not None
    assert root.oid.hex().encode() == git(repository, "rev-parse", "HEAD^{tree}").strip()
    deep = root.children[b"ccc"].children[b"deep"].oid
    assert deep is not None
    assert deep.hex().encode() == git(repository, "rev-parse", "HEAD:ccc/deep").strip()


def test_git_believes_a_cache_tree_of_ours(tmp_path: Path) -> None:
    """It writes the tree we name without making it anew; a wrong count would be an error."""
    repository = make_repository(tmp_path)
    view = read(repository)
    tree = Oid(bytes.fromhex(git(repository, "rev-parse", "HEAD^{tree}").decode()))
    raw = encode_cache_tree(CacheTree(len(view), tree))
    (repository / ".git/index").write_bytes(written(view, (), raw))
    assert bytes.fromhex(git(repository, "write-tree").decode()) == tree
    assert b"error" not in git(repository, "fsck", "--cache", "--strict")


def test_a_change_makes_the_trees_above_it_unknown_as_git_does(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    raw = read(repository).cache_tree
    assert raw is not None
    root = parse_cache_tree(raw, SHA1)
    invalidate(root, b"ccc/deep/f")
    oid = hash_object(b"blob", b"x", SHA1).hex()
    git(repository, "hash-object", "-w", "--stdin", stdin=b"x")
    git(repository, "update-index", "--cacheinfo", f"100644,{oid},ccc/deep/f")
    assert read(repository).cache_tree == encode_cache_tree(root)


def test_a_folder_that_becomes_a_file_is_forgotten() -> None:
    oid = Oid(b"o" * 20)
    root = CacheTree(1, oid, {b"a": CacheTree(1, oid, {b"b": CacheTree(1, oid)})})
    invalidate(root, b"a/b")
    assert root == CacheTree(children={b"a": CacheTree()})
    invalidate(root, b"not/there")
    assert root == CacheTree(children={b"a": CacheTree()})


def test_folders_may_be_nested_without_end() -> None:
    root = node = CacheTree()
    for _ in range(5000):
        node.children[b"d"] = node = CacheTree()
    raw = encode_cache_tree(root)
    assert encode_cache_tree(parse_cache_tree(raw, SHA1)) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0",
        b"\x001 0\nshort",
        b"\0-1 0\nmore",
        b"\0-2 0\n",
        b"\0-1 1\n",
        b"\0-1 4000000000\n",
        b"\0-1 x\n",
        b"\0-1\n",
        b"name\0-1 0\n",
        b"\0-1 1\n\0-1 0\n",
        b"\0-1 2\na\0-1 0\na\0-1 0\n",
    ],
)
def test_what_is_no_cache_tree_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a cache tree"):
        parse_cache_tree(raw, SHA1)


def test_a_cache_tree_that_contradicts_itself_is_not_written() -> None:
    with pytest.raises(LocalProtocolError):
        encode_cache_tree(CacheTree(3, None))
