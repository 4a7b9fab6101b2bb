"""An archive in several snapshots, and what every version of it has to be when restored."""

from __future__ import annotations

import http.server
import os
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scenes import HOLD, contents, must

PIECE = "4MiB"


@dataclass
class Version:
    """A version that was packed: its commit, its content, and paths whose content was missing."""

    commit: str
    digests: dict[str, str]
    missing: list[str] = field(default_factory=list)


@dataclass
class Archived:
    """A data set, its pieces by snapshot, and its versions."""

    folder: Path
    main: Path
    pieces: list[list[Path]] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)

    @property
    def all(self) -> Path:
        return self.folder / "pieces"


def archived(folder: Path, seed: int) -> Archived:
    """Four snapshots: files of all kinds; edits and renames; what is deleted; what is missing."""
    chance = random.Random(seed)
    main = folder / "main"
    made = Archived(folder, main)
    must(folder, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    with (main / ".gitattributes").open("a") as file:
        file.write("\n*.txt annex.largefiles=nothing\n")
    (main / "sub/deep").mkdir(parents=True)
    for number in range(12):
        (main / f"sub/{number:02}.dat").write_bytes(chance.randbytes(200_000 + number))
    (main / "large.dat").write_bytes(chance.randbytes(6_500_000))
    (main / "sub/deep/twin.dat").write_bytes(b"twin" * 5000)
    (main / "twin.dat").write_bytes(b"twin" * 5000)
    (main / "notes.txt").write_text("in git\n")
    (main / "empty.dat").touch()
    (main / "run").write_bytes(b"#!/bin/sh\n")
    (main / "run").chmod(0o755)
    (main / "link").symlink_to("sub/deep/twin.dat")
    must(main, HOLD, "save", "-q", "-m", "first")
    must(main, HOLD, "unlock", "-q", "sub/03.dat", "run")
    must(main, HOLD, "save", "-q", "-m", "unlocked")
    _pack(made)
    (main / "sub/03.dat").write_bytes(chance.randbytes(1234))
    (main / "sub/05.dat").rename(main / "moved.dat")
    (main / "notes.txt").write_text("in git, changed\n")
    (main / "new.dat").write_bytes(chance.randbytes(90_000))
    must(main, HOLD, "save", "-q", "-m", "second")
    _pack(made)
    for name in ("sub/01.dat", "sub/02.dat", "link"):
        (main / name).unlink()
    must(main, HOLD, "save", "-q", "-m", "third")
    _pack(made)
    (main / "lost.dat").write_bytes(chance.randbytes(5000))
    (main / "kept.dat").write_bytes(chance.randbytes(5000))
    must(main, HOLD, "save", "-q", "-m", "fourth")
    must(main, HOLD, "urls", "--add", "https://example.org/lost.dat", "lost.dat")
    must(main, HOLD, "drop", "-q", "--force", "a test", "lost.dat")
    _pack(made, ["lost.dat"])
    return made


def _pack(made: Archived, missing: list[str] | None = None) -> None:
    before = set(made.all.glob("*.car"))
    must(made.main, HOLD, "archive", "pack", "-q", "--write", "../pieces", "--piece-size", PIECE)
    made.pieces.append(sorted(set(made.all.glob("*.car")) - before))
    commit = must(made.main, "git", "rev-parse", "HEAD").out.strip()
    made.versions.append(Version(commit, contents(made.main), missing or []))


def packed_encrypted(folder: Path) -> Path:
    """A data set of three files, packed encrypted into ``whole``, its keys in ``keys``."""
    main, chance = folder / "main", random.Random(6)
    must(folder, HOLD, "create", "-q", "--profile", "all-annexed", "main")
    for number, size in enumerate((100, 90_000, 2_200_000)):
        (main / f"{number}.dat").write_bytes(chance.randbytes(size))
    must(main, HOLD, "save", "-q", "-m", "all")
    must(main, HOLD, "archive", "pack", "-q", "--write", "../whole", "--piece-size", "4MiB",
         "--encrypt", "--keys", "../keys")  # fmt: skip
    return main


def copy_pieces(made: Archived, to: Path) -> Path:
    """The pieces in a folder of their own, under names that say nothing."""
    to.mkdir(parents=True)
    for number, path in enumerate(sorted(made.all.glob("*.car"))):
        shutil.copy(path, to / f"{number}")
    return to


class _Ranges(http.server.BaseHTTPRequestHandler):
    """Serves a folder by ranges, and counts."""

    protocol_version = "HTTP/1.1"
    folder: Path
    asked: list[int]

    def do_HEAD(self) -> None:
        self._answer(is_head=True)

    def do_GET(self) -> None:
        self._answer(is_head=False)

    def _answer(self, *, is_head: bool) -> None:
        path = self.folder / os.path.basename(self.path)
        size = path.stat().st_size
        wanted = self.headers.get("Range")
        first, last = 0, size - 1
        if wanted:
            first, last = (int(word) for word in wanted.removeprefix("bytes=").split("-"))
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        self.asked.append(0 if is_head else last - first + 1)
        if not is_head:
            with path.open("rb") as file:
                file.seek(first)
                self.wfile.write(file.read(last - first + 1))

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """A server of a folder's files: its URL, and how many bytes each request asked for."""
    asked: list[int] = []
    handler = type("Handler", (_Ranges,), {"folder": folder, "asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
