"""What a packed store says of itself in its file ``holdfast-packed``, and how one is made."""

from __future__ import annotations

import os

from ..core import faults
from .packed_files import Folder

MARKER = b"holdfast packed store 1\n"
PACK_SIZE = 1 << 30
"""At what size packs end, unless somebody says otherwise."""


def read_marker(folder: Folder) -> str:
    """The UUID of the place that a store belongs to; empty when it was not told.

    Raises:
        PlaceUnavailableError: It is no packed store.
        ConflictError: It is of a later version of the format.
    """
    path = os.fsdecode(folder.path)
    try:
        with open(folder.marker, "rb") as file:
            text = file.read(4096)
    except (FileNotFoundError, NotADirectoryError):
        raise faults.PACKED_NO_STORE(path=path) from None
    if not text.startswith(MARKER):
        first = text.partition(b"\n")[0].decode("utf-8", "replace")
        raise faults.PACKED_NEWER(path=path, version=first)
    return _settings(text).get("uuid", "")


def pack_size_of(folder: Folder) -> int:
    """At what size packs of a store end."""
    with open(folder.marker, "rb") as file:
        return int(_settings(file.read(4096)).get("packsize", PACK_SIZE))


def make_store(path: bytes, uuid: str, pack_size: int) -> None:
    """Make a packed store of a folder that may be there already; nothing in it is changed.

    Raises:
        ConflictError: It belongs to another place.
        OSError: The system does not let us.
    """
    folder = Folder(path)
    os.makedirs(folder.packs, exist_ok=True)
    if os.path.exists(folder.marker):
        found = read_marker(folder)
        if found not in ("", uuid):
            raise faults.PACKED_FOREIGN(path=os.fsdecode(path), owner=found)
        return
    temporary = folder.marker + b".new"
    with open(temporary, "wb") as file:
        file.write(b"%buuid=%b\npacksize=%d\n" % (MARKER, uuid.encode(), pack_size))
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, folder.marker)
    sync_folder(path)


def sync_folder(path: bytes) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _settings(text: bytes) -> dict[str, str]:
    lines = (line.partition("=") for line in text.decode("utf-8", "replace").splitlines()[1:])
    return {name: value for name, _, value in lines}
