"""Copy and move content from one place to another, by way of here.

What has to come here for it is removed here again, once it is seen there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from ..core.key import Key
from ..core.outcome import Outcome
from ..core.progress import Progress, Silence
from ..dataset.annexed import TrackedFile
from .copy import Sender, as_action, iter_blocks, iter_files
from .datasets import Dataset
from .drop_there import Remover
from .get import iter_get
from .sources import open_sources
from .targets import Target, open_target
from .unknown import iter_unknown


def iter_relay(
    dataset: Dataset,
    paths: Sequence[bytes],
    source: str,
    name: str,
    *,
    move: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Bring content from one place to another; with ``move`` remove it from the first."""
    action = "move" if move else "copy"
    listener = progress or Silence()
    with open_target(dataset, source, jobs) as giver, open_target(dataset, name, jobs) as taker:
        yield from iter_unknown(dataset, paths, action)
        relay = _Relay(dataset, giver, taker, action, jobs, listener)
        for block in iter_blocks(iter_files(dataset, paths)):
            yield from relay.carry(block)
    dataset.forget()


class _Relay:
    def __init__(
        self,
        dataset: Dataset,
        giver: Target,
        taker: Target,
        action: str,
        jobs: int | None,
        progress: Progress,
    ) -> None:
        self._dataset = dataset
        self._giver = giver
        self._taker = taker
        self._action = action
        self._jobs = jobs
        self._progress = progress

    def carry(self, block: Sequence[TrackedFile]) -> Iterator[Outcome]:
        """Carry those of a block of files that the one place has, and the other may not."""
        dataset = self._dataset
        with open_sources(dataset) as sources:
            remover = Remover(dataset, self._giver, sources, None, self._action)
            there = remover.present(block)
        if self._action == "copy":
            lacking = self._taker.missing([file.key for file in there if file.key])
            there = [file for file in there if file.key in lacking]
        new = set(dataset.objects.missing([file.key for file in there if file.key]))
        failed = yield from self._fetch([file for file in there if file.key in new])
        rest = [file for file in there if file.key not in failed]
        sender = Sender(dataset, self._taker, "copy", self._progress)
        arrived: list[TrackedFile] = []
        try:
            files = {file.key: file for file in rest}
            for outcome in sender.send(rest):
                if outcome.good:
                    arrived.append(files[outcome.key])
                if self._action == "copy" or not outcome.good:
                    yield as_action(self._action, outcome)
            if self._action == "move":
                yield from self._remove(arrived)
        finally:
            self._taker.finish()
            for outcome in sender.leave([file for file in arrived if file.key in new]):
                if not outcome.good:
                    yield as_action(self._action, outcome)

    def _fetch(self, files: Sequence[TrackedFile]) -> Generator[Outcome, None, set[Key | None]]:
        """Bring files here, telling what failed; gives the keys that did."""
        failed: set[Key | None] = set()
        if files:
            found = iter_get(
                self._dataset, [file.path for file in files], source=self._giver.place.name,
                jobs=self._jobs, progress=self._progress, follow=False,
            )  # fmt: skip
            for outcome in found:
                if not outcome.good:
                    failed.add(outcome.key)
                    yield as_action(self._action, outcome)
        return failed

    def _remove(self, files: Sequence[TrackedFile]) -> Iterator[Outcome]:
        """Remove there what has arrived: the copy that is here now keeps it safe meanwhile."""
        with open_sources(self._dataset) as sources:
            remover = Remover(self._dataset, self._giver, sources, None, "move")
            remover.moved = {file.key for file in files if file.key}
            try:
                yield from remover.iter_remove(files, self._dataset.jobs(self._jobs))
            finally:
                remover.finish()
