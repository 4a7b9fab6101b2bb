"""How fast a piece is served from the file it was packed from, against a server of plain files.

    python bench/archive_serve.py                    half a minute
    python bench/archive_serve.py --size 4096 --rounds 5 --json figures.json

One large file in the page cache, one client on loopback that throws away what it gets. ``first`` is
a server that has seen no byte of it: each leaf is hashed before it is given. ``again`` is what it
gives later, while the times of the file are the same. The floor hands the file to the system
(sendfile) and checks nothing. Rounds alternate, the best one counts; the clock is the one on the
wall, as server and client work side by side, and beside it are the CPU seconds of the server. MB
are 10^6 bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from holdfast.api.archive import archive_of_folder, iter_archive_pack
from holdfast.archive.source_leaves import SETTLED_S

MIB = 1 << 20
BAR = 800
SMALL = 64 << 10


class Floor(BaseHTTPRequestHandler):
    """Gives one file, by sendfile."""

    protocol_version = "HTTP/1.1"
    path_of_file = ""

    def do_GET(self) -> None:
        """Answer."""
        with open(self.path_of_file, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.flush()
            self.connection.sendfile(file)

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


def serve_floor(path: str) -> None:
    """Serve until killed."""
    Floor.path_of_file = path
    server = ThreadingHTTPServer(("127.0.0.1", 0), Floor)
    print(f"http://127.0.0.1:{server.server_address[1]}/", flush=True)
    server.serve_forever()


class Server:
    """A server that runs: where, and how much CPU it took."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        url = self.process.stdout.readline()
        self.port = int(url.strip().strip("/").rpartition(":")[2])

    def cpu_s(self) -> float:
        """CPU seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def fetch(port: int, path: str, wanted: str = "") -> int:
    """Ask, and throw away what comes; how many bytes of content that were."""
    buffer = memoryview(bytearray(MIB))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close"]
        lines += [f"Range: bytes={wanted}"] if wanted else []
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        got = len(head.partition(b"\r\n\r\n")[2])
        while got < length:
            count = connection.recv_into(buffer)
            assert count, "an answer was cut"
            got += count
        return got


class Best:
    """The best round of one contender."""

    def __init__(self) -> None:
        self.speed, self.cpu = 0.0, 0.0

    def round(self, server: Server, ask: Callable[[int], int]) -> None:
        """Time one answer."""
        cpu, began = server.cpu_s(), time.perf_counter()
        size = ask(server.port)
        took = time.perf_counter() - began
        if size / 1e6 / took > self.speed:
            self.speed, self.cpu = size / 1e6 / took, (server.cpu_s() - cpu) / (size / 1e9)


def make(folder: Path, mib: int) -> str:
    """A folder with one file, packed; gives the path of its first piece."""
    (folder / "scans").mkdir()
    pool = random.Random(1).randbytes(16 * MIB)
    with open(folder / "scans/large", "wb") as file:
        for number in range(mib):
            at = number * 997_331 % (15 * MIB)
            file.write(pool[at : at + MIB])
    os.chmod(folder / "scans/large", 0o444)  # as content in an annex is
    archive = archive_of_folder(bytes(folder / "scans"), bytes(folder / "state"))
    told = list(iter_archive_pack(archive))
    time.sleep(SETTLED_S + 0.5)
    return f"/piece/{told[0].path}"


def best_speeds(mib: int, rounds: int, within: Path) -> dict[str, float]:
    """MB/s of each contender."""
    with tempfile.TemporaryDirectory(dir=within) as name:
        found, _ = measure(Path(name), mib, rounds)
    return {name: best.speed for name, best in found.items()}


def main() -> int:
    """Measure, print, and end with 1 where the bar is not met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of the file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where to make everything")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--floor", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.floor:
        serve_floor(options.floor)
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        found, small_ms = measure(Path(name), options.size, options.rounds)
    print(f"{'':8}{'MB/s':>8}{'CPU s/GB':>10}")
    for contender, best in found.items():
        print(f"{contender:8}{best.speed:8.0f}{best.cpu:10.2f}")
    print(f"a range of {SMALL >> 10} KiB: {small_ms:.2f} ms")
    if options.json:
        values = {name: [best.speed, best.cpu] for name, best in found.items()}
        Path(options.json).write_text(json.dumps({**values, "small_ms": small_ms}))
    worst = min(found["first"].speed, found["again"].speed)
    print(f"bar: {BAR} MB/s, {'met' if worst >= BAR else 'missed'}")
    return int(worst < BAR)


def measure(folder: Path, mib: int, rounds: int) -> tuple[dict[str, Best], float]:
    """The contenders in turn; and the best time of a small range."""
    path = make(folder, mib)
    large = str(folder / "scans/large")
    words = (
        sys.executable, "-m", "holdfast", "archive", "serve",
        "--folder", str(folder / "scans"), "--state", str(folder / "state"),
    )  # fmt: skip
    found = {name: Best() for name in ("floor", "first", "again")}
    small_ms = float("inf")
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1] / "src")
    for _ in range(rounds):
        floor = Server(sys.executable, __file__, "--floor", large)
        found["floor"].round(floor, lambda port: fetch(port, "/"))
        floor.stop()
        server = Server(*words)
        for name in ("first", "again"):
            found[name].round(server, lambda port: fetch(port, path))
        for number in range(20):
            first = number * 50_021 * 997 % (mib * MIB - SMALL)
            began = time.perf_counter()
            fetch(server.port, path, f"{first}-{first + SMALL - 1}")
            small_ms = min(small_ms, (time.perf_counter() - began) * 1e3)
        server.stop()
    return found, small_ms


if __name__ == "__main__":
    sys.exit(main())
