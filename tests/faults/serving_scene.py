"""A folder packed into several pieces, which are written beside it: what is served is held to them."""

from __future__ import annotations

import random
from pathlib import Path

from holdfast.api.archive import Archive, archive_of_folder, archive_pack
from holdfast.api.archive_serving import ServedArchive, ServedPiece
from holdfast.wire.cid import parse_cid_text

PIECE = 4 << 20


def make_folder(folder: Path) -> Path:
    """Files that are split, of many leaves, of one, empty; links; many names; empty folders."""
    chance = random.Random(7)
    (folder / "b/deep").mkdir(parents=True)
    (folder / "hollow").mkdir()
    for number in range(12):
        (folder / f"b/{number:02}").write_bytes(chance.randbytes(300_000 + number))
    (folder / "b/deep/large").write_bytes(chance.randbytes(7_300_000))
    (folder / "c").write_bytes(b"c" * 1_500_000)
    (folder / "d").symlink_to("c")
    (folder / "empty").touch()
    (folder / "e").symlink_to("empty")
    return folder


def packed(folder: Path) -> Archive:
    """The archive of a folder, its pieces written beside it."""
    archive = archive_of_folder(bytes(folder), bytes(folder.parent / "state"))
    archive_pack(archive, write=bytes(folder.parent / "pieces"), piece_size=PIECE)
    return archive


def served(top: Path) -> ServedArchive:
    return ServedArchive(archive_of_folder(bytes(top / "scans"), bytes(top / "state")))


def pieces_of(top: Path, archive: ServedArchive) -> list[tuple[ServedPiece, bytes]]:
    found = []
    for path in sorted((top / "pieces").glob("*.car")):
        piece = archive.find_piece(parse_cid_text(path.stem))
        assert piece is not None
        found.append((piece, path.read_bytes()))
    return found


def read(archive: ServedArchive, piece: ServedPiece, start: int, stop: int) -> bytes:
    return b"".join(bytes(view) for view in archive.chunks(piece, start, stop))
