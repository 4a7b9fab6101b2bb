"""`rsync`: a place that the program rsync reaches: by ssh, a daemon of its own, or a path.

Laid out as git-annex's rsync special remote: `abc/def/KEYFILE/KEYFILE`. Many files go with one call
of rsync: sent from a folder of symlinks, asked for and brought by a list. A file that broke off
while it was sent stays in `.rsync-partial` there, and the next try goes on with it.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice

from ..core import faults
from ..core.abilities import Answer, Content, OnBytes, Stream
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place, Presence
from ..core.policy import DropProof, Waiver
from ..core.system_errors import as_fault
from .placing import Placing, placing_of
from .rsync_program import Rsync
from .special import Setup, SpecialRemote
from .words import check_one_of, check_words

CHUNK = 1 << 20
BATCH_FILES = 512
BATCH_BYTES = 256 << 20
ASK_MAX = 2000


class RsyncStore:
    """Files that rsync brings and takes."""

    def __init__(
        self, place: Place, rsync: Rsync, placing: Placing, scratch: bytes, *, cost: float
    ) -> None:
        """``scratch`` is a folder for what was brought and not read yet."""
        self.place = place
        self.cost = cost
        self._rsync = rsync
        self._placing = placing
        self._scratch = scratch

    @property
    def program(self) -> Rsync:
        """What brings and takes the files."""
        return self._rsync

    # looking and reading

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """List the files of these keys, by one call for many."""
        answers: list[Answer] = []
        for start in range(0, len(keys), ASK_MAX):
            answers += self._ask(keys[start : start + ASK_MAX])
        return answers

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Bring the file, then stream it from an offset."""
        with self._folder() as folder:
            self._rsync.bring(self._placing.candidates(key), folder)
            found = self._open(folder, key, offset)
            if isinstance(found, HoldError):
                raise found
            yield found

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Bring files by batches, one call each, and stream them."""
        source = iter(keys)
        while batch := _take(source):
            with self._folder() as folder:
                failure: HoldError | None = None
                try:
                    wanted = dict.fromkeys(p for k in batch for p in self._placing.candidates(k))
                    self._rsync.bring(wanted, folder)
                except HoldError as error:
                    failure = error
                for key in batch:
                    found = self._open(folder, key, 0)
                    missing = isinstance(found, HoldError)
                    yield key, failure if missing and failure is not None else found

    def close(self) -> None:
        """Nothing is kept open."""

    # sending and removing

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Send one content; many go faster by `iter_send`."""
        for _, error in self.iter_send([(key, content)], progress):
            if error is not None:
                raise error

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Send contents by batches, one call of rsync each."""
        self._placing.check_holds_keys()
        batch: dict[Key, Content] = {}
        size = 0
        for key, content in items:
            if key in batch:
                yield key, None
                continue
            batch[key] = content
            size += content.size
            if len(batch) >= BATCH_FILES or size >= BATCH_BYTES:
                yield from self._send(batch, progress)
                batch, size = {}, 0
        yield from self._send(batch, progress)

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Delete the folder that holds just this key."""
        assert leave.key == key and leave.place == self.place.id
        self._placing.check_holds_keys()
        self._rsync.delete([os.path.dirname(path) for path in self._placing.candidates(key)])

    # parts

    def _ask(self, keys: Sequence[Key]) -> list[Answer]:
        paths = dict.fromkeys(p for key in keys for p in self._placing.candidates(key))
        try:
            found, complaint = self._rsync.sizes(paths)
        except HoldError as error:
            return [Answer(Presence.UNKNOWN, f"{error.what} ({error.why})") for _ in keys]
        missing = Answer(Presence.UNKNOWN, complaint) if complaint else Answer(Presence.ABSENT)
        return [self._answer(key, found) or missing for key in keys]

    def _answer(self, key: Key, found: Mapping[bytes, int]) -> Answer | None:
        sizes = [found[path] for path in self._placing.candidates(key) if path in found]
        if not sizes:
            return None
        if key.stored_size in (None, *sizes):
            return Answer(Presence.PRESENT)
        return Answer(
            Presence.ABSENT, f"it has {sizes[0]} bytes there instead of {key.stored_size}"
        )

    @contextmanager
    def _folder(self) -> Iterator[bytes]:
        os.makedirs(self._scratch, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=b"rsync-", dir=self._scratch)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _open(self, folder: bytes, key: Key, offset: int) -> Stream | HoldError:
        for path in self._placing.candidates(key):
            full = folder + b"/" + path
            with suppress(OSError):
                found = os.lstat(full)
                if stat.S_ISREG(found.st_mode):
                    return Stream(offset, found.st_size, _iter_file(full, offset))
        return faults.NOT_THERE(place=self.place.label, key=key.text, detail="no file of it")

    def _send(
        self, batch: Mapping[Key, Content], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        if not batch:
            return
        answers: dict[Key, HoldError | None] = {}
        with tempfile.TemporaryDirectory(prefix="hold-rsync-") as name:
            folder = os.fsencode(name)
            os.chmod(folder, 0o755)
            for key, content in batch.items():
                answers[key] = self._stage(folder, key, content)
            good = [key for key, error in answers.items() if error is None]
            if good:
                answers.update(self._send_tree(folder, good))
        for key, error in answers.items():
            if error is None:
                progress(batch[key].size)
            yield key, error

    def _stage(self, folder: bytes, key: Key, content: Content) -> HoldError | None:
        link = folder + b"/" + self._placing.final(key)
        try:
            path = os.path.abspath(content.path())
            os.makedirs(os.path.dirname(link), 0o755, exist_ok=True)
            os.symlink(path, link)
        except HoldError as error:
            return error
        except OSError as error:
            return as_fault(error, key.text, reading=True)
        return None

    def _send_tree(self, folder: bytes, keys: Sequence[Key]) -> dict[Key, HoldError | None]:
        try:
            self._rsync.send_tree(folder)
        except HoldError as error:
            there = self.ask(keys)
            return {
                key: None if answer.presence is Presence.PRESENT else error
                for key, answer in zip(keys, there, strict=True)
            }
        return dict.fromkeys(keys)


def _take(keys: Iterator[Key]) -> list[Key]:
    batch: list[Key] = []
    size = 0
    for key in islice(keys, BATCH_FILES):
        batch.append(key)
        size += key.stored_size or 0
        if size >= BATCH_BYTES:
            break
    return batch


def _iter_file(path: bytes, offset: int) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        file.seek(offset)
        while chunk := file.read(CHUNK):
            yield chunk


def open_store(remote: SpecialRemote) -> RsyncStore:
    """The place of a special remote.

    Raises:
        PlaceUnavailableError: Its configuration names none.
        PolicyError: Its address is one that ssh would take for an option.
    """
    url = remote.local.get("annex-rsyncurl") or remote.config.get("rsyncurl", "")
    label = remote.place.label
    if not url:
        raise faults.NO_WAY(place=label, kind="rsync without a rsyncurl")
    if url.partition("@")[2].startswith("-") or url.startswith("-") or "\0" in url:
        detail, next_step = "the host would be taken for an option", "give it another rsyncurl"
        raise faults.UNSAFE_SETTING(
            place=label, name="rsyncurl", value=url, detail=detail, next=next_step
        )
    escape = remote.config.get("shellescape") != "no"
    rsync = Rsync(label, url, remote.local, escape=escape, rate=remote.rate)
    scratch = remote.annex_dir + b"/othertmp"
    local = url.startswith("/")
    return RsyncStore(
        remote.place, rsync, placing_of(remote), scratch, cost=remote.cost(100.0 if local else 200)
    )


def plan_setup(given: Mapping[str, str]) -> Setup:
    """A new one needs ``rsyncurl=``, a path, HOST:PATH or rsync://HOST/MODULE.

    Raises:
        UsageError: It is missing, or a word is not known.
    """
    check_words("rsync", given, ["rsyncurl"], ["shellescape"])
    check_one_of("rsync", given, "shellescape", ("yes", "no"))
    return Setup(dict(given), {"annex-rsyncurl": given["rsyncurl"]})


def prepare(remote: SpecialRemote) -> None:
    """Make the folder everything is in.

    Raises:
        PlaceUnavailableError: The place cannot be reached.
        AccessError: It refuses.
    """
    store = open_store(remote)
    store._rsync.make_top()
