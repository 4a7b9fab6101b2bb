"""Pieces that are not stored: any range of them, from the sources, and never other bytes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_scene import make_folder, packed, pieces_of, read, served

from holdfast.api.archive_serving import ServedArchive
from holdfast.archive import source_leaves
from holdfast.core.errors import ConflictError, HoldError, NotFoundError, PlaceUnavailableError
from holdfast.wire.car import CarReader
from holdfast.wire.cid import parse_cid_text


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("images")
    packed(make_folder(top / "scans"))
    return top


def test_pieces_from_their_sources_are_those_that_were_written(scene: Path) -> None:
    archive = served(scene)
    pieces = pieces_of(scene, archive)
    assert len(pieces) >= 4
    for piece, car in pieces:
        assert piece.size == len(car)
        assert read(archive, piece, 0, len(car)) == car
        # and again, when leaves are known to be right
        assert read(archive, piece, 0, len(car)) == car


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_range_of_a_piece_is_that_of_its_file(scene: Path, data: st.DataObject) -> None:
    archive = served(scene)
    piece, car = data.draw(st.sampled_from(pieces_of(scene, archive)))
    edges = st.sampled_from(sorted({section.start for section in CarReader([car])}))
    near = st.integers(-45, 45)
    any_place = st.integers(0, len(car)) | st.builds(lambda edge, by: edge + by, edges, near)
    places = any_place.map(lambda place: min(max(0, place), len(car)))
    start, stop = sorted((data.draw(places), data.draw(places)))
    assert read(archive, piece, start, stop) == car[start:stop]


def test_every_block_is_found_by_its_cid(scene: Path) -> None:
    archive = served(scene)
    with archive.open_blocks() as blocks:
        for _, car in pieces_of(scene, archive):
            for section in CarReader([car]):
                assert blocks.get(section.cid) == section.block
        with pytest.raises(NotFoundError):
            blocks.get(
                parse_cid_text("bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")
            )


def _protect(top: Path) -> None:
    """Write-protect all files, as content in an annex is."""
    for path in (*(top / "scans").rglob("*"), *(top / "state").rglob("*.txt")):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o444)


def _change(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _replace_with_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _replace_with_link(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.unlink()
    path.symlink_to("copy")


def _keep_times(path: Path) -> None:
    seen = path.stat()
    _change(path)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


HARM: dict[str, Callable[[Path], object]] = {
    "changed": _change,
    "changed, its times kept": _keep_times,
    "cut short": lambda path: os.truncate(path, path.stat().st_size - 1),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"!"),
    "gone": Path.unlink,
    "a pipe": _replace_with_pipe,
    "a link": _replace_with_link,
}


@pytest.mark.parametrize("remembers", [False, True])
@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("name", ["b/05", "b/deep/large"])
def test_a_source_that_is_another_gives_an_error_and_never_other_bytes(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    harm: str, name: str, remembers: bool,
) -> None:  # fmt: skip
    if remembers:  # what is read once counts as right while its times are the same
        monkeypatch.setattr(source_leaves, "SETTLED_S", -1.0)
    shutil.copytree(scene, tmp_path / "top", symlinks=True)
    top = tmp_path / "top"
    if remembers:
        _protect(top)
    archive = served(top)
    for piece, car in pieces_of(top, archive):
        assert read(archive, piece, 0, len(car)) == car
    if remembers and os.geteuid():  # who is root needs no leave to write
        (top / "scans" / name).chmod(0o644)
    HARM[harm](top / "scans" / name)
    failed = 0
    for piece, car in pieces_of(top, archive):
        given = b""
        try:
            for view in archive.chunks(piece, 0, len(car)):
                given += view
        except PlaceUnavailableError as error:
            assert f"files/{name}" in error.what
            failed += 1
        assert given == car[: len(given)]
    assert failed >= 1


def test_a_leaf_that_was_right_is_not_hashed_again_until_its_file_changes(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[int] = []

    def counted(view: memoryview) -> Any:
        hashed.append(len(view))
        return sha256(view)

    monkeypatch.setattr(source_leaves, "sha256", counted)
    shutil.copytree(scene, tmp_path / "top", symlinks=True)
    top = tmp_path / "top"

    def hashes(archive: ServedArchive) -> int:
        hashed.clear()
        for piece, car in pieces_of(top, archive):
            assert read(archive, piece, 0, len(car)) == car
        return sum(hashed)

    def is_hashed_twice() -> bool:
        archive = served(top)
        return hashes(archive) == hashes(archive)

    _protect(top)
    assert is_hashed_twice(), "files that were just made may change unseen"
    monkeypatch.setattr(source_leaves, "SETTLED_S", -1.0)
    assert not is_hashed_twice()
    (top / "scans/b/deep/large").chmod(0o644)
    archive = served(top)
    hashes(archive)
    large = (top / "scans/b/deep/large").stat().st_size
    assert hashes(archive) >= large, "somebody may write to it while it is mapped"
    _protect(top)
    settled = served(top)
    assert hashes(settled) > large
    links = sum(size for size in hashed if size < 100)
    assert hashes(settled) <= links
    os.utime(top / "scans/b/deep/large")
    assert hashes(settled) >= large


def test_only_so_many_files_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_leaves, "_FILES_MAX", 3)
    verified = source_leaves.Verified()
    signature = (1, 2, 3, 4, 5)
    for number in range(5):
        verified.add((b"", number), signature, 77)
        assert verified.has((b"", number), signature, 77)
        assert not verified.has((b"", number), signature, 76)
        assert not verified.has((b"", number), (1, 2, 3, 4, 6), 77)
    known = [number for number in range(5) if verified.has((b"", number), signature, 77)]
    assert known == [2, 3, 4]


def test_notes_that_are_damaged_are_not_believed(scene: Path, tmp_path: Path) -> None:
    shutil.copytree(scene, tmp_path / "top", symlinks=True)
    top = tmp_path / "top"
    served(top)
    notes = top / "state/snapshot-0"
    for name in ("served-spans", "served-blocks", "served"):
        _change(notes / name)
        archive = served(top)  # made anew
        for piece, car in pieces_of(top, archive):
            assert read(archive, piece, 0, len(car)) == car
    _change(notes / "served-kept")
    archive = served(top)
    failed = 0
    for piece, car in pieces_of(top, archive):
        try:
            assert read(archive, piece, 0, len(car)) == car
        except HoldError:
            failed += 1
    assert failed == 1
    for name in ("digests", "cids"):
        _change(notes / name)
        with pytest.raises(HoldError):
            served(top)
        _change(notes / name)
        served(top)


@pytest.mark.parametrize("name", ["cids", "digests"])
@pytest.mark.parametrize("left", [0, 0.5])
def test_notes_that_are_cut_short_are_told(
    scene: Path, tmp_path: Path, name: str, left: float
) -> None:
    shutil.copytree(scene, tmp_path / "top", symlinks=True)
    [notes] = (tmp_path / "top").rglob(f"snapshot-0/{name}")
    os.truncate(notes, int(notes.stat().st_size * left))
    with pytest.raises(ConflictError, match="snapshot-0"):
        served(tmp_path / "top")


def test_a_link_that_leads_elsewhere_now_is_not_given(scene: Path, tmp_path: Path) -> None:
    shutil.copytree(scene, tmp_path / "top", symlinks=True)
    top = tmp_path / "top"
    archive = served(top)
    (top / "scans/d").unlink()
    (top / "scans/d").symlink_to("b")
    failed = 0
    for piece, car in pieces_of(top, archive):
        try:
            assert read(archive, piece, 0, len(car)) == car
        except PlaceUnavailableError:
            failed += 1
    assert failed == 1
