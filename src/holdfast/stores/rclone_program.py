"""One running rclone for one place: asked over a socket in a folder that only we may enter.

`rclone rcd` is started once and keeps its connections and logins; a call costs a round trip on this
machine instead of a process (60 ms and more, and a login, each). Contents are streamed from it with
ranges (`--rc-serve`), and read by it from the files of the annex. It ends when we do, however we
end: a shell between us waits for our side of a pipe to close.
Format: rclone's documentation of its remote control (rclone.org/rc).
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import quote

from ..core import faults
from ..core.errors import HoldError
from ..core.rates import Direction, RateOf, no_limit

CHUNK = 1 << 18
_STARTS_S = 20.0
SILENT_S = 600.0
"""rclone has patience and tries of its own with what it talks to; after that it is given up."""

STALL_S = 120.0
"""How long content that has begun to come may stop."""

LARGE = 64 << 20
"""A copy of so much may take longer than any answer: it is looked at while it goes on."""

_LOOK_S = 0.2

_WATCH = '"$@" & child=$!; cat >/dev/null; kill "$child"; wait "$child"'


_TIMEOUTS = ("i/o timeout", "deadline exceeded", "timeout awaiting", "operation timed out")
_REFUSALS = ("permission denied", "access denied", "unauthorized", "forbidden")


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket of this machine."""

    def __init__(self, path: str) -> None:
        super().__init__("rclone", timeout=SILENT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SILENT_S)
        self.sock.connect(self._path)


class Rclone:
    """The program, started when first asked. Safe to share between threads."""

    def __init__(self, label: str, rate: RateOf = no_limit) -> None:
        """``label`` is what errors call the place; ``rate`` how fast it may be."""
        self.label = label
        self._rate = rate
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = ""
        self._mine = threading.local()

    def call(self, verb: str, **facts: object) -> Mapping[str, object]:
        """Do one thing; the answer is what rclone says.

        Raises:
            NotFoundError: What was asked for is not there.
            PlaceFullError: There is no room.
            AccessError: It is refused.
            PlaceUnavailableError: Anything else.
        """
        status, text = self._post(verb, json.dumps(facts).encode())
        try:
            found = json.loads(text)
        except ValueError:
            raise faults.BAD_ANSWER(place=self.label, detail="rclone speaks no JSON") from None
        if not isinstance(found, dict):
            raise faults.BAD_ANSWER(place=self.label, detail="rclone speaks something else")
        if status != 200:
            raise self._failure(str(found.get("error", "")))
        return found

    def call_long(self, verb: str, **facts: object) -> None:
        """Do one thing that may take hours; only where nothing moves for long it is given up.

        Raises:
            HoldError: As for `call`.
        """
        started = self.call(verb, **facts, _async=True)
        job, group = started.get("jobid"), f"job/{started.get('jobid')}"
        moved, moved_at = 0, time.monotonic()
        while not (state := self.call("job/status", jobid=job)).get("finished"):
            there = self.call("core/stats", group=group).get("bytes")
            if isinstance(there, int) and there != moved:
                moved, moved_at = there, time.monotonic()
            if time.monotonic() - moved_at > SILENT_S:
                self.call("job/stop", jobid=job)
                raise faults.STALLED(place=self.label, waited_s=f"{SILENT_S:g}")
            time.sleep(_LOOK_S)
        if not state.get("success"):
            raise self._failure(str(state.get("error", "")))

    @contextmanager
    def open(
        self, fs: str, name: str, offset: int
    ) -> Iterator[tuple[int, int | None, Iterator[bytes]]]:
        """Stream a file: from which byte it comes, its whole size, and the bytes.

        Raises:
            NotFoundError: It is not there.
            PlaceUnavailableError: rclone or the place behind it went away.
        """
        connection = _Connection(self._socket())
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        try:
            connection.request("GET", f"/{quote(f'[{fs}]')}/{quote(name)}", headers=headers)
            answer = connection.getresponse()
            if answer.status == 416:
                yield offset, offset, iter(())
                return
            if answer.status not in (200, 206):
                said = answer.read(1 << 16).decode("utf-8", "replace").strip()
                if answer.status == 404:
                    raise faults.NOT_THERE(place=self.label, key=name, detail="no file of it")
                raise self._failure(said)
            connection.sock.settimeout(STALL_S)
            start = offset if answer.status == 206 else 0
            size = None if answer.length is None else start + answer.length
            yield start, size, self._iter_chunks(answer)
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error, SILENT_S) from error
        finally:
            connection.close()

    def close(self) -> None:
        """End it. It may have ended before, or never have been started."""
        with self._lock:
            process, self._process = self._process, None
            self._mine = threading.local()
            if process is not None:
                assert process.stdin is not None
                process.stdin.close()
                process.wait()
                shutil.rmtree(self._folder, ignore_errors=True)

    def _iter_chunks(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        left = answer.length
        try:
            while chunk := answer.read1(CHUNK):
                left = None if left is None else left - len(chunk)
                yield chunk
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error, STALL_S) from error
        if left:
            raise self._gone(f"it ended {left} bytes too early")

    def _post(self, verb: str, body: bytes) -> tuple[int, bytes]:
        path = self._socket()
        kept: _Connection | None = getattr(self._mine, "connection", None)
        connection = kept or _Connection(path)
        self._mine.connection = None
        try:
            connection.request("POST", f"/{verb}", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if kept is not None and not isinstance(error, TimeoutError):
                return self._post(verb, body)
            raise self._broken(error, SILENT_S) from error
        self._mine.connection = connection
        return answer.status, text

    def _socket(self) -> str:
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                raise self._gone("it has ended")
            if self._process is None:
                self._start()
            return os.path.join(self._folder, "rc")

    def _start(self) -> None:
        program = shutil.which("rclone")
        if program is None:
            raise faults.NEEDS(place=self.label, what="the program rclone", how="install rclone")
        # Only we may enter this folder: whoever can talk to the socket can do all that rclone can.
        self._folder = tempfile.mkdtemp(prefix="hold-rclone-")
        address = os.path.join(self._folder, "rc")
        self._process = subprocess.Popen(
            ["sh", "-c", _WATCH, "sh", program, "rcd", "--rc-addr", f"unix://{address}",
             "--rc-no-auth", "--rc-serve", "--links=false", *self._limit()],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + _STARTS_S
        while time.monotonic() < until and self._process.poll() is None:
            with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(address)
                return
            time.sleep(0.01)
        raise faults.NEEDS(place=self.label, what="the program rclone", how="install rclone")

    def _limit(self) -> list[str]:
        """What to tell it. What we read from it we slow down ourselves.

        Two rates it keeps on its network connections only, one for all it does on disks too.
        """
        up = self._rate(Direction.UP)
        if up is None:
            return []
        same = self._rate(Direction.DOWN) == up
        return [f"--bwlimit={max(1, int(up))}B" + ("" if same else ":off")]

    def _gone(self, detail: str) -> HoldError:
        return faults.UNREACHABLE(place=self.label, detail=f"rclone: {detail}")

    def _broken(self, error: Exception, waited_s: float) -> HoldError:
        if isinstance(error, TimeoutError):
            return faults.STALLED(place=self.label, waited_s=f"{waited_s:g}")
        return self._gone(str(error))

    def _failure(self, said: str) -> HoldError:
        text = said.lower()
        if "not found" in text and "section" not in text:
            return faults.NOT_THERE(place=self.label, key="it", detail=said)
        if "no space left" in text or "quota" in text:
            return faults.PLACE_FULL(place=self.label, detail=said)
        if any(word in text for word in _TIMEOUTS):
            return faults.STALLED(place=self.label, waited_s="as long as rclone waits")
        if "certificate" in text and ("x509" in text or "tls" in text):
            return faults.UNTRUSTED(place=self.label, detail=said)
        if "redirects" in text:
            return faults.BAD_ANSWER(place=self.label, detail=said)
        if any(word in text for word in _REFUSALS):
            return faults.REFUSED(
                place=self.label, detail=said, next="look at it with rclone lsf, then try again"
            )
        return self._gone(said or "it says nothing")
