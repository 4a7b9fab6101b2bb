"""Trees of files for git-annex, by `git-annex-remote-holdfast`: what it exports to our stores.

The host names a file, EXPORT, before each request about it; its key says what should be in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakKeyDictionary

from ..core import faults
from ..core.abilities import Readable, TreeStore
from ..core.errors import HoldError
from ..core.key import Key
from ..stores import holdfast_kind
from ..transfer.receive import system_errors
from ..transfer.to_file import bring_to_file, content_at
from ..wire.external_remote import Message, say
from .program_talk import Talk, reason

OnSize = Callable[[int], None]


class ExportedPlace:
    """A place that holds a tree, as one program serves it; several jobs may ask at a time."""

    def __init__(self) -> None:
        """Nothing is opened, and no file named."""
        self._names: WeakKeyDictionary[Talk, bytes] = WeakKeyDictionary()
        self._names_of: dict[Key, bytes] = {}
        self.tree: TreeStore | None = None

    def take_name(self, request: Message, talk: Talk) -> None:
        """Remember which file a job's next request is about. There is no answer."""
        self._names[talk] = request.last

    def paths_of(self, key: Key) -> list[bytes]:
        """Where a job that brings a key said that it is."""
        return [self._names_of[key]] if key in self._names_of else []

    def send(self, key: Key, path: bytes, talk: Talk, progress: OnSize) -> None:
        """Put a file there under the name that was said, checked against its key.

        Raises:
            HoldError: It is not what the key names, or the place did not take it.
        """
        for _, error in self._opened.iter_put(
            [(self._names[talk], content_at(key, path))], progress
        ):
            if error is not None:
                raise error

    def bring(self, store: Readable, key: Key, path: bytes, talk: Talk, progress: OnSize) -> None:
        """Bring a file that was named, checked against its key.

        Raises:
            HoldError: It cannot be had.
        """
        self._names_of[key] = self._names[talk]
        # git-annex 10.20261026 reads along where a file of an export grows, and takes what it has
        # not read by the end for wrong: so the file comes from a folder it does not watch, whole.
        folder = path + b".hold"
        with system_errors(path):
            os.makedirs(folder, exist_ok=True)
        try:
            bring_to_file(store, key, folder + b"/content", progress)
            with system_errors(path):
                os.replace(folder + b"/content", path)
        finally:
            with suppress(OSError):
                os.rmdir(folder)

    def check_present(self, request: Message, talk: Talk) -> None:
        """Say whether a file of the key's size is there."""
        key = Key(request.last)
        try:
            [size] = self._opened.sizes([self._names[talk]])
        except (HoldError, OSError) as error:
            talk.say(say("CHECKPRESENT-UNKNOWN", key, reason(error)))
            return
        there = size is not None and key.stored_size in (None, size)
        talk.say(say("CHECKPRESENT-SUCCESS" if there else "CHECKPRESENT-FAILURE", key))

    def remove(self, request: Message, talk: Talk) -> None:
        """Remove a file, and the folders that are empty then."""
        key = Key(request.last)
        try:
            self._opened.remove_files([self._names[talk]])
        except (HoldError, OSError) as error:
            talk.say(say("REMOVE-FAILURE", key, reason(error)))
            return
        talk.say(say("REMOVE-SUCCESS", key))

    def rename(self, request: Message, talk: Talk) -> None:
        """Give a file another name, where the place can."""
        key, name = Key(request.parts[0]), request.last
        if not self._opened.can_rename:
            talk.say(say("UNSUPPORTED-REQUEST"))
            return
        try:
            self._opened.rename(self._names[talk], name)
        except (HoldError, OSError):
            talk.say(say("RENAMEEXPORT-FAILURE", key))
            return
        talk.say(say("RENAMEEXPORT-SUCCESS", key))

    def close(self) -> None:
        """Let go of connections."""
        if self.tree is not None:
            self.tree.close()

    @property
    def _opened(self) -> TreeStore:
        if self.tree is None:
            raise faults.HOLDS_NO_TREE(
                place=holdfast_kind.NAME, detail="it was not set up with exporttree=yes"
            )
        return self.tree
