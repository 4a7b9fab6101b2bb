"""A TCP proxy on loopback that cuts one connection in the middle, once, and counts what passes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType


class CuttingProxy:
    """Use it in a ``with`` block; `cut_up` and `cut_down` say after how many bytes to cut."""

    def __init__(self, target_port: int) -> None:
        self.cut_up: int | None = None
        self.cut_down: int | None = None
        self.up = self.down = 0
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._ended = False

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def count_anew(self) -> None:
        """Cut no more, and count from nothing."""
        self.cut_up = self.cut_down = None
        self.up = self.down = 0

    def __enter__(self) -> CuttingProxy:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Nothing is closed that a thread may be waiting at: its number could be another's by then.
        self._ended = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._threads[0].join()
        for opened in self._sockets:
            _end(opened)
        for thread in self._threads:
            thread.join()
        for opened in [self._listener, *self._sockets]:
            opened.close()

    def _start(self, run: Callable[..., None], *words: object) -> None:
        self._threads.append(threading.Thread(target=run, args=words, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            self._sockets.append(client)
            if self._ended:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                _end(client)
                continue
            self._sockets.append(server)
            self._start(self._pump, client, server, "up")
            self._start(self._pump, server, client, "down")

    def _pump(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        try:
            while data := source.recv(1 << 14):
                setattr(self, way, getattr(self, way) + len(data))
                limit = getattr(self, f"cut_{way}")
                if limit is not None and getattr(self, way) > limit:
                    setattr(self, f"cut_{way}", None)
                    _end(source)
                    break
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            _end(sink)
            # Left unread it would be answered by a reset, which takes away what was on its way.
            with suppress(OSError):
                while source.recv(1 << 14):
                    pass


def _end(opened: socket.socket) -> None:
    with suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)
