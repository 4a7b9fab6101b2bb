"""Where the keys of encrypted archives are, as a call says it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ..core import faults
from ..core.errors import NotFoundError

# What reads and makes keys is loaded when there are some: most archives are in the clear.
if TYPE_CHECKING:
    from ..archive.scope_keys import Identity, KeyFolder


class KeyPlace(NamedTuple):
    """Where keys are: a folder or file that is named, else a folder of the archive's own.

    ``config`` is the user's folder for settings; empty for ``~/.config``.
    """

    path: bytes | None = None
    config: str = ""

    def of(self, dataset: str) -> bytes:
        """Where those of a data set are.

        Raises:
            AccessError: Its id cannot be the name of a folder.
        """
        from ..archive.scope_keys import keys_folder

        config = self.config or os.path.expanduser("~/.config")
        return self.path if self.path is not None else keys_folder(config, dataset)

    def open(self, dataset: str) -> KeyFolder:
        """The folder that a data set is packed with.

        Raises:
            PlaceUnavailableError: What encrypts is not installed.
        """
        from ..archive.scope_keys import KeyFolder
        from ..archive.seal_primitives import primitives

        return KeyFolder(os.path.abspath(self.of(dataset)), primitives())

    def identities(self, dataset: str) -> list[Identity]:
        """All identities there; none when there is nothing and nothing was named.

        Raises:
            AccessError: What was named has none, or cannot be used.
        """
        from ..archive.scope_keys import read_identities

        path = self.of(dataset)
        try:
            found = read_identities(path) if os.path.exists(path) else []
        except NotFoundError:
            found = []
        if not found and self.path is not None:
            step = "name the file or folder with a line AGE-SECRET-KEY-1…"
            raise faults.ARCHIVE_KEYS(
                path=os.fsdecode(path), detail="there is no age identity", next=step
            )
        return found
