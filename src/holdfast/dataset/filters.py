"""What git's clean and smudge filters do with one file, for plain git on unlocked files.

Clean makes the blob of a file that git takes: a pointer of one that is annexed, the bytes as they
are of all others. Smudge lets a pointer through: content takes its place at the end, when git has
let go of its index. A repository is opened only when a file needs it: most calls see pointers.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from ..core import faults
from ..core.key import Key
from ..wire.pointer import POINTER_SIZE_MAX, key_of_pointer, pointer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .added_by_git import AddedByGit
    from .ingest import Ingester
    from .objects import Objects
    from .repository import Repository
    from .rules import Rules
    from .seen_index import SeenIndex, Sizes

_IN_MEMORY = 8 << 20


class Known(NamedTuple):
    """What the index has of a path: the blob's name, its size, the key if it is a pointer."""

    oid: bytes
    size: int
    key: Key | None


class Filters:
    """The filters of one repository, for the files of one git command. `finish` at the end."""

    def __init__(self, folder: bytes) -> None:
        """Take the folder git runs us in: the top of the work tree."""
        self._folder = folder
        self._ingested: list[Key] = []
        self._smudged: dict[bytes, Key] = {}

    # smudge

    def smudge(self, path: bytes, content: Iterator[bytes]) -> Iterator[bytes]:
        """What git shall write into the folder: the blob as it is."""
        head, rest = _peek(content)
        key = key_of_pointer(head)
        if key is not None and len(head) <= POINTER_SIZE_MAX:
            self._smudged[path] = key
        return _spooled(chain((head,), rest))

    # clean

    def clean(self, path: bytes, content: Iterator[bytes]) -> Iterator[bytes]:
        """What git shall store: a pointer, once the content is in the annex, or the bytes.

        All of the content is read before the first byte is given.

        Raises:
            HoldError: Content that belongs into the annex could not be put there.
        """
        head, rest = _peek(content)
        if len(head) <= POINTER_SIZE_MAX and key_of_pointer(head) is not None:
            return iter((head,))
        content = chain((head,), rest)
        known = self._known(path)
        status = self._regular(path)
        if known is not None and known.key is not None and self._may_be(known.key, path, status):
            # One reading tells whether it is the content the index has a pointer to.
            return self._clean_known(path, content, known, status)
        if not self._is_annexed(path, known, status, len(head)):
            return _spooled(content)
        if known is not None and known.key is None and status and known.size == status.st_size:
            return self._clean_git_file(path, content, known, status)
        return self._ingest(path, content, known, status)

    def _clean_known(
        self, path: bytes, content: Iterator[bytes], known: Known, status: os.stat_result | None
    ) -> Iterator[bytes]:
        key = known.key
        assert key is not None
        spool = _Spool()
        same = spool.fill(content, key)
        if same and self._objects.has(key):
            return iter((pointer(key),))
        if not same and not self._is_annexed(path, known, status, spool.size):
            return spool.read()
        return self._ingest(path, spool.read(), known, status)

    def _clean_git_file(
        self, path: bytes, content: Iterator[bytes], known: Known, status: os.stat_result
    ) -> Iterator[bytes]:
        """A file of git that was only touched stays in git, whatever the rule says of it now."""
        spool = _Spool()
        digest = self._repository.object_format.hasher(b"blob %d\0" % known.size)
        spool.fill(_hashing(content, digest))
        if digest.digest() == known.oid:
            return spool.read()
        return self._ingest(path, spool.read(), known, status)

    def _ingest(
        self,
        path: bytes,
        content: Iterator[bytes],
        known: Known | None,
        status: os.stat_result | None,
    ) -> Iterator[bytes]:
        key = known.key if known is not None else None
        backend = self._rules.backend(path, key)
        self._repository.check_writable()
        self._repository.check_plain_content()
        if status is None:
            key = self._ingest_stream(path, content, backend)
        else:
            read = sum(map(len, content))
            if read != status.st_size:
                raise faults.CHANGED_WHILE_READ(path=os.fsdecode(path))
            key = self._ingester.copy_in(path, status, backend)
        self._ingested.append(key)
        return iter((pointer(key),))

    def _ingest_stream(self, path: bytes, content: Iterator[bytes], backend: bytes) -> Key:
        """Content whose file is gone, or never was: what git sends is all there is of it."""
        from .scratch import Scratch

        with closing(Scratch(self._repository.annex_dir + b"/othertmp", b"clean")) as scratch:
            full = os.path.join(scratch.path, os.path.basename(path))
            with open(full, "wb") as file:
                file.writelines(content)
            below = os.path.relpath(full, self._repository.top)
            return self._ingester.copy_in(below, os.lstat(full), backend)

    # what is known

    def _known(self, path: bytes) -> Known | None:
        """The index entry of a path; of one in conflict our side, else theirs."""
        oid = self._index.find(path)
        if oid is None:
            return None
        size = self._sizes.of(oid)
        if size is None:
            return None
        key = self._key_of(oid) if size <= POINTER_SIZE_MAX else None
        return Known(bytes.fromhex(oid.decode()), size, key)

    def _key_of(self, oid: bytes) -> Key | None:
        answer = self._repository.git.objects.read(oid)
        return key_of_pointer(answer[1]) if answer is not None else None

    def _regular(self, path: bytes) -> os.stat_result | None:
        try:
            status = os.lstat(os.path.join(self._folder, path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def _may_be(self, key: Key, path: bytes, status: os.stat_result | None) -> bool:
        """Whether content may be what a key names, as far as one can tell without reading it."""
        from ..core.backends import is_verifiable

        if is_verifiable(key.backend):
            return status is None or key.size in (None, status.st_size)
        return status is not None and self._objects.looks_like(key, status)

    def _is_annexed(
        self, path: bytes, known: Known | None, status: os.stat_result | None, size: int
    ) -> bool:
        was_annexed = known is not None and known.key is not None
        size = size if status is None else status.st_size
        return self._added.is_annexed(path, size, status, was_annexed=was_annexed)

    # what is opened when it is needed

    @cached_property
    def _repository(self) -> Repository:
        from .repository import Repository

        return Repository(self._folder)

    @cached_property
    def _index(self) -> SeenIndex:
        from .seen_index import SeenIndex

        return SeenIndex(self._repository)

    @cached_property
    def _sizes(self) -> Sizes:
        from .seen_index import Sizes

        return Sizes(self._repository)

    @cached_property
    def _rules(self) -> Rules:
        from .rules import Rules

        return Rules(self._repository)

    @cached_property
    def _added(self) -> AddedByGit:
        from .added_by_git import AddedByGit

        return AddedByGit(self._repository, self._rules, self._index, self._key_of)

    @cached_property
    def _objects(self) -> Objects:
        from ..core.place import Place
        from .objects import objects_of

        return objects_of(self._repository, Place(self._repository.here, "here"))

    @cached_property
    def _ingester(self) -> Ingester:
        from .ingest import Ingester

        scratch = self._repository.annex_dir + b"/othertmp"
        return Ingester(self._folder, scratch, self._objects, self._rules.limits)

    # the end

    def finish(self) -> None:
        """Tell the ledger what is here now, and put content where git wrote only pointers."""
        if "_ingester" in self.__dict__:
            self._ingester.close()
        if self._ingested:
            from .checkout import fill_keys
            from .ledger_write import set_locations
            from .packs import sync_file_system

            sync_file_system(self._repository.annex_dir)
            here = self._repository.here
            set_locations(self._repository, self._ingested, here, present=True)
            fill_keys(self._repository, frozenset(self._ingested))
            self._ingested.clear()
        if self._smudged:
            from .checkout import fill_smudged

            fill_smudged(self._repository, self._smudged)
            self._smudged.clear()
        if "_sizes" in self.__dict__:
            self._sizes.close()
        if "_repository" in self.__dict__:
            self._repository.close()


class _Spool:
    """Content that must be read to its end before it can be given: in memory, or in a file."""

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[bytes] = []
        self._file: object = None

    def fill(self, content: Iterator[bytes], key: Key | None = None) -> bool:
        """Take all of it; says whether it is what the key names."""
        from ..core.errors import IntegrityError

        check = None
        if key is not None:
            from ..core.backends import checker, is_verifiable

            check = checker(key) if is_verifiable(key.backend) else None
        same = True
        for chunk in content:
            self._add(chunk)
            if check is not None and same:
                try:
                    check.feed(chunk)
                except IntegrityError:
                    same = False
        if check is None or not same:
            return same
        try:
            check.finish()
        except IntegrityError:
            return False
        return True

    def _add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self._file is not None:
            self._file.write(chunk)  # type: ignore[attr-defined]
            return
        self._parts.append(chunk)
        if self.size > _IN_MEMORY:
            import tempfile

            file = tempfile.TemporaryFile()  # noqa: SIM115
            file.writelines(self._parts)
            self._parts.clear()
            self._file = file

    def read(self) -> Iterator[bytes]:
        """Give it, once."""
        if self._file is None:
            yield from self._parts
            return
        with self._file as file:  # type: ignore[attr-defined]
            file.seek(0)
            while block := file.read(1 << 16):
                yield block


def _spooled(content: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, all taken before the first is given."""
    spool = _Spool()
    spool.fill(content)
    return spool.read()


def _hashing(content: Iterator[bytes], digest: object) -> Iterator[bytes]:
    for chunk in content:
        digest.update(chunk)  # type: ignore[attr-defined]
        yield chunk


def _peek(content: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Enough of the beginning to tell whether it is a pointer, and the rest."""
    parts: list[bytes] = []
    size = 0
    for chunk in content:
        parts.append(chunk)
        size += len(chunk)
        if size > POINTER_SIZE_MAX:
            break
    return b"".join(parts), content
