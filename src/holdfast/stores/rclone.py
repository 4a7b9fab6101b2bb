"""`rclone`: any of the many kinds of storage that the program rclone reaches.

Laid out as `rclone gitannex` and git-annex-remote-rclone do, in one of their five layouts, which
`rclonelayout` names; keys are written as they are, so that one with a slash makes folders.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from ..core import faults
from ..core.abilities import Answer, Content, OnBytes, Stream
from ..core.errors import HoldError, NotFoundError
from ..core.key import Key, hash_dir_lower, hash_dir_mixed
from ..core.place import Place, Presence
from ..core.policy import DropProof, Waiver
from ..core.rates import RateOf, no_limit
from .lanes import iter_fetched, iter_sent
from .placing import Placing, is_plain
from .rclone_program import LARGE, Rclone
from .special import PathsOf, Setup, SpecialRemote
from .words import check_one_of, check_words

THREADS = 8

LAYOUTS: dict[str, Callable[[Key], bytes]] = {
    "lower": lambda key: b"%b/%b" % (hash_dir_lower(key), key),
    "directory": lambda key: b"%b/%b/%b" % (hash_dir_lower(key), key, key),
    "nodir": bytes,
    "mixed": lambda key: b"%b/%b" % (hash_dir_mixed(key), key),
    "frankencase": lambda key: b"%b/%b" % (hash_dir_mixed(key).lower(), key),
}
"""Where each layout has a key."""

_SYNONYMS = {
    "rcloneremotename": "target",
    "rcloneprefix": "prefix",
    "rclonelayout": "rclone_layout",
}
"""Our names for settings, and those of git-annex-remote-rclone."""

_PLAIN_NAME = re.compile(r"[\w.+@][\w .+@-]*")


class RcloneStore:
    """Files of a remote that rclone knows."""

    def __init__(
        self,
        place: Place,
        fs: str,
        layout: Callable[[Key], bytes],
        *,
        cost: float = 200.0,
        paths_of: PathsOf | None = None,
        rate: RateOf = no_limit,
    ) -> None:
        """``fs`` is the remote and the folder in it, as rclone writes that: ``NAME:PATH``.

        ``paths_of`` is given for a place that holds a tree of files. ``rate`` is how many bytes a
        second may go each way.
        """
        self.place = place
        self.cost = cost
        self._fs = fs
        self._layout = layout
        self._tree = None if paths_of is None else Placing(place.label, paths_of)
        self._rclone = Rclone(place.label, rate)
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look for each key's file, several at a time; its size has to be right too."""
        if len(keys) < 2:
            return [self._ask(key) for key in keys]
        return list(self._threads().map(self._ask, keys))

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream a file from an offset."""
        with self._rclone.open(self._fs, self._there(key), offset) as (start, size, chunks):
            yield Stream(start, size, chunks)

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Let rclone copy the file; it shows nothing of it before it is there whole."""
        self._check_holds_keys()
        self._copy(content, self._name(key))
        progress(content.size)

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Send contents, several at a time."""
        return iter_sent(
            lambda key, content: self.send(key, content, progress), items, lanes=THREADS
        )

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream contents in order, small ones fetched side by side."""
        return iter_fetched(self, keys, lanes=THREADS)

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Delete the file."""
        assert leave.key == key and leave.place == self.place.id
        self._check_holds_keys()
        self._delete(self._name(key))

    # files of a tree

    def size_at(self, path: bytes) -> int | None:
        """How large the file at a path is; None where there is none."""
        item = self._stat(self._text(path))
        return None if item is None else _size_of(item)

    def put_at(self, path: bytes, content: Content, progress: OnBytes) -> None:
        """Copy a file to a path, whatever is there."""
        # Size and time of what is there may be the same, and its bytes others.
        self._copy(content, self._text(path), {"IgnoreTimes": True})
        progress(content.size)

    def move_at(self, old: bytes, new: bytes) -> None:
        """Give a file another path.

        Raises:
            NotFoundError: There is none.
        """
        if self._stat(self._text(old)) is None:
            raise faults.NOT_THERE(place=self.place.label, key=os.fsdecode(old), detail="no file")
        self._rclone.call(
            "operations/movefile", srcFs=self._fs, srcRemote=self._text(old), dstFs=self._fs,
            dstRemote=self._text(new),
        )  # fmt: skip

    def delete_at(self, path: bytes) -> None:
        """Delete the file at a path, if there is one."""
        self._delete(self._text(path))

    def remove_folder(self, path: bytes) -> None:
        """Remove a folder.

        Raises:
            HoldError: It is not there, or holds something.
        """
        self._rclone.call("operations/rmdir", fs=self._fs, remote=self._text(path))

    def make_top(self) -> None:
        """Make the folder everything is in."""
        self._rclone.call("operations/mkdir", fs=self._fs, remote="")

    def close(self) -> None:
        """End rclone."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)
        self._rclone.close()

    def _ask(self, key: Key) -> Answer:
        try:
            found = [self._stat(name) for name in self._names(key)]
        except HoldError as error:
            return Answer(Presence.UNKNOWN, f"{error.what} ({error.why})")
        sizes = [_size_of(item) for item in found if item is not None]
        if not sizes:
            return Answer(Presence.ABSENT)
        if key.stored_size in (None, *sizes):
            return Answer(Presence.PRESENT)
        if -1 in sizes:
            return Answer(Presence.UNKNOWN, "it does not tell the size")
        remark = f"it has {sizes[0]} bytes there instead of {key.stored_size}"
        return Answer(Presence.ABSENT, remark)

    def _stat(self, name: str) -> Mapping[str, object] | None:
        """What rclone says of a file; None when there is none."""
        try:
            item = self._rclone.call("operations/stat", fs=self._fs, remote=name).get("item")
        except NotFoundError:
            return None
        return item if isinstance(item, dict) and not item.get("IsDir") else None

    def _copy(self, content: Content, name: str, how: Mapping[str, object] | None = None) -> None:
        source = os.path.abspath(content.path())
        try:
            source_name = source.lstrip(b"/").decode()
        except UnicodeDecodeError:
            raise faults.NO_WAY(place=self.place.label, kind="rclone, from such a path") from None
        copy = self._rclone.call if content.size < LARGE else self._rclone.call_long
        copy(
            "operations/copyfile", srcFs="/", srcRemote=source_name, dstFs=self._fs,
            dstRemote=name, _config=how or {},
        )  # fmt: skip

    def _delete(self, name: str) -> None:
        with suppress(NotFoundError):
            self._rclone.call("operations/deletefile", fs=self._fs, remote=name)

    # names

    def _check_holds_keys(self) -> None:
        if self._tree is not None:
            self._tree.check_holds_keys()

    def _names(self, key: Key) -> list[str]:
        """Where a key's content may lie."""
        if self._tree is None:
            return [self._name(key)]
        return [self._text(path) for path in self._tree.candidates(key)]

    def _there(self, key: Key) -> str:
        """Where it lies; of several files of a tree, one that has its size."""
        names = self._names(key)
        for name in names if self._tree is not None else ():
            item = self._stat(name)
            if item is not None and key.stored_size in (None, _size_of(item)):
                return name
        if self._tree is not None:
            raise faults.NOT_THERE(place=self.place.label, key=key.text, detail="no file of it")
        return names[0]

    def _name(self, key: Key) -> str:
        path = self._layout(key)
        if not is_plain(re.sub(rb"//+", b"/", path)):
            raise faults.NO_WAY(place=self.place.label, kind="rclone, for such a key")
        return self._text(path)

    def _text(self, path: bytes) -> str:
        try:
            return path.decode()
        except UnicodeDecodeError:
            raise faults.NO_WAY(place=self.place.label, kind="rclone, for such a name") from None

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="rclone")
            return self._pool


def open_store(remote: SpecialRemote) -> RcloneStore:
    """What the remote of rclone's configuration holds.

    Raises:
        PlaceUnavailableError: The configuration names no remote, or a layout that is not known.
        PolicyError: It names more than a remote of rclone's configuration here.
    """
    label, config = remote.place.label, remote.config
    name = _setting(config, "rcloneremotename", "").removesuffix(":")
    older = config.get("externaltype") == "rclone"
    layout = _setting(config, "rclonelayout", "lower" if older else "nodir")
    if not name or layout not in LAYOUTS:
        raise faults.NO_WAY(place=label, kind=f"rclone with the layout {layout}")
    if not _PLAIN_NAME.fullmatch(name):
        # Such a name can configure a remote as it likes, up to the program that is run for it.
        raise faults.UNSAFE_SETTING(
            place=label, name="rcloneremotename", value=name,
            detail="only the name of a remote that rclone is configured with here may be used",
            next="rclone config    (give it a name there), then set that",
        )  # fmt: skip
    usual = "git-annex" if older else "git-annex-rclone"
    prefix = _setting(config, "rcloneprefix", usual).strip("/")
    return RcloneStore(
        remote.place, f"{name}:{prefix}", LAYOUTS[layout], cost=remote.cost(200.0),
        paths_of=remote.paths_of, rate=remote.rate,
    )  # fmt: skip


def _size_of(item: Mapping[str, object]) -> int:
    """What rclone says; -1 where the storage does not tell."""
    size = item.get("Size")
    return size if isinstance(size, int) else -1


def _setting(config: Mapping[str, str], name: str, usual: str) -> str:
    return config.get(name) or config.get(_SYNONYMS[name]) or usual


def plan_setup(given: Mapping[str, str]) -> Setup:
    """A new one needs ``rcloneremotename=``; the usual layout has two levels of folders.

    Raises:
        UsageError: It is missing, or a word is not known.
    """
    check_words("rclone", given, ["rcloneremotename"], ["rcloneprefix", "rclonelayout"])
    check_one_of("rclone", given, "rclonelayout", LAYOUTS)
    if given.get("exporttree") == "yes":
        detail = "git-annex exports no trees by a place of this type, and would refuse it"
        following = "say type=external externaltype=holdfast store=rclone and the rest"
        raise faults.BAD_SETUP(name="a tree", detail=detail, next=following)
    usual = {"rcloneprefix": "git-annex-rclone", "rclonelayout": "lower"}
    return Setup({**usual, **given}, {"annex-rclone": "true"})


def prepare(remote: SpecialRemote) -> None:
    """Make the folder everything is in.

    Raises:
        PlaceUnavailableError: rclone cannot reach it.
    """
    store = open_store(remote)
    try:
        store.make_top()
    finally:
        store.close()
