"""Pack a data set, or a folder, into pieces that last; restore them.

In the order of use: check says what is really there, plan what the pieces will be, pack makes them,
drill tries them, and restore makes data sets of them.

Pieces can be restored from themselves alone. Each is a CAR file with a PieceCID, a commitment to
all of its bytes. plan goes by names and sizes alone, and may be tried with one size of piece after
the other; pack reads all content once and checks it, and goes on where it was stopped. A later
snapshot packs only what is new; of a plain folder in the clear, all. Content that is not here is
recorded as missing, with where it was last known to be. Data sets inside this one are left out.

restore makes a data set with its history, or a folder, of pieces and nothing else; drill tries that
on a random sample, in a folder that is removed again, and says what was proved. Which files are
pieces is found by what is in them. Nothing is believed that was not checked.

pack --to sends the pieces of all snapshots that a place lacks, made while they go: to a folder, or
to a special remote of files (directory, S3, WebDAV, rclone, rsync), below hold-archive/ there.
restore --from reads them there. Parity makes up for lost pieces: of each K pieces and the M parity
pieces that parity (or pack --parity) makes for them, any M can be lost, and rebuild computes them
from the others. What is damaged counts as lost. Pieces themselves stay as they are.

With --encrypt, or --encrypt-by, all that is in pieces is age files, names too, and every piece is
checked as before without a key. Keys are in a folder outside of the data set, which pack names:
keep a copy of it. A plain folder is hashed for that while it is planned; keys needs its --state. A
key that keys destroy has destroyed opens nothing any more, in any copy of the pieces, and the rest
is restored as ever. An age identity that there is already is taken by keys import, before the first
pack (FILE as age-keygen writes it, or - for standard input); keys export writes one to a new file.

place makes pieces in a folder, at a URL or in a bucket a place of the data set, which get, whereis
and git-annex know, and that is only read. The ledger is told all that is in them. Run it again when
there are more.

serve gives the pieces, or any range of them, to whoever asks over HTTP (/piece/PIECECID), and
single blocks and files as an IPFS trustless gateway does (/ipfs/CID). Nothing has to be stored for
it: all is made from the data set while it is read, and checked; what is not here any more, or is
another file now, is refused. Only programs on this machine can ask, unless --address says more.

check asks every place of a version's files now, many at a time, and says what was seen, in how many
copies, what is dead, of what nobody can say, and what the last snapshot had to leave out. With
--repair what lacks copies is brought here from whoever has it, hashed on the way, and what the
ledger has wrong is set right.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from ..core.sizes import parse_size
from .archive_check import add_check_options, run_check
from .archive_keys import add_key_options, encrypt_by, key_place, refuse_secrets, run_keys
from .archive_parity import add_parity_options, destination, parity_of, run_parity
from .archive_place import dataset_of_place, run_place
from .archive_restore import add_restore_options, run_restore
from .archive_words import WORKS, bad, refuse_foreign
from .call import Call

if TYPE_CHECKING:
    from ..api.archive import Archive

EXAMPLES = (
    ("hold archive pack --write /mnt/pieces", "make them, as files"),
    ("hold archive pack --to bucket --parity 4+2", "send them, and parity beside them"),
    ("hold archive restore /mnt/pieces --to study", "from the pieces alone"),
)


_OTHERS = {
    "check": run_check, "restore": run_restore, "drill": run_restore, "parity": run_parity,
    "rebuild": run_parity, "keys": run_keys, "place": run_place,
}  # fmt: skip
"""Work that other files carry out."""


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("work", metavar="WORK", help=WORKS)
    parser.add_argument(
        "pieces", metavar="PIECES", nargs="*", default=[],
        help="restore, drill, parity, rebuild: files, folders, URLs of pieces, or of a page that "
        "names them (with a / at its end); place: its NAME, then the folder, URL or bucket=BUCKET; "
        "check: files of the data set; keys: list, make SCOPE, import or export SCOPE FILE, "
        "destroy SCOPE",
    )  # fmt: skip
    parser.add_argument(
        "--at", metavar="VERSION",
        help="check, pack: a tag, branch or commit (the present one); restore: a commit, or the "
        "number of a snapshot (the newest)",
    )  # fmt: skip
    parser.add_argument(
        "--piece-size", metavar="SIZE", help="of a piece, a power of two such as 1GiB (32GiB)"
    )
    parser.add_argument(
        "--write", metavar="FOLDER",
        help="pack, parity, rebuild: write pieces there, named by their PieceCID (parity, rebuild: "
        "to the first folder of PIECES)",
    )  # fmt: skip
    parser.add_argument(
        "--folder", dest="plain", metavar="PATH", help="a plain folder to pack, no data set"
    )
    parser.add_argument(
        "--state",
        metavar="FOLDER",
        help="where to note what was packed of a plain folder; keys: the one its pack has",
    )
    parser.add_argument(
        "--branches", action="store_true",
        help="plan, pack: the history of all branches, not of the version and tags alone",
    )  # fmt: skip
    parser.add_argument(
        "--known", metavar="PIECES", action="append",
        help="pack: files, folders, URLs of pieces packed elsewhere; what is in them is not packed "
        "again (those in --write, where nothing is noted yet)",
    )  # fmt: skip
    add_restore_options(parser)
    add_check_options(parser)
    add_parity_options(parser)
    add_key_options(parser)
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
    from ..api.archive import (
        PackOptions,
        archive_of,
        archive_of_folder,
        iter_archive_pack,
        iter_archive_plan,
    )

    options = call.options
    refuse_secrets(options)
    refuse_foreign(options)
    if options.work in _OTHERS:
        return _OTHERS[options.work](call)
    if bool(options.plain) != bool(options.state):
        raise bad("--folder and --state go together: a plain folder has no place for notes")
    if options.plain and (options.at or options.branches):
        raise bad("a plain folder has no versions and no branches")
    encrypt = encrypt_by(options)
    keys = key_place(options)
    if options.plain:
        path, state = os.fsencode(options.plain), os.fsencode(options.state)
        archive = archive_of_folder(path, state, encrypt=encrypt, keys=keys, progress=call.progress)
    else:
        archive = archive_of(
            call.dataset, options.at, branches=options.branches, encrypt=encrypt, keys=keys
        )
    if options.work == "serve":
        return _serve(call, archive)
    size = _piece_size(options.piece_size)
    if options.work == "plan":
        return call.finish(iter_archive_plan(archive, piece_size=size))
    write = os.path.abspath(os.fsencode(options.write)) if options.write else None
    if options.to:
        _check_target(call, archive)
    with destination(call) as to:
        parity = parity_of(options) if to is None else None
        more = PackOptions(parity, options.known or (), call.settings.values)
        outcomes = iter_archive_pack(
            archive, write=write, to=to, piece_size=size, options=more, progress=call.progress
        )
        return call.finish(outcomes)


def _check_target(call: Call, archive: Archive) -> None:
    """Refuse a folder to send pieces to that cannot be one, before it is made."""
    if dataset_of_place(call, call.options.to, is_new=True) is None:
        archive.source.refuse_within(os.fsencode(call.options.to))


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
        raise bad(f"{text} is no HOST:PORT")
    return host.strip("[]"), int(port)


def _piece_size(text: str | None) -> int | None:
    if text is None:
        return None
    size = parse_size(text)
    if size is None:
        raise bad(f"{text} is no size")
    return size
