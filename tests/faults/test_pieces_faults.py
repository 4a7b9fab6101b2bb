"""A place made of pieces, and all that may happen to pieces: nothing wrong is given or counted."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from piece_forger import Forger, forge_chain, forge_snapshot

from holdfast.api.pieces import open_pieces
from holdfast.archive.piece_sources import FolderSource
from holdfast.archive.pieces import FilePiece
from holdfast.archive.pieces_store import PiecesStore
from holdfast.archive.place_index import PlaceIndex
from holdfast.core.errors import HoldError, IntegrityError, NotFoundError
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores.archive_pieces import plan_setup
from holdfast.stores.special import SpecialRemote
from holdfast.testing.lying_server import Lie, LyingServer
from holdfast.testing.store_contract import key_of
from holdfast.wire.archive_manifest import SEALED
from holdfast.wire.cid import raw_cid

PLACE = Place(PlaceId("33333333-3333-4333-8333-333333333333"), "cold")
OLD = random.Random(1).randbytes(3_000_000)
"""More than one leaf: it has a root of its own."""
NEW = {key_of(b"%04d" % n + b"." * 4000): b"%04d" % n + b"." * 4000 for n in range(40)}
OLD_KEY = key_of(OLD, b".dat")
CONTENTS = {OLD_KEY: OLD, **NEW}


class NoNotes:
    def read(self, log: object, keys: object) -> dict[Key, bytes]:
        return {}

    def edit(self, log: object, key: Key, edit: object) -> None: ...


def place(annex: Path, **words: str) -> PiecesStore:
    setup = plan_setup(words)
    return PiecesStore(
        SpecialRemote(
            PLACE, setup.config, setup.local, os.fsencode(annex), NoNotes(),
            allowed_addresses="127.0.0.1", open_pieces=open_pieces,
        )
    )  # fmt: skip


@pytest.fixture
def pieces(tmp_path: Path) -> Path:
    """A folder with two pieces: the old content, the new ones."""
    folder = tmp_path / "pieces"
    folder.mkdir()
    forge_chain(folder, CONTENTS)
    return folder


@pytest.fixture
def opened(tmp_path: Path, pieces: Path) -> Iterator[list[PiecesStore]]:
    """Stores that were opened, the first one of the folder; all are closed in the end."""
    stores = [place(tmp_path / "annex", directory=str(pieces))]
    yield stores
    for store in stores:
        store.close()


def again(opened: list[PiecesStore], tmp_path: Path, **words: str) -> PiecesStore:
    opened.append(place(tmp_path / "annex", **(words or {"directory": str(tmp_path / "pieces")})))
    return opened[-1]


def presence(store: PiecesStore, key: Key) -> Presence:
    [answer] = store.ask([key])
    return answer.presence


def content(store: PiecesStore, key: Key) -> bytes:
    with store.open_content(key) as stream:
        return b"".join(stream.chunks)


def piece_with(pieces: Path, data: bytes) -> Path:
    [found] = [path for path in pieces.glob("*.car") if data[:1000] in path.read_bytes()]
    return found


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_a_flipped_bit_is_told_with_its_piece_and_place(
    opened: list[PiecesStore], pieces: Path
) -> None:
    path = piece_with(pieces, OLD)
    at = path.read_bytes().index(OLD[2_500_000:2_500_100])
    flip(path, at)
    with pytest.raises(IntegrityError, match=rf"{path.name} is damaged at byte \d+"):
        content(opened[0], OLD_KEY)
    key = next(iter(NEW))
    assert content(opened[0], key) == NEW[key]


def test_where_the_first_block_or_the_root_of_content_is_damaged_it_is_no_copy(
    opened: list[PiecesStore], pieces: Path
) -> None:
    path = piece_with(pieces, OLD)
    assert presence(opened[0], OLD_KEY) is Presence.PRESENT
    whole = path.read_bytes()
    root = whole.index(OLD[-1000:]) + 1000
    for at in (59, root + 45):
        flip(path, at)
        [answer] = opened[0].ask([OLD_KEY])
        assert answer.presence is Presence.UNKNOWN
        assert path.name in answer.remark
        path.write_bytes(whole)
    assert presence(opened[0], OLD_KEY) is Presence.PRESENT


def test_what_is_in_a_piece_that_is_cut_short_meanwhile_is_no_copy(
    opened: list[PiecesStore], pieces: Path
) -> None:
    assert presence(opened[0], OLD_KEY) is Presence.PRESENT
    path = piece_with(pieces, OLD)
    os.truncate(path, path.stat().st_size - 1)
    [answer] = opened[0].ask([OLD_KEY])
    assert answer.presence is Presence.UNKNOWN
    assert f"{path.name} is damaged at byte" in answer.remark
    assert presence(opened[0], next(iter(NEW))) is Presence.PRESENT


@pytest.mark.parametrize("is_open", [True, False])
def test_what_is_in_a_piece_that_is_gone_is_not_there(
    opened: list[PiecesStore], pieces: Path, is_open: bool
) -> None:
    if is_open:
        assert presence(opened[0], OLD_KEY) is Presence.PRESENT
    path = piece_with(pieces, OLD)
    path.unlink()
    assert presence(opened[0], OLD_KEY) is Presence.ABSENT
    expected = "its file is gone" if is_open else f"piece {path.stem} is not here"
    with pytest.raises(HoldError) as failed:
        content(opened[0], OLD_KEY)
    assert expected in failed.value.why
    assert presence(opened[0], next(iter(NEW))) is Presence.PRESENT


@pytest.mark.parametrize("is_open", [True, False])
def test_a_drive_that_is_away_is_no_loss(
    opened: list[PiecesStore], pieces: Path, is_open: bool
) -> None:
    if is_open:
        assert presence(opened[0], OLD_KEY) is Presence.PRESENT
    for path in pieces.iterdir():
        path.unlink()
    assert presence(opened[0], OLD_KEY) is Presence.UNKNOWN
    pieces.rmdir()
    assert presence(opened[0], OLD_KEY) is Presence.UNKNOWN


def test_another_piece_under_the_same_name_is_no_copy(
    opened: list[PiecesStore], pieces: Path, tmp_path: Path
) -> None:
    assert presence(opened[0], OLD_KEY) is Presence.PRESENT
    path = piece_with(pieces, OLD)
    other = OLD[:-4] + b"rest"
    forged, _ = forge_snapshot(tmp_path, {key_of(other, b".dat"): other}, 0, ())
    assert forged.stat().st_size == path.stat().st_size
    shutil.copy(forged, path)
    assert presence(opened[0], OLD_KEY) is Presence.UNKNOWN
    assert presence(again(opened, tmp_path), OLD_KEY) is Presence.ABSENT


def test_a_row_that_lies_about_its_key_gives_nothing(tmp_path: Path) -> None:
    forger, folder = Forger(), tmp_path / "pieces"
    folder.mkdir()
    short, other = key_of(b"x" * 10), key_of(b"y" * 4)
    forger.annexed(b"files/a", short, b"four")
    forger.annexed(b"files/b", other, b"four")
    forger.rows[1] = forger.rows[1]._replace(cid=raw_cid(b"else"))
    forger.write(folder / "p", forger.folder([]))
    store = place(tmp_path, directory=str(folder))
    assert presence(store, short) is Presence.ABSENT
    assert presence(store, other) is Presence.UNKNOWN
    with pytest.raises(NotFoundError):
        content(store, short)
    with pytest.raises(IntegrityError):
        content(store, other)
    store.close()


@pytest.mark.parametrize(
    "name",
    [b"no key", b"", b"X--a\nb", b"X--a\0b", b"X--" + b"x" * 300, b"X-s01--x",
     b"X-s" + b"9" * 5000 + b"--x"],
)  # fmt: skip
def test_a_row_that_names_no_key_is_told_and_nothing_is_recorded_of_it(
    tmp_path: Path, name: bytes
) -> None:
    folder, forger = tmp_path / "pieces", Forger()
    folder.mkdir()
    forger.annexed(b"files/a", name, b"something")
    key, data = next(iter(NEW.items()))
    forger.annexed(b"files/b", key, data)
    forger.write(folder / "piece.car", forger.folder([]))
    told: list[Key] = []
    index = PlaceIndex(
        FolderSource(os.fsencode(folder)), os.fsencode(tmp_path / "x"), "", told.append
    )
    assert told == [key] and index.find(key) is not None
    [fault] = index.faults
    assert "names no key" in fault.why and "piece.car" in fault.what
    index.close()


def test_encrypted_pieces_are_no_place_and_harm_no_others(tmp_path: Path) -> None:
    folder, forger = tmp_path / "pieces", Forger()
    folder.mkdir()
    forger.annexed(b"data/a", b"540e4050c88913d355da589f7c45222b", b"encrypted")
    forger.write(folder / "sealed.car", forger.folder([]), lambda m: m._replace(branch=SEALED))
    source = FolderSource(os.fsencode(folder))
    with pytest.raises(IntegrityError, match="cannot be used") as raised:
        PlaceIndex(source, os.fsencode(tmp_path / "x"))
    assert "encrypted" in raised.value.why
    forger = Forger()
    key, data = next(iter(NEW.items()))
    forger.annexed(b"files/a", key, data)
    forger.write(folder / "plain.car", forger.folder([]), lambda m: m._replace(snapshot=1))
    told: list[Key] = []
    index = PlaceIndex(source, os.fsencode(tmp_path / "x"), "", told.append)
    assert told == [key] and not index.faults and not index.missing
    index.close()


@pytest.mark.parametrize(
    "lie", ["no-range", "wrong-range", "long", "short", "error", "gzip", "html", "flip"]
)
def test_a_server_that_lies_gives_nothing_and_is_named(
    opened: list[PiecesStore], pieces: Path, tmp_path: Path, lie: str
) -> None:
    newest = piece_with(pieces, next(iter(NEW.values())))
    with LyingServer({path.name: path.read_bytes() for path in pieces.iterdir()}) as server:
        url = f"{server.url}/honest/{newest.name}"
        store = again(opened, tmp_path, url=url)
        assert presence(store, OLD_KEY) is Presence.PRESENT
        old = piece_with(pieces, OLD).name
        for name in (old, newest.name):
            server.lies[f"/honest/{name}"] = Lie(lie)
        got = b""
        with pytest.raises(HoldError) as failed, store.open_content(OLD_KEY) as stream:
            for chunk in stream.chunks:
                got += chunk
        assert OLD.startswith(got), "no byte that was not checked is given"
        assert len(got) < len(OLD)
        told = f"{failed.value.what} {failed.value.why}"
        assert old in told or lie == "gzip"
        if lie != "flip":
            assert presence(store, OLD_KEY) is Presence.UNKNOWN
        # One that begins with lies is told to be so, and not to be empty.
        fresh = again(opened, tmp_path / lie, url=url)
        assert presence(fresh, OLD_KEY) in (Presence.UNKNOWN, Presence.PRESENT)
        store.close()
        fresh.close()


def test_where_a_server_breaks_off_it_is_asked_for_the_rest(
    opened: list[PiecesStore], pieces: Path, tmp_path: Path
) -> None:
    newest, old = piece_with(pieces, next(iter(NEW.values()))), piece_with(pieces, OLD)
    with LyingServer({path.name: path.read_bytes() for path in pieces.iterdir()}) as server:
        store = again(opened, tmp_path, url=f"{server.url}/honest/{newest.name}")
        assert presence(store, OLD_KEY) is Presence.PRESENT
        server.lies[f"/honest/{old.name}"] = Lie.TRUNCATE
        server.requests.clear()
        assert content(store, OLD_KEY) == OLD
        assert len(server.requests) > 2
        store.close()


def test_a_piece_that_a_server_lost_is_gone(
    opened: list[PiecesStore], pieces: Path, tmp_path: Path
) -> None:
    newest, old = piece_with(pieces, next(iter(NEW.values()))), piece_with(pieces, OLD)
    with LyingServer({path.name: path.read_bytes() for path in pieces.iterdir()}) as server:
        url = f"{server.url}/honest/{newest.name}"
        store = again(opened, tmp_path, url=url)
        assert presence(store, OLD_KEY) is Presence.PRESENT
        del server.contents[old.name]
        assert presence(store, OLD_KEY) is Presence.ABSENT
        assert presence(store, next(iter(NEW))) is Presence.PRESENT
        fresh = again(opened, tmp_path / "fresh", url=url)
        assert presence(fresh, OLD_KEY) is Presence.ABSENT
        with pytest.raises(NotFoundError) as failed:
            content(fresh, OLD_KEY)
        assert old.stem in failed.value.why


# what is read, and what is kept


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Every range that is read of a file."""
    asked: list[tuple[int, int]] = []
    real = FilePiece.iter_range

    def iter_range(self: FilePiece, offset: int, length: int) -> Iterator[bytes]:
        asked.append((offset, length))
        return real(self, offset, length)

    monkeypatch.setattr(FilePiece, "iter_range", iter_range)
    return asked


def test_of_a_folder_no_more_is_read_than_the_ranges_of_what_is_wanted(
    opened: list[PiecesStore], counted: list[tuple[int, int]]
) -> None:
    store = opened[0]
    assert store.dataset == "id"
    counted.clear()
    keys = list(NEW)[:20]
    for key, stream in store.iter_contents(keys):
        assert not isinstance(stream, HoldError)
        assert b"".join(stream.chunks) == NEW[key]
    assert len(counted) == 20
    assert sum(length for _, length in counted) <= 20 * (4004 + 40)


def test_what_stands_side_by_side_comes_from_a_server_with_one_range(
    opened: list[PiecesStore], pieces: Path, tmp_path: Path
) -> None:
    newest = piece_with(pieces, next(iter(NEW.values())))
    with LyingServer({path.name: path.read_bytes() for path in pieces.iterdir()}) as server:
        store = again(opened, tmp_path, url=f"{server.url}/honest/{newest.name}")
        assert store.dataset == "id"
        server.requests.clear()
        for key, stream in store.iter_contents(NEW):
            assert not isinstance(stream, HoldError)
            assert b"".join(stream.chunks) == NEW[key]
        assert len(server.requests) == 1
        store.close()


def test_what_is_known_of_pieces_is_used_again(
    opened: list[PiecesStore], counted: list[tuple[int, int]], tmp_path: Path
) -> None:
    assert opened[0].dataset == "id"
    counted.clear()
    store = again(opened, tmp_path)
    assert store.index.find(OLD_KEY) is not None
    assert counted == []


def test_of_new_pieces_alone_rows_are_read_and_a_store_that_is_open_goes_on(
    opened: list[PiecesStore], counted: list[tuple[int, int]], pieces: Path, tmp_path: Path
) -> None:
    more = {key_of(b"more"): b"more"}
    assert presence(opened[0], OLD_KEY) is Presence.PRESENT
    path, _ = forge_snapshot(pieces, more, 2, ())
    counted.clear()
    store = again(opened, tmp_path)
    assert presence(store, key_of(b"more")) is Presence.PRESENT
    # Of each piece its footer and manifest, of the new one its rows and the content's head too.
    assert len(counted) == 3 * 2 + 1 + 1
    assert presence(opened[0], OLD_KEY) is presence(store, OLD_KEY) is Presence.PRESENT
    assert len(list((tmp_path / "annex/hold-pieces" / PLACE.id).glob("rows-*"))) == 1
    path.unlink()
    fresh = again(opened, tmp_path)
    assert presence(fresh, key_of(b"more")) is Presence.ABSENT
    assert presence(fresh, OLD_KEY) is presence(store, OLD_KEY) is Presence.PRESENT


@pytest.mark.parametrize("harm", ["rows cut", "no rows", "no state", "nonsense", "a killed run"])
def test_what_is_kept_is_made_anew_when_it_is_damaged(
    opened: list[PiecesStore], tmp_path: Path, harm: str
) -> None:
    assert opened[0].dataset == "id"
    folder = tmp_path / "annex/hold-pieces" / PLACE.id
    [rows] = folder.glob("rows-*")
    if harm == "rows cut":
        os.truncate(rows, 104)
    elif harm == "no rows":
        rows.unlink()
    elif harm == "no state":
        (folder / "pieces").unlink()
    elif harm == "nonsense":
        (folder / "pieces").write_text(json.dumps({"version": 1, "names": 3, "what": "else"}))
    else:
        (folder / "reading").mkdir()
        (folder / "pieces").unlink()
        rows.rename(folder / "rows-7.part")
    store = again(opened, tmp_path)
    assert all(presence(store, key) is Presence.PRESENT for key in CONTENTS)
    assert content(store, OLD_KEY) == OLD


def test_where_nothing_may_be_kept_pieces_are_read_all_the_same(
    tmp_path: Path, pieces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.access
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode: b"hold-pieces" not in os.fsencode(path) and real(path, mode),
    )
    store = place(tmp_path / "annex", directory=str(pieces))
    assert content(store, OLD_KEY) == OLD
    store.close()
    assert list((tmp_path / "annex/hold-pieces").iterdir()) == []
