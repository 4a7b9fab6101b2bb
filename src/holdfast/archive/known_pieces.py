"""What is noted of an archive, made anew from its pieces: so another machine can go on with it.

Rows are believed as far as the manifest that leads to them: they say which content is where, and
what they name is not packed again. What the pieces at hand do not tell is packed again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby

from ..core import faults
from ..core.backends import key_digest
from ..core.errors import HoldError
from ..core.key import Key
from ..dataset.annexed import iter_tracked
from ..dataset.repository import Repository
from ..dataset.sorted_spill import SortedSpill
from ..wire.archive_manifest import PrevRef
from ..wire.archive_rows import Row, RowKind
from ..wire.car import HEADER_SIZE, encode_header
from ..wire.cid import RAW_SHA256, SHA256_CID_SIZE
from ..wire.piece import Kernel, PieceHasher
from ..wire.piece_cid import from_text
from ..wire.tree_layout import tree_order
from ..wire.unixfs import PROFILE
from .archive_folder import ArchiveFolder, Snapshot
from .bundles import Bundle
from .contents import FILES, is_sha256
from .entries import OF_STATE, identity_of, key_identity
from .finding import Finding, FoundPiece, FoundSnapshot, iter_rows
from .history import FoundBundle, write_bundle
from .known_index import KnownRow, encode_row, read_row
from .piece_blocks import sections
from .pieces import OpenedPiece, damaged, named_piece, unreadable

_END = b"\0\0"


def take_in(
    archive: ArchiveFolder, finding: Finding, repository: Repository | None, kernel: Kernel, *,
    is_sealed: bool = False,
) -> int:  # fmt: skip
    """Note all snapshots of an archive that are not noted; gives how many these are.

    ``is_sealed`` says that they are encrypted. The newest of its pieces is read whole, since no
    other names it.

    Raises:
        ConflictError: What is noted is of another archive.
        IncompleteError: The last piece of the newest snapshot is not here.
        HoldError: It cannot be read.
    """
    newest = finding.snapshots[-1]
    last, noted = newest.last, archive.snapshots
    if last is None:
        raise finding.missing[0]
    refs = last.manifest.prev[::-1]  # of the snapshots just before it, oldest first
    first = newest.number - len(refs)
    for one in noted:
        told = last.cid if one.number == newest.number else None
        if first <= one.number < newest.number:
            told = refs[one.number - first].manifest
        if told is not None and told.hex() != one.manifest:
            detail = f"{last.name} is of another archive than snapshot {one.number} is"
            raise faults.ARCHIVE_STATE(path=os.fsdecode(archive.folder), detail=detail)
    new = (
        []
        if newest.number < len(noted)
        else _new(archive, finding, refs, kernel, ".bundle.age" if is_sealed else ".bundle")
    )
    # Rows last: where they are not noted, it is only packed again.
    archive.note(finding.dataset, new)
    if archive.has_packed:
        # What is linked in it was decided with its plan, and is decided again when a file changed.
        return len(new)
    with SortedSpill(archive.folder) as rows:
        for snapshot in finding.snapshots:
            for row in _known_rows(snapshot, repository, archive.folder):
                rows.add(encode_row(row))
        archive.index.add(rows)
    archive.forget_begun()  # of which nothing is packed: it is planned anew, with what is known now
    return len(new)


def _new(
    archive: ArchiveFolder, finding: Finding, refs: Sequence[PrevRef], kernel: Kernel, ending: str
) -> list[Snapshot]:
    """The snapshots that are not noted, the bundle of the last one with its refs kept."""
    newest, noted = finding.snapshots[-1], archive.snapshots
    last, first = newest.last, newest.number - len(refs)
    assert last is not None, "it was looked for"
    refs = (*refs, PrevRef(last.cid, _piece_cid(last, kernel), last.size))
    if first > len(noted):
        detail = f"nothing here tells of snapshot {len(noted)}: give the pieces of it, too"
        raise faults.ARCHIVE_STATE(path=os.fsdecode(archive.folder), detail=detail)
    found = {one.number: one for one in finding.snapshots}
    new = [
        _snapshot(number, refs[number - first], found.get(number), ending)
        for number in range(len(noted), newest.number + 1)
    ]
    for one in new:
        archive.forget(one.number)
    _keep_bundle(archive, finding, new)
    return new


def _piece_cid(last: FoundPiece, kernel: Kernel) -> bytes:
    """The PieceCID of a piece, worked out of a copy of it that is whole.

    One that is not named by it is whole when each block is, from the header to the end.
    """
    wrong: list[HoldError] = []
    for piece in last.copies:
        hasher = PieceHasher(kernel)
        chunks = _fed(piece.iter_range(0, piece.size), hasher)
        named = named_piece(piece.name)
        try:
            if named is None:
                _check_blocks(piece, chunks, last)
            for _ in chunks:
                pass
        except HoldError as error:
            wrong.append(error)
            continue
        digest = hasher.digest()
        if named in (None, digest):
            return from_text(digest.v2)
        wrong.append(unreadable(piece.name, f"all of its bytes together are {digest.v2}"))
    raise wrong[0]


def _fed(chunks: Iterable[bytes], hasher: PieceHasher) -> Iterator[bytes]:
    for chunk in chunks:
        hasher.update(chunk)
        yield chunk


def _check_blocks(piece: OpenedPiece, chunks: Iterator[bytes], last: FoundPiece) -> None:
    if piece.size != last.size:
        raise unreadable(piece.name, f"it has {piece.size} bytes, not {last.size}")
    begin = b""
    while len(begin) < HEADER_SIZE and (chunk := next(chunks, b"")):
        begin += chunk
    if last.manifest.root is None or begin[:HEADER_SIZE] != encode_header([last.manifest.root]):
        raise damaged(piece.name, 0, "it does not begin with the root of its snapshot")
    for _ in sections(piece.name, chain([begin[HEADER_SIZE:]], chunks), HEADER_SIZE):
        pass


def _snapshot(number: int, ref: PrevRef, found: FoundSnapshot | None, ending: str) -> Snapshot:
    manifest, piece = ref.manifest.hex(), ref.cid.hex()
    last = None if found is None else found.last
    if found is None or last is None:
        return Snapshot(number, "", "", "", manifest, piece, ref.size, 0)
    told = last.manifest
    bundles = [one for part in found.in_order for one in part.manifest.bundles]
    bundle = None
    if bundles:
        [one] = bundles[-1:]
        bundle = Bundle(f"{number:04}{ending}", one.needs, one.version, one.annex, one.size)
    assert told.root is not None, "a last piece has the root"
    return Snapshot(
        number, told.version, told.annex, told.root.hex(), manifest, piece, ref.size,
        len(told.pieces) + 1, bundle,
    )  # fmt: skip


def _keep_bundle(archive: ArchiveFolder, finding: Finding, new: list[Snapshot]) -> None:
    """Write the last bundle where the next snapshot looks for its refs."""
    bundles = {one.number: one.bundle for one in new if one.bundle is not None}
    last = max(bundles, default=None)
    for snapshot in finding.snapshots:
        if last is not None and snapshot.number == last:
            [piece] = [one for one in snapshot.in_order if one.manifest.bundles]
            path = archive.path_of(bundles[last])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write_bundle(finding, FoundBundle(piece.manifest.bundles[-1], last, piece), path)


def _known_rows(
    snapshot: FoundSnapshot, repository: Repository | None, scratch: bytes
) -> Iterator[KnownRow]:
    """Where content stands that this snapshot brought, as `ArchiveFolder.finish` notes it."""
    wrong: list[HoldError] = []
    with SortedSpill(scratch) as by_path:
        for piece in snapshot.in_order:
            for row in iter_rows(piece, wrong):
                if row.cid is None or len(row.cid) != SHA256_CID_SIZE:
                    continue
                known = KnownRow(
                    b"", row.cid, row.size, snapshot.number, piece.manifest.number, row.offset,
                    row.length, row.start,
                )  # fmt: skip
                if row.kind in (RowKind.GIT, RowKind.SYMLINK):
                    name = tree_order(row.path) + _END + b"%d" % row.kind
                    by_path.add(name + encode_row(known))
                elif identity := _identity(row):
                    yield known._replace(identity=identity)
        yield from _in_git(snapshot.manifest.version, repository, by_path)


def _identity(row: Row) -> bytes:
    if row.kind is RowKind.PLAIN:
        source = OF_STATE + row.path.rpartition(b"/")[2].decode("utf-8", "replace")
        is_bundle = row.path.startswith((b"git/", FILES + b"git/"))
        return identity_of(row.path, row.kind, None, source) if is_bundle else b""
    if row.key is None:
        return b""
    is_leaf, key = row.size <= PROFILE.chunk_size, Key(row.key)
    if b"-" not in row.key:
        return key_identity(key)  # the name of an encrypted content: it says nothing of its bytes
    if is_leaf and is_sha256(key) and row.cid != RAW_SHA256 + bytes.fromhex(key_digest(key)):
        return b""  # not what it says
    return identity_of(row.path, row.kind, row.key, "")


def _in_git(
    version: str, repository: Repository | None, by_path: SortedSpill
) -> Iterator[KnownRow]:
    """The rows of git's files, whose names for their bytes are in the version."""
    if repository is None or not has_commit(repository, version):
        return
    for file in iter_tracked(repository, (), version):
        by_path.add(tree_order(FILES + file.path) + _END + b"-" + file.oid)
    for _, same in groupby(by_path, lambda item: item[: item.index(_END)]):
        oid, row = b"", b""
        for item in same:
            value = item[item.index(_END) + 2 :]
            oid, row = (value[1:], row) if value[:1] == b"-" else (oid, value)
        if oid and row:
            kind = RowKind(int(row[:1]))
            yield read_row(row[1:])._replace(identity=identity_of(b"", kind, None, oid.decode()))


def has_commit(repository: Repository, version: str) -> bool:
    """Whether a commit is here."""
    return bool(version) and not repository.git.ask("cat-file", "-e", f"{version}^{{commit}}")[0]
