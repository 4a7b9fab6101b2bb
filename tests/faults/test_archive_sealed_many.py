"""Many small files packed encrypted: the same age files as one by one, and nothing else in them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archive_reader import Pieces
from scenes import HOLD, contents, hold, must

from holdfast.api.archive import (
    Archive,
    PackOptions,
    archive_of,
    archive_of_folder,
    iter_archive_pack,
)
from holdfast.api.archive_keys import KeyPlace
from holdfast.api.archive_sealing import EncryptBy
from holdfast.api.datasets import open_dataset
from holdfast.archive.plan_file import Plan
from holdfast.archive.plan_records import FileRecord, RunRecord
from holdfast.archive.sealed_contents import SealedSources
from holdfast.core.progress import Silence
from holdfast.kernel.choose import best
from holdfast.wire.piece import PLAIN, Kernel

pytest.importorskip("cryptography")
SIZES = (0, 1, 100, 65_535, 65_536, 65_537, 131_072, 1_048_000, 1_048_576)
BACKENDS = ("SHA256E", "MD5E", "SHA512E", "WORM", "SHA256", "in git")


def _fill(folder: Path) -> None:
    chance = random.Random(7)
    for name in ("sub-01", "sub-02", "sub-03/few"):
        (folder / name).mkdir(parents=True)
        for number in range(3 if "few" in name else 40):
            size = SIZES[number] if number < len(SIZES) else chance.randrange(40_000)
            (folder / name / f"{number:03}.nii").write_bytes(chance.randbytes(size))


def _data_set(folder: Path) -> None:
    """One of several backends, and of files that git has."""
    must(folder.parent, HOLD, "create", "-q", "--profile", "all-annexed", folder.name)
    for number, backend in enumerate(BACKENDS):
        files = [folder / f"sub-01/{n:03}.nii" for n in range(number * 6, number * 6 + 6)]
        rule = "annex.largefiles=nothing" if backend == "in git" else f"annex.backend={backend}"
        with (folder / ".gitattributes").open("a") as file:
            file.writelines(f"{path.relative_to(folder)} {rule}\n" for path in files)
    _fill(folder)
    must(folder, HOLD, "save", "-q", "-m", "all")


@pytest.fixture(params=["folder", "data set"])
def archive(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Archive]:
    """What will be packed encrypted: ``many`` in the folder of the test."""
    keys, by = KeyPlace(os.fsencode(tmp_path / "keys")), EncryptBy(("sub-*",))
    many = tmp_path / "many"
    if request.param == "folder":
        _fill(many)
        state = os.fsencode(tmp_path / "state")
        yield archive_of_folder(os.fsencode(many), state, encrypt=by, keys=keys)
        return
    _data_set(many)
    with open_dataset(os.fsencode(many)) as dataset:
        yield archive_of(dataset, encrypt=by, keys=keys)


def _packed(
    archive: Archive, top: Path, kernel: Kernel, change: Callable[[], None] = lambda: None
) -> dict[str, str]:
    """Pack; ``change`` is called when all is planned. What was wrong, by path."""

    class Meddling(Silence):
        def start(self, items: int | None, total: int | None) -> None:
            if items is not None:
                change()

    found = iter_archive_pack(
        archive, write=os.fsencode(top / "pieces"), piece_size=4 << 20,
        options=PackOptions(kernel=kernel), progress=Meddling(),
    )  # fmt: skip
    return {one.path: one.error.code for one in found if one.error is not None}


@pytest.mark.parametrize("kernel", [PLAIN, best()], ids=["plain", "best"])
def test_what_is_sealed_many_at_a_time_is_what_is_sealed_alone(
    archive: Archive, tmp_path: Path, kernel: Kernel
) -> None:
    assert _packed(archive, tmp_path, kernel) == {}
    tree = Pieces(sorted((tmp_path / "pieces").glob("*.car"))).tree()
    folder = archive.folder.folder + b"/snapshot-0"
    sources, plan = archive.source.sources(folder), Plan(folder + b"/plan")
    assert isinstance(sources, SealedSources)
    assert any(isinstance(one, RunRecord) for one in plan.in_runs())
    count = 0
    for record in plan:
        if isinstance(record, FileRecord) and record.source.startswith("~"):
            data = memoryview(bytearray(record.size))
            content = sources.open_content(record)
            content.read(data, 0)
            content.finish()
            content.close()
            assert tree[record.path.decode()][1] == data, record
            count += 1
    assert count >= 80
    restore = ("archive", "restore", "pieces", "--keys", "keys", "--to", "out")
    assert hold(tmp_path, *restore).code == 0
    kept, restored = contents(tmp_path / "many"), contents(tmp_path / "out")
    assert len(kept) >= 80 and {name: restored.get(name) for name in kept} == kept


@pytest.mark.parametrize("kernel", [PLAIN, best()], ids=["plain", "best"])
def test_of_many_small_files_those_that_changed_are_told_and_left_out(
    archive: Archive, tmp_path: Path, kernel: Kernel
) -> None:
    """One of each backend, one that is gone, one that is longer; those of git do not change."""
    many = tmp_path / "many"
    numbers = (2, 7, 13, 19, 25, 37, 39)
    names = {f"sub-01/{number:03}.nii" for number in numbers}

    def change() -> None:
        for name in names:
            path = (many / name).resolve()
            whole, seen = path.read_bytes(), path.stat()
            path.parent.chmod(0o755)
            path.chmod(0o644)
            path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
            os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
            if name.endswith("037.nii"):
                path.unlink()
            elif name.endswith("039.nii"):
                path.write_bytes(whole + b"!")

    told = _packed(archive, tmp_path, kernel, change)
    assert set(told) == names, told
    done = hold(tmp_path, "archive", "restore", "pieces", "--keys", "keys", "--to", "out")
    restored = contents(tmp_path / "out")
    kept = {name: one for name, one in contents(many).items() if name not in names}
    assert done.code != 0 and not names & set(restored)
    assert {name: restored.get(name) for name in kept} == kept
