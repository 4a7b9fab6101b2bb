"""What every place that can be read from promises, as tests.

Subclass `ReadableContract` and give it `open_store`; five lines make a store keep its word::

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

from ..core.abilities import BulkReadable, Readable, Stream
from ..core.errors import HoldError, NotFoundError
from ..core.key import Key
from ..core.place import Presence

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
