"""Putting new git objects on disk: many as one pack, a few as loose files, one sync for all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

from ..wire.gitobjects import ObjectFormat, Oid, deflate, hash_object
from ..wire.gitpack import PackWriter

LOOSE_MAX = 48
"""Up to so many objects are written loose: packs are for bulk, and each one costs readers."""

PACK_MAX = 400_000
"""Objects in a pack before the next is begun; bounds the memory of its index."""

BLOB, TREE, COMMIT = 3, 2, 1
_KINDS = {BLOB: b"blob", TREE: b"tree", COMMIT: b"commit"}


class ObjectWriter:
    """Takes new objects; they are on disk, whole and synced, when `finish` returns.

    Use as a context manager: leaving it by an error leaves nothing behind.
    """

    def __init__(self, common_dir: bytes, object_format: ObjectFormat) -> None:
        self._objects = os.path.join(common_dir, b"objects")
        self.format = object_format
        self._few: dict[Oid, tuple[int, bytes]] = {}
        self._pack: PackWriter | None = None
        self._file: object = None
        self._path = b""
        self._finished: list[tuple[bytes, bytes]] = []

    def add(self, kind: int, data: bytes) -> Oid:
        """Take one object; gives its name."""
        if self._pack is None:
            oid = hash_object(_KINDS[kind], data, self.format)
            if len(self._few) < LOOSE_MAX and len(data) < 1 << 20:
                self._few[oid] = kind, data
                return oid
            self._begin_pack()
        assert self._pack is not None
        if self._pack.count >= PACK_MAX:
            self._end_pack()
            self._begin_pack()
        return self._pack.add(kind, data)

    def finish(self) -> None:
        """Give everything taken so far its final name, synced. More may be added afterwards."""
        if self._pack is not None:
            self._end_pack()
        for temporary, final in self._finished:
            _rename_new(temporary + b".idx", final + b".idx", keep=False)
        self._finished.clear()
        if self._few:
            for oid, (kind, data) in self._few.items():
                self._write_loose(oid, kind, data)
            sync_file_system(self._objects)
            self._few.clear()

    def _begin_pack(self) -> None:
        folder = os.path.join(self._objects, b"pack")
        os.makedirs(folder, exist_ok=True)
        descriptor, self._path = _new_file(folder, b"tmp_pack_")
        self._file = file = open(descriptor, "w+b", buffering=1 << 20)  # noqa: SIM115
        self._pack = PackWriter(file, self.format)
        for kind, data in self._few.values():
            self._pack.add(kind, data)
        self._few.clear()

    def _end_pack(self) -> None:
        assert self._pack is not None
        trailer = self._pack.finish()
        index = self._pack.index_bytes()
        file = self._file
        file.flush()  # type: ignore[attr-defined]
        os.fchmod(file.fileno(), 0o444)  # type: ignore[attr-defined]
        os.fsync(file.fileno())  # type: ignore[attr-defined]
        file.close()  # type: ignore[attr-defined]
        with open(self._path + b".idx", "wb") as out:
            out.write(index)
            out.flush()
            os.fchmod(out.fileno(), 0o444)
            os.fsync(out.fileno())
        final = os.path.join(self._objects, b"pack", b"pack-" + trailer.hex().encode())
        # The pack first: git looks for packs by their index.
        _rename_new(self._path, final + b".pack", keep=True)
        self._finished.append((self._path, final))
        self._pack = None

    def _write_loose(self, oid: Oid, kind: int, data: bytes) -> None:
        name = oid.hex().encode()
        folder = os.path.join(self._objects, name[:2])
        final = os.path.join(folder, name[2:])
        if os.access(final, os.F_OK):
            return
        os.makedirs(folder, exist_ok=True)
        descriptor, temporary = _new_file(folder, b"tmp_obj_")
        try:
            with open(descriptor, "wb") as out:
                header = b"%b %d\0" % (_KINDS[kind], len(data))
                out.write(deflate(header + data))
                os.fchmod(out.fileno(), 0o444)
            os.rename(temporary, final)
        except BaseException:
            _remove(temporary)
            raise

    def __enter__(self) -> ObjectWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pack is not None:
            with suppress(OSError):  # on a full disk: what is not yet written cannot be
                self._file.close()  # type: ignore[attr-defined]
            _remove(self._path)
            _remove(self._path + b".idx")
            self._pack = None
        for temporary, final in self._finished:
            _remove(temporary + b".idx")
            if not os.access(final + b".idx", os.F_OK):
                _remove(final + b".pack")
        self._finished.clear()


def _remove(path: bytes) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _new_file(folder: bytes, prefix: bytes) -> tuple[int, bytes]:
    """An empty file of our own; git removes those with such names when they are old."""
    while True:
        path = os.path.join(folder, prefix + os.urandom(8).hex().encode())
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            return os.open(path, flags, 0o600), path
        except FileExistsError:
            continue


def _rename_new(temporary: bytes, final: bytes, *, keep: bool) -> None:
    if keep and os.access(final, os.F_OK):
        os.unlink(temporary)
    else:
        os.rename(temporary, final)


def sync_file_system(path: bytes) -> None:
    """Bring everything written so far on a file system to the disk, in one call."""
    import ctypes  # late: it costs start-up time, and reading commands never sync

    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # macOS has no syncfs; sync there waits for no disk, as its fsync does not either.
        if not hasattr(libc, "syncfs"):
            os.sync()
        elif libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), os.fsdecode(path))
    finally:
        os.close(descriptor)


@contextmanager
def writing(common_dir: bytes, object_format: ObjectFormat) -> Iterator[ObjectWriter]:
    """An `ObjectWriter`, finished at the end of the block."""
    with ObjectWriter(common_dir, object_format) as writer:
        yield writer
        writer.finish()
