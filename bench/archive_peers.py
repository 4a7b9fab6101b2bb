"""What archives are held against: npm's programs, the machine's floors, a server that counts."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import machine
import piece
from holdfast.kernel.choose import best
from holdfast.wire.piece import UNIT_SIZE

MIB = 1 << 20
SAMPLE = 32 * MIB
HASH_ROUNDS, HASH_TIMES = 9, 16


def npm_modules() -> Path | None:
    """The packages that `sh tools/oracles` installs, or those that HOLDFAST_NPM names."""
    usual = Path(__file__).resolve().parents[1] / ".venv/oracles/node_modules"
    found = Path(os.environ.get("HOLDFAST_NPM") or usual)
    there = (
        shutil.which("node") and (found / "ipfs-car").is_dir() and (found / piece.HASHER).is_dir()
    )
    return found if there else None


def npm_pack(modules: Path, folder: Path, scratch: Path, size: int) -> tuple[machine.Run, float]:
    """ipfs-car makes a CAR of a folder; and the seconds of processor its hasher takes for it.

    The hasher is timed on a sample, as it takes minutes for all.
    """
    car = scratch / "npm.car"
    program = str(modules / "ipfs-car/bin.js")
    command = ["node", program, "pack", str(folder), "--output", str(car)]
    run = machine.run_commands([command], folder, os.environ)
    car.unlink()
    os.environ["HOLDFAST_NPM"] = str(modules)
    speed = piece.npm_speed(os.urandom(SAMPLE))
    assert speed is not None, "it was there before"
    return run, size / 1e6 / speed


def floors(folder: Path, size: int) -> dict[str, float]:
    """MB/s of one core: reading the files of a folder, the same with sha256, copying in memory."""
    began = time.process_time()
    machine.read_all(folder)
    read = time.process_time() - began
    began = time.process_time()
    machine.hash_all(folder, "sha256")
    hashed = time.process_time() - began
    # Small, as a process that is started counts the memory of who started it as its own.
    source, target = memoryview(bytearray(8 * MIB)), memoryview(bytearray(8 * MIB))
    target[:] = source
    began = time.process_time()
    target[:] = source
    copied = time.process_time() - began
    assert hashlib.sha256(target[:16]).digest() == hashlib.sha256(bytes(16)).digest()
    return {
        "read": size / 1e6 / read, "sha256": size / 1e6 / hashed,
        "memory": len(source) / 1e6 / copied,
    }  # fmt: skip


def hash_floors() -> dict[str, float]:
    """MB/s of one core for what has to be computed of every byte, by the best kernel here.

    ``piece`` is the commitment and the leaves; the others are that and, beside it, the hash of a
    whole file for its key. One file has one MD5, each block of which waits for the one before.
    """
    kernel, data = best(), memoryview(os.urandom(16 * UNIT_SIZE))
    md5, sha256 = kernel.running_md5(), kernel.running()
    works: dict[str, Callable[[], object]] = {
        "piece": lambda: kernel.roots_beside(data, data),
        "MD5E": lambda: kernel.roots_beside(data, data, md5),
        "SHA256E": lambda: kernel.roots_beside(data, data, sha256),
    }
    took = dict.fromkeys(works, float("inf"))
    for _ in range(HASH_ROUNDS):
        for name, work in works.items():
            began = time.process_time()
            for _ in range(HASH_TIMES):
                work()
            took[name] = min(took[name], (time.process_time() - began) / HASH_TIMES)
    return {name: len(data) / 1e6 / each for name, each in took.items()}


def gain_of_two(seconds: float = 0.7) -> float:
    """How many times as much two processes hash that do nothing else, as one, by the clock.

    The cores of a virtual machine may be halves of one; this is what they give just now.
    """
    kernel, data = best(), memoryview(os.urandom(16 * UNIT_SIZE))

    def hashed(until: float) -> int:
        count = 0
        while time.perf_counter() < until:
            kernel.roots_beside(data, data)
            count += 1
        return count

    alone = hashed(time.perf_counter() + seconds)
    until, (source, target) = time.perf_counter() + seconds, os.pipe()
    child = os.fork()
    if not child:
        os.write(target, hashed(until).to_bytes(8, "big"))
        os._exit(0)
    both = hashed(until) + int.from_bytes(os.read(source, 8), "big")
    os.waitpid(child, 0)
    os.close(source)
    os.close(target)
    return both / alone


class Counting:
    """How often a server was asked, and how many bytes it gave."""

    def __init__(self) -> None:
        self.requests = self.sent = 0
        self.guard = threading.Lock()


@contextmanager
def served(folder: Path, counting: Counting) -> Iterator[str]:
    """A plain server of the files in a folder, and of ranges of them."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = folder / self.path.strip("/")
            if not path.is_file():
                self.send_error(404)
                return
            size = path.stat().st_size
            start, end = _range(self.headers.get("Range"), size)
            is_part = self.headers.get("Range") is not None
            self.send_response(206 if is_part else 200)
            if is_part:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(end - start))
            self.end_headers()
            with counting.guard:
                counting.requests += 1
                counting.sent += (end - start) * with_body
            if with_body:
                with open(path, "rb") as file:
                    self.wfile.flush()
                    self.connection.sendfile(file, start, end - start)

        def log_message(self, format: str, *values: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _range(text: str | None, size: int) -> tuple[int, int]:
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", text or "")
    if found is None:
        return 0, size
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1 if last else size)
