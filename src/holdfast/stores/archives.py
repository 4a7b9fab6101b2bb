"""Content in archives that are content themselves: read out of them where these are here.

What DataLad's ``datalad-archives`` special remote is, for reading.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..core import faults
from ..core.abilities import Answer, Stream
from ..core.errors import HoldError, ProtocolError
from ..core.key import Key
from ..core.place import Place, Presence
from ..wire.archive_uris import Packed, decode
from .archive_files import Admit, Archive, MemberKind, open_archive

OPEN_MAX = 4
"""So many archives are kept open: those that were unpacked for it take room on the disk."""


class Archives:
    """Content by the URIs that say in which archive it is."""

    def __init__(
        self,
        place: Place,
        uris_of: Callable[[Sequence[Key]], Mapping[Key, Sequence[bytes]]],
        path_of: Callable[[Key], bytes | None],
        *,
        scratch: bytes,
        admit: Admit = lambda _: None,
        cost: float = 500.0,
    ) -> None:
        """``uris_of`` gives what the URL logs say; ``path_of`` the file of an archive, if here."""
        self.place = place
        self.cost = cost
        self._uris_of = uris_of
        self._path_of = path_of
        self._scratch = scratch
        self._admit = admit
        self._open: dict[Key, tuple[Archive, int]] = {}
        self._lock = threading.Lock()

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look into the archives that are here; of what is in others nobody can say."""
        try:
            uris = self._uris_of(keys)
        except HoldError as error:
            return [Answer(Presence.UNKNOWN, error.what) for _ in keys]
        return [self._ask(key, _packed(uris.get(key, ()))) for key in keys]

    def _ask(self, key: Key, ways: Sequence[Packed]) -> Answer:
        unsure = ""
        for packed in ways:
            try:
                with self._opened(packed.archive) as archive:
                    if archive is None:
                        unsure = f"the archive {packed.archive.text} is not here"
                    elif _has(archive, packed, key):
                        return Answer(Presence.PRESENT)
            except HoldError as error:
                unsure = error.what
        return Answer(Presence.UNKNOWN, unsure) if unsure else Answer(Presence.ABSENT)

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content out of the first archive that is here and has it.

        Raises:
            NotFoundError: None is here that has it.
        """
        answers: list[str] = []
        for packed in _packed(self._uris_of([key]).get(key, ())):
            try:
                with self._opened(packed.archive) as archive:
                    if archive is not None and _has(archive, packed, key):
                        size = archive.members[packed.path].size
                        start = min(offset, size)
                        yield Stream(start, size, _checked(archive, packed, start))
                        return
                    said = "is not here" if archive is None else "does not have it"
            except ProtocolError as error:
                said = error.what
            answers.append(f"the archive {packed.archive.text} {said}")
        detail = "; ".join(answers) or "no archive is known to have it"
        raise faults.NOT_IN_ARCHIVE(key=key.text, detail=detail)

    def close(self) -> None:
        """Close all archives."""
        with self._lock:
            opened, self._open = self._open, {}
        for archive, _ in opened.values():
            archive.close()

    @contextmanager
    def _opened(self, key: Key) -> Iterator[Archive | None]:
        """An archive, opened and kept; None when it is not here."""
        path = self._path_of(key)
        if path is None:
            yield None
            return
        archive = self._take(key, path)
        try:
            yield archive
        finally:
            with self._lock:
                if key in self._open:
                    self._open[key] = archive, self._open[key][1] - 1

    def _take(self, key: Key, path: bytes) -> Archive:
        with self._lock:
            found = self._open.pop(key, None)
            archive, users = found or (open_archive(path, self._scratch, self._admit), 0)
            self._open[key] = archive, users + 1
            idle = [other for other, (_, count) in self._open.items() if not count]
            for other in idle[: max(0, len(self._open) - OPEN_MAX)]:
                self._open.pop(other)[0].close()
            return archive


def _packed(uris: Sequence[bytes]) -> list[Packed]:
    return [packed for packed in map(decode, uris) if packed is not None]


def _has(archive: Archive, packed: Packed, key: Key) -> bool:
    member = archive.members.get(packed.path)
    if member is None or member.kind is not MemberKind.FILE:
        return False
    return key.size in (None, member.size)


def _checked(archive: Archive, packed: Packed, offset: int) -> Iterator[bytes]:
    try:
        yield from archive.iter_chunks(packed.path, offset)
    except ProtocolError as error:
        detail = f"the archive {packed.archive.text}: {error.what}"
        raise faults.BAD_ANSWER(place="datalad-archives", detail=detail) from None
