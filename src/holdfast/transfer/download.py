"""Content whose key is not known yet, brought from a URL: hashed as it comes, resumed if it breaks.

What came of a download that broke off is kept, with what the server called that state of it (its
ETag or date); the next try goes on only where the server still has the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import count

from ..core import faults
from ..core.backends import Hasher, hasher
from ..core.errors import HoldError, PlaceUnavailableError
from ..core.system_errors import as_fault
from ..dataset import locks
from ..stores.http import HttpAnswer, HttpClient
from ..stores.http_urls import host_of
from ..wire.url_names import requestable
from .throttle import Throttle

ROUNDS_MAX = 5
_CHUNK = 1 << 20

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file with all of the bytes, how many, and their hash."""

    path: bytes
    size: int
    hexdigest: str


class Downloads:
    """Downloads into one folder, in which what broke off stays for the next time."""

    def __init__(
        self,
        client: HttpClient,
        folder: bytes,
        target: bytes,
        *,
        progress: OnBytes,
        throttle: Throttle | None = None,
        admit: Callable[[int], HoldError | None] = lambda _: None,
    ) -> None:
        """``target`` is the folder, on the same file system, where whole files are put.

        ``admit`` says of a number of bytes that are to come why there is no room for them. With
        a ``throttle`` they come no faster.
        """
        self._client = client
        self._throttle = throttle
        self._folder = folder
        self._target = target
        self._progress = progress
        self._admit = admit
        self._numbers = count()
        os.makedirs(folder, exist_ok=True)

    def fetch(self, url: str, backend: bytes, size: int | None = None) -> Downloaded:
        """Bring all that is at a URL into a file, which is the caller's then.

        ``size`` is what it has to have, if that is known.

        Raises:
            PlaceUnavailableError: The server broke off; what came is kept.
            PlaceFullError: There is no room for it.
            NotFoundError, AccessError, PolicyError: As `HttpClient.open`.
            IntegrityError: It has another size.
        """
        name = sha256(url.encode("utf-8", "surrogateescape")).hexdigest().encode()
        path = self._folder + b"/" + name
        try:
            with locks.exclusive(path + b".lck"):
                one = _Download(path, backend, self._progress, self._room)
                try:
                    self._fetch(one, url, size)
                    return one.finish(b"%b/url%d" % (self._target, next(self._numbers)))
                finally:
                    one.close()
                    os.unlink(path + b".lck")
        except OSError as error:
            raise as_fault(error, os.fsdecode(path)) from error

    def _room(self, size: int) -> None:
        refusal = self._admit(size)
        if refusal is not None:
            raise refusal

    def _fetch(self, one: _Download, url: str, size: int | None) -> None:
        for left in range(ROUNDS_MAX - 1, -1, -1):
            had = one.size
            try:
                with self._client.open(requestable(url), one.resumed_at) as answer:
                    if self._throttle is not None:
                        answer.chunks = self._throttle.pieces(answer.chunks)
                    one.take(answer, size)
                return
            except PlaceUnavailableError:
                # As long as something moves: more of it came, or it has to come anew.
                if one.size == had or not left:
                    raise


class _Download:
    """The unfinished file of one URL."""

    def __init__(self, path: bytes, backend: bytes, progress: OnBytes, room: OnBytes) -> None:
        self.path = path
        self.size = 0
        self._backend = backend
        self._progress = progress
        self._room = room
        self._hasher: Hasher = hasher(backend)
        self._state = ""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._resume()

    @property
    def resumed_at(self) -> int:
        """Where to go on; at the start when nobody could tell whether it is still the same."""
        return self.size if self._state else 0

    def _resume(self) -> None:
        """Hash what an earlier run left, if it wrote down of what."""
        boot, _, state = _read_note(self.path).partition("\n")
        self._state = state if boot and boot == _boot() else ""
        if not self._state:
            os.ftruncate(self._file, 0)
            return
        while chunk := os.read(self._file, _CHUNK):
            self._hasher.update(chunk)
            self.size += len(chunk)
        self._progress(self.size)

    def take(self, answer: HttpAnswer, size: int | None) -> None:
        """Write what comes, from where it really starts."""
        if size is not None and answer.size not in (None, size):
            self._restart()
            raise _wrong(answer, f"it offers {answer.size} bytes instead of {size}")
        if answer.status == 416:
            if (answer.size, answer.validator) != (self.size, self._state):
                self._restart()
                raise faults.UNREACHABLE(place=host_of(answer.url), detail="it has changed")
            return
        same = bool(self._state) and answer.validator == self._state
        if answer.offset and not (same and answer.offset == self.size):
            # The rest of something else than what we have: all of it has to come again.
            self._restart()
            raise faults.UNREACHABLE(place=host_of(answer.url), detail="it has changed")
        if not answer.offset:
            self._restart()
        self._note(answer.validator)
        self._room(answer.left or 0)
        for chunk in answer.chunks:
            if answer.left is None:
                self._room(len(chunk))
            self._hasher.update(chunk)
            _write(self._file, chunk)
            self.size += len(chunk)
            self._progress(len(chunk))
        if size is not None and self.size != size:
            detail = f"it has {self.size} bytes instead of {size}"
            self._restart()
            raise _wrong(answer, detail)

    def _restart(self) -> None:
        self._progress(-self.size)
        self.size = 0
        self._hasher = hasher(self._backend)
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)

    def _note(self, state: str) -> None:
        """Write down of what state of the content these bytes are; without one, nothing is kept."""
        if state != self._state:
            self._state = state
            with open(self.path + b".from", "w", encoding="utf-8") as file:
                file.write(f"{_boot()}\n{state}")

    def finish(self, path: bytes) -> Downloaded:
        """The whole file, under its new name."""
        os.rename(self.path, path)
        self._state = ""
        return Downloaded(path, self.size, self._hasher.hexdigest())

    def close(self) -> None:
        """Let go of it; what cannot be gone on with is removed."""
        os.close(self._file)
        if not self._state or not self.size:
            for ending in (b"", b".from"):
                with suppress(FileNotFoundError):
                    os.unlink(self.path + ending)


def _read_note(path: bytes) -> str:
    with suppress(FileNotFoundError), open(path + b".from", encoding="utf-8") as file:
        return file.read()
    return ""


@cache
def _boot() -> str:
    """What this run of the machine is called; nothing where the system does not tell.

    What was written before the machine went down may not have reached the disk, and without a
    hash nobody could tell.
    """
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
    return ""


def _wrong(answer: HttpAnswer, detail: str) -> HoldError:
    return faults.WRONG_CONTENT(
        source=host_of(answer.url), key="it", detail=detail,
        next="look what is at that URL; it has changed or never was the content",
    )  # fmt: skip


def _write(file: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(file, view) :]
