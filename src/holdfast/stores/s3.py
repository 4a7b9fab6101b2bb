"""Amazon's S3 and what speaks like it, as git-annex's S3 special remote lays content out there."""

from __future__ import annotations

from ..core import faults
from ..core.abilities import Readable
from ..core.key import Key
from ..wire.branch_paths import place_metadata_log
from .s3_public import S3Public
from .special import SpecialRemote


def open_store(remote: SpecialRemote) -> Readable:
    """A bucket; so far only one that anybody may read.

    Raises:
        PlaceUnavailableError: It is not public.
    """
    if not remote.config.get("publicurl"):
        raise faults.NO_WAY(place=remote.place.label, kind="S3 that is not public")

    def versions(keys: list[Key]) -> dict[Key, bytes]:
        return remote.notes.read(place_metadata_log, keys)

    return S3Public(
        remote.place, remote.config, versions,
        cost=remote.cost(210.0), allowed_addresses=remote.allowed_addresses,
        paths_of=remote.paths_of or (lambda _: ()),
    )  # fmt: skip
