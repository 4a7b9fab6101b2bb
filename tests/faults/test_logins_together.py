"""Threads that share one way to a server share its login: one looks for it, all of them use it."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.core.errors import AccessError
from holdfast.stores.p2p_http_calls import HttpCalls, Request

THREADS = 8
RIGHT = "Basic dXNlcjpyaWdodA=="


class Guarded(http.server.BaseHTTPRequestHandler):
    """Lets in who has the login; answers the first requests only when all of them are there."""

    protocol_version = "HTTP/1.1"
    together = threading.Barrier(THREADS)

    def do_GET(self) -> None:
        sent = self.headers.get("Authorization")
        if sent is None:
            self.together.wait(10)
        body = b"in"
        self.send_response(200 if sent == RIGHT else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


class Keyring:
    """Knows one login, and takes its time."""

    def __init__(self, password: str) -> None:
        self.asked = 0
        self._password = password

    def find(self, url: str) -> tuple[str, str]:
        self.asked += 1
        time.sleep(0.05)
        return "user", self._password

    def was_right(self, url: str, login: tuple[str, str], *, right: bool) -> None:
        """Nothing is remembered."""


@pytest.fixture
def url() -> Iterator[str]:
    Guarded.together = threading.Barrier(THREADS)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_threads_that_are_refused_at_once_all_come_in_with_the_login_of_one(url: str) -> None:
    keyring = Keyring("right")
    calls = HttpCalls(url, keyring)
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda _: calls.ask(Request("GET", "x")), range(THREADS)))
    calls.close()
    assert answers == [(200, b"in")] * THREADS
    assert keyring.asked == 1


def test_a_login_that_is_not_taken_is_told_to_each(url: str) -> None:
    Guarded.together = threading.Barrier(1)
    calls = HttpCalls(url, Keyring("wrong"))

    def refused(_: int) -> bool:
        with pytest.raises(AccessError):
            calls.ask(Request("GET", "x"))
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(refused, range(THREADS)))
    calls.close()
