"""Programs for special remotes that die, hang or talk nonsense: a clear word, nothing half there."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.core.errors import HoldError, PlaceUnavailableError, RemoteProtocolError
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores.external_program import Patience
from holdfast.stores.external_store import ExternalStore
from holdfast.stores.special import SpecialRemote
from holdfast.testing.folder_target import FolderTarget
from holdfast.testing.memory_notes import MemoryNotes
from holdfast.testing.store_contract import BIG, content_of, ignore, key_of
from holdfast.transfer.receive import receive

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000001"), "there")
PROGRAMS = Path(__file__).parents[1] / "programs"
KEY = key_of(BIG, b".dat")
Open = Callable[..., ExternalStore]


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    pytest.importorskip("annexremote", reason="the package annexremote is not installed")
    (tmp_path / "shelf").mkdir()
    return tmp_path / "shelf"


@pytest.fixture
def open_ill(tmp_path: Path) -> Iterator[Open]:
    """Opens a place whose program has a fault."""
    opened: list[ExternalStore] = []

    def make(
        *, how: str = "", fault: str = "", start_s: float = 20, work_s: float = 20
    ) -> ExternalStore:
        config = {"folder": str(tmp_path / "shelf"), "how": how}
        (tmp_path / ".git").mkdir(exist_ok=True)
        remote = SpecialRemote(
            PLACE, config, {}, os.fsencode(tmp_path / ".git" / "annex"), MemoryNotes(),
            environment={**os.environ, "FAULT": fault},
        )  # fmt: skip
        script = str(PROGRAMS / f"git-annex-remote-{'ill' if fault else 'shelf'}")
        argv = [script] if fault else [sys.executable, script]
        opened.append(ExternalStore(remote, argv, Patience(start_s, work_s)))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def scratch(folder: Path) -> list[Path]:
    return list((folder / ".git" / "annex" / "othertmp").glob("*"))


def test_a_program_killed_while_it_stores_is_started_once_more(shelf: Path, open_ill: Open) -> None:
    store = open_ill(how="dies-once-store")
    told: list[int] = []
    store.send(KEY, content_of(KEY, BIG), told.append)
    assert (shelf / "was-ill").exists()
    assert (shelf / os.fsdecode(KEY)).read_bytes() == BIG
    assert sum(told) == len(BIG)


def test_a_program_killed_while_it_brings_is_started_once_more(
    shelf: Path, open_ill: Open, tmp_path: Path
) -> None:
    (shelf / os.fsdecode(KEY)).write_bytes(BIG)
    target = FolderTarget(tmp_path / "target")
    receive(target, KEY, [open_ill(how="dies-once-retrieve")])
    assert (shelf / "was-ill").exists()
    assert target.content(KEY) == BIG
    assert scratch(tmp_path) == []


def test_a_program_that_is_killed_again_leaves_nothing_half(
    shelf: Path, open_ill: Open, tmp_path: Path
) -> None:
    (shelf / os.fsdecode(KEY)).write_bytes(BIG)
    target = FolderTarget(tmp_path / "target")
    with pytest.raises(PlaceUnavailableError) as caught:
        receive(target, KEY, [open_ill(how="dies-retrieve")])
    assert "signal 9 ended it" in caught.value.why
    assert target.content(KEY) is None
    assert scratch(tmp_path) == []


def test_a_store_that_is_killed_again_is_told_of_and_not_believed(
    shelf: Path, open_ill: Open
) -> None:
    told: list[int] = []
    with pytest.raises(PlaceUnavailableError, match="ended in the middle of its work") as caught:
        open_ill(how="dies-store").send(KEY, content_of(KEY, BIG), told.append)
    assert caught.value.code == "H344"
    assert sum(told) == 0
    assert open_ill().ask([KEY])[0].presence is Presence.ABSENT


def test_a_program_that_hangs_is_ended_and_named(shelf: Path, open_ill: Open) -> None:
    store = open_ill(how="hangs-store", work_s=0.5)
    store.ask([KEY])
    [program] = store._lanes._all
    began = time.monotonic()
    with pytest.raises(PlaceUnavailableError, match=r"said nothing for 0\.5 s") as caught:
        store.send(KEY, content_of(KEY, BIG), ignore)
    assert caught.value.code == "H343"
    assert time.monotonic() - began < 15
    assert program.code == -9


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("garbage", RemoteProtocolError, "Traceback"),
        ("version", RemoteProtocolError, "99"),
        ("ends", PlaceUnavailableError, "no such module; its code is 3"),
        ("endless", RemoteProtocolError, "more than a mebibyte"),
        ("other", RemoteProtocolError, "CHECKPRESENT-SUCCESS"),
        ("gives-up", PlaceUnavailableError, "out of tape"),
        ("echo", RemoteProtocolError, "REMOVE"),
        ("download", RemoteProtocolError, "not agreed on"),
    ],
)
def test_nonsense_is_a_clear_fault(
    open_ill: Open, fault: str, kind: type[HoldError], says: str
) -> None:
    store = open_ill(fault=fault)
    with pytest.raises(kind) as caught:
        store._lanes.carry_out(store_request())
    assert says in caught.value.why
    assert store._lanes._all == set()


def test_a_program_that_never_greets_is_ended(open_ill: Open) -> None:
    store = open_ill(fault="silent", start_s=0.3)
    answer = store.ask([KEY])[0]
    assert answer.presence is Presence.UNKNOWN
    assert "said nothing for 0.3 s" in answer.remark


def store_request():  # type: ignore[no-untyped-def]
    from holdfast.wire.external_remote import say

    return say("REMOVE", KEY)
