"""Servers that lie, break and hang: we end with the right content or with none, and say why."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.core.abilities import Answer, Readable, Stream
from holdfast.core.backends import make_key
from holdfast.core.errors import HoldError, PlaceUnavailableError, PolicyError, RemoteProtocolError
from holdfast.core.faults import UNREACHABLE
from holdfast.core.key import Key
from holdfast.core.outcome import Outcome, Status
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores.http import HttpClient
from holdfast.stores.http_connection import Limits
from holdfast.stores.web import Web
from holdfast.testing.folder_target import FolderTarget
from holdfast.testing.lying_server import Lie, LyingServer
from holdfast.testing.store_contract import key_of
from holdfast.transfer.carry import iter_carry
from holdfast.transfer.plan import Attempts
from holdfast.transfer.receive import receive

CONTENT = os.urandom(300_000)
KEY = key_of(CONTENT, b".dat")
LIMITS = Limits(connect_s=1, stall_s=0.4, retry_after_max_s=2, tries_max=2, redirects_max=5)


@pytest.fixture
def server() -> Iterator[LyingServer]:
    with LyingServer({"f": CONTENT}) as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> FolderTarget:
    return FolderTarget(tmp_path)


def client(allowed: str = "all") -> HttpClient:
    return HttpClient(allowed_addresses=allowed, proxies={}, limits=LIMITS, sleep=lambda _: None)


def web(*urls: str, name: str = "web", allowed: str = "all") -> Web:
    place = Place(PlaceId(name), name)
    return Web(place, lambda _: urls, client=client(allowed))


DEADLY = [
    Lie.TRUNCATE, Lie.FLIP, Lie.HTML, Lie.HTML_CHUNKED, Lie.HANG, Lie.MUTE, Lie.ERROR, Lie.BUSY,
    Lie.LOOP, Lie.LONG, Lie.ENDLESS, Lie.SHORT, Lie.GZIP, Lie.FORBIDDEN, Lie.NONSENSE,
]  # fmt: skip
HARMLESS = [Lie.HONEST, Lie.SLOW, Lie.BUSY_ONCE, Lie.NO_RANGE, Lie.NO_HEAD]


def has_four_lines(error: HoldError) -> bool:
    return all((error.what, error.why, error.safe, error.hint, error.code))


@pytest.mark.parametrize("lie", DEADLY)
def test_a_lying_server_gives_no_content_and_a_full_error(
    server: LyingServer, target: FolderTarget, lie: Lie
) -> None:
    with pytest.raises(PlaceUnavailableError) as caught:
        # A server that hangs up half way is asked again for the rest, and lies again.
        receive(
            target,
            KEY,
            [web(f"{server.url}/{lie}/gone" if lie is Lie.TRUNCATE else f"{server.url}/{lie}/f")],
        )
    assert target.content(KEY) is None
    assert has_four_lines(caught.value)
    assert caught.value.code == "H205"
    assert "web: " in caught.value.why


@pytest.mark.parametrize("lie", DEADLY)
def test_the_next_source_is_used(server: LyingServer, target: FolderTarget, lie: Lie) -> None:
    bad = web(f"{server.url}/{lie}/f", name="bad")
    good = web(f"{server.url}/honest/f", name="good")
    received = receive(target, KEY, [bad, good])
    assert target.content(KEY) == CONTENT
    assert received.fresh
    assert received.place is not None
    # One that only hangs up half way may give the rest when it is asked again.
    assert received.place.name == "good" or lie is Lie.TRUNCATE


@pytest.mark.parametrize("lie", HARMLESS)
def test_an_odd_but_true_server_is_understood(
    server: LyingServer, target: FolderTarget, lie: Lie
) -> None:
    store = web(f"{server.url}/{lie}/f")
    assert store.ask([KEY])[0].presence is Presence.PRESENT
    receive(target, KEY, [store])
    assert target.content(KEY) == CONTENT


def test_a_server_that_breaks_off_is_asked_for_the_rest(
    server: LyingServer, target: FolderTarget
) -> None:
    received = receive(
        target, KEY, [web(f"{server.url}/truncate/f"), web(f"{server.url}/honest/f")]
    )
    assert target.content(KEY) == CONTENT
    assert received.size == len(CONTENT)
    ranges = [headers.get("Range") for _, _, headers in server.requests]
    assert ranges == [None, f"bytes={len(CONTENT) // 2}-"]


def test_an_earlier_partial_is_taken_up(server: LyingServer, target: FolderTarget) -> None:
    Path(os.fsdecode(target.partial_path(KEY))).write_bytes(CONTENT[:1000])
    received = receive(target, KEY, [web(f"{server.url}/honest/f")])
    assert received.size == len(CONTENT) - 1000
    assert target.content(KEY) == CONTENT


def test_a_whole_partial_needs_no_source(target: FolderTarget) -> None:
    Path(os.fsdecode(target.partial_path(KEY))).write_bytes(CONTENT)
    assert receive(target, KEY, []).size == 0
    assert target.content(KEY) == CONTENT


@pytest.mark.parametrize("junk", [b"junk", CONTENT[:-1] + b"?", CONTENT + b"more"])
def test_a_damaged_partial_is_thrown_away_and_not_blamed_on_the_source(
    server: LyingServer, target: FolderTarget, junk: bytes
) -> None:
    Path(os.fsdecode(target.partial_path(KEY))).write_bytes(junk)
    received = receive(target, KEY, [web(f"{server.url}/honest/f")])
    assert target.content(KEY) == CONTENT
    assert received.place is not None


def test_a_server_without_ranges_is_read_from_the_start(
    server: LyingServer, target: FolderTarget
) -> None:
    Path(os.fsdecode(target.partial_path(KEY))).write_bytes(CONTENT[:1000])
    told: list[int] = []
    received = receive(target, KEY, [web(f"{server.url}/no-range/f")], told.append)
    assert received.size == len(CONTENT)
    assert sum(told) == len(CONTENT)
    assert target.content(KEY) == CONTENT


def test_a_server_that_sends_another_range_is_not_believed(
    server: LyingServer, target: FolderTarget
) -> None:
    Path(os.fsdecode(target.partial_path(KEY))).write_bytes(CONTENT[:1000])
    with pytest.raises(PlaceUnavailableError, match="could not be had") as caught:
        receive(target, KEY, [web(f"{server.url}/wrong-range/f")])
    assert "sends from byte 999" in caught.value.why


def test_an_error_page_is_called_one(server: LyingServer, target: FolderTarget) -> None:
    for lie in (Lie.HTML, Lie.HTML_CHUNKED):
        with pytest.raises(PlaceUnavailableError) as caught:
            receive(target, KEY, [web(f"{server.url}/{lie}/f")])
        assert "HTML page" in caught.value.why


def test_the_other_url_of_the_web_is_tried(server: LyingServer, target: FolderTarget) -> None:
    receive(target, KEY, [web(f"{server.url}/flip/f", f"{server.url}/honest/f")])
    assert target.content(KEY) == CONTENT


def test_a_source_that_sent_wrong_bytes_is_asked_once(
    server: LyingServer, target: FolderTarget
) -> None:
    with pytest.raises(PlaceUnavailableError):
        receive(target, KEY, [web(f"{server.url}/flip/f")])
    assert len(server.requests) == 1
    assert not os.path.exists(target.partial_path(KEY))


def test_too_many_bytes_are_cut_at_once(server: LyingServer, target: FolderTarget) -> None:
    told: list[int] = []
    with pytest.raises(PlaceUnavailableError, match="could not be had"):
        receive(target, KEY, [web(f"{server.url}/endless/f")], told.append)
    assert max(told) <= len(CONTENT)
    assert sum(told) == 0


def test_a_key_without_a_hash_is_taken_only_where_that_is_allowed(
    server: LyingServer, target: FolderTarget
) -> None:
    key = Key.make(b"URL", b"http%x", size=len(CONTENT))
    store = web(f"{server.url}/honest/f")
    with pytest.raises(PlaceUnavailableError) as caught:
        receive(target, key, [store])
    assert "cannot be checked" in caught.value.why
    receive(target, key, [store], unchecked_from={store.place.id})
    assert target.content(key) == CONTENT


def test_private_addresses_are_not_connected_to(server: LyingServer, target: FolderTarget) -> None:
    with pytest.raises(PolicyError) as caught, client("").open(f"{server.url}/honest/f"):
        pass
    assert caught.value.code == "H307"
    assert has_four_lines(caught.value)
    assert server.requests == []


def test_a_redirect_to_a_private_address_is_not_followed() -> None:
    with LyingServer({}) as inner, LyingServer({"f": b"x"}) as outer:
        outer.elsewhere = f"{inner.url}/honest/secret"
        port = outer.url.rpartition(":")[2]
        with pytest.raises(PolicyError), client(f"[127.0.0.1]:{port}").open(f"{outer.url}/away/f"):
            pass
        assert inner.requests == []


@pytest.mark.parametrize("elsewhere", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://h/"])
def test_a_redirect_to_another_scheme_is_not_followed(server: LyingServer, elsewhere: str) -> None:
    server.elsewhere = elsewhere
    with pytest.raises(PolicyError), client().open(f"{server.url}/away/f"):
        pass


def test_what_is_no_url_is_told_whoever_says_it(server: LyingServer) -> None:
    with pytest.raises(PolicyError) as caught, client().open("http://[half/f"):
        pass
    assert has_four_lines(caught.value)
    server.elsewhere = "http://[half/f"
    with pytest.raises(RemoteProtocolError) as led, client().open(f"{server.url}/away/f"):
        pass
    assert "no URL" in led.value.why


def test_a_password_stays_with_its_host_and_out_of_errors() -> None:
    with LyingServer({"f": b"x"}) as other, LyingServer({}) as first:
        first.elsewhere = f"{other.url}/error/f"
        url = first.url.replace("http://", "http://me:secret@") + "/away/f?token=hidden"
        with pytest.raises(PlaceUnavailableError) as caught, client().open(url):
            pass
        assert "Authorization" in first.requests[0][2]
        assert "Authorization" not in other.requests[0][2]
        told = str(caught.value.as_record())
        assert "secret" not in told
        assert "hidden" not in told


def test_a_long_retry_after_is_not_waited_for(server: LyingServer) -> None:
    slept: list[float] = []
    limits = Limits(connect_s=1, stall_s=1, retry_after_max_s=0.5, tries_max=3)
    patient = HttpClient(allowed_addresses="all", proxies={}, limits=limits, sleep=slept.append)
    url = f"{server.url}/busy/f"
    with pytest.raises(PlaceUnavailableError, match="does not answer"), patient.open(url):
        pass
    assert slept == []


def test_one_connection_serves_many_requests_of_a_thread(server: LyingServer) -> None:
    ports: set[str] = set()
    one = client()
    for _ in range(5):
        with one.open(f"{server.url}/honest/f") as answer:
            assert b"".join(answer.chunks) == CONTENT
        kept = one._mine.kept.values()
        ports |= {str(connection.sock.getsockname()) for connection in kept}
    assert len(ports) == 1


def test_a_file_of_another_size_is_no_copy(server: LyingServer) -> None:
    answer = web(f"{server.url}/short/f").ask([KEY])[0]
    assert answer.presence is Presence.ABSENT
    assert "bytes there instead of" in answer.remark


def test_who_cannot_be_asked_is_unknown(server: LyingServer) -> None:
    for lie in (Lie.ERROR, Lie.FORBIDDEN, Lie.MUTE, Lie.HTML_CHUNKED):
        assert web(f"{server.url}/{lie}/f").ask([KEY])[0].presence is Presence.UNKNOWN


# many keys at once

MANY = {key_of(b"content %d" % n): b"content %d" % n for n in range(300)}


class BulkStore:
    """A source in memory that streams in bulk, and breaks after some keys."""

    def __init__(self, name: str, contents: dict[Key, bytes], *, breaks_after: int = 10**9) -> None:
        self.place = Place(PlaceId(name), name)
        self.cost = 100.0
        self.contents = contents
        self.left = breaks_after
        self.closed = threading.Event()

    def ask(self, keys: object) -> list[Answer]:
        raise NotImplementedError

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        content = self.contents[key]
        yield Stream(offset, len(content), iter([content[offset:]]))

    def iter_contents(self, keys: Iterator[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        error = UNREACHABLE(place=self.place.name, detail="it fell over")
        for key in keys:
            self.left -= 1
            if self.left < 0:
                yield key, error
                return
            yield key, Stream(0, None, iter([self.contents[key]]))

    def close(self) -> None:
        self.closed.set()


def carry(
    wanted: list[tuple[str, Key]], target: FolderTarget, *sources: Readable, jobs: int = 2
) -> list[Outcome]:
    order = tuple(source.place.id for source in sources)
    by_id = {source.place.id: source for source in sources}
    return list(iter_carry(wanted, lambda k: Attempts(k, order), by_id, target, jobs=jobs))


def paths(contents: dict[Key, bytes]) -> list[tuple[str, Key]]:
    return [(f"f{number}", key) for number, key in enumerate(contents)]


def all_there(target: FolderTarget, contents: dict[Key, bytes]) -> bool:
    return all(target.content(key) == content for key, content in contents.items())


def test_many_keys_come_in_bulk(target: FolderTarget) -> None:
    outcomes = carry(paths(MANY), target, BulkStore("a", MANY))
    assert {o.status for o in outcomes} == {Status.OK}
    assert sorted(o.path for o in outcomes) == sorted(p for p, _ in paths(MANY))
    assert all_there(target, MANY)


def test_two_paths_of_one_key_cost_one_transfer(target: FolderTarget) -> None:
    store = BulkStore("a", MANY, breaks_after=len(MANY))
    outcomes = carry([*paths(MANY), *paths(MANY)], target, store)
    assert sum(o.status is Status.OK for o in outcomes) == len(MANY)
    assert sum(o.status is Status.NOT_NEEDED for o in outcomes) == len(MANY)


def test_when_a_place_falls_over_its_keys_go_to_the_next(target: FolderTarget) -> None:
    outcomes = carry(
        paths(MANY), target, BulkStore("a", MANY, breaks_after=100), BulkStore("b", MANY)
    )
    assert {o.status for o in outcomes} == {Status.OK}
    assert all_there(target, MANY)
    assert {o.facts["from"] for o in outcomes} == {"a", "b"}


def test_a_place_that_is_gone_is_not_asked_for_every_key(target: FolderTarget) -> None:
    store = BulkStore("a", MANY, breaks_after=0)
    outcomes = carry(paths(MANY), target, store, jobs=1)
    assert {o.status for o in outcomes} == {Status.ERROR}
    assert store.left > -20
    assert all(o.error is not None and "it fell over" in o.error.why for o in outcomes)


def test_wrong_bytes_in_bulk_are_had_from_another_place(target: FolderTarget) -> None:
    wrong = {key: content[:-1] + b"?" for key, content in MANY.items()}
    outcomes = carry(paths(MANY), target, BulkStore("a", wrong), BulkStore("b", MANY))
    assert {o.facts["from"] for o in outcomes} == {"b"}
    assert all_there(target, MANY)


def test_a_key_that_nobody_has_is_impossible(target: FolderTarget) -> None:
    (outcome,) = carry([("f", KEY)], target)
    assert outcome.status is Status.IMPOSSIBLE
    assert outcome.error is not None
    assert has_four_lines(outcome.error)


def test_a_stalled_lane_gives_its_keys_to_another(
    server: LyingServer, target: FolderTarget
) -> None:
    server.contents.update({key.decode(): content for key, content in MANY.items()})
    few = dict(list(MANY.items())[:20])

    def source(lie: Lie) -> Web:
        urls: Callable[[Key], list[str]] = lambda key: [f"{server.url}/{lie}/{key.decode()}"]  # noqa: E731
        return Web(Place(PlaceId(str(lie)), str(lie)), urls, client=client())

    started = time.monotonic()
    outcomes = carry(paths(few), target, source(Lie.HANG), source(Lie.HONEST))
    assert {o.status for o in outcomes} == {Status.OK}
    assert all_there(target, few)
    assert time.monotonic() - started < 5


def test_who_stops_early_stops_all(server: LyingServer, target: FolderTarget) -> None:
    server.contents["g"] = b"g"
    hanging = web(f"{server.url}/hang/f", name="hanging")
    hanging._client = HttpClient(allowed_addresses="all", proxies={}, limits=Limits(stall_s=60))
    quick = BulkStore("quick", MANY)
    by_id: dict[PlaceId, Readable] = {hanging.place.id: hanging, quick.place.id: quick}
    first = next(iter(MANY))

    def plan(key: Key) -> Attempts:
        return Attempts(key, (hanging.place.id if key == KEY else quick.place.id,))

    before = threading.active_count()
    outcomes = iter_carry([("slow", KEY), ("quick", first)], plan, by_id, target)
    assert next(outcomes).path == "quick"
    half, patience = len(CONTENT) // 2, time.monotonic() + 5
    while _size(target.partial_path(KEY)) != half and time.monotonic() < patience:
        time.sleep(0.01)
    started = time.monotonic()
    outcomes.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 5
    lanes = [t for t in threading.enumerate() if t.name.startswith("lane-")]
    assert lanes == []
    assert threading.active_count() <= before + 3
    assert _size(target.partial_path(KEY)) == half


def _size(path: bytes) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def test_a_bug_in_a_source_is_raised_and_not_swallowed(target: FolderTarget) -> None:
    class Broken(BulkStore):
        def iter_contents(self, keys: Iterator[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
            next(keys)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        carry(paths(MANY), target, Broken("a", MANY))


def test_the_key_of_a_backend_without_size_is_still_checked(
    server: LyingServer, target: FolderTarget
) -> None:
    key = Key(
        b"MD5--" + make_key(b"MD5", b"", 0, __import__("hashlib").md5(CONTENT).hexdigest()).name
    )
    receive(target, key, [web(f"{server.url}/flip/f"), web(f"{server.url}/honest/f")])
    assert target.content(key) == CONTENT
