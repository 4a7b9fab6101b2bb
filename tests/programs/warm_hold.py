"""Runs `hold` in a process forked from one that has imported all of it: a fifth of what a start takes.

DataLad and scripts are run so too, from what they import of others; of DataLad itself nothing is
imported before, as it reads its settings meanwhile.

    done = run_program([HOLD, "get", "."], folder, environment)

What runs is what ``hold`` runs, in a process of its own, with the folder, environment and open
files of a real start. Started for real it is where the start itself counts: with other settings of
Python or of the loader than ours, and always with ``HOLDFAST_DEEP=1``. Tests that send signals,
kill, trace, or talk to a program while it runs start it for real themselves.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from depth import DEEP

Word = str | bytes | os.PathLike[str]
_HERE = os.path.abspath(__file__)
_HOLD, _DATALAD = (os.path.join(os.path.dirname(sys.executable), n) for n in ("hold", "datalad"))
_OF_DATALAD = (
    "annexremote", "fasteners", "giturlparse", "iso8601", "logging.handlers", "looseversion",
    "multiprocessing.dummy", "platformdirs", "platformdirs.unix",
)  # fmt: skip
"""What DataLad imports that reads no settings."""
_REQUEST_MAX = 100_000


def _counts_at_start(name: str) -> bool:
    """Whether a variable tells Python or the loader something when a program starts."""
    if name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
        return False  # nothing is imported any more, and what is written is collected
    return name.startswith(("PYTHON", "LD_", "DYLD_", "MALLOC", "OMP_", "GLIBC_"))


class _Server:
    """The process that forks for each call. It ends with the process that started it."""

    def __init__(self) -> None:
        self.starter = os.getpid()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _REQUEST_MAX)
        environment = os.environ | {"LC_ALL": "C.UTF-8"}
        environment.pop("PYTHONUNBUFFERED", None)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, _HERE, str(theirs.fileno())],
                cwd="/", env=environment, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip

    def end(self) -> None:
        """No more calls come."""
        self._socket.close()
        self._process.wait()

    def ask(self, request: bytes, files: Sequence[int]) -> None:
        """Have a call begun; thread-safe."""
        socket.send_fds(self._socket, [request], files)


_servers: list[_Server] = []
_beginning = threading.Lock()


def _server() -> _Server:
    with _beginning:
        if not _servers or _servers[-1].starter != os.getpid():
            _servers[:] = [_Server()]
            atexit.register(_servers[-1].end)
        return _servers[-1]


def run_program(
    command: Sequence[Word], folder: Path, environment: Mapping[str, str], timeout_s: float = 120
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, without input: `hold`, DataLad and scripts warm, others as ever."""
    warm = _warm_words([os.fsdecode(word) for word in command])
    request = json.dumps([warm, os.fspath(folder), dict(environment)]).encode()
    if warm and _is_warm(environment) and len(request) <= _REQUEST_MAX:
        return _run_warm(request, warm, timeout_s)
    return subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
        check=False, timeout=timeout_s,
    )  # fmt: skip


def _warm_words(words: list[str]) -> list[str]:
    """What a warm process is told to be: `hold` or a script. Nothing for other programs."""
    if words[0] in (_HOLD, _DATALAD):
        return words
    if words[0] != sys.executable:
        return []
    if words[1:3] == ["-m", "holdfast"]:
        return [_HOLD, *words[3:]]
    return words[1:] if words[1].endswith(".py") else []


def _is_warm(environment: Mapping[str, str]) -> bool:
    if DEEP or not sys.platform.startswith("linux"):
        return False
    if (environment.get("LC_ALL") or environment.get("LANG")) != "C.UTF-8":
        return False
    settings = [name for name in environment if _counts_at_start(name)]
    return all(environment[name] == os.environ.get(name) for name in settings)


def _run_warm(
    request: bytes, words: list[str], timeout_s: float
) -> subprocess.CompletedProcess[bytes]:
    outputs = [os.memfd_create(name) for name in ("output", "errors")]
    ended, theirs = os.pipe()
    try:
        try:
            _server().ask(request, [*outputs, theirs])
        finally:
            os.close(theirs)
        with open(ended, "rb", buffering=0) as status:
            process = int.from_bytes(status.read(4), "big")
            assert process, "the process that forks has ended"
            if not select.select([status], [], [], timeout_s)[0]:
                os.kill(process, signal.SIGKILL)
                raise subprocess.TimeoutExpired(words, timeout_s)
            code = int.from_bytes(status.read(4), "big", signed=True)
        texts = [_read(output) for output in outputs]
        return subprocess.CompletedProcess(words, code, *texts)
    finally:
        for output in outputs:
            os.close(output)


def _read(file: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    with open(file, "rb", closefd=False) as opened:
        return opened.read()


# the process that forks


def _import_all() -> None:
    import holdfast

    for module in pkgutil.walk_packages(holdfast.__path__, "holdfast."):
        if ".testing" in module.name or module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except ImportError:
            continue  # it needs what is not installed, which a command then says itself
    for name in _OF_DATALAD:
        with suppress(ImportError):
            importlib.import_module(name)


def _serve(calls: socket.socket) -> NoReturn:
    """Fork for each call."""
    poll = select.poll()
    poll.register(calls, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}  # by what tells of its end: a process, whom to tell
    while True:
        # Who has ended is told first: what a call gets is closed by nobody else then.
        for ready, _ in sorted(poll.poll(), key=lambda found: found[0] == calls.fileno()):
            if ready != calls.fileno():
                poll.unregister(ready)
                process, told = running.pop(ready)
                _, status = os.waitpid(process, 0)
                _tell(told, os.waitstatus_to_exitcode(status))
                os.close(told)
                os.close(ready)
                continue
            request, files, _, _ = socket.recv_fds(calls, _REQUEST_MAX, 3)
            if not request:
                os._exit(0)
            told = files.pop()
            process = os.fork()
            if process == 0:
                for descriptor in (calls.fileno(), told, *(fd for _, fd in running.values())):
                    os.close(descriptor)
                for descriptor in running:
                    os.close(descriptor)
                _call(json.loads(request), files)
            for file in files:
                os.close(file)
            _tell(told, process)
            watched = os.pidfd_open(process)
            running[watched] = process, told
            poll.register(watched, select.POLLIN)


def _tell(told: int, number: int) -> None:
    with suppress(BrokenPipeError):  # who called has given up
        os.write(told, number.to_bytes(4, "big", signed=True))


def _call(request: tuple[list[str], str, dict[str, str]], files: Sequence[int]) -> NoReturn:
    """Become the program that was asked for."""
    words, folder, environment = request
    for number, file in enumerate(files, 1):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    code: object = 1
    try:
        os.chdir(folder)
        sys.argv = words
        sys.path[0] = os.path.dirname(words[0])
        code = _carry_out(words[0])
    except SystemExit as error:
        code = error.code
        if not isinstance(code, int | None):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    # What Python does at its end, less the taking apart of all modules, which takes the longest.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else 1 if code else 0)


def _carry_out(program: str) -> int:
    if program != _HOLD:
        runpy.run_path(program, run_name="__main__")
        return 0
    from holdfast.cli.main import run

    return run()


if __name__ == "__main__":
    _import_all()
    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
