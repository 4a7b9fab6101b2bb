"""The part of ``hold archive`` that reads pieces: restore and drill."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..core import faults
from .archive_keys import key_place
from .archive_place import dataset_of_place
from .archive_words import bad
from .call import Call

if TYPE_CHECKING:
    from ..api.archive_found import Pieces

_NOT_OF_LIST = ("at", "only", "to", "lost_found")


def add_restore_options(parser: ArgumentParser) -> None:
    """Declare what restore and drill take."""
    parser.add_argument(
        "--only", metavar="GLOB", action="append", help="restore: the content of these files alone"
    )
    parser.add_argument(
        "--to", metavar="FOLDER",
        help="restore: where to (a new folder here); pack: a special remote of the data set, or a "
        "folder (./NAME, where a remote is called so), to send the pieces to",
    )  # fmt: skip
    parser.add_argument(
        "--from", dest="from_", metavar="PLACE",
        help="restore, drill, parity, rebuild: where pieces were sent to by pack --to",
    )  # fmt: skip
    parser.add_argument(
        "--list", action="store_true", help="restore: only list the versions in the pieces"
    )
    parser.add_argument(
        "--lost-found", action="store_true",
        help="restore: of damaged pieces also what is whole and has no name, as lost+found/CID; "
        "and the files of a version whose history is lost",
    )  # fmt: skip
    parser.add_argument(
        "--sample", metavar="N", type=int, help="drill: how many files to restore (20)"
    )
    parser.add_argument(
        "--whole", metavar="N", type=int, help="drill: read so many pieces whole, too (0)"
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, help="drill: choose the files that this number chose"
    )


def run_restore(call: Call) -> int:
    """Carry out restore or drill."""
    from ..api.archive_drill import iter_archive_drill
    from ..api.archive_found import iter_archive_versions
    from ..api.archive_restore import RestorePlan, iter_archive_restore

    options = call.options
    check_pieces(options)
    if options.work == "drill":
        if options.sample is not None and options.sample < 1:
            raise bad("--sample has to be 1 or more")
        if options.whole is not None and options.whole < 0:
            raise bad("--whole has to be 0 or more")
    elif options.list and any(getattr(options, name) for name in _NOT_OF_LIST):
        raise bad("--list goes without --at, --only, --to and --lost-found")
    elif options.only and options.lost_found:
        raise bad("--only asks for some files, --lost-found for all that has no name")
    settings, keys = call.settings.values, key_place(options)
    with pieces_of(call) as pieces:
        if options.work == "drill":
            outcomes = iter_archive_drill(
                pieces, sample=options.sample or 20, whole=options.whole or 0,
                seed=options.seed, settings=settings, progress=call.progress, keys=keys,
            )  # fmt: skip
        elif options.list:
            outcomes = iter_archive_versions(pieces, settings, keys)
        else:
            only = [os.fsencode(glob) for glob in options.only or ()]
            plan = RestorePlan(
                options.at, only, None, settings, keys, lost_found=options.lost_found
            )
            target = os.fsencode(options.to) if options.to else None
            outcomes = iter_archive_restore(pieces, target, plan=plan, progress=call.progress)
        return call.finish(outcomes)


def check_pieces(options: Namespace) -> None:
    """Refuse a call that names no pieces, or none that is there.

    Raises:
        UsageError: None is named.
        NotFoundError: There is none of these.
    """
    from ..api.archive_found import is_url

    names = options.pieces
    if options.from_:
        return
    if not names:
        about = "make parity of" if options.work == "parity" else options.work
        raise bad(f"say which pieces to {about}: files, folders, URLs, or --from PLACE")
    if not any(is_url(name) or os.path.lexists(name) for name in names):
        above = os.path.dirname(names[0].rstrip("/")) or "."
        detail = "nothing of this name is there"
        raise faults.NO_FOLDER(path=names[0], detail=detail, above=above)


@contextmanager
def pieces_of(call: Call) -> Iterator[Pieces]:
    """What was named: files, folders and URLs, and the pieces at a place."""
    from ..api.piece_places import PiecesAt, open_piece_place

    options = call.options
    if not options.from_:
        yield options.pieces
        return
    dataset = dataset_of_place(call, options.from_, is_new=False)
    with open_piece_place(options.from_, dataset) as place:
        yield [*options.pieces, PiecesAt(place)]
