"""Packed and restored, any tree is itself again."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.api.archive import archive_of_folder, archive_pack
from holdfast.api.archive_restore import RestorePlan, iter_archive_restore
from holdfast.archive.chosen_paths import ChosenPaths
from holdfast.core.globs import compile_glob
from holdfast.core.outcome import Status

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=("Cs",)),
    min_size=1, max_size=12,
).filter(lambda name: name not in (".", "..", ".hold-restoring") and len(name.encode()) < 200)  # fmt: skip
SIZES = st.one_of(st.integers(0, 300), st.integers(900_000, 1_300_000))
LEAVES = st.one_of(SIZES, NAMES)
"""A file of a size, or a symlink that says something."""
TREES = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=6),
    lambda below: st.dictionaries(NAMES, st.one_of(below, LEAVES), max_size=5),
    max_leaves=14,
)


def _make(folder: Path, tree: dict[str, object], chance: random.Random) -> None:
    folder.mkdir()
    for name, what in tree.items():
        path = folder / name
        if isinstance(what, dict):
            _make(path, what, chance)
        elif isinstance(what, str):
            path.symlink_to(what)
        else:
            assert isinstance(what, int)
            path.write_bytes(chance.randbytes(what))
            path.chmod(chance.choice((0o600, 0o644, 0o755)))


def _look(folder: Path) -> dict[bytes, tuple[int, bytes]]:
    found = {}
    top = os.fsencode(folder)
    for above, folders, names in os.walk(top):
        for name in (*folders, *names):
            path = above + b"/" + name
            mode = os.lstat(path).st_mode
            if os.path.islink(path):
                found[path[len(top) :]] = (0, os.readlink(path))
            elif os.path.isdir(path):
                found[path[len(top) :]] = (1, b"")
            else:
                with open(path, "rb") as file:
                    found[path[len(top) :]] = (mode, file.read())
    return found


@settings(max_examples=15, deadline=None)
@given(TREES, TREES, st.integers(0, 1 << 30))
def test_packing_and_restoring_a_folder_gives_the_same_folder(
    first: dict[str, object], second: dict[str, object], seed: int
) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        wanted = []
        for number, tree in enumerate((first, second)):
            _make(base / f"tree{number}", tree, chance)
            wanted.append(_look(base / f"tree{number}"))
            (base / f"tree{number}").rename(base / "tree")
            archive = archive_of_folder(os.fsencode(base / "tree"), os.fsencode(base / "state"))
            archive_pack(archive, write=os.fsencode(base / "pieces"), piece_size=4 << 20)
            (base / "tree").rename(base / f"tree{number}")
        versions = sum(1 for one in (base / "state").iterdir() if one.name.startswith("snapshot-"))
        for number in range(versions):
            out = base / f"out{number}"
            plan = RestorePlan(version=str(number))
            done = iter_archive_restore([str(base / "pieces")], os.fsencode(out), plan=plan)
            assert all(one.status is Status.OK for one in done)
            assert _look(out) == wanted[number]


@given(
    st.lists(st.text("ab*?/", min_size=1, max_size=6), min_size=1, max_size=2),
    st.text("ab/", max_size=8).filter(lambda path: "//" not in f"/{path}/"),
)
def test_no_folder_is_passed_over_that_holds_something_wanted(globs: list[str], path: str) -> None:
    raw = [glob.encode() for glob in globs]
    chosen = ChosenPaths(raw)
    wanted = any(compile_glob(glob)(path.encode()) for glob in raw)
    if wanted:
        assert chosen.has(path.encode())
    if chosen.has(path.encode()):
        names = path.encode().split(b"/")
        for count in range(1, len(names)):
            assert chosen.may_be_below(b"/".join(names[:count]))


def test_a_folder_whose_name_only_begins_as_a_wanted_one_holds_nothing_of_it() -> None:
    chosen = ChosenPaths([b"sub", b"a/b/c", b"x*/y"])
    assert all(map(chosen.may_be_below, (b"sub", b"sub/c", b"a", b"a/b", b"a/b/c", b"x", b"xy/z")))
    assert not any(map(chosen.may_be_below, (b"sub1", b"su", b"a/bc", b"a/b/cd", b"aa", b"y")))
