"""Restoring a plain folder: its tree from the root, modes from the rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

from ..archive.chosen_paths import ChosenPaths
from ..archive.finding import Finding, FoundSnapshot
from ..archive.folder_writer import FolderWriter
from ..archive.piece_blocks import iter_blocks, iter_content
from ..archive.pieces import damaged
from ..archive.plain_tree import TreeFile, files_of
from ..archive.together import Together
from ..core.errors import HoldError, PlaceFullError
from ..core.outcome import Outcome, Status
from ..core.progress import Progress
from ..wire.cid import RAW, parse_cid
from ..wire.file_layout import Block
from ..wire.unixfs import PROFILE
from ..wire.unixfs_reading import symlink_target
from .archive_found import failed, iter_found_again, iter_wrong

_BLOCK = 512
_MODE = 0o100644
"""Of a file without a row."""


def iter_restore_folder(
    finding: Finding,
    snapshot: FoundSnapshot,
    target: bytes,
    chosen: ChosenPaths,
    progress: Progress,
) -> Iterator[Outcome]:
    """Restore what is wanted of a snapshot; what is there already, byte for byte, is left."""
    tree = files_of(finding, snapshot)
    items = tree.walk(chosen)
    progress.start(None, None)
    try:
        with FolderWriter(target) as writer:
            restorer = Restorer(writer, progress)
            while block := list(islice(items, _BLOCK)):
                yield from restorer.iter_block(block)
            yield from restorer.iter_flushed()
    finally:
        progress.stop()
    yield from iter_wrong("restore", tree.faults)
    yield from iter_found_again("restore", tree.found_again)


def iter_named(writer: FolderWriter, progress: Progress) -> Iterator[Outcome]:
    """Give the files that wait their names, and tell of it."""
    for path, size, error in writer.flush():
        progress.advance(1, 0)
        name = os.fsdecode(path)
        if error is not None:
            yield failed("restore", name, error)
        else:
            yield Outcome("restore", Status.OK, name, size=size)


class Restorer:
    """Writes files of a tree, block by block."""

    def __init__(self, writer: FolderWriter, progress: Progress) -> None:
        self._writer = writer
        self._progress = progress
        self._together = Together()

    def iter_block(self, block: list[TreeFile | HoldError]) -> Iterator[Outcome]:
        """Write these, and tell of each that is done or failed."""
        todo = []
        for item in block:
            if isinstance(item, HoldError):
                yield failed("restore", "pieces", item)
                continue
            try:
                is_there = self._is_done(item)
            except HoldError as error:
                yield failed("restore", os.fsdecode(item.path), error)
                continue
            if is_there and item.file is not None:
                yield Outcome("restore", Status.NOT_NEEDED, os.fsdecode(item.path))
            elif not is_there and item.file is not None:
                self._together.expect(item.path, item.file)
                todo.append(item)
        for item in todo:
            yield from self._iter_one(item)

    def iter_flushed(self) -> Iterator[Outcome]:
        """Give what waits its names, and tell of it."""
        return iter_named(self._writer, self._progress)

    def _is_done(self, item: TreeFile) -> bool:
        if item.file is None:
            self._writer.make_folder(item.path)
            return True
        return not is_link(item) and self._writer.has(item.path, item.file)

    def _iter_one(self, item: TreeFile) -> Iterator[Outcome]:
        assert item.file is not None
        name = os.fsdecode(item.path)
        file = self._together.use(item.path, item.file)
        try:
            if is_link(item):
                is_new = self._writer.put_link(item.path, _target_of(item))
                yield Outcome("restore", Status.OK if is_new else Status.NOT_NEEDED, name)
                return
            mode = _MODE if item.row is None else item.row.mode
            self._writer.put_file(item.path, mode, self._counted(iter_content(file)))
        except PlaceFullError:
            raise
        except HoldError as error:
            yield failed("restore", name, error)
        if self._writer.is_full:
            yield from self.iter_flushed()

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._progress.advance(0, len(chunk))
            yield chunk


def is_link(item: TreeFile) -> bool:
    """A symlink is no raw block, and too small to be a file of several."""
    file = item.file
    assert file is not None
    is_small = file.size <= PROFILE.chunk_size and file.blocks is None
    return parse_cid(item.cid).codec != RAW and is_small


def _target_of(item: TreeFile) -> bytes:
    assert item.file is not None
    [part] = item.file.parts
    failures: list[HoldError] = []
    for piece in part.copies:
        try:
            for found in iter_blocks(piece, part.offset, part.length):
                if found.cid == item.cid:
                    return symlink_target(Block(found.cid, found.data))
        except HoldError as error:
            failures.append(error)
        else:
            failures.append(damaged(piece.name, part.offset, "the symlink there is another one"))
    raise failures[0]
