"""What is whole in pieces though nothing proves its name, put aside where it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice

from ..archive.folder_writer import FolderWriter
from ..archive.plain_tree import TreeFile
from ..archive.unnamed import FOLDER, Unnamed, UnnamedFile
from ..core.errors import HoldError
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.progress import Progress
from .archive_found import FoundArchive, iter_wrong
from .archive_restore_folder import Restorer

_BLOCK = 512


def iter_lost_found(
    found: FoundArchive, target: bytes, has: Callable[[Key], bool], progress: Progress
) -> Iterator[Outcome]:
    """Write what no name leads to into a folder of the target, under its CIDs.

    An outcome for each; nothing that is there is replaced. ``has`` says of which keys the content
    was restored.
    """
    unnamed = Unnamed(found.finding, found.by_key, has)
    items, count = iter(unnamed), 0
    progress.start(None, None)
    try:
        with FolderWriter(target) as writer:
            restorer = Restorer(writer, progress)
            while block := list(islice(items, _BLOCK)):
                outcomes = restorer.iter_block([_item(one) for one in block])
                notes = _notes(block)
                for outcome in (*outcomes, *restorer.iter_flushed()):
                    count += outcome.path != "pieces"
                    yield _with_note(outcome, notes)
    finally:
        progress.stop()
    yield from iter_wrong("restore", unnamed.faults)
    if not count:
        note = "nothing is whole in these pieces that has no name"
        yield Outcome("restore", Status.NOT_NEEDED, os.fsdecode(FOLDER), note=note)


def _item(one: UnnamedFile | HoldError) -> TreeFile | HoldError:
    return one if isinstance(one, HoldError) else one.item


def _notes(block: list[UnnamedFile | HoldError]) -> dict[str, str]:
    return {os.fsdecode(one.item.path): one.note for one in block if not isinstance(one, HoldError)}


def _with_note(outcome: Outcome, notes: dict[str, str]) -> Outcome:
    note = notes.get(outcome.path, "")
    return outcome._replace(note=note) if note and outcome.good else outcome
