"""Pack a data set, or a folder, into pieces that last; restore them.

Pieces can be restored from themselves alone. Each is a CAR file with a PieceCID, a commitment to
all of its bytes. plan tells what the pieces will be, from names and sizes alone; pack makes them:
all content is read once and checked. Both go on where they were stopped. A later snapshot packs
only what is new. Content that is not here is recorded as missing, with where it was last known to
be. Data sets inside this one are left out.

restore makes a data set with its history, or a folder, of pieces and nothing else; drill tries that
on a random sample, in a folder that is removed again, and says what was proved. Which files are
pieces is found by what is in them. Nothing is believed that was not checked.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser

from ..core import faults
from ..core.sizes import parse_size
from .archive_restore import OF_RESTORE, add_restore_options, refuse_options, run_restore
from .call import Call

EXAMPLES = (
    ("hold archive pack --write /mnt/pieces", "make them, as files"),
    ("hold archive restore /mnt/pieces --to study", "from the pieces alone"),
    ("hold archive drill /mnt/pieces --sample 50", "try it on a sample"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("work", metavar="WORK", help="plan, pack, restore or drill")
    parser.add_argument(
        "pieces", metavar="PIECES", nargs="*", help="restore, drill: files, folders, URLs of pieces"
    )
    parser.add_argument(
        "--at", metavar="VERSION",
        help="pack: a tag, branch or commit (the present one); restore: a commit, or the number of "
        "a snapshot (the newest)",
    )  # fmt: skip
    parser.add_argument(
        "--piece-size", metavar="SIZE", help="of a piece, a power of two such as 1GiB (32GiB)"
    )
    parser.add_argument(
        "--write", metavar="FOLDER", help="pack: write the pieces there, named by their PieceCID"
    )
    parser.add_argument(
        "--folder", dest="plain", metavar="PATH", help="a plain folder to pack, no data set"
    )
    parser.add_argument(
        "--state", metavar="FOLDER", help="where to note what was packed of a plain folder"
    )
    add_restore_options(parser)


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.archive import archive_of, archive_of_folder, iter_archive_pack, iter_archive_plan

    options = call.options
    if options.work in ("restore", "drill"):
        return run_restore(call)
    if options.work not in ("plan", "pack"):
        raise _bad(f"{options.work} is not plan, pack, restore or drill")
    refuse_options(options, OF_RESTORE)
    if bool(options.plain) != bool(options.state):
        raise _bad("--folder and --state go together: a plain folder has no place for notes")
    if options.plain and options.at:
        raise _bad("a plain folder has no versions")
    if options.write and options.work == "plan":
        raise _bad("a plan writes no pieces")
    if options.plain:
        archive = archive_of_folder(os.fsencode(options.plain), os.fsencode(options.state))
    else:
        archive = archive_of(call.dataset, options.at)
    size = _piece_size(options.piece_size)
    if options.work == "plan":
        return call.finish(iter_archive_plan(archive, piece_size=size))
    write = os.path.abspath(os.fsencode(options.write)) if options.write else None
    return call.finish(
        iter_archive_pack(archive, write=write, piece_size=size, progress=call.progress)
    )


def _piece_size(text: str | None) -> int | None:
    if text is None:
        return None
    size = parse_size(text)
    if size is None:
        raise _bad(f"{text} is no size")
    return size


def _bad(what: str) -> Exception:
    return faults.BAD_USAGE(what=what, command="archive")
