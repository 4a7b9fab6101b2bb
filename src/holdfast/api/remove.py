"""Remove a whole data set from this disk, once all of it was seen elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from ..core import faults
from ..core.abilities import Askable
from ..core.errors import HoldError, PolicyError
from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..core.paths import is_within
from ..core.place import Presence, Trust
from ..core.policy import Witness
from ..core.progress import Progress, Silence
from ..core.user import user_name
from ..dataset import removing
from ..dataset.annexed import SUBMODULE
from ..dataset.condition import iter_ignored
from ..dataset.repository import Repository
from ..dataset.siblings import ask_siblings, only_here
from ..dataset.status import iter_status
from ..dataset.waivers import append_record
from ..transfer.prove import AskedToPromise, blind_places, prove_many
from .datasets import Dataset
from .drop import rules_of_keys
from .sources import Sources, open_sources

_BLOCK = 512
_NAMED_MAX = 3


def iter_remove(
    path: Path | str | bytes,
    *,
    force_reason: str | None = None,
    settings: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Remove the data set in a folder, with all data sets in it; one outcome for the whole.

    Refused unless all is saved, git ignores nothing in it, a sibling that answers has every
    revision, and other places that answer have enough copies of all content. ``force_reason`` goes
    without; who and why is kept. Killed while it deletes, the same call finishes. In a data set an
    empty folder stays.

    Raises:
        PolicyError: Something of it is nowhere else; nothing was changed.
        NotFoundError: There is no data set.
    """
    top = os.path.abspath(os.fsencode(path))
    with removing.removal(top) if os.path.isdir(os.path.dirname(top)) else ExitStack():
        if removing.finish_earlier(top):
            note = "what an interrupted removal left is gone"
            yield Outcome("remove", Status.OK, os.fsdecode(top), note=note)
            return
        yield _remove(top, force_reason, settings or {}, progress or Silence())


def remove(path: Path | str | bytes, **options: object) -> Report:
    """Remove a data set; see `iter_remove`."""
    return complete(iter_remove(path, **options))  # type: ignore[arg-type]


def _remove(
    top: bytes, reason: str | None, settings: Mapping[str, str], progress: Progress
) -> Outcome:
    progress.start(None, None)
    with ExitStack() as stack:
        stack.callback(progress.stop)
        checks = []
        for folder in _iter_repositories(top):
            check = _Check(_open(folder, top, settings))
            stack.callback(check.close)
            if reason is None:
                progress.note(f"looking for {os.fsdecode(folder)} elsewhere")
                check.check_all()
            checks.append(check)
        ours = checks[0].repository
        if reason is not None:
            note = _write_waiver(ours, top, reason)
        else:
            note = _found(checks)
        outside = [ours.common_dir] if not is_within(ours.common_dir, top) else []
        leave_folder = removing.superproject(ours) is not None
        removing.set_aside(top, leave_folder=leave_folder)
        if reason is None:
            _check_again(top, checks)
    removing.delete(top, outside)
    return Outcome(
        "remove", Status.OK, os.fsdecode(top), note=note,
        facts={"uuid": ours.uuid, "forced": reason is not None},
    )  # fmt: skip


def _check_again(top: bytes, checks: Sequence[_Check]) -> None:
    """Look once more, now that nobody can begin to rely on our copies."""
    try:
        for check in checks:
            check.check_content_again(top)
    except BaseException:
        removing.restore(top)
        raise


def _iter_repositories(top: bytes) -> Iterator[bytes]:
    """A repository and those checked out in it, at any depth."""
    yield top
    if not os.path.isdir(top):
        return
    try:
        repository = Repository(top)
    except HoldError:
        return
    for field in repository.git.iter_fields("ls-files", "-s", "-z") if not repository.bare else ():
        facts, _, path = field.partition(b"\t")
        inner = os.path.join(top, path)
        if facts.startswith(SUBMODULE) and os.path.lexists(inner + b"/.git"):
            yield from _iter_repositories(inner)


def _open(folder: bytes, top: bytes, settings: Mapping[str, str]) -> Dataset:
    name = os.fsdecode(folder)
    if not os.path.isdir(folder):
        raise faults.NO_DATASET(path=name)
    repository = Repository(folder, settings)
    if os.path.realpath(repository.top) != os.path.realpath(folder):
        what = f"{name} is a folder in the data set {os.fsdecode(repository.top)}, not one itself"
        raise faults.BAD_USAGE(what=what, command="drop")
    if repository.git_dir != repository.common_dir:
        what = f"{name} is one of several work trees of {os.fsdecode(repository.common_dir)}"
        error = faults.BAD_USAGE(what=what, command="remove")
        error.hint = f"git worktree remove {name}"
        raise error
    linked = [p for p in removing.linked_work_trees(repository) if not is_within(p, top)]
    if linked:
        what = f"{name} has another work tree, {os.fsdecode(linked[0])}"
        error = faults.BAD_USAGE(what=what, command="remove")
        error.hint = f"git worktree remove {os.fsdecode(linked[0])}"
        raise error
    return Dataset(repository)


class _Check:
    """Whether all of one repository is elsewhere."""

    def __init__(self, dataset: Dataset) -> None:
        self.repository = dataset.repository
        self.annexed = self.repository.uuid is not None
        self.siblings: list[str] = []
        self.keys: list[Key] = []
        self._dataset = dataset
        self._name = os.fsdecode(self.repository.top)
        self._annex_dir = self.repository.annex_dir
        self._stack = ExitStack()
        self._sources: Sources | None = None

    def check_all(self) -> None:
        """Look at files, revisions and content, in this order; the first that is only here ends it.

        Raises:
            PolicyError: Something is nowhere else.
        """
        self._check_saved()
        self._check_revisions()
        if self.annexed:
            self._sources = self._stack.enter_context(open_sources(self._dataset))
            self.keys = [key for key, _ in self._dataset.objects.iter_keys()]
            self._claims = self._dataset.ledger.locations(self.keys)
            self._rules = rules_of_keys(self._dataset, None)
            self._check_content()

    def check_content_again(self, top: bytes) -> None:
        """Ask again for all content, after the repository was set aside from ``top``."""
        if self.annexed and is_within(self._annex_dir, top):
            inside = os.path.relpath(self._annex_dir, top)
            aside = os.path.join(os.path.dirname(top), removing.ASIDE + os.path.basename(top)[:200])
            removing.check_nobody_holds(os.path.join(aside, inside))
            self._check_content(again=True)
        elif self.annexed:
            removing.check_nobody_holds(self._annex_dir)
            self._check_content(again=True)

    def close(self) -> None:
        """End connections and processes."""
        self._stack.close()
        self._dataset.close()

    def _check_saved(self) -> None:
        if self.repository.bare:
            return
        objects = self._dataset.objects if self.annexed else None
        changed = [os.fsdecode(one.path) for one in iter_status(self.repository, objects)]
        if changed:
            error = faults.NO_SIBLING_HAS(
                path=self._name, count=1, answers=f"not saved yet: {_some(changed)}"
            )
            error.hint = "hold save, then git push to a sibling; --force removes it for good"
            raise error
        ignored = [os.fsdecode(path) for path in iter_ignored(self.repository)]
        if ignored:
            raise faults.IGNORED_ONLY_HERE(
                path=self._name, count=len(ignored), names=_some(ignored)
            )

    def _check_revisions(self) -> None:
        siblings = ask_siblings(self.repository)
        lost = only_here(self.repository, siblings)
        if lost:
            asked = "; ".join(f"{one.name}: {one.answer}" for one in siblings)
            answers = f"{_some(lost)}; asked {asked or 'nobody, as there is no sibling'}"
            raise faults.NO_SIBLING_HAS(path=self._name, count=len(lost), answers=answers)
        self.siblings = [one.name for one in siblings if one.refs is not None]

    def _check_content(self, *, again: bool = False) -> None:
        refused: list[PolicyError] = []
        count = 0
        keys = iter(self.keys)
        while block := list(islice(keys, _BLOCK)):
            for proof in self._prove(block, again=again).values():
                if isinstance(proof, PolicyError):
                    count += 1
                    refused = refused or [proof]
        if refused:
            first = refused[0]
            answers = f"{first.what} ({first.why})"
            raise faults.CONTENT_ONLY_HERE(path=self._name, count=count, answers=answers)

    def _prove(self, keys: Sequence[Key], *, again: bool) -> Mapping[Key, object]:
        assert self._sources is not None
        readers: Sequence[Askable] = self._sources.readers
        if again:
            # The last word before all is deleted: nobody may be about to remove it there.
            blind = blind_places(readers)
            readers = [
                AskedToPromise(blind[reader.place.id]) if reader.place.id in blind else reader
                for reader in readers
            ]
        ledger = self._dataset.ledger
        here = self._dataset.here
        trusted = [ledger.place(p) for p, level in ledger.trust.items() if level is Trust.TRUSTED]
        why = {missed.place.id: missed.error.what for missed in self._sources.unreached}
        nobody = Key(b"")
        asked = {reader.place.id for reader in self._sources.readers} | {here}
        named = {place for key in keys for place in self._claims[key]} - asked
        unreached = [
            Witness(nobody, ledger.place(p), Presence.UNKNOWN, remark=why.get(p, "no way to it"))
            for p in sorted(named)
        ]
        return prove_many(
            keys, here, self._claims, readers, trusted,
            self._rules.of, unreached,
        )  # fmt: skip


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED_MAX
    return ", ".join(names[:_NAMED_MAX]) + (f" and {rest} more" if rest > 0 else "")


def _found(checks: Sequence[_Check]) -> str:
    names = sorted({name for check in checks for name in check.siblings})
    count = sum(len(check.keys) for check in checks)
    content = f"; {count} contents seen elsewhere" if count else ""
    inner = f" with {len(checks) - 1} data sets in it" if len(checks) > 1 else ""
    return f"all versions are at {', '.join(names)}{content}{inner}"


def _write_waiver(repository: Repository, top: bytes, reason: str) -> str:
    """Keep who removed what and why, where it outlives the data set: in the user's own log."""
    who = user_name()
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    folder = os.path.join(state, "holdfast")
    os.makedirs(folder, exist_ok=True)
    record = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "removed": os.fsdecode(top),
        "place": repository.uuid,
        "who": who,
        "why": reason,
    }
    log = os.path.join(folder, "waivers.jsonl")
    append_record(os.fsencode(log), record)
    return f"forced by {who}: {reason} (kept in {log})"
