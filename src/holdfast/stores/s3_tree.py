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
from .special import SpecialRemote


class S3Tree:
    """A `TreeStore`. Objects have no other names: what moved is sent again."""

    can_rename = False

    def __init__(self, store: S3) -> None:
        """Nothing is connected yet."""
        self.place: Place = store.place
        self._store = store

    def sizes(self, paths: Sequence[bytes]) -> list[int | None]:
        """See `TreeStore.sizes`."""
        with ThreadPoolExecutor(LANES, thread_name_prefix="ask") as pool:
            return list(pool.map(self._store.object_size, paths))

    def iter_put(
        self, items: Iterable[PathAndContent], progress: OnBytes
    ) -> Iterator[tuple[bytes, HoldError | None]]:
        """Put several at a time; an object is seen when it is whole."""

        def put(path: bytes, content: Content) -> None:
            self._store.put_object(path, content, progress)

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
    """The bucket of a special remote.

    Raises:
        PolicyError: It keeps versions, which would have to be written down for each file.
    """
    if remote.config.get("versioning") == "yes":
        detail = "a bucket with versioning=yes is read by us, and written by git annex export"
        raise faults.HOLDS_NO_TREE(place=remote.place.label, detail=detail)
    return S3Tree(S3(remote))
