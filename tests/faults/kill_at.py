"""Runs `hold` and kills it with SIGKILL just before its N-th change to the file system.

    python kill_at.py COUNT_FILE N WORD...

With N = 0 nothing is killed, and the number of changes is written to COUNT_FILE. Counted over all
threads are: rename, link, symlink, unlink, mkdir, rmdir, chmod, truncate, opening to write, fsync,
syncfs, and each program started. Processes that hold started live on, as after a real kill.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

CHANGES = {
    "os.rename", "os.link", "os.symlink", "os.remove", "os.mkdir", "os.rmdir", "os.chmod",
    "os.truncate", "subprocess.Popen",
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Countdown:
    """Counts changes, and ends the process at the one that is wanted."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.count = 0
        self._lock = threading.Lock()

    def step(self) -> None:
        """One more change is about to be made."""
        with self._lock:
            self.count += 1
            if self.count == self.wanted:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        """Python's audit hook."""
        if event == "open":
            flags = arguments[2]
            if isinstance(flags, int) and flags & WRITING:
                self.step()
        elif event in CHANGES:
            self.step()


def main() -> int:
    count_file, number, *words = sys.argv[1:]
    countdown = Countdown(int(number))
    from holdfast.cli.main import run
    from holdfast.dataset import packs

    sync, fsync = packs.sync_file_system, os.fsync

    def counted_sync(path: bytes) -> None:
        countdown.step()
        sync(path)

    def counted_fsync(descriptor: int) -> None:
        countdown.step()
        fsync(descriptor)

    # Where this runs in a process that has imported all, others have the function by their own name.
    for module in list(sys.modules.values()):
        if getattr(module, "sync_file_system", None) is sync:
            module.sync_file_system = counted_sync  # type: ignore[attr-defined]
    os.fsync = counted_fsync
    sys.addaudithook(countdown.hear)
    code = run(words)
    total = countdown.count
    if not countdown.wanted:
        Path(count_file).write_text(str(total))
    return code


if __name__ == "__main__":
    sys.exit(main())
