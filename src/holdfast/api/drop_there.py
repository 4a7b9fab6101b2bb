"""Remove content from another place, or move it from there to here; each key with a proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice

from ..core.errors import HoldError, PolicyError
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.place import Presence, Trust
from ..core.policy import CopyRules, DropProof, Hold, Waiver, Witness, prove_drop
from ..core.progress import Progress, Silence
from ..core.user import user_name
from ..dataset.annexed import TrackedFile
from ..dataset.waivers import note_waiver
from .copy import MOVED, as_action, iter_blocks, iter_files, told
from .datasets import Dataset
from .drop import rules_of_keys
from .get import iter_get
from .nesting import Walk, iter_in_each
from .required import Required
from .sources import Sources, open_sources
from .targets import Distant, Target, open_target, witness_of
from .unknown import iter_unknown


def iter_drop_from(
    dataset: Dataset,
    paths: Sequence[bytes],
    name: str,
    *,
    force_reason: str | None = None,
    numcopies: int | None = None,
    jobs: int | None = None,
    levels: int | None = 0,
    follow: bool = True,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Remove content from another place, once enough copies were seen that stay.

    ``force_reason`` drops without proof; who and why is kept in the data set's log of waivers.
    ``levels`` is how many levels of data sets inside lose theirs too, each from its own remote of
    that name, None for all; without ``follow`` a path that leads into one is refused.
    """
    listener = progress or Silence()

    def work(one: Dataset, below: Sequence[bytes]) -> Iterator[Outcome]:
        return _iter_drop_from_in(one, below, name, force_reason, numcopies, jobs, listener)

    return iter_in_each(dataset, paths, work, "drop", Walk(levels, follow=follow))


def _iter_drop_from_in(
    dataset: Dataset,
    paths: Sequence[bytes],
    name: str,
    force_reason: str | None,
    numcopies: int | None,
    jobs: int | None,
    listener: Progress,
) -> Iterator[Outcome]:
    with open_target(dataset, name, jobs) as target, open_sources(dataset) as sources:
        yield from iter_unknown(dataset, paths, "drop")
        remover = Remover(dataset, target, sources, numcopies, "drop", force_reason)
        listener.start(None, None)
        try:
            for block in iter_blocks(iter_files(dataset, paths)):
                there = remover.present([file for file in block if file.key is not None])
                for outcome in remover.iter_remove(there, dataset.jobs(jobs)):
                    listener.advance(1, 0)
                    yield outcome
        finally:
            listener.stop()
            remover.finish()
    dataset.forget()


def iter_move_from(
    dataset: Dataset,
    paths: Sequence[bytes],
    name: str,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Bring content here from another place and remove it there."""
    with open_target(dataset, name, jobs) as target:
        yield from iter_unknown(dataset, paths, "move")
        for block in iter_blocks(iter_files(dataset, paths)):
            yield from _move_here(dataset, target, block, jobs, progress)
    dataset.forget()


def _move_here(
    dataset: Dataset,
    target: Target,
    block: Sequence[TrackedFile],
    jobs: int | None,
    progress: Progress | None,
) -> Iterator[Outcome]:
    with open_sources(dataset) as sources:
        remover = Remover(dataset, target, sources, None, "move")
        block = remover.present(block)
    new = set(dataset.objects.missing([file.key for file in block if file.key]))
    failed: dict[Key | None, Outcome] = {}
    wanted = [file.path for file in block if file.key in new]
    if wanted:
        found = iter_get(
            dataset, wanted, source=target.place.name, jobs=jobs, progress=progress, follow=False
        )
        failed = {outcome.key: outcome for outcome in found if not outcome.good}
    with open_sources(dataset) as sources:
        remover = Remover(dataset, target, sources, None, "move")
        remover.moved = new
        try:
            for file in block:
                if file.key in failed:
                    yield as_action("move", failed[file.key])
            rest = [file for file in block if file.key not in failed]
            yield from remover.iter_remove(rest, dataset.jobs(jobs))
        finally:
            remover.finish()


class Remover:
    """Removes content from another place, each key with a proof."""

    def __init__(
        self,
        dataset: Dataset,
        target: Target,
        sources: Sources,
        numcopies: int | None,
        action: str,
        force_reason: str | None = None,
    ) -> None:
        self._dataset = dataset
        self._target = target
        self._sources = sources
        self.moved: set[Key] = set()
        """Keys that have just been brought here from there: our copy takes the place of theirs."""
        self._action = action
        self._reason = force_reason
        self._removed: list[Key] = []
        self._rules = rules_of_keys(dataset, numcopies)
        self._required = Required(dataset, target.place.id)
        trust = dataset.ledger.trust
        self._trusted = [uuid for uuid, level in trust.items() if level is Trust.TRUSTED]

    def present(self, files: Sequence[TrackedFile]) -> list[TrackedFile]:
        """Those of some files whose content is there, or is said to be."""
        keys = [file.key for file in files if file.key]
        absent = self._target.missing(keys)
        if isinstance(self._target, Distant):
            # A store that does not answer is no reason to believe that it has nothing.
            claims = self._dataset.ledger.locations(keys)
            absent = {key for key in absent if self._target.place.id not in claims[key]}
        return [file for file in files if file.key and file.key not in absent]

    def iter_remove(self, files: Sequence[TrackedFile], jobs: int) -> Iterator[Outcome]:
        """Remove the content of files, in order; a store is asked for several at a time."""
        if not isinstance(self._target, Distant) or jobs < 2:
            yield from map(self.remove, files)
            return
        self._rules.prepare()
        with ThreadPoolExecutor(jobs, "remove") as pool:
            source = iter(files)
            while part := list(islice(source, 16 * jobs)):
                yield from pool.map(self.remove, part)

    def remove(self, file: TrackedFile) -> Outcome:
        """Remove the content of one file."""
        assert file.key is not None
        key = file.key
        try:
            with ExitStack() as stack:
                self._target.remove(key, lambda: self._leave(stack, file))
        except HoldError as error:
            return told(self._action, file, error)
        self._removed.append(key)
        return Outcome(
            self._action, Status.OK, told("", file, None).path, key=key, size=key.size,
            note=f"from {self._target.place.label}",
        )  # fmt: skip

    def _leave(self, stack: ExitStack, file: TrackedFile) -> DropProof | Waiver:
        assert file.key is not None
        key, place = file.key, self._target.place.id
        if self._reason is not None:
            waiver = Waiver(key, place, user_name(), self._reason)
            note_waiver(self._dataset.repository, waiver)
            return waiver
        names = {file.path, *(self._rules.files_of(key) if self._required.is_set else ())}
        for refusal in (self._required.refusal(key, name) for name in names):
            if refusal is not None:
                raise refusal
        rules = MOVED if key in self.moved else self._rules.of(key)
        return self._prove(stack, key, rules)

    def _prove(self, stack: ExitStack, key: Key, rules: CopyRules) -> DropProof:
        """A proof, from as few places as will do: ours first."""
        seen = [self._here(stack, key), *self._unseen(key)]
        others = (r for r in self._sources.readers if r.place.id != self._target.place.id)
        while True:
            try:
                return prove_drop(key, self._target.place.id, seen, rules, ours_is_locked=False)
            except PolicyError:
                reader = next(others, None)
                if reader is None:
                    raise
                seen.append(witness_of(stack, reader, key))

    def _here(self, stack: ExitStack, key: Key) -> Witness:
        answer = stack.enter_context(self._dataset.objects.lock_content(key))
        place = self._dataset.ledger.place(self._dataset.here)
        hold = Hold.LOCKED if answer.presence is Presence.PRESENT else Hold.NONE
        return Witness(key, place, answer.presence, hold, answer.remark)

    def _unseen(self, key: Key) -> Iterator[Witness]:
        """Trusted places that are said to have it: they are believed."""
        claims = set(self._dataset.ledger.locations([key])[key]) if self._trusted else ()
        for uuid in self._trusted:
            if uuid in claims:
                place = self._dataset.ledger.place(uuid)
                yield Witness(key, place, Presence.UNKNOWN, Hold.TRUSTED, "trusted")

    def finish(self) -> None:
        """Tell the ledgers."""
        self._target.record(self._removed, present=False)
        self._removed = []
        self._target.finish()
