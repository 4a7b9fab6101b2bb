"""Where the library in C comes from: out of the package, or built once into the user's cache.

Building needs a C compiler and some seconds, and happens on first use; a library is the same for
every Python of a machine. It is loaded only from the package's own folder, or from a folder that is
this user's and that nobody else may write, and only if it still has the bytes that were built.
Decision record: docs/decisions/0012-hashing-kernel.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

SOURCES = Path(__file__).parent / "c"
PACKAGED = Path(__file__).parent / "hold_kernel.so"
"""What a wheel for one kind of machine brings along; other wheels do not have it."""

FLAGS = ("-std=gnu11", "-O2", "-funroll-loops", "-fPIC", "-shared", "-fvisibility=hidden")
COMPILERS = ("cc", "gcc", "clang")

_PATIENCE_S = 120
_ABANDONED_S = 86_400
_SAID_MAX = 300


class NotBuiltError(Exception):
    """Why there is no library; for people."""


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where this user's libraries are kept."""
    given = environ.get("XDG_CACHE_HOME", "")
    base = given if os.path.isabs(given) else os.path.expanduser("~/.cache")
    return Path(base) / "holdfast" / "kernel"


def library(folder: Path) -> Path:
    """The path of a library for this machine, built into ``folder`` if there is none yet.

    Raises:
        NotBuiltError: There is none and none could be built; the message says why.
    """
    if PACKAGED.is_file():
        return PACKAGED
    if not folder.is_absolute():
        raise NotBuiltError("this user has no home folder")
    try:
        _make_private(folder)
        name = _name()
        return _built_before(folder, name) or _build(folder, name)
    except OSError as error:
        raise NotBuiltError(f"{error.filename or folder}: {error.strerror or error}") from None


def is_there(folder: Path) -> bool:
    """Whether `library` would find one, without building it."""
    return PACKAGED.is_file() or any(folder.glob(f"{_name()}-*.so"))


def compile_to(target: Path) -> None:
    """Compile the library with the first compiler there is.

    Raises:
        NotBuiltError: There is none, or it failed.
    """
    _run_compiler(_compiler(), target)


def _make_private(folder: Path) -> None:
    """Make the folder, and see that it is ours alone.

    Raises:
        NotBuiltError: Somebody else could put a library there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _check_own(folder, folder.lstat(), stat.S_ISDIR)
    for above in folder.resolve().parents:
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise NotBuiltError(f"everybody may write in {above}")


def _check_own(path: Path, found: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    if not is_kind(found.st_mode):
        raise NotBuiltError(f"{path} is something else than it should be")
    if found.st_uid != os.geteuid():
        raise NotBuiltError(f"{path} belongs to somebody else")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise NotBuiltError(f"others may write {path}")


def _name() -> str:
    """Of the library: another one for other sources, flags, machines and system libraries.

    Not for other compilers: a cluster's nodes without one use what its login node built. Nor for
    other processors of a kind: the library looks at run time what they can do.
    """
    machine = (FLAGS, sys.platform, *_machine())
    made = hashlib.sha256(repr(machine).encode())
    for source in sorted(SOURCES.iterdir()):
        made.update(b"\0%b\0%b" % (source.name.encode(), source.read_bytes()))
    return f"hold-{made.hexdigest()[:32]}"


def _machine() -> tuple[str, str]:
    """The kind of machine, and its C library."""
    try:
        return os.uname().machine, os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):  # another library, or no Unix
        import platform  # late: it takes longer than all the rest of this

        return platform.machine(), " ".join(platform.libc_ver())


def _built_before(folder: Path, name: str) -> Path | None:
    """A library of that name whose bytes are those that were built; others are removed."""
    for path in sorted(folder.glob(f"{name}-*.so")):
        _check_own(path, path.lstat(), stat.S_ISREG)
        if path.stem == f"{name}-{_digest(path)}":
            return path
        path.unlink(missing_ok=True)
    return None


def _build(folder: Path, name: str) -> Path:
    compiler = _compiler()
    identity = _identity(compiler)
    failed = folder / f"{name}.failed"
    with contextlib.suppress(FileNotFoundError):
        said, _, reason = failed.read_text("utf-8", "replace").partition("\n")
        if said == identity:
            raise NotBuiltError(f"{reason.strip()} (remove {failed} to try again)")
    import tempfile  # late: nothing is built most times

    _clear_abandoned(folder)
    handle, begun = tempfile.mkstemp(prefix=".building-", suffix=".so", dir=folder)
    os.close(handle)
    try:
        _run_compiler(compiler, Path(begun))
        _sync(begun)
        path = folder / f"{name}-{_digest(Path(begun))}.so"
        os.chmod(begun, 0o500)
        os.replace(begun, path)
    except NotBuiltError as error:
        failed.write_text(f"{identity}\n{error}\n", "utf-8")
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(begun)
    failed.unlink(missing_ok=True)
    return path


def _compiler() -> str:
    import shutil  # late: nothing is built most times

    found = next(filter(None, map(shutil.which, COMPILERS)), None)
    if found is None:
        raise NotBuiltError(f"no C compiler on PATH ({', '.join(COMPILERS)})")
    return found


def _identity(compiler: str) -> str:
    found = os.stat(compiler)
    return f"{os.path.realpath(compiler)} {found.st_size} {found.st_mtime_ns}"


def _run_compiler(compiler: str, target: Path) -> None:
    import subprocess  # late: nothing is built most times

    command = [compiler, *FLAGS, "-o", str(target), str(SOURCES / "kernel.c")]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False,
            timeout=_PATIENCE_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotBuiltError(f"{compiler} did not run: {error}") from None
    if ran.returncode:
        said = " ".join(ran.stderr.split())[:_SAID_MAX]
        raise NotBuiltError(f"{compiler} ended with {ran.returncode}: {said}")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _clear_abandoned(folder: Path) -> None:
    for path in folder.glob(".building-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
