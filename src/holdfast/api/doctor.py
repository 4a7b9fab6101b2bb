"""Look at this machine, a folder's file system and a data set, and say which mode suits and why.

Everything is measured, nothing is changed: what is tried is tried in a scratch folder that is
gone afterwards, and a folder that cannot be written is looked at as far as that goes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..core import faults
from ..core.backends import HASH_BACKENDS, hasher
from ..core.errors import HoldError
from ..core.outcome import Outcome, Report, Status, complete
from ..dataset import abilities_of_disk as disk
from ..dataset.condition import Finding, iter_abandoned, iter_condition
from ..dataset.repository import Repository
from ..wire.piece import UNIT_SIZE, Kernel, Running

GIT_MIN = (2, 30)
ROOM_MIN = 1 << 30
FILES_MIN = 100_000
SYNC_SLOW_S = 0.05
NAME_MIN = 200
_SAMPLE = 1 << 20
_HASH_TIME_S = 0.02
_COMMON = (b"SHA256", b"MD5", b"SHA512", b"SHA1", b"BLAKE2B256", b"BLAKE3_256", b"XXH3")


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the advice depends on."""

    writable: bool = True
    symlinks: bool = True
    hardlinks: bool = True
    reflinks: bool = False
    permissions: bool = True
    locks: bool = True
    network: bool = False
    root: bool = False


def iter_doctor(path: Path | str | bytes = ".") -> Iterator[Outcome]:
    """Look at the machine, at a folder's disk and, if it is in one, at the data set.

    An outcome for each check, with ``check``, ``part`` and ``next`` in its facts; the last is the
    advice. What needs somebody to act is not good.

    Raises:
        UsageError: The folder is not there.
    """
    folder = os.path.abspath(os.fsencode(path))
    if not os.path.isdir(folder):
        raise faults.BAD_USAGE(what=f"{os.fsdecode(folder)} is not a folder", command="doctor")
    for finding in _machine():
        yield _told("machine", finding)
    abilities: list[Abilities] = []
    for finding in _disk(folder, abilities):
        yield _told("disk", finding)
    for finding in iter_abandoned(folder):
        yield _told("disk", finding)
    for finding in _dataset(folder):
        yield _told("data set", finding)
    yield _told("advice", advise(abilities[0]))


def doctor(path: Path | str | bytes = ".") -> Report:
    """Look at machine, disk and data set; see `iter_doctor`.

    Raises:
        IncompleteError: Something needs somebody to act.
    """
    return complete(iter_doctor(path))


def _told(part: str, finding: Finding) -> Outcome:
    status = Status.IMPOSSIBLE if finding.bad else Status.OK
    error = None
    if finding.bad:
        error = HoldError(
            f"{finding.check}: {finding.note}", safe=faults.NOTHING_CHANGED, hint=finding.next
        )
    facts = {"check": finding.check, "part": part}
    if finding.next:
        facts["next"] = finding.next
    return Outcome("doctor", status, note=finding.note, error=error, facts=facts)


# the machine


def _machine() -> Iterator[Finding]:
    version = _version("git", "--version")
    if version is None:
        yield Finding("git", "not found on PATH", bad=True, next="install git 2.30 or newer")
    else:
        numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
        old = numbers < GIT_MIN
        yield Finding("git", version, bad=old, next="install git 2.30 or newer" if old else "")
    annex = _version("git-annex", "version", "--raw")
    if annex is None:
        yield Finding(
            "git-annex", "not found on PATH; hold does its own work without it, but not "
            "encrypted, chunked or external special remotes", next="pip install git-annex",
        )  # fmt: skip
    else:
        yield Finding("git-annex", annex)
    yield _hashes()
    yield _kernel()


def _version(program: str, *words: str) -> str | None:
    if shutil.which(program) is None:
        return None
    try:
        ran = subprocess.run(
            [program, *words], capture_output=True, text=True, check=False, timeout=10,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip().removeprefix("git version ") or None


def _hashes() -> Finding:
    speeds = []
    for backend in _COMMON:
        speed = _hash_speed(backend)
        if speed is not None:
            speeds.append(f"{backend.decode()} {speed / 1e6:,.0f} MB/s")
    absent = [b.decode() for b in HASH_BACKENDS if _hash_speed(b, time_s=0) is None]
    note = ", ".join(speeds)
    if not absent:
        return Finding("hashes", note)
    return Finding(
        "hashes", f"{note}; not available: {', '.join(absent)}",
        next="pip install 'holdfast[hashes]'",
    )  # fmt: skip


def _hash_speed(backend: bytes, time_s: float = _HASH_TIME_S) -> float | None:
    """Bytes a second; None when nothing here can hash so."""
    try:
        hashing = hasher(backend)
    except HoldError:
        return None
    if not time_s:
        return 0.0
    sample = bytes(_SAMPLE)
    began, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < time_s:
        hashing.update(sample)
        done += len(sample)
    return done / spent


def _kernel() -> Finding:
    """What hashes pieces; finding it may build a library once, in the user's cache."""
    from ..kernel.choose import COMPILED, chosen  # late: it loads libraries

    choice = chosen()
    kernel = choice.kernel
    alone, by_md5 = _piece_speed(kernel, None), _piece_speed(kernel, kernel.running_md5())
    note = f"{kernel.name}: {alone / 1e6:,.0f} MB/s with SHA-256 beside"
    note += f", {by_md5 / 1e6:,.0f} with an MD5 as well"
    if COMPILED not in choice.passed:
        return Finding("pieces", note)
    why = "; ".join(f"not {level}: {reason}" for level, reason in choice.passed.items())
    return Finding(
        "pieces", f"{note}; {why}", next="install a C compiler, or: pip install 'holdfast[llvm]'"
    )


def _piece_speed(kernel: Kernel, whole: Running | None) -> float:
    """Bytes a second."""
    sample, best_s = b"\1" * UNIT_SIZE, float("inf")
    end = time.perf_counter() + _HASH_TIME_S
    while (began := time.perf_counter()) < end:
        kernel.roots_beside(sample, sample, whole)
        best_s = min(best_s, time.perf_counter() - began)
    return len(sample) / best_s


# the disk


def _disk(folder: bytes, found: list[Abilities]) -> Iterator[Finding]:
    """What the file system can do; the last thing it does is to put it together in ``found``."""
    root = os.geteuid() == 0
    mount = disk.mount_of(folder)
    network = mount is not None and mount.is_network
    if mount is not None:
        yield _mount(mount)
    yield _user(root=root)
    yield from _room(folder)
    try:
        with disk.scratch_folder(folder) as scratch:
            can = Abilities(
                symlinks=disk.can_symlink(scratch),
                hardlinks=disk.can_hardlink(scratch),
                reflinks=disk.can_reflink(scratch),
                permissions=disk.keeps_permissions(scratch),
                locks=(locked := disk.locks_hold(scratch)) is True,
                network=network,
                root=root,
            )
            yield from _links(can)
            yield _locks(locked, network=network)
            yield from _names(scratch)
            yield _sync(disk.sync_seconds(scratch))
    except OSError as error:
        can = Abilities(writable=False, network=network, root=root)
        reason = (error.strerror or str(error)).lower()
        yield Finding(
            "writing", f"nothing can be written here: {reason}", bad=True,
            next="work in a clone of your own: hold clone FOLDER MINE",
        )  # fmt: skip
    found.append(can)


def _mount(mount: disk.Mount) -> Finding:
    note = f"{mount.kind}, mounted at {mount.folder}"
    if not mount.is_network:
        return Finding("file system", note)
    note += "; other machines may write it too"
    return Finding("file system", note, next="write from one machine at a time")


def _user(*, root: bool) -> Finding:
    if root:
        note = "you are root: write protection of saved content does not stop you"
        return Finding("user", note, next="work as an ordinary user where you can")
    return Finding("user", "not root, so write protection of saved content holds")


def _room(folder: bytes) -> Iterator[Finding]:
    room = disk.room(folder)
    if not room.total:
        return  # a file system that holds no files of its own
    short = room.free < ROOM_MIN
    note = f"{room.free / 1e9:,.1f} of {room.total / 1e9:,.1f} GB are free"
    yield Finding("room", note, bad=short, next="free some room" if short else "")
    if room.files_free is not None:
        few = room.files_free < FILES_MIN
        yield Finding(
            "files", f"{room.files_free:,} more files can be made", bad=few,
            next="each annexed file takes about four: use another disk" if few else "",
        )  # fmt: skip


def _links(can: Abilities) -> Iterator[Finding]:
    if can.symlinks:
        yield Finding("symbolic links", "work")
    else:
        yield Finding(
            "symbolic links", "do not work, so files cannot be locked", bad=True,
            next="use unlocked files: git annex adjust --unlock",
        )  # fmt: skip
    yield Finding("hard links", "work" if can.hardlinks else "do not work; content is copied")
    if can.reflinks:
        yield Finding("reflinks", "work: a copy takes no room until it is changed")
    else:
        yield Finding("reflinks", "do not work; an unlocked file takes its room twice")
    if can.permissions:
        yield Finding("permissions", "write permission can be taken from a file")
    else:
        yield Finding("permissions", "are not kept: saved content is not protected from writing")


def _locks(locked: bool | None, *, network: bool) -> Finding:  # noqa: FBT001
    if locked is None:
        return Finding(
            "locks", "file locks are not there: two programs at once could lose records", bad=True,
            next="let one program at a time write here, or use another disk",
        )  # fmt: skip
    if not locked:
        return Finding(
            "locks", "a lock of one process does not keep another out", bad=True,
            next="let one program at a time write here, or use another disk",
        )  # fmt: skip
    if network:
        return Finding("locks", "hold between processes; between machines that was not tried")
    return Finding("locks", "hold between processes")


def _names(scratch: bytes) -> Iterator[Finding]:
    length = disk.name_length(scratch)
    short = length < NAME_MIN
    yield Finding(
        "names", f"may have at least {length} bytes", bad=short,
        next="use short backends such as MD5E: hold create --backend MD5E" if short else "",
    )  # fmt: skip
    if disk.is_case_sensitive(scratch):
        yield Finding("case", "a and A are two files")
    else:
        yield Finding("case", "a and A are the same file: do not save names that differ so only")


def _sync(seconds: float) -> Finding:
    note = f"a small file is surely on the disk after {seconds * 1000:.1f} ms"
    if seconds < SYNC_SLOW_S:
        return Finding("sync", note)
    return Finding("sync", f"{note}: slow; save many files at once rather than one by one")


# the data set


def _dataset(folder: bytes) -> Iterator[Finding]:
    try:
        repository = Repository(folder)
    except HoldError:
        yield Finding("data set", "the folder is in none")
        return
    try:
        yield Finding("data set", os.fsdecode(repository.top))
        yield from iter_condition(repository)
        if not repository.bare:
            yield from iter_abandoned(os.path.dirname(repository.top))
    finally:
        repository.close()


# the advice


def advise(can: Abilities) -> Finding:
    """Which way of working suits a disk, and why. Pure."""
    if not can.writable:
        return Finding("mode", "read from here and work elsewhere: it cannot be written")
    if not can.symlinks:
        return Finding("mode", "unlocked files, as there are no symbolic links here")
    if not can.locks:
        return Finding("mode", "locked files, and one program at a time, as locks do not hold")
    notes = ["locked files (the default): links, locks and names work"]
    if can.reflinks:
        notes.append("hold unlock costs no room")
    if can.root:
        notes.append("as root, hold unlock before you change a file: nothing else stops you")
    elif not can.permissions:
        notes.append("hold unlock before you change a file, as permissions do not protect it")
    if can.network:
        notes.append("write from one machine at a time")
    return Finding("mode", "; ".join(notes))
