"""What a last piece is of, told without its manifest: by its root, README and bundles.

The header names the root, and all below it is held against that. So where a manifest is damaged,
the tree is restored as the root has it. What is not told so is taken from other pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..core.errors import HoldError, ProtocolError
from ..wire.archive_manifest import SEALED, BundleRef, Manifest
from ..wire.bundle_header import BundleHeader, read_header
from ..wire.cid import Cid
from ..wire.unixfs import PROFILE
from .block_scan import root_of
from .piece_blocks import FileAt, iter_content
from .piece_ends import FoundPiece, LoosePiece
from .plain_tree import PlainTree, tree_of
from .snapshot_chain import LAST, Finding

_README = b"README.txt"
_GIT = b"git"
_ANNEX = "refs/heads/git-annex"
_HEADER_MAX = 1 << 20
_WHAT = re.compile(rb"This is an? (?:(encrypted)|archive of version (\S+) of the data set (\S+)\.)")
_WHEN = re.compile(rb"^Snapshot ([0-9]{1,9}), made (\S+)\.$", re.MULTILINE)


class _Told(NamedTuple):
    """What the README says."""

    dataset: str
    version: str
    snapshot: int
    made: str
    is_sealed: bool


def rebuild(
    piece: LoosePiece, found: Sequence[FoundPiece], loose: Sequence[LoosePiece], scratch: bytes
) -> FoundPiece | None:
    """A piece with the manifest that its root tells; None when it has no root that can be read.

    ``found`` are the pieces whose manifests are known, ``loose`` those whose are not.
    """
    root = root_of(piece.copies[0])
    if root is None or any(one.manifest.root == root for one in found):
        return None
    tree = PlainTree([], [*loose, *found], root, scratch)
    try:
        names = tree.listing(b"")
        readme = tree.file_of(names[_README]) if _README in names else None
        told = _read(readme)
    except HoldError:
        return None
    if told is None or b"files" not in names:
        return None
    manifest = _manifest(told, root, piece, found)
    if manifest.version:
        bundles = list(iter_bundles(tree))
        if bundles and not manifest.annex:
            manifest = manifest._replace(branch=bundles[-1][1], annex=bundles[-1][0].annex)
    size = piece.copies[0].size
    return FoundPiece(piece.copies, manifest, piece.manifest or root, size, size, is_rebuilt=True)


def _manifest(told: _Told, root: Cid, piece: LoosePiece, found: Sequence[FoundPiece]) -> Manifest:
    dataset, branch, annex = told.dataset, SEALED if told.is_sealed else "", ""
    for one in found:
        other = one.manifest
        if (other.snapshot, other.made) == (told.snapshot, told.made):
            dataset, branch, annex = other.dataset, other.branch, other.annex
            break
        if not dataset and len({one.manifest.dataset for one in found}) == 1:
            dataset = other.dataset
    return Manifest(
        dataset=dataset or "unknown", snapshot=told.snapshot, made=told.made, version=told.version,
        branch=branch, annex=annex, profile=PROFILE.name, root=root, number=LAST, pieces=(),
        prev=(), bundles=(), parts=tuple(piece.parts),
    )  # fmt: skip


def _read(readme: FileAt | None) -> _Told | None:
    if readme is None or readme.size > PROFILE.chunk_size:
        return None
    text = b"".join(iter_content(readme))
    when = _WHEN.search(text)
    if when is None:
        return None
    what = _WHAT.match(text)
    sealed, version, dataset = what.groups(b"") if what is not None else (b"", b"", b"")
    number, made = int(when[1]), when[2]
    words = [word.decode("utf-8", "replace") for word in (dataset, version, made)]
    return _Told(words[0], words[1], number, words[2], bool(sealed))


def add_bundles(finding: Finding) -> None:
    """Have the manifests of last pieces tell of bundles that only their roots name."""
    known = {ref.cid for piece in finding.pieces for ref in piece.manifest.bundles}
    for snapshot in finding.snapshots:
        tree, last = tree_of(finding, snapshot), snapshot.last
        if tree is None or last is None or not snapshot.manifest.version:
            continue
        new = [ref for ref, _ in iter_bundles(tree) if ref.cid not in known]
        known.update(ref.cid for ref in new)
        last.manifest = last.manifest._replace(bundles=(*new, *last.manifest.bundles))


def iter_bundles(tree: PlainTree) -> Iterator[tuple[BundleRef, str]]:
    """The bundles that a root names, oldest first, and the branch of each."""
    try:
        names = tree.listing(_GIT)
    except HoldError as error:
        if not isinstance(error, ProtocolError) and error.code:
            tree.faults.append(error)
        return
    for name in sorted(names):
        try:
            file = tree.file_of(names[name])
            header = None if file is None else _header(file)
        except HoldError as error:
            tree.faults.append(error)
            continue
        if file is not None and header is not None:
            refs = {ref.name: ref.oid for ref in header.refs}
            version, annex = refs.get("HEAD", ""), refs.get(_ANNEX, "")
            branch = _branch_of(refs, version)
            yield BundleRef(tuple(header.needs), version, annex, file.cid, file.size, 0, 0), branch


def _branch_of(refs: Mapping[str, str], version: str) -> str:
    for name, oid in refs.items():
        if name.startswith("refs/heads/") and name != _ANNEX and oid == version:
            return name.removeprefix("refs/heads/")
    return ""


def _header(file: FileAt) -> BundleHeader | None:
    """The begin of a bundle; None when it is none."""
    held = b""
    chunks = iter_content(file)
    for chunk in chunks:
        held += chunk
        if b"\n\n" in held or len(held) > _HEADER_MAX:
            break
    chunks.close()
    try:
        return read_header([*held.partition(b"\n\n")[0].split(b"\n"), b""])
    except ProtocolError:
        return None
