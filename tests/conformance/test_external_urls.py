"""Content of external places that lies at URLs: named by the program, or recorded (read only)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.core.abilities import Readable
from holdfast.core.clock import Moment
from holdfast.core.errors import HoldError, PolicyError
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores import external
from holdfast.stores.external_program import Patience
from holdfast.stores.external_store import ExternalStore
from holdfast.stores.special import SpecialRemote
from holdfast.testing.lying_server import LyingServer
from holdfast.testing.memory_notes import MemoryNotes
from holdfast.testing.store_contract import BIG, MISSING, SMALL, key_of
from holdfast.wire import branch_paths, logs
from holdfast.wire.logs import LocationState

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000001"), "there")
PROGRAM = Path(__file__).parents[1] / "programs" / "git-annex-remote-ill"
KEY = key_of(BIG, b".dat")


@pytest.fixture
def url() -> Iterator[str]:
    with LyingServer({"big": BIG}) as server:
        yield f"{server.url}/big"


@pytest.fixture
def remote(tmp_path: Path, url: str) -> SpecialRemote:
    (tmp_path / ".git").mkdir()
    return SpecialRemote(
        PLACE, {"externaltype": "ill"}, {}, os.fsencode(tmp_path / ".git" / "annex"),
        MemoryNotes(), environment={**os.environ, "FAULT": "at-url", "URL": url},
        allowed_addresses="all",
    )  # fmt: skip


def read(store: Readable, offset: int = 0) -> bytes:
    with store.open_content(KEY, offset) as stream:
        assert stream.offset in (0, offset)
        return BIG[: stream.offset] + b"".join(stream.chunks)


def test_content_is_read_from_the_url_that_a_program_names(remote: SpecialRemote) -> None:
    store = ExternalStore(remote, [str(PROGRAM)], Patience(20, 20))
    assert read(store) == BIG
    assert read(store, 4096) == BIG
    assert store.ask([KEY])[0].presence is Presence.PRESENT
    assert store.ask([key_of(SMALL)])[0].presence is Presence.ABSENT
    store.close()


def test_a_program_cannot_make_us_ask_our_own_network(remote: SpecialRemote) -> None:
    store = ExternalStore(replace(remote, allowed_addresses=""), [str(PROGRAM)], Patience(20, 20))
    assert store.ask([KEY])[0].presence is Presence.UNKNOWN
    with pytest.raises(PolicyError):
        read(store)
    store.close()


def test_a_place_that_is_read_only_needs_no_program(remote: SpecialRemote, url: str) -> None:
    now = Moment(10**12)
    for setting in ({"config": {"readonly": "true"}}, {"local": {"annex-readonly": "true"}}):
        readonly = replace(remote, environment={"PATH": ""}, **setting)  # type: ignore[arg-type]
        remote.notes.edit(
            branch_paths.url_log,
            KEY,
            lambda data: logs.set_url(data, url.encode(), LocationState.PRESENT, now),
        )
        store = external.open_store(readonly)
        assert read(store) == BIG
        assert store.ask([MISSING])[0].presence is Presence.ABSENT
        store.close()


def test_a_program_that_is_not_there_is_named(remote: SpecialRemote) -> None:
    for kind in ("no-such-program", "../ill", ""):
        with pytest.raises(HoldError, match=f"needs the program git-annex-remote-{kind}"):
            external.open_store(replace(remote, config={"externaltype": kind}))
