"""Encrypted contents that folders name and no list does: nobody knows what they are.

What opens them is at hand, or they are left: a scope that is locked is told of as that.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from itertools import groupby

from ..core.errors import AccessError, HoldError
from ..core.key import Key
from ..dataset.sorted_spill import SortedSpill
from ..wire.cid import Cid
from .cid_index import CidIndex, Standing
from .entries import key_identity
from .known_index import KnownIndex, KnownRow, encode_row
from .plain_tree import TreeFile, files_of
from .sealed_names import AnnexedName, GitName
from .snapshot_chain import Finding
from .stored_blocks import StoredBlocks
from .unnamed import UnnamedFile, lost_path
from .unsealing import SealedSnapshot, Unsealer

_NOTE = "no list of names that can be read says what it is"
_NO_CID = Cid(bytes(36))


class Unlisted:
    """What no list of the encrypted snapshots of an archive tells. Memory does not grow with it."""

    def __init__(self, finding: Finding, sealed: Collection[int], unsealer: Unsealer) -> None:
        """``sealed`` are the numbers of the snapshots."""
        self._finding = finding
        self._snapshots = [one for one in finding.snapshots if one.number in sealed]
        stored = StoredBlocks([*finding.pieces, *finding.loose], finding.scratch, [])
        self._sealed = [SealedSnapshot(finding, one, unsealer, stored) for one in self._snapshots]
        self._tree = files_of(finding, self._snapshots[-1], stored)
        self._open = set[str]()
        """Tags of which a list could be begun with."""
        self._locked = set[str]()
        self._listed = KnownIndex(os.path.join(finding.scratch, b"listed"))
        with SortedSpill(finding.scratch) as rows:
            for name in self._iter_names():
                identity = key_identity(name)
                rows.add(encode_row(KnownRow(identity, _NO_CID, 0, 0, 0, 0, 0)))
            self._listed.add(rows)

    def _iter_names(self) -> Iterator[bytes]:
        for sealed in self._sealed:
            for one in sealed.lists():
                try:
                    for name in sealed.names(one):
                        self._open.add(one.tag)
                        if isinstance(name, AnnexedName | GitName):
                            yield name.object.rpartition("/")[2].encode()
                except AccessError:
                    self._locked.add(one.tag)
                except HoldError:
                    continue  # who restores it is told

    def is_listed(self, key: Key) -> bool:
        """Whether a list tells of a content, by what rows call it."""
        return self._listed.find(key_identity(key)) is not None

    def __iter__(self) -> Iterator[UnnamedFile]:
        """All of it, once, but what is of scopes that are locked."""
        for cid, _ in groupby(CidIndex(self._iter_found(), self._finding.scratch), _cid):
            try:
                file = self._tree.file_of(cid)
            except HoldError:
                continue  # damaged: what is whole in it is without a name
            if file is not None:
                yield UnnamedFile(
                    TreeFile(lost_path(cid), cid, None, file), _NOTE, is_told_if_locked=True
                )

    def _iter_found(self) -> Iterator[Standing]:
        locked = self._locked - self._open
        for sealed in self._sealed:
            for tag, name, file in sealed.contents():
                if tag not in locked and not self.is_listed(Key(name)):
                    yield Standing(file.cid, 0, 0, 0, 0)


def _cid(standing: Standing) -> Cid:
    return standing.cid
