"""A file that another program replaces while we work on it: what it put there is not lost."""

from __future__ import annotations

import builtins
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from scenes import HOLD, copy_folder, is_pointer, must, objects

from holdfast.api.datasets import Dataset, open_dataset
from holdfast.api.drop import iter_drop
from holdfast.api.get import iter_get
from holdfast.api.lock import iter_lock, iter_unlock
from holdfast.api.save import iter_save
from holdfast.core.backends import digest_key
from holdfast.core.extensions import ExtensionLimits
from holdfast.core.outcome import Outcome, Status
from holdfast.core.place import Place, PlaceId
from holdfast.dataset import exchange
from holdfast.dataset.annexed import iter_annexed
from holdfast.dataset.objects import Objects
from holdfast.dataset.populate import WorkFiles
from holdfast.wire.pointer import link_target

CALLS = ("chmod", "link", "lstat", "open", "readlink", "rename", "stat", "unlink")
"""What of the system is told the name of a file that is worked on."""

OLD, NEW = bytes(range(256)) * 300, bytes(range(255, -1, -1)) * 300
NOWHERE = 1000


class Meddler:
    """Does something to a file once, before the call number ``point`` that names it."""

    def __init__(self, path: Path, point: int, act: Callable[[Path], None]) -> None:
        self.count = 0
        self._path, self._point, self._act = path, point, act

    def _wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*words: Any, **more: Any) -> Any:
            if bytes(self._path) in words:
                self.count += 1
                if self.count == self._point + 1:
                    self._act(self._path)
            return call(*words, **more)

        return called

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Meddle with all that is done meanwhile."""
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, self._wrapped(getattr(os, name)))
            patch.setattr(exchange, "exchange", self._wrapped(exchange.exchange))
            patch.setattr(builtins, "open", self._wrapped(open))
            yield


def replace_by_new(path: Path) -> None:
    """As an editor saves."""
    spare = path.with_name("spare")
    spare.write_bytes(NEW)
    os.utime(spare, ns=(1, 1))
    spare.replace(path)


def save_elsewhere(path: Path) -> None:
    """As another save does, that was quicker."""
    top = path.parent
    key = digest_key(b"SHA256E", OLD, b"twin.dat", ExtensionLimits())
    there = Objects(bytes(top / ".git/annex"), Place(PlaceId("here"), "here"), bare=False)
    if not there.has(key):
        spare = top / ".git/annex/spare"
        spare.write_bytes(OLD)
        there.commit(key, bytes(spare))
    (top / "spare").symlink_to(os.fsdecode(link_target(key, 0)))
    (top / "spare").replace(path)


def anew(template: Path, folder: Path) -> Path:
    """A copy of a folder of data sets, in the place of the one before."""
    if folder.exists():
        subprocess.run(["chmod", "-R", "u+w", folder], check=True)
        shutil.rmtree(folder)
    copy_folder(template, folder)
    return folder / "main"


def save_twins(main: Path, point: int, act: Callable[[Path], None]) -> int:
    """Save two twins, one of which is meddled with; gives how many points there were."""
    for name in ("a", "b"):
        (main / f"twin {name}.dat").write_bytes(OLD)
    meddler = Meddler(main / "twin b.dat", point, act)
    with open_dataset(main) as dataset, meddler.at_work():
        list(iter_save(dataset, [b"twin a.dat", b"twin b.dat"], jobs=1))
    return meddler.count


@pytest.mark.parametrize("unlocked", ["false", "true"])
@pytest.mark.parametrize(("act", "after"), [(replace_by_new, NEW), (save_elsewhere, OLD)])
def test_what_takes_the_place_of_a_file_that_is_being_saved_is_not_lost(
    tmp_path: Path, act: Callable[[Path], None], after: bytes, unlocked: str
) -> None:
    empty = tmp_path / "empty"
    must(tmp_path, HOLD, "create", "empty/main")
    must(empty / "main", "git", "config", "annex.addunlocked", unlocked)
    count = save_twins(anew(empty, tmp_path / "folder"), NOWHERE, act)
    assert 3 < count < NOWHERE
    wrong = []
    for point in range(count):
        main = anew(empty, tmp_path / "folder")
        save_twins(main, point, act)
        must(main, HOLD, "save")
        texts = {path: path.read_bytes() for path in objects(main).values() if path.exists()}
        found = [path.read_bytes() if path.exists() else b"" for path in main.glob("twin *")]
        if sorted(found) != sorted([OLD, after]) or any(
            sha256(text).hexdigest() not in path.name for path, text in texts.items()
        ):
            wrong.append(point)
    assert not wrong


VERBS: dict[str, tuple[Callable[[Dataset, list[bytes]], Iterator[Outcome]], tuple[str, ...]]] = {
    "get": (iter_get, ()),
    "drop": (iter_drop, ("get",)),
    "lock": (iter_lock, ("get",)),
    "lock a pointer": (iter_lock, ()),
    "unlock": (iter_unlock, ("get", "lock")),
}
"""What is done to an unlocked file, and what before, without anybody who meddles."""


@pytest.mark.parametrize("verb", VERBS)
def test_what_takes_the_place_of_an_unlocked_file_stays_and_git_sees_it(
    tmp_path: Path, verb: str
) -> None:
    act, before = VERBS[verb]
    must(tmp_path, HOLD, "create", "ready/origin")
    origin = tmp_path / "ready/origin"
    must(origin, "git", "config", "annex.addunlocked", "true")
    (origin / "it.dat").write_bytes(OLD)
    must(origin, HOLD, "save")
    must(tmp_path / "ready", HOLD, "clone", "origin", "main")
    for word in before:
        must(tmp_path / "ready/main", HOLD, word, "it.dat")

    def worked_on(main: Path, point: int) -> int:
        meddler = Meddler(main / "it.dat", point, replace_by_new)
        with open_dataset(main) as dataset, meddler.at_work():
            list(act(dataset, [b"it.dat"]))
        return meddler.count

    count = worked_on(anew(tmp_path / "ready", tmp_path / "folder"), NOWHERE)
    assert 2 < count < NOWHERE
    for point in range(count):
        main = anew(tmp_path / "ready", tmp_path / "folder")
        worked_on(main, point)
        assert (main / "it.dat").read_bytes() == NEW, point
        assert "it.dat" in must(main, "git", "status", "--porcelain").out, point


def test_a_file_whose_second_name_seems_another_file_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on file systems that number names, not files."""
    must(tmp_path, HOLD, "create", "main")
    (tmp_path / "main/it.dat").write_bytes(OLD)

    def link(path: bytes, name: bytes, **_: bool) -> None:
        shutil.copy2(path, name)

    monkeypatch.setattr(os, "link", link)
    with open_dataset(tmp_path / "main") as dataset:
        assert [one.status for one in iter_save(dataset, [b"it.dat"])] == [Status.OK]
    assert (tmp_path / "main/it.dat").is_symlink()
    assert (tmp_path / "main/it.dat").read_bytes() == OLD


def test_content_that_leaves_as_it_is_copied_leaves_a_pointer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a drop takes it away between a look and its use."""
    must(tmp_path, HOLD, "create", "main")
    (tmp_path / "main/it.dat").write_bytes(OLD)
    must(tmp_path / "main", HOLD, "save")
    monkeypatch.setattr(Objects, "content_path", lambda *_: bytes(tmp_path / "it has just left"))
    with open_dataset(tmp_path / "main") as dataset:
        assert [one.status for one in iter_unlock(dataset, [b"it.dat"])] == [Status.OK]
        assert is_pointer(tmp_path / "main/it.dat")
        with WorkFiles(dataset.repository, dataset.objects) as work:
            [file] = iter_annexed(dataset.repository, [b"it.dat"])
            assert not work.populate(file)
    assert is_pointer(tmp_path / "main/it.dat")
