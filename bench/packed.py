"""A packed store against a plain directory of files: many small contents and large ones.

    python bench/packed.py                     100,000 of 4 KiB, 256 of 4 MiB
    python bench/packed.py --scale small       a trial
    python bench/packed.py --rounds 3 --folder /mnt/disk

All three read the same files, hash every byte, and sync once for as many as a packed store takes
in one batch. *plain*: each content a file under a temporary name, one syncfs, renamed into one of
4096 folders. *floor*: the bytes appended to one file with nothing about them, fdatasync. To get is
to read all in the order they were put, hashed. Every measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import machine
from holdfast.core.backends import checker
from holdfast.core.key import Key, hash_dir_lower
from holdfast.core.place import Place, PlaceId
from holdfast.dataset.packs import sync_file_system
from holdfast.stores.packed import BATCH_BYTES, BATCH_FILES, PackedStore
from holdfast.stores.packed_marker import PACK_SIZE, make_store
from holdfast.transfer.outgoing import LocalContent

SCALES = {"small": ((5_000, 4096), (16, 4 << 20)), "full": ((100_000, 4096), (256, 4 << 20))}
WAYS = ("packed", "plain", "floor")
PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000001"), "packed")
Item = tuple[Key, bytes]
Times = dict[tuple[str, str], list[tuple[float, float, int]]]


def put_packed(folder: Path, items: list[Item]) -> None:
    make_store(os.fsencode(folder), PLACE.id, PACK_SIZE)
    store = PackedStore(PLACE, os.fsencode(folder))
    contents = ((key, LocalContent(key, path)) for key, path in items)
    assert all(error is None for _, error in store.iter_send(contents, lambda _: None))
    store.close()


def get_packed(folder: Path, items: list[Item]) -> None:
    store = PackedStore(PLACE, os.fsencode(folder))
    for key, stream in store.iter_contents(key for key, _ in items):
        assert not isinstance(stream, Exception), stream
        check = checker(key)
        for chunk in stream.chunks:
            check.feed(chunk)
        check.finish()
    store.close()


def plain_path(folder: Path, key: Key) -> bytes:
    return b"%b/%b/%b" % (os.fsencode(folder), hash_dir_lower(key)[:3], key.file_name)


def put_plain(folder: Path, items: list[Item]) -> None:
    staged = os.fsencode(folder / "tmp")
    os.makedirs(staged)
    for number in range(4096):
        os.mkdir(folder / f"{number:03x}")
    for batch in batches(items):
        for number, (key, path) in enumerate(batch):
            file = os.open(b"%b/%d" % (staged, number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
            for chunk in LocalContent(key, path).chunks():
                os.write(file, chunk)
            os.close(file)
        sync_file_system(staged)
        for number, (key, _) in enumerate(batch):
            os.rename(b"%b/%d" % (staged, number), plain_path(folder, key))


def get_plain(folder: Path, items: list[Item]) -> None:
    for key, _ in items:
        for _ in LocalContent(key, plain_path(folder, key)).chunks():
            pass


def put_floor(folder: Path, items: list[Item]) -> None:
    folder.mkdir()
    with open(folder / "all", "wb", buffering=1 << 20) as file:
        for batch in batches(items):
            for key, path in batch:
                for chunk in LocalContent(key, path).chunks():
                    file.write(chunk)
            file.flush()
            os.fdatasync(file.fileno())


def get_floor(folder: Path, items: list[Item]) -> None:
    file = os.open(folder / "all", os.O_RDONLY)
    at = 0
    for key, _ in items:
        size = key.size or 0
        check = checker(key)
        check.feed(os.pread(file, size, at))
        check.finish()
        at += size
    os.close(file)


def batches(items: list[Item]) -> Iterator[list[Item]]:
    """As large as those of a packed store."""
    count = max(1, min(BATCH_FILES, BATCH_BYTES // (items[0][0].size or 1)))
    for start in range(0, len(items), count):
        yield items[start : start + count]


def read_items(listing: Path) -> list[Item]:
    lines = (line.split(b" ", 1) for line in listing.read_bytes().splitlines())
    return [(Key(key), path) for key, path in lines]


def write_items(tree: Path, listing: Path) -> None:
    lines = []
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        data = path.read_bytes()
        key = Key.make(b"SHA256E", sha256(data).hexdigest().encode(), size=len(data))
        lines.append(b"%b %b\n" % (key, os.fsencode(path)))
    listing.write_bytes(b"".join(lines))


def measure(verb: str, way: str, folder: Path, listing: Path) -> tuple[float, float, int]:
    """Seconds and seconds of the processor, without the start of Python; peak memory in bytes."""
    words = [sys.executable, __file__, "--do", verb, way, str(folder), str(listing)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = process.stdout.read()
    _, code, usage = os.wait4(process.pid, 0)
    process.returncode = code
    assert not code, told
    wall_s, cpu_s = map(float, told.split())
    return wall_s, cpu_s, usage.ru_maxrss * 1024


def do(verb: str, way: str, folder: str, listing: str) -> None:
    items = read_items(Path(listing))
    began, cpu_began = time.perf_counter(), time.process_time()
    globals()[f"{verb}_{way}"](Path(folder), items)
    print(time.perf_counter() - began, time.process_time() - cpu_began)


def bench(base: Path, count: int, size: int, rounds: int) -> None:
    tree, listing = base / "tree", base / "listing"
    machine.make_files(tree, count, size, seed=1)
    write_items(tree, listing)
    times: Times = {}
    entries = {}
    for _ in range(rounds):
        for way in WAYS:
            folder = base / way
            machine.settle(tree)
            times.setdefault(("put", way), []).append(measure("put", way, folder, listing))
            machine.settle(folder)
            times.setdefault(("get", way), []).append(measure("get", way, folder, listing))
            entries[way] = sum(1 for _ in folder.rglob("*"))
            shutil.rmtree(folder)
    for verb in ("put", "get"):
        print(_row(f"{verb} {count:,} × {size >> 10:,} KiB", verb, times, count * size, entries))
    shutil.rmtree(tree)


def _row(
    name: str, verb: str, times: Times, size: int,
    entries: dict[str, int],
) -> str:  # fmt: skip
    packed, plain, floor = (statistics.median(s for s, _, _ in times[verb, way]) for way in WAYS)
    cpu = [statistics.median(s for _, s, _ in times[verb, way]) for way in WAYS]
    memory = max(rss for _, _, rss in times[verb, "packed"])
    cells = [
        name, f"{packed:.2f} s", f"{size / packed / 1e6:.0f} MB/s", f"{plain:.2f} s",
        f"{floor:.2f} s", f"{plain / packed:.2f}", f"{floor / packed:.2f}",
        f"{cpu[1] / cpu[0]:.2f}", f"{cpu[2] / cpu[0]:.2f}",
        f"{memory / 1e6:.0f} MB", f"{entries['packed']:,}", f"{entries['plain']:,}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=SCALES, default="full")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to work (default: the temporary folder)")
    parser.add_argument("--do", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        do(*options.do)
        return
    base = Path(tempfile.mkdtemp(prefix="hold-packed-", dir=options.folder))
    try:
        print(machine.describe_machine(base) + "\n")
        titles = (
            "",
            "packed",
            "rate",
            "plain",
            "floor",
            "× plain",
            "× floor",
            "CPU: × plain",
            "× floor",
            "memory",
            "entries",
            "plain's",
        )
        print(f"| {' | '.join(titles)} |\n|{' --- |' * len(titles)}", flush=True)
        for count, size in SCALES[options.scale]:
            bench(base, count, size, options.rounds)
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
