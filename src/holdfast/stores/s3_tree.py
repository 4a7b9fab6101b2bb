"""A tree of files in a bucket: each file an object named ``fileprefix`` and its path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..core import faults
from ..core.abilities import Content, OnBytes, PathAndContent
from ..core.errors import HoldError
from ..core.place import Place
from .lanes import LANES, iter_done
from .s3 import S3
from .s3_setup import flag
from .special import SpecialRemote


class S3Tree:
    """A `TreeStore`. Objects have no other names: what moved is sent again."""

    can_rename = False

    def __init__(self, store: S3, *, prefix: bytes = b"", keeps_versions: bool = False) -> None:
        """Nothing is connected yet."""
        self.place: Place = store.place
        self.keeps_versions = keeps_versions
        self._store = store
        self._prefix = prefix
        self._versions: dict[bytes, bytes] = {}

    def take_version(self, path: bytes) -> bytes | None:
        """What is to be written down of the file just put at a path, as `.log.rmet` has it."""
        return self._versions.pop(path, None)

    def sizes(self, paths: Sequence[bytes]) -> list[int | None]:
        """See `TreeStore.sizes`."""
        with ThreadPoolExecutor(LANES, thread_name_prefix="ask") as pool:
            return list(pool.map(self._store.object_size, paths))

    def iter_put(
        self, items: Iterable[PathAndContent], progress: OnBytes
    ) -> Iterator[tuple[bytes, HoldError | None]]:
        """Put several at a time; an object is seen when it is whole."""

        def put(path: bytes, content: Content) -> None:
            version = self._store.put_object(path, content, progress)
            if self.keeps_versions and version:
                name = self._prefix + path
                self._versions[path] = version.encode("utf-8", "surrogateescape") + b"#" + name

        return iter_done(put, items)

    def rename(self, old: bytes, new: bytes) -> None:
        """Never asked for."""
        raise faults.NOT_THERE(place=self.place.label, key=repr(old), detail="nothing is renamed")

    def remove_files(self, paths: Sequence[bytes]) -> None:
        """Delete objects, several at a time."""
        with ThreadPoolExecutor(LANES, thread_name_prefix="delete") as pool:
            for _ in pool.map(self._store.delete_object, paths):
                pass

    def close(self) -> None:
        """End connections."""
        self._store.close()


def open_tree(remote: SpecialRemote) -> S3Tree:
    """The bucket of a special remote."""
    prefix = remote.config.get("fileprefix", "").encode("utf-8", "surrogateescape")
    return S3Tree(S3(remote), prefix=prefix, keeps_versions=flag(remote.config, "versioning"))
