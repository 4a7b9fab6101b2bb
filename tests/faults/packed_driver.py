"""Puts, removes and compacts in a packed store, and kills itself at its N-th change to the packs.

    python packed_driver.py FOLDER SEED N STEPS    (on standard input: numbers of what is there)

The change is left half done: of what was to be written only a part is. With N = 0 it goes on until
STEPS are done, or until it is killed from outside. Each thing is told before and after, in one
write each: ``put 7``, ``has 7``, ``remove 7``, ``gone 7``, ``compact``.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from typing import Any

PACK_SIZE = 1 << 18


def content(number: int) -> bytes:
    """The bytes of a numbered content: mostly small, some larger than half of a pack."""
    chance = random.Random(number)
    size = chance.choice((0, 100, 3000, 5000, 20000, 20000, 150_000))
    return number.to_bytes(8, "big") + chance.randbytes(size)


class Killer:
    """Counts changes, and ends the process in the middle of the one that is wanted."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.count = 0

    def wrap(self, name: str) -> None:
        """Count the calls of a function of ``os``."""
        function: Callable[..., Any] = getattr(os, name)

        def counted(*words: Any, **named: Any) -> Any:
            self.count += 1
            if self.count == self.wanted:
                if name == "pwrite":
                    part = random.Random(self.wanted).randrange(len(words[1]) + 1)
                    function(words[0], words[1][:part], words[2])
                elif random.Random(self.wanted).random() < 0.5:
                    function(*words, **named)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*words, **named)

        setattr(os, name, counted)


def main() -> int:
    folder, seed, wanted, steps = sys.argv[1], *map(int, sys.argv[2:5])
    killer = Killer(wanted)
    # Before they are imported from there.
    for name in ("pwrite", "fdatasync", "fsync", "ftruncate", "unlink"):
        killer.wrap(name)
    there = [int(word) for word in sys.stdin.read().split()]
    work(os.fsencode(folder), random.Random(seed), there, steps)
    tell(f"count {killer.count}")
    return 0


def tell(line: str) -> None:
    """What was or will be done; a pipe keeps it when we are killed."""
    os.write(1, line.encode() + b"\n")


def work(folder: bytes, chance: random.Random, there: list[int], steps: int) -> None:
    from holdfast.core.errors import PlaceUnavailableError
    from holdfast.core.key import Key
    from holdfast.core.place import Place, PlaceId
    from holdfast.core.policy import Waiver
    from holdfast.stores.packed import PackedStore
    from holdfast.stores.packed_compaction import iter_compact
    from holdfast.stores.packed_ground import Ground

    place = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000001"), "there")
    store = PackedStore(place, folder)

    def key_of(data: bytes) -> Key:
        return Key.make(b"SHA256E", sha256(data).hexdigest().encode(), size=len(data))

    class Held:
        def __init__(self, data: bytes) -> None:
            self.data, self.size = data, len(data)

        def chunks(self, offset: int = 0) -> Iterator[bytes]:
            yield self.data[offset:]

        def path(self) -> bytes:
            raise NotImplementedError

    def put(numbers: list[int]) -> None:
        made = [(number, content(number)) for number in numbers]
        for number in numbers:
            tell(f"put {number}")
        if len(made) == 1:
            store.send(key_of(made[0][1]), Held(made[0][1]), lambda _: None)
            ended = {key_of(made[0][1])}
        else:
            items = ((key_of(data), Held(data)) for _, data in made)
            ended = {key for key, error in store.iter_send(items, lambda _: None) if error is None}
        for number, data in made:
            if key_of(data) in ended:
                tell(f"has {number}")
                there.append(number)

    for _ in range(steps):
        what = chance.random()
        if what < 0.3 or len(there) < 5:
            put([chance.randrange(1 << 40)])
        elif what < 0.55:
            put([chance.randrange(1 << 40) for _ in range(chance.randrange(2, 30))])
        elif what < 0.9:
            for _ in range(min(len(there) - 1, chance.randrange(1, 6))):
                number = there.pop(chance.randrange(len(there)))
                key = key_of(content(number))
                tell(f"remove {number}")
                store.remove(key, Waiver(key, place.id, "a test", "it is one"))
                tell(f"gone {number}")
        else:
            tell("compact")
            store.close()
            ground = Ground(folder)
            # Another process may compact it now.
            with suppress(PlaceUnavailableError):
                for outcome in iter_compact(ground, PACK_SIZE, 0.1):
                    assert outcome.good, outcome
            ground.close()
    store.close()


if __name__ == "__main__":
    sys.exit(main())
