"""hold, git-annex and DataLad take turns on one data set; each goes on where another stopped."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

TOOLS = ("hold", "annex", "datalad")
PAIRS = [pair for pair in permutations(TOOLS, 2) if "hold" in pair]
FIRST = {
    "T1w.nii.gz": b"first image " * 1000,
    "sub-01/bold.nii.gz": b"second image",
    "sub-01/deep/er/notes.txt": b"notes\n",
}


@pytest.fixture(scope="module")
def made(tools: Tools, shelf: Path) -> dict[str, Path]:
    """A data set by each tool, only to be read."""
    folders = {}
    for tool in TOOLS:
        folders[tool] = tools.create(tool, shelf / f"made-{tool}")
        tools.write(folders[tool], FIRST)
        tools.save(tool, folders[tool])
    return folders


@pytest.mark.parametrize(("maker", "reader"), PAIRS)
def test_what_one_saved_is_clean_and_whole_to_another(
    tools: Tools, made: dict[str, Path], maker: str, reader: str
) -> None:
    folder = made[maker]
    assert tools.is_clean(reader, folder)
    tools.fsck(reader, folder)
    assert {name: (folder / name).read_bytes() for name in FIRST} == FIRST
    assert all((folder / name).is_symlink() for name in FIRST)
    tools.settled(folder)


@pytest.mark.parametrize("maker", TOOLS)
def test_all_agree_on_where_content_is(tools: Tools, made: dict[str, Path], maker: str) -> None:
    folder = made[maker]
    expected = {name: {tools.uuid(folder)} for name in FIRST}
    assert tools.whereis("hold", folder) == tools.whereis("annex", folder) == expected
    assert tools.here("hold", folder) == tools.here("annex", folder)
    assert tools.here("hold", folder) == {name.encode() for name in FIRST}


@pytest.mark.parametrize(("maker", "reader"), PAIRS)
def test_another_clones_gets_and_drops(
    tools: Tools, made: dict[str, Path], bench: Path, maker: str, reader: str
) -> None:
    clone = tools.clone(reader, made[maker], bench / "clone")
    assert tools.here("hold", clone) == tools.here("annex", clone) == set()
    tools.get(reader, clone)
    assert {name: (clone / name).read_bytes() for name in FIRST} == FIRST
    assert tools.whereis("hold", clone) == tools.whereis("annex", clone)
    both = {tools.uuid(made[maker]), tools.uuid(clone)}
    assert tools.whereis(maker, clone) == dict.fromkeys(FIRST, both)
    tools.settled(clone)
    tools.drop(reader, clone)
    assert tools.here("hold", clone) == tools.here("annex", clone) == set()
    assert tools.whereis(maker, clone) == {name: {tools.uuid(made[maker])} for name in FIRST}
    tools.settled(clone)


@pytest.mark.parametrize(("getter", "dropper"), PAIRS)
def test_what_one_got_another_drops(
    tools: Tools, made: dict[str, Path], bench: Path, getter: str, dropper: str
) -> None:
    clone = tools.clone(getter, made["hold"], bench / "clone")
    tools.get(getter, clone, "sub-01")
    tools.get(dropper, clone)
    tools.drop(dropper, clone, "sub-01", "T1w.nii.gz")
    assert tools.here("hold", clone) == tools.here("annex", clone) == set()
    tools.get(getter, clone, "T1w.nii.gz")
    assert tools.here("hold", clone) == tools.here("annex", clone) == {b"T1w.nii.gz"}
    tools.settled(clone)


@pytest.mark.parametrize("order", list(permutations(TOOLS)), ids="-".join)
def test_each_adds_to_what_the_one_before_left(
    tools: Tools, bench: Path, order: tuple[str, str, str]
) -> None:
    folder = tools.create(order[0], bench / "study")
    tools.write(folder, FIRST)
    tools.save(order[0], folder)
    expected = dict(FIRST)
    for turn, tool in enumerate((*order[1:], order[0])):
        assert tools.is_clean(tool, folder)
        if turn:
            tools.fsck(tool, folder)
        more = {f"by-{tool}-{turn}.dat": b"more by " + tool.encode(), "again.dat": b"%d" % turn}
        (folder / "again.dat").unlink(missing_ok=True)
        tools.write(folder, more)
        expected |= more
        tools.save(tool, folder, message=f"turn {turn}")
    assert {name: (folder / name).read_bytes() for name in expected} == expected
    assert tools.whereis("hold", folder) == tools.whereis("annex", folder)
    assert tools.whereis("hold", folder) == {name: {tools.uuid(folder)} for name in expected}
    tools.fsck("hold", folder)
    tools.settled(folder)


@pytest.mark.parametrize(("maker", "remover"), PAIRS)
def test_what_one_saved_another_moves_and_removes(
    tools: Tools, bench: Path, maker: str, remover: str
) -> None:
    folder = tools.create(maker, bench / "study")
    tools.write(folder, FIRST)
    tools.save(maker, folder)
    (folder / "elsewhere" / "below").mkdir(parents=True)
    (folder / "T1w.nii.gz").rename(folder / "elsewhere" / "below" / "T1w.nii.gz")
    (folder / "sub-01" / "bold.nii.gz").unlink()
    tools.save(remover, folder)
    assert tools.is_clean(maker, folder)
    moved = folder / "elsewhere" / "below" / "T1w.nii.gz"
    assert moved.read_bytes() == FIRST["T1w.nii.gz"]
    assert str(moved.readlink()).startswith("../../.git/annex/objects/")
    names = {"elsewhere/below/T1w.nii.gz", "sub-01/deep/er/notes.txt"}
    assert set(tools.whereis("hold", folder)) == set(tools.whereis("annex", folder)) == names
    tools.settled(folder)
