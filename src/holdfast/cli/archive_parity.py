"""The part of ``hold archive`` that sends pieces, makes parity and rebuilds what is lost."""

from __future__ import annotations

import os
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .archive_place import dataset_of_place
from .archive_restore import check_pieces, pieces_of
from .archive_words import bad
from .call import Call

if TYPE_CHECKING:
    from ..api.archive_parity import ParityPlan
    from ..api.archive_send import Destination


def add_parity_options(parser: ArgumentParser) -> None:
    """Declare what sending, parity and rebuild take."""
    parser.add_argument(
        "--parity", metavar="K+M", help="pack, parity: M parity pieces for each K pieces, as 4+2"
    )
    parser.add_argument(
        "--verify", action="store_true", help="pack --to: read all pieces back from there"
    )


def run_parity(call: Call) -> int:
    """Carry out parity or rebuild."""
    from ..api.archive_parity import iter_archive_parity, iter_archive_rebuild

    options = call.options
    check_pieces(options)
    folder = _folder(options)
    with pieces_of(call) as pieces:
        if options.work == "rebuild":
            outcomes = iter_archive_rebuild(
                pieces, folder, settings=call.settings.values, progress=call.progress
            )
        else:
            plan = parity_of(options)
            if plan is None:
                raise bad("say how many of parity for how many pieces: --parity K+M")
            outcomes = iter_archive_parity(pieces, folder, plan, progress=call.progress)
        return call.finish(outcomes)


@contextmanager
def destination(call: Call) -> Iterator[Destination | None]:
    """Where pack sends pieces, opened; None when it does not."""
    options = call.options
    if not options.to:
        if options.verify:
            raise bad("--verify reads back what was sent: it goes with --to")
        if options.parity and not options.write:
            raise bad("--parity goes with --write or --to")
        yield None
        return
    # Late: most packs send nothing, and this takes as long as to pack some files.
    from ..api.archive_send import Destination
    from ..api.piece_places import open_piece_place

    with open_piece_place(options.to, dataset_of_place(call, options.to, is_new=True)) as place:
        yield Destination(place, options.verify, parity_of(options))


def parity_of(options: Namespace) -> ParityPlan | None:
    """What ``--parity`` says.

    Raises:
        UsageError: It is not K+M.
    """
    if options.parity is None:
        return None
    from ..api.archive_parity import ParityPlan  # late: most packs make none

    found = re.fullmatch(r"([0-9]{1,3})\+([0-9]{1,3})", options.parity, re.ASCII)
    if found is None:
        raise bad(f"{options.parity} is no K+M, such as 4+2")
    plan = ParityPlan(int(found[1]), int(found[2]))
    plan.check()
    return plan


def _folder(options: Namespace) -> bytes:
    """Where what is made is written: where it was said, else the first folder of pieces."""
    folders = [name for name in options.pieces if os.path.isdir(name)]
    folder = options.write or next(iter(folders), None)
    if folder is None:
        raise bad("say where to write what is made: --write FOLDER")
    return os.path.abspath(os.fsencode(folder))
