"""Many requests side by side to a server that cuts, stalls, lies and refuses: each ends once."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from holdfast.stores.many_requests import Answered, ManyRequests, Request
from holdfast.testing.fault_proxy import make_tls

LANES = 4
Talk = Callable[[int, bytes], bytes | None]
"""What a server says to the so-manieth request, by its first line; None hangs up, b"" is silence."""


@contextmanager
def server(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[int]]]:
    """A port, and how many connections there were."""
    listening = socket.create_server(("127.0.0.1", 0))
    count, connections, lock = [0], [0], threading.Lock()

    def serve(plain: socket.socket) -> None:
        with suppress(OSError):
            sock = context.wrap_socket(plain, server_side=True) if context else plain
            kept = bytearray()
            while True:
                while b"\r\n\r\n" not in kept:
                    data = sock.recv(65536)
                    if not data:
                        return
                    kept += data
                head, _, kept = kept.partition(b"\r\n\r\n")
                first = bytes(head.partition(b"\r\n")[0])
                size = int(head.rpartition(b"length: ")[2]) if b"length: " in head else 0
                while len(kept) < size:
                    kept += sock.recv(65536)
                kept = kept[size:]
                with lock:
                    count[0] += 1
                    number = count[0]
                answer = talk(number, first)
                if answer is None:
                    sock.close()
                    return
                sock.sendall(answer)

    def accept() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listening.accept()
                connections[0] += 1
                threading.Thread(target=serve, args=(sock,), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    yield listening.getsockname()[1], connections
    with suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)
    accepting.join(5)
    listening.close()


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def echo(_: int, line: bytes) -> bytes:
    return answer(line)


def dialled(port: int) -> Callable[[], socket.socket]:
    return lambda: socket.create_connection(("127.0.0.1", port), 5)


def many(dial: Callable[[], socket.socket], stall_s: float = 5.0) -> ManyRequests:
    return ManyRequests(dial, lanes=LANES, stall_s=stall_s, body_max=1 << 20)


def request(number: int, body: bytes = b"") -> Request:
    head = b"PUT /%d HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (number, len(body))
    return Request("PUT", head, body)


def ask(asked: ManyRequests, count: int) -> dict[int, Answered | None]:
    found = list(asked.iter_answers((n, request(n)) for n in range(count)))
    assert sorted(n for n, _ in found) == list(range(count)), "each is answered once"
    return dict(found)


def right(number: int) -> bytes:
    return b"PUT /%d HTTP/1.1" % number


def test_each_request_gets_its_own_answer_over_few_connections() -> None:
    with server(echo) as (port, connections):
        asked = many(dialled(port))
        for _ in range(2):
            for number, found in ask(asked, 300).items():
                assert found is not None and found.body == right(number)
        assert connections[0] <= LANES
        asked.close()


def test_a_request_that_does_not_go_at_once_goes_in_pieces() -> None:
    body = bytes(range(256)) * 16_000
    with server(echo) as (port, _):
        asked = many(dialled(port), stall_s=60)
        found = dict(asked.iter_answers((n, request(n, body)) for n in range(6)))
        assert {n: f and f.body for n, f in found.items()} == {n: right(n) for n in range(6)}
        asked.close()


def test_requests_over_tls_are_answered_as_well(tmp_path: Path) -> None:
    try:
        tls = make_tls(tmp_path)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    context = ssl.create_default_context(cafile=str(tls.authorities))
    body = b"x" * 300_000
    with server(lambda _, line: answer(line + body), tls.trusted) as (port, _):

        def dial() -> socket.socket:
            return context.wrap_socket(dialled(port)(), server_hostname="127.0.0.1")

        asked = many(dial)
        found = dict(asked.iter_answers((n, request(n, body)) for n in range(40)))
        assert {n: f and f.body for n, f in found.items()} == {
            n: right(n) + body for n in range(40)
        }
        asked.close()


@pytest.mark.parametrize(
    "ill",
    [
        None,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
    ids=["hangs up", "stalls in the middle", "is of old", "talks nonsense", "is silent"],
)
def test_what_is_not_answered_plainly_is_given_back_and_all_else_goes_on(ill: bytes | None) -> None:
    with server(lambda n, line: ill if n in (3, 20, 21) else echo(n, line)) as (port, _):
        found = ask(many(dialled(port), stall_s=0.5), 60)
        lost = [number for number, got in found.items() if got is None]
        assert len(lost) == 3
        assert all(got is None or got.body == right(number) for number, got in found.items())


def test_where_nobody_listens_each_request_comes_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert set(ask(many(dialled(port)), 20).values()) == {None}


def test_whatever_goes_wrong_with_dialling_nobody_waits_for_ever() -> None:
    def dial() -> socket.socket:
        raise ValueError("a proxy of no sound name")

    assert set(ask(many(dial), 20).values()) == {None}


def test_where_a_server_takes_few_connections_they_are_enough() -> None:
    left = [2]

    with server(echo) as (port, _):

        def dial() -> socket.socket:
            left[0] -= 1
            if left[0] < 0:
                time.sleep(0.05)
                raise ConnectionRefusedError
            return dialled(port)()

        found = ask(many(dial), 200)
        assert sum(got is None for got in found.values()) <= LANES


def test_a_connection_that_was_closed_meanwhile_is_not_used_again() -> None:
    with server(lambda n, line: None if n == 0 else echo(n, line)) as (port, connections):
        asked = many(dialled(port))
        ask(asked, 1)
        for line in asked._idle:
            line.sock.shutdown(socket.SHUT_RDWR)
        found = ask(asked, 1)
        assert list(found) == [0]
        assert connections[0] >= 1


def test_closing_wakes_who_waits() -> None:
    with server(lambda _n, _line: b"") as (port, _):
        asked = many(dialled(port), stall_s=60)
        threading.Timer(0.2, asked.close).start()
        began = time.monotonic()
        found = list(asked.iter_answers((n, request(n)) for n in range(3)))
        assert {answer for _, answer in found} == {None}
        assert time.monotonic() - began < 5


def test_who_stops_in_the_middle_leaves_no_answer_to_the_next() -> None:
    with server(echo) as (port, _):
        asked = many(dialled(port))
        for _ in range(20):
            stopped = asked.iter_answers((n, request(n + 1000)) for n in range(50))
            next(stopped)
            stopped.close()
            assert {n: a and a.body for n, a in ask(asked, 8).items()} == {
                n: right(n) for n in range(8)
            }
        asked.close()


def test_nothing_now_is_no_end_while_something_is_on_its_way() -> None:
    def requests() -> Iterator[tuple[int, Request] | None]:
        for number in range(10):
            yield number, request(number)
            yield None

    with server(echo) as (port, _):
        found = dict(many(dialled(port)).iter_answers(requests()))
        assert sorted(found) == list(range(10))
