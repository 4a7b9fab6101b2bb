"""Pack a data set, or a folder, into pieces that last; restore them.

Pieces can be restored from themselves alone. Each is a CAR file with a PieceCID, a commitment to
all of its bytes. plan tells what the pieces will be, from names and sizes alone; pack makes them:
all content is read once and checked. Both go on where they were stopped. A later snapshot packs
only what is new. Content that is not here is recorded as missing, with where it was last known to
be. Data sets inside this one are left out.

restore makes a data set with its history, or a folder, of pieces and nothing else; drill tries that
on a random sample, in a folder that is removed again, and says what was proved. Which files are
pieces is found by what is in them. Nothing is believed that was not checked.

place makes pieces in a folder, at a URL or in a bucket a place of the data set, which get, whereis
and git-annex know, and that is only read. The ledger is told all that is in them. Run it again when
there are more.

serve gives the pieces, or any range of them, to whoever asks over HTTP (/piece/PIECECID), and
single blocks and files as an IPFS trustless gateway does (/ipfs/CID). Nothing has to be stored for
it: all is made from the data set while it is read, and checked; what is not here any more, or is
another file now, is refused. Only programs on this machine can ask, unless --address says more.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from ..core import faults
from ..core.sizes import parse_size
from .archive_place import run_place
from .archive_restore import OF_RESTORE, add_restore_options, refuse_options, run_restore
from .call import Call

if TYPE_CHECKING:
    from ..api.archive import Archive

EXAMPLES = (
    ("hold archive pack --write /mnt/pieces", "make them, as files"),
    ("hold archive restore /mnt/pieces --to study", "from the pieces alone"),
    ("hold archive serve --address 0.0.0.0:8080", "give them to others"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("work", metavar="WORK", help="plan, pack, restore, drill, place or serve")
    parser.add_argument(
        "pieces", metavar="PIECES", nargs="*",
        help="restore, drill: files, folders, URLs of pieces; place: its NAME, then the folder, "
        "URL or bucket=BUCKET",
    )  # fmt: skip
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
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="serve: where to listen (a free port, here alone)"
    )
    parser.add_argument("--once", action="store_true", help="serve: end after one answer")
    parser.add_argument(
        "--logins", metavar="FILE", help="serve: who may read: lines made by serve --make-login"
    )
    parser.add_argument("--private", action="store_true", help="serve: only to those with a login")
    parser.add_argument(
        "--url", metavar="URL", help="serve: what clients call it, where a proxy is before it"
    )


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.archive import archive_of, archive_of_folder, iter_archive_pack, iter_archive_plan

    options = call.options
    serves = options.address or options.once or options.logins or options.private or options.url
    if serves and options.work != "serve":
        raise _bad("--address, --once, --logins, --private and --url are for serve")
    if options.work in ("restore", "drill"):
        return run_restore(call)
    if options.work == "place":
        return run_place(call)
    if options.work not in ("plan", "pack", "serve"):
        raise _bad(f"{options.work} is not plan, pack, restore, drill, place or serve")
    refuse_options(options, OF_RESTORE)
    if bool(options.plain) != bool(options.state):
        raise _bad("--folder and --state go together: a plain folder has no place for notes")
    if options.plain and options.at:
        raise _bad("a plain folder has no versions")
    if options.write and options.work != "pack":
        raise _bad("only pack writes pieces")
    if options.work == "serve" and (options.at or options.piece_size):
        raise _bad("all that is packed is served: --at and --piece-size are for packing")
    if options.plain:
        archive = archive_of_folder(os.fsencode(options.plain), os.fsencode(options.state))
    else:
        archive = archive_of(call.dataset, options.at)
    if options.work == "serve":
        return _serve(call, archive)
    size = _piece_size(options.piece_size)
    if options.work == "plan":
        return call.finish(iter_archive_plan(archive, piece_size=size))
    write = os.path.abspath(os.fsencode(options.write)) if options.write else None
    return call.finish(
        iter_archive_pack(archive, write=write, piece_size=size, progress=call.progress)
    )


def _serve(call: Call, archive: Archive) -> int:
    from ..site.serve import Wishes
    from ..site.serve_archive import serve_archive

    options = call.options
    host, port = _address(options.address or "127.0.0.1:0")
    wishes = Wishes(
        bind=host, port=port, read_only=True, logins=options.logins, private=options.private,
        public_url=options.url, verbose=bool(options.verbose),
    )  # fmt: skip

    def announce(url: str) -> None:
        record = json.dumps({"action": "serve", "status": "ok", "url": url})
        sys.stdout.write((record if options.json else url) + "\n")
        sys.stdout.flush()

    return serve_archive(archive, wishes, announce, once=options.once, progress=call.progress)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not port.isascii() or not host:
        raise _bad(f"{text} is no HOST:PORT")
    return host.strip("[]"), int(port)


def _piece_size(text: str | None) -> int | None:
    if text is None:
        return None
    size = parse_size(text)
    if size is None:
        raise _bad(f"{text} is no size")
    return size


def _bad(what: str) -> Exception:
    return faults.BAD_USAGE(what=what, command="archive")
