"""What every place promises, as tests: to be read from, and to be written to.

Subclass `ReadableContract`, or `StoreContract` for a place that can be written to, and give it
`open_store`; five lines make a store keep its word::

    class TestMyStore(ReadableContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda contents: MyStore(tmp_path, contents)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256

import pytest

from ..core.abilities import BulkReadable, BulkSendable, Readable, Store, Stream
from ..core.errors import HoldError, IntegrityError, NotFoundError
from ..core.key import Key
from ..core.place import Presence
from ..core.policy import Waiver
from .contents import content_of as content_of

OpenStore = Callable[[Mapping[Key, bytes]], Readable]


def key_of(content: bytes, extension: bytes = b"") -> Key:
    """The key git-annex gives to content by default."""
    digest = sha256(content).hexdigest().encode()
    return Key.make(b"SHA256E", digest + extension, size=len(content))


BIG = bytes(range(256)) * 4000
SMALL = b"one line\n"
EMPTY = b""
CONTENTS = {
    key_of(BIG, b".dat"): BIG,
    key_of(SMALL, b".txt"): SMALL,
    key_of(EMPTY): EMPTY,
}
MISSING = key_of(b"nobody has this")


class ReadableContract:
    """Tests of `Readable`, and of `BulkReadable` where a store is one."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Gives a function that makes a store with these contents."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Iterator[Readable]:
        store = open_store(CONTENTS)
        yield store
        store.close()

    def test_it_says_what_it_has_in_the_order_it_was_asked(self, store: Readable) -> None:
        big, small, empty = CONTENTS
        answers = store.ask([small, MISSING, big, empty])
        there, not_there = Presence.PRESENT, Presence.ABSENT
        assert [a.presence for a in answers] == [there, not_there, there, there]

    def test_asking_for_nothing_is_no_question(self, store: Readable) -> None:
        assert store.ask([]) == []

    def test_content_comes_whole(self, store: Readable) -> None:
        for key, content in CONTENTS.items():
            with store.open_content(key) as stream:
                assert stream.offset == 0
                assert stream.size in (None, len(content))
                assert b"".join(stream.chunks) == content

    @pytest.mark.parametrize("offset", [1, 4096, len(BIG) - 1, len(BIG)])
    def test_content_starts_at_the_offset_or_at_the_start(
        self, store: Readable, offset: int
    ) -> None:
        with store.open_content(key_of(BIG, b".dat"), offset) as stream:
            assert stream.offset in (0, offset)
            assert b"".join(stream.chunks) == BIG[stream.offset :]

    def test_what_is_not_there_is_not_found(self, store: Readable) -> None:
        with pytest.raises(NotFoundError), store.open_content(MISSING) as stream:
            list(stream.chunks)

    def test_a_stream_may_be_left_unread(self, store: Readable) -> None:
        with store.open_content(key_of(BIG, b".dat")) as stream:
            next(iter(stream.chunks))
        self.test_content_comes_whole(store)

    def test_a_reader_that_fails_harms_no_other(self, store: Readable) -> None:
        with pytest.raises(ZeroDivisionError), store.open_content(key_of(BIG, b".dat")) as stream:
            next(iter(stream.chunks))
            raise ZeroDivisionError
        self.test_content_comes_whole(store)

    def test_many_threads_may_read_at_once(self, store: Readable) -> None:
        errors: list[BaseException] = []

        def read() -> None:
            try:
                self.test_content_comes_whole(store)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []

    def test_it_may_be_closed_twice(self, store: Readable) -> None:
        self.test_content_comes_whole(store)
        store.close()
        store.close()

    def test_it_has_a_place_and_a_cost(self, store: Readable) -> None:
        assert store.place.id
        assert store.cost > 0

    def test_many_keys_come_in_order_each_with_its_answer(self, store: Readable) -> None:
        if not isinstance(store, BulkReadable):
            pytest.skip("this store streams one key at a time")
        wanted = [*CONTENTS, MISSING, *CONTENTS]
        found = []
        for key, answer in store.iter_contents(iter(wanted)):
            assert isinstance(answer, Stream | HoldError)
            bytes_or_none = b"".join(answer.chunks) if isinstance(answer, Stream) else None
            found.append((key, bytes_or_none))
        assert found == [(key, CONTENTS.get(key)) for key in wanted]

    def test_the_rest_of_an_unread_stream_is_passed_over(self, store: Readable) -> None:
        if not isinstance(store, BulkReadable):
            pytest.skip("this store streams one key at a time")
        keys = [key for key, _ in store.iter_contents([*CONTENTS, *CONTENTS])]
        assert keys == [*CONTENTS, *CONTENTS]


def ignore(size: int) -> None:
    """Nobody wants to know how far it is."""


class StoreContract(ReadableContract):
    """Tests of `Store`: `ReadableContract`, and sending to it and removing from it.

    ``open_store({})`` gives an empty place that can be written to. A store that would not fit in
    its place with these contents is not tested by it.
    """

    @pytest.fixture
    def empty(self, open_store: OpenStore) -> Iterator[Store]:
        store = open_store({})
        yield store  # type: ignore[misc]
        store.close()

    def read(self, store: Readable, key: Key) -> bytes:
        with store.open_content(key) as stream:
            return b"".join(stream.chunks)

    def leave(self, store: Readable, key: Key) -> Waiver:
        return Waiver(key, store.place.id, "a test", "it is one")

    def test_what_was_sent_is_there_and_comes_back(self, empty: Store) -> None:
        for key, data in CONTENTS.items():
            empty.send(key, content_of(key, data), ignore)
        assert [a.presence for a in empty.ask([*CONTENTS])] == [Presence.PRESENT] * len(CONTENTS)
        assert {key: self.read(empty, key) for key in CONTENTS} == CONTENTS

    def test_progress_tells_of_each_byte(self, empty: Store) -> None:
        told: list[int] = []
        empty.send(key_of(BIG, b".dat"), content_of(key_of(BIG, b".dat"), BIG), told.append)
        assert sum(told) == len(BIG)

    def test_sending_again_is_no_error(self, empty: Store) -> None:
        key = key_of(SMALL, b".txt")
        for _ in range(2):
            empty.send(key, content_of(key, SMALL), ignore)
        assert self.read(empty, key) == SMALL

    @pytest.mark.parametrize("data", [BIG[:-1] + b"!", BIG[:-1], SMALL])
    def test_damaged_content_is_not_there_after_it_was_sent(
        self, empty: Store, data: bytes
    ) -> None:
        key = key_of(BIG, b".dat")
        with pytest.raises(IntegrityError):
            empty.send(key, content_of(key, data), ignore)
        assert empty.ask([key])[0].presence is Presence.ABSENT
        empty.send(key, content_of(key, BIG), ignore)
        assert self.read(empty, key) == BIG

    def test_what_was_removed_is_gone_and_may_be_removed_again(self, empty: Store) -> None:
        small, big = key_of(SMALL, b".txt"), key_of(BIG, b".dat")
        empty.send(small, content_of(small, SMALL), ignore)
        empty.send(big, content_of(big, BIG), ignore)
        for _ in range(2):
            empty.remove(small, self.leave(empty, small))
        answers = [a.presence for a in empty.ask([small, big])]
        assert answers == [Presence.ABSENT, Presence.PRESENT]
        with pytest.raises(NotFoundError):
            self.read(empty, small)

    def test_an_odd_name_is_kept(self, empty: Store) -> None:
        for data, extension in ((b"1", b".t&%:x"), (b"2", b".\xc3\xa9 x")):
            key = key_of(data, extension)
            empty.send(key, content_of(key, data), ignore)
            assert self.read(empty, key) == data

    def test_many_threads_may_send_at_once(self, empty: Store) -> None:
        contents = {key_of(b"%d" % number * 3000): b"%d" % number * 3000 for number in range(24)}
        errors: list[BaseException] = []

        def send(part: list[Key]) -> None:
            try:
                for key in part:
                    empty.send(key, content_of(key, contents[key]), ignore)
            except BaseException as error:
                errors.append(error)

        keys = [*contents]
        threads = [threading.Thread(target=send, args=(keys[n::4],)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert {key: self.read(empty, key) for key in contents} == contents

    def test_many_are_sent_each_with_its_answer(self, empty: Store) -> None:
        if not isinstance(empty, BulkSendable):
            pytest.skip("this store takes one content at a time")
        wrong = key_of(b"right")
        items = [(key, content_of(key, data)) for key, data in CONTENTS.items()]
        items.insert(1, (wrong, content_of(wrong, b"wrong")))
        answers = dict(empty.iter_send(iter(items), ignore))
        assert {key: answer is None for key, answer in answers.items()} == {
            key: key != wrong for key, _ in items
        }
        assert {key: self.read(empty, key) for key in CONTENTS} == CONTENTS
        assert empty.ask([wrong])[0].presence is Presence.ABSENT
