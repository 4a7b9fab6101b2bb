"""What an archive is encrypted with: whose keys, for which scopes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ..core import faults
from ..wire.age_header import Primitives
from .scope_keys import KeyFolder, named
from .scopes import DATASET, Scopes


@dataclass
class Sealing:
    """What an archive is encrypted with: the keys, which scopes, and which it has had before."""

    keys: KeyFolder
    scopes: Scopes
    use: Primitives
    known: frozenset[str] = frozenset()
    who: str = ""
    words: str = ""
    """What calls about the keys need besides, to be told: which archive they are of."""
    made: list[str] = field(default_factory=list)
    """Scopes whose keys were made now."""
    used: set[str] = field(default_factory=set)
    """Scopes that were packed now."""

    def have_key(self, scope: str) -> None:
        """Have the key of a scope; that of one which is new is made.

        Raises:
            AccessError: It was made before, and is gone.
        """
        self.used.add(scope)
        if self.keys.has(scope):
            return
        gone = self.keys.destroyed().get(scope)
        if gone is not None:
            detail = f"it was destroyed {gone.get('time')} by {gone.get('who')}: {gone.get('why')}"
            step = f"hold archive keys make {scope}{self.words}"
            if scope != DATASET:
                step = f"take {scope} out of what is packed, or: {step}"
        elif scope in self.known:
            detail = f"it was packed before, and its key is not in {os.fsdecode(self.keys.path)}"
            step = "bring the key folder back from where you keep a copy of it, or name it: --keys"
        else:
            self.keys.make(scope, os.urandom(32), os.urandom(32), (), self.who)
            self.made.append(scope)
            return
        raise faults.ARCHIVE_NO_KEY(scope=named(scope), detail=detail, next=step)
