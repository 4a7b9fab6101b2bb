"""A packed store that is worked on and killed again and again, and what must be true after each."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from packed_driver import PACK_SIZE, content

from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence
from holdfast.stores.packed import PackedStore
from holdfast.stores.packed_ground import Ground
from holdfast.stores.packed_index import index_paths
from holdfast.stores.packed_marker import make_store
from holdfast.stores.packed_verify import iter_verify

PLACE = Place(PlaceId("8c0a2b1e-0000-4000-8000-000000000001"), "there")
DRIVER = Path(__file__).with_name("packed_driver.py")


def key_of(data: bytes) -> Key:
    """The key of some content."""
    return Key.make(b"SHA256E", sha256(data).hexdigest().encode(), size=len(data))


@dataclass
class PackedScene:
    """One store, and what is known of it: surely there, surely not, or one of the two."""

    folder: Path
    there: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    unsure: set[int] = field(default_factory=set)
    compacting: bool = False

    def make(self) -> None:
        """Make the store."""
        make_store(os.fsencode(self.folder), PLACE.id, PACK_SIZE)

    def work(self, seed: int, *, kill_at: int = 0, kill_after_s: float = 0, steps: int = 12) -> int:
        """Let the driver work, perhaps until it is killed; gives how many changes it counted."""
        return self.finish(self.start(seed, kill_at, steps), kill_after_s)

    def start(self, seed: int, kill_at: int = 0, steps: int = 12) -> subprocess.Popen[bytes]:
        """Let a driver begin to work."""
        # Unbuffered: no word of its may be lost between a reading of a line and the rest.
        process = subprocess.Popen(
            [sys.executable, DRIVER, self.folder, str(seed), str(kill_at), str(steps)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(" ".join(map(str, sorted(self.there))).encode())
        process.stdin.close()
        process.stdin = None
        return process

    def finish(self, process: subprocess.Popen[bytes], kill_after_s: float = 0) -> int:
        """Wait for a driver, or kill it so long after its first word."""
        assert process.stdout is not None
        lines: list[bytes] = []
        if kill_after_s:
            lines.append(process.stdout.readline())
            try:
                process.wait(kill_after_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), err.decode()
        return self._hear(b"".join(lines) + out)

    def _hear(self, told: bytes) -> int:
        count = 0
        for line in told.decode().splitlines():
            word, _, number = line.partition(" ")
            self.compacting = word == "compact"
            if word == "count":
                count = int(number)
            elif number:
                for known in (self.there, self.gone, self.unsure):
                    known.discard(int(number))
                {"has": self.there, "gone": self.gone}.get(word, self.unsure).add(int(number))
        return count

    def check(self, chance: random.Random) -> None:
        """Nothing acknowledged is lost, nothing torn is shown; also with the index thrown away."""
        self._check_contents(sample=None)
        self._check_verify()
        if chance.random() < 0.5:
            for path in index_paths(os.fsencode(self.folder)):
                os.unlink(path)
            self._check_contents(sample=chance)
            self._check_verify()

    def _check_verify(self) -> None:
        ground = Ground(os.fsencode(self.folder))
        wrong = [outcome for outcome in iter_verify(ground) if not outcome.good]
        ground.close()
        assert not wrong, wrong

    def _check_contents(self, sample: random.Random | None) -> None:
        store = PackedStore(PLACE, os.fsencode(self.folder))
        wanted = {number: content(number) for number in sorted(self.there)}
        if sample is not None:
            wanted = dict(sample.sample(sorted(wanted.items()), min(50, len(wanted))))
        keys = {key_of(data): data for data in wanted.values()}
        for key, stream in store.iter_contents(list(keys)):
            assert not isinstance(stream, Exception), stream
            assert b"".join(stream.chunks) == keys[key]
        data_gone = [key_of(content(number)) for number in sorted(self.gone)]
        shared = {key_of(content(number)) for number in self.there | self.unsure}
        for key, answer in zip(data_gone, store.ask(data_gone), strict=True):
            assert key in shared or answer.presence is Presence.ABSENT, key
        for number in sorted(self.unsure):
            self._check_unsure(store, number)
        store.close()

    def _check_unsure(self, store: PackedStore, number: int) -> None:
        """What was on its way is there whole, or not at all; from now on that is known."""
        data = content(number)
        if store.ask([key_of(data)])[0].presence is Presence.PRESENT:
            with store.open_content(key_of(data)) as stream:
                assert b"".join(stream.chunks) == data
            self.there.add(number)
        else:
            self.gone.add(number)
        self.unsure.discard(number)
