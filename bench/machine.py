"""Running and measuring: commands timed with their memory, files made from a seed, folders removed.

Nothing here knows what is measured; `dataset.py` says that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import random
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 1 << 20
_POOL_SIZE = 1 << 22
_SAMPLE_PERIOD_S = 0.05


class RunError(Exception):
    """A measured command ended badly; the text has its last words."""


@dataclass(frozen=True)
class Run:
    """How one command went: wall time, processor time, and memory of its tree of processes.

    ``largest_rss`` is that of the largest process. ``summed_rss`` adds all processes alive at one
    moment, pages they share counted once for each; 0 when it was not sampled.
    """

    wall_s: float
    cpu_s: float
    largest_rss: int
    summed_rss: int = 0


def run_commands(
    commands: Sequence[Sequence[str]],
    folder: Path,
    environment: Mapping[str, str],
    *,
    sampled: bool = False,
    fresh: bool = False,
) -> Run:
    """Run commands one after the other and measure them as one.

    ``fresh`` is for commands that make their own folder: they run where ``folder`` will be.

    Raises:
        RunError: One of them ended with a code other than 0.
    """
    where = folder.parent if fresh else folder
    runs = [_run_one(command, where, environment, sampled=sampled) for command in commands]
    return Run(
        sum(run.wall_s for run in runs),
        sum(run.cpu_s for run in runs),
        max((run.largest_rss for run in runs), default=0),
        max((run.summed_rss for run in runs), default=0),
    )


def _run_one(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], *, sampled: bool
) -> Run:
    with open(os.devnull, "rb") as nothing, _scratch_file(folder) as talk:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=nothing, stdout=talk, stderr=talk
        )
        sampler = RssSampler(process.pid) if sampled else None
        _, code, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(code)
        summed = sampler.stop() if sampler else 0
        if process.returncode != 0:
            raise RunError(_last_words(command, process.returncode, talk))
    unit = 1 if platform.system() == "Darwin" else 1024
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit, summed)


@contextlib.contextmanager
def _scratch_file(folder: Path) -> Iterator[int]:
    # Output goes to a file, as a pipe that someone must empty would be part of the time.
    path = folder.parent / f".talk-{os.getpid()}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    path.unlink()
    try:
        yield fd
    finally:
        os.close(fd)


def _last_words(command: Sequence[str], code: int, talk: int) -> str:
    size = os.lseek(talk, 0, os.SEEK_END)
    os.lseek(talk, max(0, size - 1200), os.SEEK_SET)
    words = os.read(talk, 1200).decode("utf-8", "replace").strip().splitlines()
    # An error of ours starts with its sign; others say what counts at the end.
    first = next((n for n, line in enumerate(words) if line.startswith("✗")), len(words) - 2)
    said = " / ".join(line.strip() for line in words[max(0, first) :])
    return f"`{' '.join(command[:6])}` ended with {code}: {said[:300]}"


class RssSampler:
    """Sums the memory of a process and all below it, at intervals; keeps the peak. Linux only."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if Path("/proc/self/stat").exists():
            self._thread.start()

    def stop(self) -> int:
        """End the watch; the peak in bytes."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLE_PERIOD_S):
            self._peak = max(self._peak, sum(_rss(pid) for pid in _tree(self._pid)))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as children:
                for child in children.read().split():
                    yield from _tree(int(child))


def _rss(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def make_files(folder: Path, count: int, size: int, *, seed: int, per_folder: int = 100) -> None:
    """Fill a folder with files of one size, all different, the same for the same seed.

    Each holds its number and a piece of one random pool: not compressible, and quick to make.
    """
    pool = random.Random(seed).randbytes(_POOL_SIZE)
    folder.mkdir(parents=True)
    for start in range(0, count, per_folder):
        below = folder / f"sub-{start // per_folder:04d}"
        below.mkdir()
        for number in range(start, min(count, start + per_folder)):
            _write(below / f"scan-{number:07d}.dat", _bytes_of(number, size, pool, seed))


def change_files(folder: Path, every: int, first: int, size: int, *, seed: int) -> int:
    """Put new content in place of each ``every``-th file, from ``first`` on; how many it was."""
    pool = random.Random(seed).randbytes(_POOL_SIZE)
    changed = 0
    for number, path in enumerate(sorted(folder.glob("sub-*/scan-*.dat"))):
        if number % every == first:
            path.unlink()
            _write(path, _bytes_of(number, size, pool, seed))
            changed += 1
    return changed


def _bytes_of(number: int, size: int, pool: bytes, seed: int) -> bytes:
    mark = b"%d %d\n" % (seed, number)
    if size > _POOL_SIZE:
        return (mark + random.Random(seed + number).randbytes(size))[:size]
    start = (number * 7919) % (_POOL_SIZE - size + 1)
    return (mark + pool[start : start + size])[:size]


def _write(path: Path, content: bytes) -> None:
    with open(path, "xb", buffering=0) as file:
        file.write(content)


def copy_tree(source: Path, target: Path) -> None:
    """A copy by `cp -a`, with its own bytes wherever the file system does not share them."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def remove_tree(folder: Path) -> None:
    """Remove a folder, write-protected annex and all. No complaint when it is not there."""
    if folder.is_dir():
        subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=True)
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def settle(*folders: Path) -> None:
    """Bring the machine to the same state before each measurement.

    Everything is written out, and every file of the folders has been read, so that all start
    with the same things in the page cache and nothing of the last run still on its way to disk.
    """
    os.sync()
    for folder in folders:
        read_all(folder)


def read_all(folder: Path) -> int:
    """Read every regular file below; how many bytes that was. Links are not followed."""
    total = 0
    buffer = bytearray(_BLOCK)
    for path in _regular_files(folder):
        with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:
            while taken := file.readinto(buffer):
                total += taken
    return total


def hash_all(folder: Path, algorithm: str) -> int:
    """Read and hash every regular file below, one after the other; how many there were."""
    count = 0
    buffer = bytearray(_BLOCK)
    view = memoryview(buffer)
    for path in _regular_files(folder):
        digest = hashlib.new(algorithm, usedforsecurity=False)
        with open(path, "rb", buffering=0) as file:
            while taken := file.readinto(buffer):
                digest.update(view[:taken])
        digest.hexdigest()
        count += 1
    return count


def _regular_files(folder: Path) -> Iterator[str]:
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path


def describe_machine(folder: Path) -> str:
    """One line on what this ran on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {_file_system(folder)}, {platform.system()} "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}, load {load:.1f}"
    )


def _file_system(folder: Path) -> str:
    command = ["stat", "-f", "-c", "%T", str(folder)]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "file system not known"
    return found.stdout.strip()
