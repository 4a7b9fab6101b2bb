"""A packed store that is damaged, full, cut by a power failure, or used by several at once."""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from holdfast.core.errors import (
    ConflictError,
    HoldError,
    IntegrityError,
    PlaceFullError,
    PlaceUnavailableError,
    UsageError,
)
from holdfast.core.key import Key
from holdfast.core.outcome import Outcome, Status
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.core.policy import Waiver
from holdfast.stores import packed
from holdfast.stores.packed import PackedStore
from holdfast.stores.packed_compaction import iter_compact
from holdfast.stores.packed_ground import Ground
from holdfast.stores.packed_index import PackIndex, index_paths
from holdfast.stores.packed_locks import COMPACTING
from holdfast.stores.packed_marker import make_store
from holdfast.stores.packed_verify import describe, iter_verify
from holdfast.testing.store_contract import content_of, ignore, key_of
from holdfast.wire.packed import PACK_START, write_small

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000001"), "there")
Contents = dict[Key, bytes]


def made(folder: Path, pack_size: int = 1 << 30) -> Path:
    make_store(os.fsencode(folder), PLACE.id, pack_size)
    return folder


def some(count: int, seed: int = 1, size: int = 3000) -> Contents:
    chance = random.Random(seed)
    return {key_of(data): data for data in (chance.randbytes(size) for _ in range(count))}


class Using:
    """A store open for the length of a block."""

    def __init__(self, folder: Path) -> None:
        self.store = PackedStore(PLACE, os.fsencode(folder))

    def __enter__(self) -> PackedStore:
        return self.store

    def __exit__(self, *error: object) -> None:
        self.store.close()


def send(folder: Path, contents: Contents) -> None:
    with Using(folder) as store:
        assert not any(ended[1] for ended in sending(store, contents))


def sending(store: PackedStore, contents: Contents) -> Iterator[tuple[Key, HoldError | None]]:
    return store.iter_send(((k, content_of(k, d)) for k, d in contents.items()), ignore)


def remove(folder: Path, keys: Sequence[Key]) -> None:
    with Using(folder) as store:
        for key in keys:
            store.remove(key, Waiver(key, PLACE.id, "a test", "it is one"))


def readable(folder: Path, keys: Sequence[Key]) -> Contents:
    """What of some keys can be read, and is right."""
    found = {}
    with Using(folder) as store:
        for key, stream in store.iter_contents(keys):
            if not isinstance(stream, HoldError):
                found[key] = b"".join(stream.chunks)
                assert key_of(found[key]) == key
    return found


def present(folder: Path, keys: Sequence[Key]) -> list[bool]:
    with Using(folder) as store:
        return [answer.presence is Presence.PRESENT for answer in store.ask(keys)]


def with_ground(folder: Path, work: Callable[[Ground], Sequence[Outcome]]) -> Sequence[Outcome]:
    ground = Ground(os.fsencode(folder))
    try:
        return work(ground)
    finally:
        ground.close()


def verify(folder: Path) -> Sequence[Outcome]:
    """What is wrong."""
    return with_ground(folder, lambda ground: [o for o in iter_verify(ground) if not o.good])


def compact(
    folder: Path, pack_size: int = 1 << 30, garbage: float = 0.0, drop_damaged: bool = False
) -> Sequence[Outcome]:
    def work(ground: Ground) -> Sequence[Outcome]:
        return list(iter_compact(ground, pack_size, garbage, drop_damaged=drop_damaged))

    return with_ground(folder, work)


def packs(folder: Path) -> list[Path]:
    return sorted((folder / "packs").iterdir())


def lose_index(folder: Path) -> None:
    for path in index_paths(os.fsencode(folder)):
        os.unlink(path)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)


# the index is a cache


@pytest.mark.parametrize("harm", ["gone", "nonsense", "cut", "empty"])
def test_without_its_index_a_store_has_all_it_had(tmp_path: Path, harm: str) -> None:
    folder, contents = made(tmp_path / "store", 1 << 16), some(60)
    send(folder, contents)
    keys = list(contents)
    remove(folder, keys[:20])
    (path,) = map(os.fsdecode, index_paths(os.fsencode(folder)))
    if harm == "gone":
        os.unlink(path)
    else:
        data = Path(path).read_bytes()
        new = {"nonsense": random.Random(2).randbytes(len(data)), "cut": data[:9000], "empty": b""}
        Path(path).write_bytes(new[harm])
    assert present(folder, keys) == [False] * 20 + [True] * 40
    assert readable(folder, keys) == {key: contents[key] for key in keys[20:]}
    assert not verify(folder)
    assert len(index_paths(os.fsencode(folder))) == 1


def test_a_running_store_goes_over_to_an_index_made_anew(tmp_path: Path) -> None:
    folder, contents = made(tmp_path / "store"), some(10)
    items = list(contents.items())
    with Using(folder) as store:
        assert not any(e for _, e in sending(store, dict(items[:5])))
        lose_index(folder)
        assert present(folder, [key for key, _ in items[:5]]) == [True] * 5
        assert not any(e for _, e in sending(store, dict(items[5:])))
        assert {a.presence for a in store.ask(list(contents))} == {Presence.PRESENT}
    assert present(folder, list(contents)) == [True] * 10


def test_an_index_that_is_wrong_shows_nothing_wrong(tmp_path: Path) -> None:
    folder, contents = made(tmp_path / "store"), some(4)
    send(folder, contents)
    index = PackIndex(index_paths(os.fsencode(folder))[0])
    index._sql.execute("UPDATE records SET at = at + 7")
    index.close()
    assert readable(folder, list(contents)) == {}
    assert present(folder, list(contents)) == [False] * 4
    verify(folder)
    assert readable(folder, list(contents)) == contents


# a power failure


@pytest.mark.parametrize("seed", range(6))
def test_after_a_power_failure_all_that_was_acknowledged_is_there(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    folder, old, new = made(tmp_path / "store"), some(8, 1), some(8, 2)
    send(folder, old)
    (index,) = map(os.fsdecode, index_paths(os.fsencode(folder)))
    before = Path(index).read_bytes()
    (pack,) = packs(folder)
    end = pack.stat().st_size
    send(folder, new)
    # Of what was not synced yet, parts never came to the disk, and the index tells of none of it.
    data = bytearray(pack.read_bytes()[: chance.randrange(end, pack.stat().st_size)])
    for _ in range(3):
        start = chance.randrange(end, len(data) + 1)
        hole = data[start : start + chance.randrange(1, 4000)]
        data[start : start + len(hole)] = bytes(len(hole))
    pack.write_bytes(data)
    Path(index).write_bytes(before)
    assert readable(folder, list(old)) == old
    found = readable(folder, list(new))
    assert [key in found for key in new] == present(folder, list(new))
    send(folder, new)
    lose_index(folder)
    assert readable(folder, [*old, *new]) == {**old, **new}


def test_damage_that_a_late_index_does_not_know_of_costs_nothing_behind_it(tmp_path: Path) -> None:
    folder, parts = made(tmp_path / "store"), [some(4, seed) for seed in range(4)]
    send(folder, parts[0])
    (index,) = map(os.fsdecode, index_paths(os.fsencode(folder)))
    before = Path(index).read_bytes()
    for part in parts[1:]:
        send(folder, part)
    (pack,) = packs(folder)
    data, hit = pack.read_bytes(), list(parts[1])[1]
    flip(pack, data.index(parts[1][hit]) + 9)
    Path(index).write_bytes(before)
    good = {key: data for part in parts for key, data in part.items() if key != hit}
    assert readable(folder, [*good, hit]) == good


def test_without_index_and_sync_a_content_is_read_before_it_is_said_to_be_there(
    tmp_path: Path,
) -> None:
    folder, contents = made(tmp_path / "store"), some(3)
    send(folder, contents)
    lose_index(folder)
    (pack,) = packs(folder)
    last = pack.stat().st_size - 2000
    flip(pack, last)
    assert present(folder, list(contents)) == [True, True, False]


# damage


@pytest.mark.parametrize("where", ["content", "header", "checksum"])
@pytest.mark.parametrize("index", ["kept", "lost"])
def test_damage_costs_one_content_is_found_and_mended(
    tmp_path: Path, where: str, index: str
) -> None:
    folder, contents = made(tmp_path / "store"), some(9)
    send(folder, contents)
    (pack,) = packs(folder)
    hit = list(contents)[4]
    start = pack.read_bytes().index(contents[hit])
    flip(pack, start + {"content": 1500, "header": -90, "checksum": 3001}[where])
    if index == "lost":
        lose_index(folder)
    good = {key: data for key, data in contents.items() if key != hit}
    assert readable(folder, list(contents)) == good
    with Using(folder) as store, pytest.raises(HoldError), store.open_content(hit) as stream:
        list(stream.chunks)
    (wrong,) = verify(folder)
    assert isinstance(wrong.error, IntegrityError)
    assert wrong.error.code == ("H357" if where == "header" else "H351")
    assert present(folder, [hit]) == [False]
    # What is damaged is kept as long as nothing better is there.
    (left,) = compact(folder, garbage=-1)
    assert left.status is Status.ERROR and pack.exists()
    send(folder, {hit: contents[hit]})
    assert readable(folder, list(contents)) == contents
    # Bytes that are no record may have been anything: that they may go somebody has to say.
    may_go = where == "header"
    assert all(outcome.good for outcome in compact(folder, garbage=-1, drop_damaged=may_go))
    assert not verify(folder)
    assert readable(folder, list(contents)) == contents


def test_a_wrong_content_with_a_right_checksum_is_found_by_its_key(tmp_path: Path) -> None:
    folder, contents = made(tmp_path / "store"), some(3)
    send(folder, contents)
    (pack,) = packs(folder)
    data = pack.read_bytes()
    key, content = next(iter(contents.items()))
    from holdfast.wire.packed import FIXED_SIZE, read_header

    record = read_header(data, len(PACK_START))
    assert record is not None and record.key == key and record.header_size == FIXED_SIZE + len(key)
    wrong = write_small(record, content[:-1] + b"!")
    pack.write_bytes(PACK_START + wrong + data[len(PACK_START) + len(wrong) :])
    (outcome,) = verify(folder)
    assert outcome.key == key and outcome.error is not None and outcome.error.code == "H351"


def test_a_damaged_start_of_a_pack_costs_nothing_else(tmp_path: Path) -> None:
    folder, contents = made(tmp_path / "store"), some(3)
    send(folder, contents)
    flip(packs(folder)[0], 2)
    assert readable(folder, list(contents)) == contents
    lose_index(folder)
    assert readable(folder, list(contents)) == contents
    assert len(verify(folder)) == 1


# removal and compaction


def test_what_was_removed_stays_removed_without_index_and_after_compaction(tmp_path: Path) -> None:
    folder, contents = made(tmp_path / "store", 1 << 15), some(60)
    send(folder, contents)
    keys = list(contents)
    remove(folder, keys[::2])
    send(folder, {keys[0]: contents[keys[0]]})
    expected = {key: contents[key] for key in (keys[0], *keys[1::2])}
    lose_index(folder)
    assert readable(folder, keys) == expected
    size = sum(pack.stat().st_size for pack in packs(folder))
    assert all(outcome.good for outcome in compact(folder, 1 << 15))
    assert sum(pack.stat().st_size for pack in packs(folder)) < size * 0.6
    assert readable(folder, keys) == expected
    lose_index(folder)
    assert readable(folder, keys) == expected
    assert not verify(folder)


def test_compaction_drops_nothing_because_only_the_index_says_so(tmp_path: Path) -> None:
    folder, contents = made(tmp_path / "store"), some(6)
    send(folder, contents)
    index = PackIndex(index_paths(os.fsencode(folder))[0])
    index._sql.execute("UPDATE records SET state = 1")
    index.close()
    assert present(folder, list(contents)) == [False] * 6
    compact(folder)
    assert readable(folder, list(contents)) == contents


def test_a_pack_that_somebody_writes_to_is_not_compacted(tmp_path: Path) -> None:
    folder, contents = made(tmp_path / "store"), some(6)
    with Using(folder) as store:
        list(sending(store, contents))
        for key in contents:
            store.remove(key, Waiver(key, PLACE.id, "a test", "it is one"))
        (outcome,) = compact(folder)
        assert outcome.status is Status.NOT_NEEDED and "writer" in outcome.note
    assert [o.status for o in compact(folder)] == [Status.OK]
    assert not packs(folder)


def test_two_compactions_at_once_are_refused_with_a_reason(tmp_path: Path) -> None:
    folder = made(tmp_path / "store")
    send(folder, some(3))
    ground = Ground(os.fsencode(folder))
    with (
        ground.writing_locks.holding(COMPACTING, alone=True, what="the compaction"),
        pytest.raises(PlaceUnavailableError, match="holds the compaction") as caught,
    ):
        compact(folder)
    ground.close()
    assert caught.value.code == "H352"


def test_a_stream_goes_on_while_its_pack_is_compacted_away(tmp_path: Path) -> None:
    folder = made(tmp_path / "store")
    large, small = random.Random(3).randbytes(5 << 20), some(5)
    key = key_of(large)
    send(folder, {key: large, **small})
    remove(folder, list(small))
    with Using(folder) as store, store.open_content(key) as stream:
        first = next(iter(stream.chunks))
        old = packs(folder)
        assert all(outcome.good for outcome in compact(folder))
        assert not set(old) & set(packs(folder))
        assert first + b"".join(stream.chunks) == large
        with store.open_content(key) as again:
            assert b"".join(again.chunks) == large


def test_readers_writers_and_compaction_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    folder, kept = made(tmp_path / "store", 1 << 16), some(40)
    send(folder, kept)
    errors: list[BaseException] = []
    done = threading.Event()

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    def read() -> None:
        while not done.is_set():
            assert readable(folder, list(kept)) == kept

    def write(seed: int) -> None:
        for number in range(4):
            contents = some(15, 100 * seed + number)
            send(folder, contents)
            assert readable(folder, list(contents)) == contents
            remove(folder, list(contents)[:10])
            compact(folder, 1 << 16) if seed == 1 else None

    readers = [threading.Thread(target=guarded, args=(read,)) for _ in range(2)]
    writers = [threading.Thread(target=guarded, args=(lambda s=seed: write(s),)) for seed in (1, 2)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert not errors, errors
    assert not verify(folder)


# room


def test_many_keys_are_few_files(tmp_path: Path) -> None:
    folder, contents = made(tmp_path / "store"), some(3000, size=20)
    send(folder, contents)
    told = describe(Ground(os.fsencode(folder)))
    assert told["records"] == 3000
    assert told["entries"] == sum(1 for _ in folder.rglob("*")) + 1 <= 8


def test_a_pack_ends_at_its_size_and_one_content_larger_than_that_has_one_alone(
    tmp_path: Path,
) -> None:
    folder = made(tmp_path / "store", 1 << 16)
    contents = {**some(40), **some(1, 7, size=200_000), **some(40, 8)}
    send(folder, contents)
    sizes = sorted(pack.stat().st_size for pack in packs(folder))
    assert sizes[-1] > 200_000 and all(size <= 1 << 16 for size in sizes[:-1])
    assert len(sizes) <= 6
    assert readable(folder, list(contents)) == contents


def test_on_a_full_disk_what_was_told_is_there_and_the_rest_is_not(
    mount: Callable[..., Path], tmp_path: Path
) -> None:
    disk = mount("disk", "-t", "tmpfs", "-o", "size=4m", "none")
    folder = made(disk / "store", 1 << 20)
    contents = some(900, size=10_000)
    with Using(folder) as store:
        ended = dict(sending(store, contents))
        more = next(iter(some(1, 9, size=2 << 20).items()))
        with pytest.raises(PlaceFullError) as caught:
            store.send(more[0], content_of(*more), ignore)
    assert caught.value.code == "H358"
    assert len(ended) == 900
    told = [key for key, error in ended.items() if error is None]
    assert all(isinstance(error, PlaceFullError) for error in ended.values() if error)
    assert 150 < len(told) < 420
    assert readable(folder, told) == {key: contents[key] for key in told}
    assert not verify(folder)


def test_on_a_full_disk_compaction_gives_back_what_was_removed_and_all_is_read(
    mount: Callable[..., Path], tmp_path: Path
) -> None:
    disk = mount("disk", "-t", "tmpfs", "-o", "size=4m", "none")
    folder, contents = made(disk / "store", 1 << 19), some(100, size=10_000)
    send(folder, contents)
    keys = list(contents)
    remove(folder, keys[:60])
    # What a killed writer has left cannot be told to the index now.
    with open(packs(folder)[-1], "ab") as file:
        file.write(b"HfR1 and so on")
    with pytest.raises(OSError), open(disk / "ballast", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert readable(folder, keys) == {key: contents[key] for key in keys[60:]}
    before = sum(pack.stat().st_size for pack in packs(folder))
    assert {type(outcome.error) for outcome in compact(folder, 1 << 19)} <= {PlaceFullError}
    # A little room for the index and for removals that still count is all it needs.
    os.truncate(disk / "ballast", (disk / "ballast").stat().st_size - 100_000)
    wrong = [outcome for outcome in compact(folder, 1 << 19) if not outcome.good]
    assert not wrong, wrong
    assert sum(pack.stat().st_size for pack in packs(folder)) < before - 400_000
    assert readable(folder, keys) == {key: contents[key] for key in keys[60:]}


@pytest.mark.parametrize("index", ["kept", "lost"])
def test_a_store_that_nobody_may_write_to_is_read(
    mount: Callable[..., Path], tmp_path: Path, index: str
) -> None:
    disk = mount("disk", "-t", "tmpfs", "-o", "size=4m", "none")
    folder, contents = made(disk / "store", 1 << 15), some(30)
    send(folder, contents)
    keys = list(contents)
    remove(folder, keys[:3])
    if index == "lost":
        lose_index(folder)
    mount("disk", "-o", "remount,ro")
    assert readable(folder, keys) == {key: contents[key] for key in keys[3:]}
    assert present(folder, keys) == [False] * 3 + [True] * 27
    with Using(folder) as store, pytest.raises(HoldError) as caught:
        store.remove(keys[5], Waiver(keys[5], PLACE.id, "a test", "it is one"))
    assert caught.value.code == "H402"
    assert not verify(folder)
    ground = Ground(os.fsencode(folder))
    assert (ground.index.path is None) is (index == "lost")
    ground.close()


# whose store it is


def test_a_store_of_another_place_or_a_later_version_is_left_alone(tmp_path: Path) -> None:
    folder = made(tmp_path / "store")
    with pytest.raises(ConflictError) as caught:
        make_store(os.fsencode(folder), "another", 1 << 20)
    assert caught.value.code == "H353"
    other = PackedStore(Place(PlaceId("another")), os.fsencode(folder))
    assert other.ask([key_of(b"x")])[0].presence is Presence.UNKNOWN
    (folder / "holdfast-packed").write_text("holdfast packed store 2\n")
    with Using(folder) as store, pytest.raises(ConflictError), store.open_content(key_of(b"x")):
        pass
    shutil.rmtree(folder)
    contents = some(3)
    with Using(folder) as store:
        assert store.ask([key_of(b"x")])[0].presence is Presence.UNKNOWN
        # Each one that is taken is answered, and no more are taken.
        ((key, error),) = sending(store, contents)
        assert key in contents and isinstance(error, PlaceUnavailableError)
        ((key, error),) = store.iter_contents(iter(contents))
        assert key in contents and isinstance(error, PlaceUnavailableError)


@pytest.mark.parametrize(
    "given", [{}, {"directory": "/x", "packsize": "some"}, {"directory": "/x", "bucket": "b"}]
)
def test_words_that_do_not_describe_a_packed_store_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        packed.plan_setup(given)
    assert caught.value.code == "H359"


def test_what_all_clones_share_of_a_packed_store_is_what_git_annex_can_have() -> None:
    setup = packed.plan_setup({"directory": "/x", "packsize": "256mib"})
    assert setup.config == {
        "type": "external", "externaltype": "holdfast", "store": "packed", "packsize": "256mib"
    }  # fmt: skip
    assert setup.local == {"annex-directory": "/x"}
