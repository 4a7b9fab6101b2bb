"""How fast pieces are hashed: every kernel on one core and on two, floors, and npm's hasher.

    python bench/piece.py                     a minute
    python bench/piece.py --json figures.json --rounds 9
    HOLDFAST_NPM=/path/node_modules python bench/piece.py     with the JavaScript hasher as a peer

Rounds of all contenders alternate, so that a busy spell of the machine hits all of them; the best
round counts. One core is in CPU seconds, two are in seconds on the wall. MB are 10^6 bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from holdfast.kernel.many import md5_many
from holdfast.kernel.side_by_side import commit_side_by_side
from holdfast.testing.kernels import every_kernel
from holdfast.wire.piece import Kernel, PieceHasher, Running

MIB = 1 << 20
POOL_SIZE = 8 * MIB
BESIDE, BOTH = "piece + sha256 of each MiB", "piece + that + sha256 of all"
WITH_MD5 = "piece + that + md5 of all"
HASHER = "fr32-sha2-256-trunc254-padded-binary-tree-multihash"
NPM_PROGRAM = """
import fs from 'node:fs'
import * as Hasher from '@HASHER@'
const bytes = new Uint8Array(fs.readFileSync(process.argv[2]))
const MIB = 1 << 20
const once = () => {
  const hasher = Hasher.create()
  for (let at = 0; at < bytes.length; at += MIB) hasher.write(bytes.subarray(at, at + MIB))
  const out = new Uint8Array(hasher.multihashByteLength())
  hasher.digestInto(out, 0, true)
  hasher.free()
}
once()
const before = process.cpuUsage()
once()
const used = process.cpuUsage(before)
console.log((used.user + used.system) / 1e6)
"""


@dataclass
class Contender:
    """Something to time: what it does, on how many bytes, by which clock."""

    name: str
    size: int
    run: Callable[[], object]
    clock: Callable[[], float] = time.process_time
    best_s: float = float("inf")

    def round(self) -> None:
        """Run it once; only the best counts."""
        began = self.clock()
        self.run()
        self.best_s = min(self.best_s, self.clock() - began)

    @property
    def speed(self) -> float:
        """In MB/s."""
        return self.size / 1e6 / self.best_s


class Data:
    """So many MiB, made of few that stay in the processor's cache, as buffers read into do."""

    def __init__(self, mebibytes: int) -> None:
        self.size = mebibytes * MIB
        self._pool = memoryview(random.Random(1).randbytes(POOL_SIZE) * 2)

    def read(self, at: int, count: int) -> memoryview:
        """Bytes from some offset on; at most POOL_SIZE."""
        start = at % POOL_SIZE
        return self._pool[start : start + count]

    def slices(self) -> list[memoryview]:
        """All of it, 1 MiB each."""
        return [self.read(at, MIB) for at in range(0, self.size, MIB)]


def copy(data: Data) -> None:
    target = memoryview(bytearray(MIB))
    for part in data.slices():
        target[:] = part


def sha256(data: Data) -> None:
    made = hashlib.sha256()
    for part in data.slices():
        made.update(part)


def piece_alone(kernel: Kernel, data: Data) -> None:
    hasher = PieceHasher(kernel)
    for part in data.slices():
        hasher.update(part)
    hasher.digest()


def piece_beside(kernel: Kernel, data: Data, whole: Running | None) -> None:
    hasher = PieceHasher(kernel)
    for part in data.slices():
        hasher.update_beside(part, part, whole)
    hasher.digest()


def piece_by_threads(kernel: Kernel, data: Data, threads: int) -> None:
    commit_side_by_side(data.read, data.size, threads, kernel).digest()


def md5_side_by_side(kernel: Kernel, data: Data) -> None:
    places = array("Q", (at % POOL_SIZE for at in range(0, data.size, MIB)))
    md5_many(kernel, data.read(0, 2 * POOL_SIZE), places, array("Q", [MIB]) * len(places))


def contenders(mebibytes: int) -> list[Contender]:
    data = Data(mebibytes)
    found = [
        Contender("floor: copy", data.size, partial(copy, data)),
        Contender("floor: hashlib sha256", data.size, partial(sha256, data)),
    ]
    for name, kernel in every_kernel().items():
        data = Data(mebibytes if name != "hashlib" else max(2, mebibytes // 16))
        ways: list[tuple[str, Callable[[], object], Callable[[], float]]] = [
            ("piece", partial(piece_alone, kernel, data), time.process_time),
            (BESIDE, partial(piece_beside, kernel, data, None), time.process_time),
            (BOTH, partial(piece_beside, kernel, data, kernel.running()), time.process_time),
            (
                WITH_MD5,
                partial(piece_beside, kernel, data, kernel.running_md5()),
                time.process_time,
            ),
            ("one thread, wall", partial(piece_by_threads, kernel, data, 1), time.perf_counter),
            ("two threads, wall", partial(piece_by_threads, kernel, data, 2), time.perf_counter),
        ]
        for what, run, clock in ways:
            found.append(Contender(f"{name}: {what}", data.size, run, clock))
    return found + md5_contenders(Data(mebibytes))


def md5_contenders(data: Data) -> list[Contender]:
    return [
        Contender(f"md5 of many, {name}", data.size, partial(md5_side_by_side, kernel, data))
        for name, kernel in every_kernel().items()
    ]


def npm_speed(data: bytes) -> float | None:
    """MB a CPU second of the JavaScript package; None when it is not there."""
    modules = Path(os.environ.get("HOLDFAST_NPM", "node_modules")).resolve()
    if shutil.which("node") is None or not (modules / HASHER).is_dir():
        return None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "node_modules").symlink_to(modules)
        (folder / "peer.mjs").write_text(NPM_PROGRAM.replace("@HASHER@", HASHER))
        (folder / "data").write_bytes(data)
        ran = subprocess.run(
            ["node", "peer.mjs", "data"], cwd=folder, capture_output=True, text=True, check=True
        )
    return len(data) / 1e6 / float(ran.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--mebibytes", type=int, default=64, help="a multiple of 8")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    found = contenders(options.mebibytes)
    for _ in range(options.rounds):
        for contender in found:
            contender.round()
    figures = {contender.name: contender.speed for contender in found}
    npm = npm_speed(random.Random(1).randbytes(32 * MIB))
    if npm is not None:
        figures["npm: piece (wasm)"] = npm
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.mebibytes} MiB, "
          f"best of {options.rounds}, MB/s")  # fmt: skip
    for name, speed in figures.items():
        print(f"{name:44} {speed:8,.0f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{'largest memory, MiB':44} {peak:8,}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
