"""The HTTP server of one data set: git-annex's protocol, plain content, and git.

One thread a connection, and no more connections than `CONNECTIONS_MAX`; see
docs/decisions/0009-threads-without-a-framework.md.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING

from ..api.served import Served
from ..core import faults
from .access import Access
from .http_handler import BaseHandler, Handler, is_loopback
from .http_locks import HttpLocks

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS_MAX = 400
TELL_S = 1.0


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen, and what to call it in what we tell: behind a proxy that is another URL."""

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str | None = None


class Server(ThreadingHTTPServer):
    """Listens from its making on, and answers many at once; what it answers is its handler's."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(
        self,
        handler: type[BaseHandler],
        access: Access,
        listening: Listening,
        log: Callable[[str], None] | None = None,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        """Begin to listen.

        Raises:
            PlaceUnavailableError: Nothing can be served there.
        """
        self.access = access
        self.log = log
        self.public_url = listening.public_url
        self.is_private = is_loopback(listening.host) and listening.public_url is None
        """Whether only this machine is meant: requests that name another host come by a trick."""
        self._places = threading.BoundedSemaphore(connections_max)
        if ":" in listening.host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((listening.host, listening.port), handler)
        except (OSError, OverflowError) as error:
            address = f"{listening.host} port {listening.port}"
            detail = getattr(error, "strerror", None) or str(error)
            raise faults.CANNOT_SERVE(address=address, detail=detail.lower()) from error

    @property
    def url(self) -> str:
        """Where it can be reached."""
        host, port = self.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        return (self.public_url or f"http://{shown}:{port}").rstrip("/")

    def serve_until_stopped(self) -> None:
        """Answer until `stop`, or an interrupt."""
        try:
            self.serve_forever(poll_interval=0.2)
        finally:
            self.server_close()

    def stop(self) -> None:
        """End it, from another thread."""
        self.shutdown()

    # one thread a connection, up to a number

    def process_request(self, request: object, client_address: object) -> None:
        """Wait for a free place, then answer in a thread of its own."""
        self._places.acquire()
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Answer, and give the place back."""
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news; anything else is told with its traceback."""
        import sys

        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            with suppress(OSError):
                super().handle_error(request, client_address)  # type: ignore[arg-type]


class HttpServer(Server):
    """Serves one data set."""

    def __init__(
        self,
        served: Served,
        access: Access,
        listening: Listening,
        log: Callable[[str], None] | None = None,
    ) -> None:
        """Begin to listen.

        Raises:
            PlaceUnavailableError: Nothing can be served there.
        """
        super().__init__(Handler, access, listening, log)
        self.served = served
        self.locks = HttpLocks(served)
        self._stopped = threading.Event()

    def serve_until_stopped(self) -> None:
        """Answer until `stop`, or an interrupt; the ledger is told now and then, and at the end."""
        teller = threading.Thread(target=self._tell, name="ledger", daemon=True)
        teller.start()
        try:
            self.serve_forever(poll_interval=0.2)
        finally:
            self._stopped.set()
            teller.join()
            self.server_close()
            self.locks.close()

    def _tell(self) -> None:
        while not self._stopped.wait(TELL_S):
            self.locks.prolong_kept()
            self.locks.forget_old()
            if self.served.has_news:
                self.served.tell()
