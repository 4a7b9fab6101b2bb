"""Running git: one place, few processes, long-lived where many objects are read.

Nothing here reads work-tree files through git's filters; whoever needs that says so.
"""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..core import faults
from ..core.errors import HoldError
from ..wire.gitobjects import Oid

if TYPE_CHECKING:
    from .object_reader import ObjectReader

NO_FILTER = (
    "-c",
    "filter.annex.process=",
    "-c",
    "filter.annex.clean=",
    "-c",
    "filter.annex.smudge=",
)
"""Options with which git reads files as they are, annexed or not."""

BOUNDED = (
    "-c", "core.bigFileThreshold=16m", "-c", "core.packedGitWindowSize=1m",
    "-c", "core.packedGitLimit=16m", "-c", "core.deltaBaseCacheLimit=16m",
    "-c", "pack.windowMemory=32m",
)  # fmt: skip
"""Options with which git takes no more memory where files or a history are large."""

_BLOCK = 1 << 16
_abandoned: list[ObjectReader] = []
"""Kept from being ended by Python: they belong to another process."""


class Git:
    """git, in one repository. Paths given to it are taken literally."""

    def __init__(self, folder: bytes, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._environment = {
            **os.environ,
            "GIT_LITERAL_PATHSPECS": "1",
            "LC_ALL": "C.UTF-8",
            **(environment or {}),
        }
        self._reader: ObjectReader | None = None
        self.small_blobs: dict[bytes, bytes] = {}
        """Contents that were read, by object in hex; who adds to it keeps it within bounds."""

    def start(
        self,
        *arguments: str | bytes,
        reads: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start git with its output in a pipe, and its input too when it ``reads``."""
        try:
            return subprocess.Popen(
                ["git", *arguments],
                cwd=self.folder,
                env={**self._environment, **(environment or {})},
                stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=_BLOCK,
            )
        except (FileNotFoundError, NotADirectoryError):
            if not os.path.isdir(self.folder):
                raise no_folder(self.folder) from None
            raise faults.NO_GIT() from None

    def ask(
        self,
        *arguments: str | bytes,
        data: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes, bytes]:
        """Run git to its end: exit code, output, errors."""
        process = self.start(*arguments, reads=data is not None, environment=environment)
        output, errors = process.communicate(data)
        return process.returncode, output, errors

    def run(
        self,
        *arguments: str | bytes,
        data: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run git and give its output.

        Raises:
            HoldError: git failed; its own words are the reason.
        """
        code, output, errors = self.ask(*arguments, data=data, environment=environment)
        if code:
            raise git_failed(arguments, errors)
        return output

    def line(self, *arguments: str | bytes) -> bytes | None:
        """The one line git answers, or None when it fails or says nothing."""
        code, output, _ = self.ask(*arguments)
        return output.rstrip(b"\n") or None if code == 0 else None

    def iter_fields(
        self,
        *arguments: str | bytes,
        environment: Mapping[str, str] | None = None,
        warnings: list[bytes] | None = None,
    ) -> Iterator[bytes]:
        """Stream the NUL-ended fields git writes, in constant memory; git starts at once.

        The lines that git only warns with are in ``warnings`` once all fields were given.

        Raises:
            HoldError: git failed, told at the end of the stream.
        """
        process = self.start(*arguments, environment=environment)
        return _fields_of(process, arguments, [] if warnings is None else warnings)

    def assume(self, environment: Mapping[str, str]) -> None:
        """Give git variables from now on, where nobody set them."""
        self._environment = {**environment, **self._environment}

    @property
    def objects(self) -> ObjectReader:
        """The reader of objects, started when first used, kept until `close`."""
        if self._reader is None:
            from .object_reader import ObjectReader

            self._reader = ObjectReader(self)
        return self._reader

    def abandon(self) -> None:
        """In a forked copy of this process: leave those of git's that were kept to the original."""
        if self._reader is not None:
            _abandoned.append(self._reader)
            self._reader = None

    def close(self) -> None:
        """End the processes that were kept."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def no_folder(path: bytes) -> HoldError:
    """What to raise where a folder was named and there is none."""
    is_there = os.path.lexists(path)
    return faults.NO_FOLDER(
        path=os.fsdecode(path),
        detail="what is there is no folder" if is_there else "nothing of this name is there",
        above=os.fsdecode(os.path.dirname(path)) or ".",
    )


def _fields_of(
    process: subprocess.Popen[bytes], arguments: Sequence[str | bytes], warnings: list[bytes]
) -> Iterator[bytes]:
    errors: list[bytes] = []
    try:
        yield from _split_fields(_iter_output(process, errors))
        if process.wait():
            raise git_failed(arguments, b"".join(errors))
        warnings += b"".join(errors).splitlines()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _iter_output(process: subprocess.Popen[bytes], errors: list[bytes]) -> Iterator[bytes]:
    """What a process writes, in blocks. Its errors are read beside, or it would wait for us.

    No thread does that: while one runs, work is not spread over processes.
    """
    output = process.stdout
    assert output is not None and process.stderr is not None
    with selectors.DefaultSelector() as both:
        both.register(output, selectors.EVENT_READ)
        both.register(process.stderr, selectors.EVENT_READ)
        while both.get_map():
            for ready, _ in both.select():
                block = os.read(ready.fd, _BLOCK)
                if not block:
                    both.unregister(ready.fileobj)
                elif ready.fileobj is output:
                    yield block
                else:
                    errors.append(block)


def git_failed(arguments: Sequence[str | bytes], errors: bytes) -> Exception:
    """What to raise for a git that failed."""
    words = [
        a.decode("utf-8", "backslashreplace") if isinstance(a, bytes) else a for a in arguments
    ]
    command = next((w for w in words if not w.startswith("-") and "=" not in w), "")
    message = " / ".join(errors.decode("utf-8", "backslashreplace").strip().splitlines()[-3:])
    if b"tell me who you are" in errors or b"empty ident name" in errors:
        return faults.NO_IDENTITY()
    if b"No space left on device" in errors or b"Disk quota exceeded" in errors:
        return faults.NO_ROOM(path=f"this repository (git {command})", detail=message)
    if b"Read-only file system" in errors:
        return faults.NO_PERMISSION(path=f"this repository (git {command})", detail=message)
    return faults.GIT_FAILED(command=command, message=message or "it gave no reason")


def _split_fields(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *fields, rest = (rest + block).split(b"\0")
        yield from fields
    if rest:
        yield rest


def hex_oid(oid: Oid) -> bytes:
    """An object's name as git prints it."""
    return oid.hex().encode()


def from_hex(text: bytes) -> Oid:
    """An object's name from git's print."""
    return Oid(bytes.fromhex(text.decode()))
