"""Push: what is new here goes to a sibling; content first, then the versions that name it.

What was pushed before is remembered by a mark of this clone (the version and the ledger's tip at
that moment), so the next push looks only at what changed since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..core import faults
from ..core.errors import HoldError
from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..core.place import Place, PlaceId
from ..core.progress import Progress, Silence
from ..dataset.annexed import TrackedFile
from ..dataset.changed_keys import Mark, iter_changed_since, mark_now, read_mark, write_mark
from ..dataset.initialise import initialise
from ..dataset.publishing import GIT_IN_A_PLACE, Pushed, push_refs
from ..dataset.remotes import remotes_of
from ..dataset.repository import Repository
from ..dataset.wanting import Wanting
from .auto import iter_to_send
from .copy import Sender, iter_blocks, iter_files
from .datasets import Dataset
from .nesting import Order, Walk, iter_in_each
from .sources import local_folder, open_sources, remember_uuid
from .special import config_of
from .targets import Neighbour, Target, open_target, remote_named
from .unknown import iter_unknown


class Data(StrEnum):
    """Which content goes along; DataLad's words."""

    ANYTHING = "anything"
    NOTHING = "nothing"
    AUTO = "auto"
    AUTO_IF_WANTED = "auto-if-wanted"


def iter_push(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    to: str | None = None,
    data: str = Data.AUTO_IF_WANTED,
    since: str | None = None,
    jobs: int | None = None,
    levels: int | None = 0,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Send content of files below some paths (all without one), then versions, to a sibling.

    ``data`` is one of `Data`. ``since`` is a version: only files that changed after it are looked
    at; None stands for the last push, the empty text for no version, so that all are. Siblings that
    it depends on (``publish-depends``) come first. Where content did not get there, no version is
    sent. ``levels`` is how many levels of data sets inside are pushed too, each to its own sibling
    of that name and before what contains it; None for all. Without ``to`` it is the sibling the
    branch goes with, or the only one.

    Raises:
        NotFoundError: There is no such sibling.
        UsageError: It has to be named, or no branch is checked out.
    """
    options = _Options(Data(data), since, jobs)

    def work(one: Dataset, below: Sequence[bytes]) -> Iterator[Outcome]:
        return _iter_push_in(one, below, to, options, progress or Silence())

    return iter_in_each(dataset, paths, work, "push", Walk(levels, Order.BOTTOM_UP))


def push(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """Send what is new to a sibling; see `iter_push`.

    Raises:
        IncompleteError: Something did not get there.
    """
    return complete(iter_push(dataset, paths, **options))  # type: ignore[arg-type]


def _iter_push_in(
    dataset: Dataset,
    paths: Sequence[bytes],
    to: str | None,
    options: _Options,
    progress: Progress,
) -> Iterator[Outcome]:
    dataset.repository.check_writable()
    dataset.repository.check_plain_content()
    name = choose_sibling(dataset, to)
    unknown = list(iter_unknown(dataset, paths, "push"))
    yield from unknown
    if unknown:
        return
    yield from _Pusher(dataset, paths, options, progress).push(name)
    dataset.forget()


def choose_sibling(dataset: Dataset, name: str | None) -> str:
    """The remote that is meant: named, else that of the branch, else the only one.

    Raises:
        NotFoundError: There is none of that name.
        UsageError: There are several.
    """
    remotes = remotes_of(dataset.repository)
    if name is not None:
        return remote_named(remotes, name)
    config = dataset.repository.config
    branch = (dataset.repository.head_ref or "").removeprefix("refs/heads/")
    default = config.get("remote.pushdefault") or config.get(f"branch.{branch}.remote")
    if default in remotes:
        return str(default)
    if len(remotes) == 1:
        return next(iter(remotes))
    raise faults.WHICH_SIBLING(known=", ".join(sorted(remotes)) or "none, yet")


@dataclass(frozen=True)
class _Options:
    data: Data
    since: str | None
    jobs: int | None


class _Pusher:
    def __init__(
        self, dataset: Dataset, paths: Sequence[bytes], options: _Options, progress: Progress
    ) -> None:
        self._dataset = dataset
        self._paths = paths
        self._options = options
        self._progress = progress
        self._pushed: set[str] = set()
        self._has_news = False

    def push(self, name: str) -> Iterator[Outcome]:
        """Push to a sibling, and before to those it depends on; each once."""
        if name in self._pushed:
            return
        self._pushed.add(name)
        good = True
        for other in self._dependencies(name):
            for outcome in self.push(other):
                good = good and outcome.good
                yield outcome
        settings = remotes_of(self._dataset.repository)[name]
        if "url" in settings:
            self._prepare(name, settings["url"])
        mark = mark_now(self._dataset.repository, self._remark())
        self._has_news = False
        if self._options.data is not Data.NOTHING and self._exchanges_content(name):
            for outcome in self._push_content(name, mark):
                good = good and outcome.good
                yield outcome
        if "url" in settings:
            yield from self._push_refs(name) if good else [self._withheld(name)]

    def _dependencies(self, name: str) -> list[str]:
        repository = self._dataset.repository
        names = repository.config.get_all(f"remote.{name}.datalad-publish-depends")
        known = remotes_of(repository)
        return [other for other in names if other in known]

    def _exchanges_content(self, name: str) -> bool:
        settings = remotes_of(self._dataset.repository)[name]
        if settings.get("annex-ignore") == "true":
            return False
        return bool(settings.get("annex-uuid"))

    def _prepare(self, name: str, url: str) -> None:
        """Make sure that a sibling has an annex of its own; a new one is given one."""
        dataset = self._dataset
        settings = remotes_of(dataset.repository)[name]
        if settings.get("annex-uuid") or settings.get("annex-ignore") == "true":
            return
        folder = local_folder(dataset.top, url)
        if folder is None:
            push_refs(dataset.repository, name, [])
            with open_sources(dataset):
                pass  # asks which place it is, and writes it down
            return
        other = Repository(folder)
        try:
            if other.uuid is None:
                push_refs(dataset.repository, name, [])
                initialise(other, name)
                other.forget_config()
            if other.uuid is not None:
                remember_uuid(dataset, name, other.uuid)
        finally:
            other.close()

    # content

    def _remark(self) -> str:
        return str(self._options.data)

    def _push_content(self, name: str, mark: Mark | None) -> Iterator[Outcome]:
        dataset, whole = self._dataset, not self._paths and self._options.since is None
        with open_target(dataset, name, self._options.jobs, tell_it=False) as target:
            files = self._files(name, target.place.id, mark)
            sender = Sender(dataset, target, "push", self._progress)
            good = True
            self._progress.start(None, None)
            try:
                for block in iter_blocks(self._lacking(files, target)):
                    for outcome in sender.send(block):
                        good = good and outcome.good
                        self._has_news = self._writes_by_itself(name, target)
                        yield outcome
            finally:
                self._progress.stop()
                target.finish()
        dataset.forget()
        if whole and good:
            write_mark(dataset.repository, f"push-{name}", mark)

    def _writes_by_itself(self, name: str, target: Target) -> bool:
        """Whether who takes content writes down that it has it: git-annex at the end of a wire."""
        url = remotes_of(self._dataset.repository)[name].get("url", "")
        return not isinstance(target, Neighbour) and not url.startswith(GIT_IN_A_PLACE)

    def _files(self, name: str, place: PlaceId, mark: Mark | None) -> Iterable[TrackedFile]:
        """Those that may have to go there: what changed since the last push, if that is known."""
        dataset, since = self._dataset, self._options.since
        files: Iterable[TrackedFile] | None = None
        if since is None and not self._paths and mark is not None:
            last = read_mark(dataset.repository, f"push-{name}")
            if last is not None and last.remark == mark.remark:
                files = iter_changed_since(
                    dataset.repository, last, lambda keys: self._lacked(keys, place)
                )
        elif since:
            files = self._changed_after(since)
        if files is None:
            files = iter_files(dataset, self._paths)
        if self._wants_decide(place):
            files = iter_to_send(dataset, files, place, lacking=False)
        return files

    def _changed_after(self, version: str) -> Iterator[TrackedFile]:
        from ..dataset.differences import iter_differences

        repository = self._dataset.repository
        for found in iter_differences(repository, None, version, "HEAD", self._paths):
            if found.new is not None and found.new.key is not None:
                new = found.new
                yield TrackedFile(new.path, new.mode, new.oid, new.key)

    def _wants_decide(self, place: PlaceId) -> bool:
        data = self._options.data
        if data is Data.AUTO_IF_WANTED:
            dataset = self._dataset
            return bool(Wanting(dataset.repository, dataset.ledger).rules(place))
        return data is Data.AUTO

    def _lacked(self, keys: set[Key], place: PlaceId) -> set[Key]:
        """Those keys that are here and that a place is not said to have."""
        known = self._dataset.ledger.locations(keys)
        absent = set(self._dataset.objects.missing(list(keys)))
        return {key for key in keys if key not in absent and place not in known[key]}

    def _lacking(self, files: Iterable[TrackedFile], target: Target) -> Iterator[TrackedFile]:
        """Files with content that is here and that the place is not said to have."""
        for block in iter_blocks(files):
            lacked = self._lacked({file.key for file in block if file.key}, target.place.id)
            yield from (file for file in block if file.key in lacked)

    # versions

    def _push_refs(self, name: str) -> Iterator[Outcome]:
        repository = self._dataset.repository
        if self._keeps_git_in_chunks(name):
            error: HoldError = faults.GIT_IN_CHUNKS(place=name)
            yield Outcome("push", Status.IMPOSSIBLE, name, note=error.why, error=error)
            return
        specs = repository.config.get_all(f"remote.{name}.push")
        head = repository.head_ref
        if not specs and head is None:
            error = faults.NO_BRANCH()
            yield Outcome("push", Status.IMPOSSIBLE, note=error.what, error=error)
        refs = specs or ([head] if head else [])
        for pushed in push_refs(repository, name, refs, has_news=self._has_news):
            if "currently checked out" in pushed.error:
                # As git-annex has it: what is checked out there takes it up when it next merges.
                branch = pushed.ref.removeprefix("refs/heads/")
                synced = f"{pushed.ref}:refs/heads/synced/{branch}"
                found = push_refs(repository, name, [synced], ledger=False)
                yield from (_told(name, one) for one in found)
            else:
                yield _told(name, pushed)

    def _keeps_git_in_chunks(self, name: str) -> bool:
        settings = remotes_of(self._dataset.repository)[name]
        if not settings["url"].startswith(GIT_IN_A_PLACE):
            return False
        place = Place(PlaceId(settings.get("annex-uuid", "")), name)
        config = config_of(self._dataset, settings, place)
        return "chunk" in config or "chunksize" in config

    def _withheld(self, name: str) -> Outcome:
        error = faults.VERSIONS_WITHHELD(place=name)
        return Outcome("push", Status.IMPOSSIBLE, name, note=error.why, error=error)


def _told(name: str, pushed: Pushed) -> Outcome:
    ref = pushed.target.removeprefix("refs/heads/")
    facts = {"ref": pushed.target, "sibling": name}
    if pushed.error:
        fault = faults.PUSH_LOST if pushed.lost else faults.PUSH_REFUSED
        error = fault(ref=ref, place=name, detail=pushed.error)
        return Outcome("push", Status.ERROR, ref, note=pushed.error, error=error, facts=facts)
    status = Status.OK if pushed.changed else Status.NOT_NEEDED
    return Outcome("push", status, ref, note=f"to {name} {pushed.note}", facts=facts)
