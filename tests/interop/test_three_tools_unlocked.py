"""Files whose content lies in their place: unlocked, changed, saved, dropped by different tools."""

from __future__ import annotations

import os
from itertools import permutations, product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop

TOOLS = ("hold", "annex", "datalad")
TWO = ("hold", "annex")
TURNS = list(permutations(TWO))
OLD, NEW = b"as it was\n" * 100, b"as it is now\n" * 90


def start(tools: Tools, maker: str, folder: Path) -> Path:
    tools.create(maker, folder)
    tools.write(folder, {"scan.dat": OLD, "sub/other.dat": b"other"})
    tools.save(maker, folder)
    return folder


def is_unlocked(folder: Path, name: str) -> bool:
    path = folder / name
    return path.is_file() and not path.is_symlink()


@pytest.mark.parametrize(
    ("unlocker", "saver"), [*product(TWO, TWO), ("datalad", "hold"), ("hold", "datalad")]
)
def test_a_file_unlocked_and_changed_is_saved_as_its_new_content(
    tools: Tools, bench: Path, unlocker: str, saver: str
) -> None:
    folder = start(tools, unlocker, bench / "study")
    tools.unlock(unlocker, folder, "scan.dat")
    assert is_unlocked(folder, "scan.dat")
    (folder / "scan.dat").write_bytes(NEW)
    tools.save_tracked(saver, folder)
    # DataLad itself locks what it saves.
    assert is_unlocked(folder, "scan.dat") == (saver != "datalad")
    assert (folder / "scan.dat").read_bytes() == NEW
    assert tools.is_annexed(folder, "scan.dat")
    assert all(tools.is_clean(tool, folder) for tool in TWO)
    assert tools.whereis("hold", folder) == tools.whereis("annex", folder)
    tools.fsck("hold", folder)
    tools.fsck("annex", folder)
    tools.settled(folder)


@pytest.mark.parametrize(("unlocker", "locker"), TURNS)
def test_what_one_unlocks_another_locks(
    tools: Tools, bench: Path, unlocker: str, locker: str
) -> None:
    folder = start(tools, unlocker, bench / "study")
    tools.unlock(unlocker, folder, "scan.dat")
    tools.save_tracked(unlocker, folder)
    {"hold": tools.hold, "annex": tools.annex}[locker](folder, "lock", "scan.dat")
    tools.save_tracked(locker, folder)
    assert (folder / "scan.dat").is_symlink()
    assert (folder / "scan.dat").read_bytes() == OLD
    assert tools.is_clean(unlocker, folder)
    tools.settled(folder)


@pytest.mark.parametrize("locker", TWO)
def test_none_locks_a_file_over_a_change(tools: Tools, bench: Path, locker: str) -> None:
    folder = start(tools, "hold", bench / "study")
    tools.unlock("hold", folder, "scan.dat")
    tools.save_tracked("hold", folder)
    (folder / "scan.dat").write_bytes(NEW)
    if locker == "hold":
        tools.hold(folder, "lock", "scan.dat", exits=4)
    else:
        tools.annex(folder, "lock", "scan.dat", exits=1)
    assert (folder / "scan.dat").read_bytes() == NEW


@pytest.mark.parametrize(("dropper", "getter"), list(product(TWO, TWO)))
def test_dropping_leaves_a_pointer_that_getting_fills(
    tools: Tools, bench: Path, dropper: str, getter: str
) -> None:
    source = start(tools, "hold", bench / "source")
    tools.unlock("hold", source, "scan.dat")
    tools.save_tracked("hold", source)
    clone = tools.clone(getter, source, bench / "clone")
    tools.get(getter, clone)
    assert (clone / "scan.dat").read_bytes() == OLD
    tools.settled(clone)
    tools.drop(dropper, clone)
    assert (clone / "scan.dat").read_bytes().startswith(b"/annex/objects/")
    assert tools.here("hold", clone) == tools.here("annex", clone) == set()
    tools.settled(clone)
    tools.get(getter, clone)
    assert (clone / "scan.dat").read_bytes() == OLD
    assert tools.here("hold", clone) == tools.here("annex", clone)
    tools.settled(clone)


@pytest.mark.parametrize(("saver", "other"), TURNS)
def test_new_files_are_unlocked_where_addunlocked_says_so(
    tools: Tools, bench: Path, saver: str, other: str
) -> None:
    folder = tools.create(saver, bench / "study")
    tools.git(folder, "config", "annex.addunlocked", "include=*.dat")
    tools.write(folder, {"a.dat": OLD, "b.nii": OLD, "sub/c.dat": b"c"})
    tools.save(saver, folder)
    assert is_unlocked(folder, "a.dat")
    assert is_unlocked(folder, "sub/c.dat")
    assert (folder / "b.nii").is_symlink()
    assert tools.is_clean(other, folder)
    tools.fsck(other, folder)
    tools.settled(folder)


@pytest.mark.parametrize(("saver", "other"), TURNS)
def test_the_executable_bit_of_locked_and_unlocked_files_is_kept(
    tools: Tools, bench: Path, saver: str, other: str
) -> None:
    folder = tools.create(saver, bench / "study")
    tools.write(folder, {"locked.sh": b"#!/bin/sh\n1", "open.sh": b"#!/bin/sh\n2", "in-git": b"3"})
    tools.write(folder, {".gitattributes": b"in-git annex.largefiles=nothing\n"})
    for name in ("locked.sh", "open.sh", "in-git"):
        (folder / name).chmod(0o755)
    tools.save(saver, folder)
    tools.unlock(saver, folder, "open.sh")
    tools.save_tracked(saver, folder)
    tools.fsck(other, folder)
    modes = tools.git(folder, "ls-files", "-s", "open.sh", "in-git").text.splitlines()
    assert all(line.startswith("100755") for line in modes)
    clone = tools.clone(other, folder, bench / "clone")
    tools.get(other, clone)
    assert os.access(clone / "open.sh", os.X_OK)
    assert os.access(clone / "in-git", os.X_OK)
    assert all(
        (clone / n).read_bytes() == (folder / n).read_bytes() for n in ("locked.sh", "open.sh")
    )
    tools.unlock(other, folder, "locked.sh")
    assert os.access(folder / "locked.sh", os.X_OK)
    tools.save_tracked(other, folder)
    tools.settled(folder)
    tools.settled(clone)


@pytest.mark.parametrize(("saver", "other"), TURNS)
def test_turning_the_executable_bit_of_an_unlocked_file_is_a_change(
    tools: Tools, bench: Path, saver: str, other: str
) -> None:
    folder = start(tools, other, bench / "study")
    tools.unlock(other, folder, "scan.dat")
    tools.save_tracked(other, folder)
    (folder / "scan.dat").chmod(0o755)
    assert not tools.is_clean("hold", folder)
    tools.save_tracked(saver, folder)
    assert tools.git(folder, "ls-files", "-s", "scan.dat").text.startswith("100755")
    assert tools.is_annexed(folder, "scan.dat")
    assert (folder / "scan.dat").read_bytes() == OLD
    assert tools.is_clean(other, folder)
    tools.settled(folder)


@pytest.mark.parametrize("maker", TWO)
def test_plain_git_adds_commits_and_checks_out_unlocked_files(
    tools: Tools, bench: Path, maker: str
) -> None:
    folder = start(tools, maker, bench / "study")
    tools.git(folder, "config", "annex.largefiles", "include=*.dat")
    tools.write(folder, {"new.dat": NEW, "text.txt": b"text\n"})
    tools.git(folder, "add", ".")
    tools.git(folder, "commit", "-q", "-m", "by git alone")
    assert tools.is_annexed(folder, "new.dat")
    assert not tools.is_annexed(folder, "text.txt")
    (folder / "new.dat").write_bytes(OLD + NEW)
    tools.git(folder, "commit", "-q", "-a", "-m", "changed")
    tools.settled(folder)
    tools.git(folder, "checkout", "-q", "HEAD~1")
    assert (folder / "new.dat").read_bytes() == NEW
    tools.git(folder, "checkout", "-q", "main")
    assert (folder / "new.dat").read_bytes() == OLD + NEW
    tools.git(folder, "checkout", "-q", "HEAD~2")
    assert not (folder / "new.dat").exists()
    tools.git(folder, "checkout", "-q", "main")
    assert tools.whereis("hold", folder) == tools.whereis("annex", folder)
    assert all(tools.is_clean(tool, folder) for tool in TWO)
    tools.fsck("hold", folder)
    tools.settled(folder)


def test_plain_git_works_where_git_annex_is_not_installed(tools: Tools, bench: Path) -> None:
    lonely = bench / "bin"
    lonely.mkdir()
    (lonely / "git-annex").write_text("#!/bin/sh\necho git-annex was called >&2\nexit 9\n")
    (lonely / "git-annex").chmod(0o755)
    path = {"PATH": f"{lonely}{os.pathsep}{tools.environment['PATH']}"}
    folder = start(tools, "hold", bench / "study")
    tools.hold(folder, "unlock", "scan.dat", **path)
    tools.git(folder, "commit", "-q", "-a", "-m", "unlocked", **path)
    (folder / "scan.dat").write_bytes(NEW)
    assert tools.git(folder, "status", "--porcelain", **path).text == " M scan.dat\n"
    assert b"annex/objects" in tools.git(folder, "diff", **path).output
    tools.git(folder, "add", "scan.dat", **path)
    tools.git(folder, "commit", "-q", "-m", "changed", **path)
    tools.git(folder, "checkout", "-q", "HEAD~1", **path)
    assert (folder / "scan.dat").read_bytes() == OLD
    tools.git(folder, "switch", "-q", "main", **path)
    assert (folder / "scan.dat").read_bytes() == NEW
    tools.git(folder, "mv", "scan.dat", "moved.dat", **path)
    tools.git(folder, "commit", "-q", "-m", "moved", **path)
    tools.git(folder, "stash", "list", **path)
    assert tools.is_clean("annex", folder)
    tools.fsck("annex", folder)
    tools.settled(folder)


@pytest.mark.parametrize(("first", "second"), TURNS)
def test_a_touched_unlocked_file_is_no_change(
    tools: Tools, bench: Path, first: str, second: str
) -> None:
    folder = start(tools, first, bench / "study")
    tools.unlock(first, folder, "scan.dat")
    tools.save_tracked(first, folder)
    version = tools.git(folder, "rev-parse", "HEAD").text
    os.utime(folder / "scan.dat", (1_600_000_000, 1_600_000_000))
    assert tools.is_clean(second, folder)
    if second == "hold":
        tools.save("hold", folder)
    assert tools.git(folder, "rev-parse", "HEAD").text == version
    tools.settled(folder)


@pytest.mark.parametrize(("unlocker", "mover"), TURNS)
def test_an_unlocked_file_may_be_moved_and_copied(
    tools: Tools, bench: Path, unlocker: str, mover: str
) -> None:
    folder = start(tools, unlocker, bench / "study")
    tools.unlock(unlocker, folder, "scan.dat")
    tools.save_tracked(unlocker, folder)
    (folder / "away").mkdir()
    tools.git(folder, "mv", "scan.dat", "away/scan.dat")
    tools.save_tracked(mover, folder)
    assert (folder / "away" / "scan.dat").read_bytes() == OLD
    assert tools.is_annexed(folder, "away/scan.dat")
    assert tools.is_clean(unlocker, folder)
    tools.settled(folder)
