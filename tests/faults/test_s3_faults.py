"""A bucket whose server is busy, cuts, lies about ranges or refuses: nothing wrong, nothing told."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from holdfast.core.errors import (
    AccessError,
    HoldError,
    IntegrityError,
    NotFoundError,
    PlaceUnavailableError,
    PolicyError,
    RemoteProtocolError,
)
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores import s3_client
from holdfast.stores.s3 import S3
from holdfast.stores.special import SpecialRemote
from holdfast.testing.store_contract import content_of, ignore, key_of

PLACE = Place(PlaceId("33333333-3333-4333-8333-333333333333"), "bucket")
CREDENTIALS = ("AKIAOFATESTABCDEF", "the-secret-of-a-test")
DATA = bytes(range(256)) * 4000
KEY = key_of(DATA)
LARGE = bytes(range(250)) * 60_000
"""Three parts of 5 MiB, the last one short."""


@dataclass
class Server:
    """An S3 server in a few lines, and how it misbehaves: each answer is asked of ``trouble``."""

    port: int = 0
    objects: dict[str, bytes] = field(default_factory=dict)
    parts: dict[int, bytes] = field(default_factory=dict)
    begun: str = ""
    """The object of which an upload in parts was begun."""

    asked: list[str] = field(default_factory=list)
    trouble: list[Callable[[http.server.BaseHTTPRequestHandler], bool]] = field(
        default_factory=list
    )
    ignores_ranges: bool = False
    part_with_200: bool = False
    cut_at: int | None = None


LISTED = b"</ListPartsResult>"


def etag_of(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def part_entry(part: tuple[int, bytes]) -> bytes:
    words = part[0], len(part[1]), etag_of(part[1]).encode().replace(b'"', b"&quot;")
    return b"<Part><PartNumber>%d</PartNumber><Size>%d</Size><ETag>%b</ETag></Part>" % words


def handler_of(server: Server) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            data = self.rfile.read(size)
            server.asked.append(f"{self.command} {self.path}")
            if server.trouble and server.trouble.pop(0)(self):
                return
            path, _, query = self.path.partition("?")
            getattr(self, f"on_{self.command.lower()}")(path, query, data)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815

        def on_get(self, path: str, query: str, data: bytes) -> None:
            if "uploads=" in query:
                name = server.begun.rpartition("/")[2].encode()
                entry = b"<Upload><Key>%b</Key><UploadId>up</UploadId></Upload>" % name
                found = entry if server.begun else b""
                self.reply(200, b"<L>%b</ListMultipartUploadsResult>" % found)
                return
            if "uploadId" in query:
                self.reply(200, b"".join(map(part_entry, server.parts.items())) + LISTED)
                return
            content = server.objects.get(path)
            if content is None:
                self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
                return
            wanted = self.headers.get("Range")
            if wanted is None or server.ignores_ranges:
                self.send(content)
                return
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
            said = f"bytes {first}-{len(content) - 1}/{len(content)}"
            self.reply(200 if server.part_with_200 else 206, content[first:], Content_Range=said)

        def send(self, content: bytes) -> None:
            if server.cut_at is None:
                self.reply(200, content)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: server.cut_at])
            self.close_connection = True

        def on_head(self, path: str, query: str, data: bytes) -> None:
            content = server.objects.get(path)
            self.reply(404) if content is None else self.reply(200, content)

        def on_put(self, path: str, query: str, data: bytes) -> None:
            if "partNumber" in query:
                number = int(query.partition("partNumber=")[2].partition("&")[0])
                server.parts[number] = data
                self.reply(200, ETag=etag_of(data))
                return
            server.objects[path] = data
            self.reply(200)

        def on_post(self, path: str, query: str, data: bytes) -> None:
            if query.startswith("uploads"):
                server.begun = path
                self.reply(200, b"<X><UploadId>up</UploadId></X>")
                return
            server.objects[path] = b"".join(part for _, part in sorted(server.parts.items()))
            server.parts.clear()
            server.begun = ""
            self.reply(200, b"<Done/>")

        def on_delete(self, path: str, query: str, data: bytes) -> None:
            if "uploadId" in query:
                server.parts.clear()
                server.begun = ""
            else:
                server.objects.pop(path, None)
            self.reply(204)

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_of(made)) as listening:
        made.port = listening.server_address[1]
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        listening.shutdown()
        thread.join()


class NoNotes:
    def read(self, log: object, keys: object) -> dict[Key, bytes]:
        return {}

    def edit(self, log: object, key: Key, edit: object) -> None: ...


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited between tries; no test waits."""
    found: list[float] = []
    made = s3_client.S3Client.__init__

    def begin(self: s3_client.S3Client, *given: object, **more: object) -> None:
        made(self, *given, sleep=found.append, **more)  # type: ignore[arg-type, misc]

    monkeypatch.setattr(s3_client.S3Client, "__init__", begin)
    return found


@pytest.fixture
def store(server: Server, waits: list[float]) -> Iterator[S3]:
    made = store_at(server)
    yield made
    made.close()


def store_at(server: Server) -> S3:
    config = {
        "host": "127.0.0.1", "port": str(server.port), "protocol": "http", "bucket": "bucket",
        "partsize": "5MiB",
    }  # fmt: skip
    return S3(
        SpecialRemote(
            PLACE, config, {}, b"", NoNotes(), lambda: CREDENTIALS, allowed_addresses="127.0.0.1"
        )
    )


def busy(status: int, **headers: str) -> Callable[[http.server.BaseHTTPRequestHandler], bool]:
    def act(handler: http.server.BaseHTTPRequestHandler) -> bool:
        handler.reply(status, b"<Error><Code>SlowDown</Code></Error>", **headers)  # type: ignore[attr-defined]
        return True

    return act


def hang_up(handler: http.server.BaseHTTPRequestHandler) -> bool:
    handler.close_connection = True
    handler.connection.close()
    return True


def fine(handler: http.server.BaseHTTPRequestHandler) -> bool:
    return False


def name_of(key: Key) -> str:
    return f"/bucket/{key.text}"


def test_a_busy_server_is_asked_again_after_as_long_as_it_says(
    server: Server, store: S3, waits: list[float]
) -> None:
    server.trouble = [busy(429, Retry_After="7"), busy(503), busy(500)]
    store.send(KEY, content_of(KEY, DATA), ignore)
    assert server.objects[name_of(KEY)] == DATA
    assert waits[0] == 7
    assert len(waits) == 3


def test_a_server_that_stays_busy_is_given_up(server: Server, store: S3) -> None:
    server.trouble = [busy(503)] * 9
    with pytest.raises(PlaceUnavailableError):
        store.send(KEY, content_of(KEY, DATA), ignore)
    assert len(server.asked) == 5


def test_nobody_waits_for_an_hour(server: Server, store: S3, waits: list[float]) -> None:
    server.trouble = [busy(429, Retry_After="3600")]
    with pytest.raises(PlaceUnavailableError, match="does not answer"):
        store.send(KEY, content_of(KEY, DATA), ignore)
    assert waits == []


def test_a_connection_that_ends_is_opened_anew(server: Server, store: S3) -> None:
    server.trouble = [hang_up, fine, hang_up]
    for data in (DATA, DATA + b"!"):
        store.send(key_of(data), content_of(key_of(data), data), ignore)
    assert server.objects[name_of(KEY)] == DATA


def test_a_large_object_goes_in_parts_some_of_them_twice(server: Server, store: S3) -> None:
    key = key_of(LARGE)
    server.trouble = [fine, busy(500), hang_up]
    store.send(key, content_of(key, LARGE), ignore)
    assert server.objects[name_of(key)] == LARGE


def test_an_upload_that_was_completed_though_nobody_heard_of_it_is_complete(
    server: Server, store: S3
) -> None:
    def complete_in_silence(handler: http.server.BaseHTTPRequestHandler) -> bool:
        if handler.command != "POST" or "uploadId" not in handler.path:
            server.trouble.insert(0, complete_in_silence)
            return False
        server.objects[name_of(key)] = LARGE
        server.trouble.insert(0, busy(404))
        return hang_up(handler)

    key = key_of(LARGE)
    server.trouble = [complete_in_silence]
    store.send(key, content_of(key, LARGE), ignore)
    assert server.objects[name_of(key)] == LARGE


def test_nothing_is_seen_of_a_large_object_that_is_not_what_its_key_names(
    server: Server, store: S3
) -> None:
    key = key_of(LARGE)
    with pytest.raises(IntegrityError):
        store.send(key, content_of(key, LARGE[:-1] + b"!"), ignore)
    assert (server.objects, server.parts) == ({}, {})
    assert server.asked[-1].startswith("DELETE")


def test_a_part_that_cannot_be_sent_ends_the_upload(server: Server, store: S3) -> None:
    key = key_of(LARGE)
    server.trouble = [fine, *[busy(503)] * 40]
    with pytest.raises(PlaceUnavailableError):
        store.send(key, content_of(key, LARGE), ignore)
    assert server.objects == {}


def refuse_part(number: int) -> Callable[[http.server.BaseHTTPRequestHandler], bool]:
    """Refuses one part for ever, and nothing else."""

    def act(handler: http.server.BaseHTTPRequestHandler) -> bool:
        return f"partNumber={number}&" in handler.path and busy(503)(handler)

    return act


def parts_sent(server: Server) -> set[str]:
    return set(re.findall(r"PUT .*partNumber=([0-9])", "\n".join(server.asked)))


@pytest.fixture
def another(server: Server, waits: list[float]) -> Iterator[S3]:
    made = store_at(server)
    yield made
    made.close()


def test_sending_goes_on_with_the_parts_that_are_there(
    server: Server, store: S3, another: S3
) -> None:
    key, sent = key_of(LARGE), 0

    def count(size: int) -> None:
        nonlocal sent
        sent += size

    server.trouble = [refuse_part(3)] * 40
    with pytest.raises(PlaceUnavailableError):
        store.send(key, content_of(key, LARGE), ignore)
    assert set(server.parts) == {1, 2}
    server.trouble.clear()
    server.asked.clear()
    another.send(key, content_of(key, LARGE), count)
    assert server.objects == {name_of(key): LARGE}
    assert (parts_sent(server), sent) == ({"3"}, len(LARGE))


def test_a_part_that_is_there_with_other_bytes_is_sent_again(server: Server, store: S3) -> None:
    key = key_of(LARGE)
    server.begun = name_of(key)
    server.parts = {1: LARGE[: 5 << 20], 2: bytes(5 << 20), 4: b"of a longer one"}
    store.send(key, content_of(key, LARGE), ignore)
    assert parts_sent(server) == {"2", "3"}


def test_an_upload_that_somebody_else_began_is_not_thrown_away(server: Server, store: S3) -> None:
    key = key_of(LARGE)
    server.begun, server.parts = name_of(key), {1: LARGE[: 5 << 20]}
    with pytest.raises(IntegrityError):
        store.send(key, content_of(key, LARGE[:-1] + b"!"), ignore)
    assert server.objects == {}
    assert not [asked for asked in server.asked if asked.startswith("DELETE")]


def test_an_upload_that_begins_with_other_bytes_is_left_alone(server: Server, store: S3) -> None:
    key = key_of(LARGE)
    server.begun, server.parts = name_of(key), {1: bytes(5 << 20), 2: LARGE[5 << 20 : 10 << 20]}
    store.send(key, content_of(key, LARGE), ignore)
    assert server.objects == {name_of(key): LARGE}
    assert parts_sent(server) == {"1", "2", "3"}
    posts = [asked for asked in server.asked if asked.startswith("POST")]
    assert posts[0].endswith("?uploads=")


def test_an_upload_that_somebody_else_ended_is_begun_anew(server: Server, store: S3) -> None:
    def gone(handler: http.server.BaseHTTPRequestHandler) -> bool:
        if handler.command != "PUT":
            server.trouble.insert(0, gone)
            return False
        return busy(404)(handler)

    key = key_of(LARGE)
    server.parts = {1: LARGE[: 5 << 20]}
    server.begun, server.trouble = name_of(key), [gone]
    store.send(key, content_of(key, LARGE), ignore)
    assert server.objects == {name_of(key): LARGE}


def test_a_bucket_that_does_not_say_what_was_begun_is_sent_all(server: Server, store: S3) -> None:
    def refuse(handler: http.server.BaseHTTPRequestHandler) -> bool:
        return "uploads=" in handler.path and busy(403)(handler)

    key = key_of(LARGE)
    server.begun, server.parts = name_of(key), {1: LARGE[: 5 << 20]}
    server.trouble = [refuse]
    store.send(key, content_of(key, LARGE), ignore)
    assert parts_sent(server) == {"1", "2", "3"}
    assert server.objects == {name_of(key): LARGE}


@pytest.mark.parametrize("offset", [1, 5000, len(DATA) - 1, len(DATA)])
@pytest.mark.parametrize("how", ["ignores_ranges", "part_with_200", "as it should"])
def test_a_range_is_what_the_server_really_sends(
    server: Server, store: S3, how: str, offset: int
) -> None:
    server.objects[name_of(KEY)] = DATA
    if hasattr(server, how):
        setattr(server, how, True)
    with store.open_content(KEY, offset) as stream:
        assert b"".join(stream.chunks) == DATA[stream.offset :]
        assert stream.size in (None, len(DATA))


def test_content_that_breaks_off_is_no_content(server: Server, store: S3) -> None:
    server.objects[name_of(KEY)] = DATA
    server.cut_at = 100_000
    with pytest.raises(PlaceUnavailableError), store.open_content(KEY) as stream:
        list(stream.chunks)


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "ExpiredToken", "InvalidAccessKeyId"])
def test_credentials_that_are_refused_are_told_of_but_not_told(
    server: Server, store: S3, code: str
) -> None:
    def refuse(handler: http.server.BaseHTTPRequestHandler) -> bool:
        body = f"<Error><Code>{code}</Code><K>{CREDENTIALS}</K></Error>".encode()
        handler.reply(403 if code != "ExpiredToken" else 400, body)  # type: ignore[attr-defined]
        return True

    server.trouble = [refuse]
    with pytest.raises(AccessError) as found:
        store.send(KEY, content_of(KEY, DATA), ignore)
    assert code in told(found.value)
    assert not any(secret in told(found.value) for secret in CREDENTIALS)
    server.trouble = [refuse]
    answer = store.ask([KEY])[0]
    assert answer.presence is Presence.UNKNOWN
    assert not any(secret in answer.remark for secret in CREDENTIALS)


def test_nonsense_is_told_as_such(server: Server, store: S3) -> None:
    def shout(handler: http.server.BaseHTTPRequestHandler) -> bool:
        handler.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        return hang_up(handler)

    server.trouble = [shout] * 9
    with pytest.raises((RemoteProtocolError, PlaceUnavailableError)):
        store.send(KEY, content_of(KEY, DATA), ignore)


def told(error: HoldError) -> str:
    return " ".join(error.as_record().values()) + repr(error) + repr(error.__cause__)


MANY = [b"content %d" % number for number in range(80)]


def test_of_many_each_is_there_though_some_were_put_off_or_cut(
    server: Server, store: S3, waits: list[float]
) -> None:
    server.trouble = [fine] * 9 + [busy(429, Retry_After="7"), hang_up, fine, busy(503), hang_up]
    items = [(key_of(data), content_of(key_of(data), data)) for data in MANY]
    assert dict(store.iter_send(items, ignore)) == {key_of(data): None for data in MANY}
    assert server.objects == {name_of(key_of(data)): data for data in MANY}
    assert 7 in waits, "who is asked to wait does"


def test_of_many_only_the_damaged_one_is_not_sent(server: Server, store: S3) -> None:
    items = [(key_of(data), content_of(key_of(data), data)) for data in MANY]
    items[30] = (items[30][0], content_of(items[30][0], b"content 3X"))
    ended = dict(store.iter_send(items, ignore))
    assert [key for key, error in ended.items() if error] == [items[30][0]]
    assert isinstance(ended[items[30][0]], IntegrityError)
    assert len(server.objects) == len(MANY) - 1


def test_many_are_read_in_order_whatever_happens_to_some(
    server: Server, store: S3, waits: list[float]
) -> None:
    contents = [*MANY, bytes(2 << 20), b"last"]
    gone = key_of(b"not there")
    server.objects = {name_of(key_of(data)): data for data in contents}
    server.trouble = [fine] * 20 + [hang_up, busy(429, Retry_After="7"), busy(500)]
    keys = [key_of(data) for data in contents]
    keys.insert(40, gone)
    found = []
    for key, stream in store.iter_contents(iter(keys)):
        found.append((key, stream if isinstance(stream, HoldError) else b"".join(stream.chunks)))
    assert [key for key, _ in found] == keys
    assert isinstance(found.pop(40)[1], NotFoundError)
    assert [data for _, data in found] == contents
    assert 7 in waits


def test_many_are_looked_for_at_once(server: Server, store: S3) -> None:
    server.objects = {name_of(key_of(data)): data for data in MANY[::2]}
    server.objects[name_of(key_of(MANY[1]))] = b"of another size"
    server.trouble = [fine, hang_up, fine, busy(503)]
    answers = store.ask([key_of(data) for data in MANY])
    assert [a.presence for a in answers] == [Presence.PRESENT, Presence.ABSENT] * (len(MANY) // 2)


def test_credentials_that_are_refused_are_told_of_for_each_of_many(
    server: Server, store: S3
) -> None:
    def refuse(handler: http.server.BaseHTTPRequestHandler) -> bool:
        handler.reply(403, f"<Error><Code>AccessDenied</Code>{CREDENTIALS}</Error>".encode())  # type: ignore[attr-defined]
        return True

    server.trouble = [refuse] * 100
    items = [(key_of(data), content_of(key_of(data), data)) for data in MANY[:20]]
    for _, error in store.iter_send(items, ignore):
        assert isinstance(error, AccessError)
        assert not any(secret in told(error) for secret in CREDENTIALS)


def test_a_private_address_is_not_connected_to_for_many_either(server: Server) -> None:
    config = {"host": "127.0.0.1", "port": str(server.port), "protocol": "http", "bucket": "b"}
    closed = S3(SpecialRemote(PLACE, config, {}, b"", NoNotes(), lambda: CREDENTIALS))
    items = [(key_of(data), content_of(key_of(data), data)) for data in MANY[:20]]
    assert all(isinstance(error, PolicyError) for _, error in closed.iter_send(items, ignore))
    assert server.asked == []
    closed.close()
