"""A WebDAV server that goes away, does not know us, or was left with what a killed run had sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep

import pytest

from holdfast.core.abilities import Content
from holdfast.core.errors import AccessError, IntegrityError, PlaceUnavailableError
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores.placing import Placing
from holdfast.stores.webdav import TEMPORARY, WebDav
from holdfast.stores.webdav_client import DavClient
from holdfast.testing.rclone_server import PASSWORD, USER, WebDavServer, find_rclone
from holdfast.testing.store_contract import content_of, ignore, key_of

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000004"), "cloud")
DATA = b"some content" * 1000
KEY = key_of(DATA)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebDavServer]:
    if find_rclone() is None:
        pytest.skip("rclone, which serves WebDAV here, is neither beside python nor on PATH")
    with WebDavServer(tmp_path / "cloud") as server:
        yield server


def open_webdav(server: WebDavServer, login: tuple[str, str] | None = (USER, PASSWORD)) -> WebDav:
    client = DavClient(f"{server.url}/set", lambda: login, allowed_addresses="all", proxies={})
    return WebDav(PLACE, f"{server.url}/set", Placing("cloud", None, mixed=False), client)


@pytest.mark.parametrize("login", [None, (USER, "wr0ng-pass"), ("bob", "wr0ng-pass")])
def test_who_is_not_known_is_refused_and_no_password_is_told(
    server: WebDavServer, login: tuple[str, str] | None
) -> None:
    store = open_webdav(server, login)
    answer = store.ask([KEY])[0]
    assert answer.presence is Presence.UNKNOWN
    with pytest.raises(AccessError) as sending:
        store.make_ready()
    with pytest.raises(AccessError) as reading, store.open_content(KEY):
        pass
    told = answer.remark + "".join(
        f"{e.value.what}{e.value.why}{e.value.hint}" for e in (sending, reading)
    )
    assert "wr0ng" not in told and PASSWORD not in told
    store.close()


def test_a_server_that_goes_away_while_it_is_sent_to_shows_nothing(server: WebDavServer) -> None:
    store = open_webdav(server)
    store.make_ready()

    class Cut:
        size = len(DATA)

        def chunks(self, offset: int = 0) -> Iterator[bytes]:
            yield DATA[:5000]
            server.stop()
            yield DATA[5000:]

        def path(self) -> bytes:
            raise AssertionError("the bytes are asked for")

    content: Content = Cut()
    told: list[int] = []
    with pytest.raises(PlaceUnavailableError):
        store.send(KEY, content, told.append)
    assert sum(told) == 0
    assert [p for p in server.folder.rglob("SHA256E-*") if p.is_file()] == []
    store.close()


def test_a_temporary_file_is_removed_after_a_slow_server_has_made_it() -> None:
    heard: list[str] = []

    class Slow(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            while self.rfile.read1():
                pass
            sleep(0.5)
            heard.append("made")

        def do_DELETE(self) -> None:
            heard.append("removed")
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as slow:
        threading.Thread(target=slow.serve_forever).start()
        base = f"http://127.0.0.1:{slow.server_port}/set"
        client = DavClient(base, lambda: None, allowed_addresses="all", proxies={})
        store = WebDav(PLACE, base, Placing("cloud", None, mixed=False), client)
        with pytest.raises(IntegrityError):
            store.put_file(b"there", content_of(KEY, DATA[:-1] + b"!"), ignore)
        store.close()
        slow.shutdown()
    assert heard == ["made", "removed"]


def test_damaged_content_leaves_no_temporary_file(server: WebDavServer) -> None:
    store = open_webdav(server)
    store.make_ready()
    with pytest.raises(IntegrityError):
        store.send(KEY, content_of(KEY, DATA[:-1] + b"!"), ignore)
    assert [p for p in server.folder.rglob("*") if p.is_file()] == []
    assert (server.folder / "set" / TEMPORARY).is_dir()
    store.close()
