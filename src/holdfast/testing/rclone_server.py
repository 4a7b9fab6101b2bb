"""Real servers for tests, by rclone: a folder as a WebDAV server with a user and a password."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

USER, PASSWORD = "ada", "a secret of hers"


def find_rclone() -> str | None:
    """The program, beside python or on PATH."""
    beside = Path(sys.executable).with_name("rclone")
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("rclone")


class WebDavServer:
    """`rclone serve webdav` of a folder, on a port of its own; use it in a ``with``."""

    def __init__(self, folder: Path, *options: str) -> None:
        """Nothing is started yet."""
        self.folder = folder
        self._options = options
        self.url = ""

    def __enter__(self) -> WebDavServer:
        program = find_rclone()
        assert program is not None
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{port}"
        login = {"RCLONE_USER": USER, "RCLONE_PASS": PASSWORD, "RCLONE_CONFIG": "/dev/null"}
        self._process = subprocess.Popen(
            [program, "serve", "webdav", str(self.folder), "--addr", f"127.0.0.1:{port}",
             *self._options],
            env={**os.environ, **login}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return self
            time.sleep(0.02)
        raise RuntimeError("rclone serve webdav does not start")

    def __exit__(self, *ended: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it at once, whatever it is doing; it may have ended before."""
        self._process.kill()
        self._process.wait(10)
