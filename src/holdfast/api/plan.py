"""What would be done, by the ledger: how much from where to where, and what stays, and why.

Nothing is asked and nothing is changed. `iter_plan` is about policy: what each place wants and
has not, and what may leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict

from ..core import faults
from ..core.abilities import Readable
from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..core.place import PlaceId
from ..core.rates import Direction
from ..dataset.annexed import TrackedFile
from ..dataset.content_facts import Content
from ..dataset.copies import iter_located
from ..dataset.places import Places
from ..dataset.wanting import Wanting
from ..transfer.plan import Planner, SourceFacts
from ..transfer.plan_rows import Row, Rows
from .auto import Auto, iter_to_get, iter_to_send
from .copy import iter_files, iter_versions
from .datasets import Dataset
from .limits import Limits
from .sources import open_sources
from .targets import remote_named

_ENTRIES = 2
"""A file and the folder of its own: what each content costs in git-annex's layout."""
_NO_FOLDERS = frozenset(("S3", "httpalso", "web", "glacier"))
"""Kinds of special remotes that have no file system of their own that could be full of entries."""


def iter_plan_of_get(
    dataset: Dataset,
    paths: Sequence[bytes],
    *,
    source: str | None = None,
    all_versions: bool = False,
    auto: bool = False,
) -> Iterator[Outcome]:
    """Rows of what `get` would bring here, from which place first."""
    files = _new_keys(_iter_files(dataset, paths, all_versions=all_versions))
    if auto:
        files = iter_to_get(dataset, files)
    rows = Rows()
    with open_sources(dataset) as sources:
        chosen = sources.only(source) if source else sources
        bring = _Bringing(dataset, chosen.readers)
        for file, key, places in iter_located(dataset.ledger, files, most=not paths):
            if not dataset.objects.has(key):
                _add_source(rows, "get", key, bring.source(key, places), "here", _ENTRIES)
            del file
    yield from outcomes(rows, dataset.limits)


def iter_plan_of_copy(
    dataset: Dataset,
    paths: Sequence[bytes],
    action: str,
    *,
    source: str | None = None,
    to: str | None = None,
    all_versions: bool = False,
    auto: bool = False,
) -> Iterator[Outcome]:
    """Rows of what `copy` and `move` would do."""
    remotes = dataset.repository.config.sections("remote")
    giver = _place_of(dataset, remotes, source)
    taker = _place_of(dataset, remotes, to)
    files = _new_keys(_iter_files(dataset, paths, all_versions=all_versions))
    if auto:
        files = iter_to_send(dataset, files, taker)
    names = _Names(dataset)
    rows = Rows()
    for _, key, places in iter_located(dataset.ledger, files, most=not paths):
        has = set(places) - {dataset.here}
        if dataset.objects.has(key):
            has.add(dataset.here)
        way = {"source": names.of(giver), "target": names.of(taker)}
        if giver not in has:
            rows.add("skip", key, why=f"not in {names.of(giver)}")
        elif taker in has and action == "copy":
            rows.add("skip", key, why=f"already in {names.of(taker)}")
        else:
            entries = 0 if taker in has else names.entries(taker)
            rows.add(action, key, **way, entries=entries)
    yield from outcomes(rows, dataset.limits)


def iter_plan(dataset: Dataset, paths: Sequence[bytes] = ()) -> Iterator[Outcome]:
    """Rows of what policy asks for: what each place should get, and what may leave it."""
    names = _Names(dataset)
    rows = Rows()
    remotes = dataset.repository.config.sections("remote")
    others = [PlaceId(s["annex-uuid"]) for s in remotes.values() if s.get("annex-uuid")]
    wanting = Wanting(dataset.repository, dataset.ledger)
    autos = {
        place: Auto(dataset, place=place, wanting=wanting)
        for place in dict.fromkeys([dataset.here, *others])
    }
    with open_sources(dataset) as sources:
        bring = _Bringing(dataset, sources.readers)
        files = _new_keys(_iter_files(dataset, paths, all_versions=False))
        for file, key, said in iter_located(dataset.ledger, files, most=not paths):
            here = dataset.objects.has(key)
            places = set(said) - {dataset.here} | ({dataset.here} if here else set())
            content = Content(key, file.path, places)
            for place, auto in autos.items():
                _decide(rows, names, bring, auto, place, content)
    yield from outcomes(rows, dataset.limits)


def plan(dataset: Dataset, paths: Sequence[bytes] = ()) -> Report:
    """Rows of what policy asks for; see `iter_plan`."""
    return complete(iter_plan(dataset, paths))


def _decide(
    rows: Rows, names: _Names, bring: _Bringing, auto: Auto, place: PlaceId, content: Content
) -> None:
    """What is to happen to one content for one place."""
    key = content.key
    if place in content.places:
        if auto.has_rules and auto.may_go(content):
            rows.add(
                "drop", key, source=names.of(place), entries=-names.entries(place),
                why="not wanted there, enough other copies are known",
            )  # fmt: skip
        return
    if place == names.here:
        if auto.should_come(content):
            why = "wanted" if auto.is_wanted(content) else "too few copies"
            auto.expect(key)
            _add_source(rows, "get", key, bring.source(key, content.places), "here", _ENTRIES, why)
    elif auto.is_wanted(content):
        source = "here" if names.here in content.places else ""
        source = source or bring.source(key, content.places) or ""
        if source:
            auto.expect(key)
            rows.add(
                "copy", key, source=source, target=names.of(place), why="wanted",
                entries=names.entries(place),
            )  # fmt: skip
        else:
            rows.add("skip", key, target=names.of(place), why="no place that has it can be reached")


def _add_source(
    rows: Rows, action: str, key: Key, source: str | None, target: str, entries: int, why: str = ""
) -> None:
    if source is None:
        rows.add("skip", key, why="no place that has it can be reached")
    else:
        rows.add(action, key, source=source, target=target, entries=entries, why=why)


def outcomes(rows: Rows, limits: Limits) -> Iterator[Outcome]:
    """Rows as outcomes: an action with the facts files, size, unsized, inodes, source, target.

    Where a limit of a place is in the way there are ``seconds``, which it takes at least, and
    ``not_held``: the places whose limit nobody heeds.
    """
    for row in rows.rows.values():
        yield Outcome(row.action, Status.OK, facts={**_facts(row), **_pace(row, limits)})


def _facts(row: Row) -> dict[str, object]:
    facts = asdict(row)
    del facts["action"]
    facts["inodes"] = facts.pop("entries")
    return facts


def _pace(row: Row, limits: Limits) -> dict[str, object]:
    """How long it takes at least: what comes from one place and goes to another takes both."""
    seconds, not_held = 0.0, []
    moves = row.action in ("get", "copy", "move")
    for name, way in ((row.source, Direction.DOWN), (row.target, Direction.UP)):
        rate = limits.rate(name, way) if moves and name not in ("", "here") else None
        if rate is not None and limits.is_held(name, way):
            seconds += row.size / rate
        elif rate is not None:
            not_held.append(name)
    facts: dict[str, object] = {"seconds": round(seconds, 1)} if seconds else {}
    return {**facts, "not_held": not_held} if not_held else facts


def _iter_files(
    dataset: Dataset, paths: Sequence[bytes], *, all_versions: bool
) -> Iterator[TrackedFile]:
    return iter_versions(dataset, paths) if all_versions else iter_files(dataset, paths)


def _new_keys(files: Iterable[TrackedFile]) -> Iterator[TrackedFile]:
    """Files, each key once."""
    seen: set[Key | None] = set()
    for file in files:
        if file.key not in seen:
            seen.add(file.key)
            yield file


def _place_of(
    dataset: Dataset, remotes: Mapping[str, Mapping[str, str]], name: str | None
) -> PlaceId:
    if name is None:
        return dataset.here
    settings = remotes[remote_named(remotes, name)]
    if "annex-uuid" not in settings:
        with open_sources(dataset):  # finds out which place it is, and writes it down
            settings = dataset.repository.config.sections("remote")[remote_named(remotes, name)]
    if "annex-uuid" not in settings:
        raise faults.NO_WAY(place=name, kind="repository whose annex has not been asked for yet")
    return PlaceId(settings["annex-uuid"])


class _Names:
    """What places are called, and what a content there costs in entries of a file system."""

    def __init__(self, dataset: Dataset) -> None:
        self.here = dataset.here
        self._places = Places(dataset.repository, dataset.ledger)
        self._remotes = dataset.repository.config.sections("remote")

    def of(self, place: PlaceId) -> str:
        """The name of a place."""
        return "here" if place == self.here else str(self._places.tell(place)["name"] or place)

    def entries(self, place: PlaceId) -> int:
        """How many files and folders one content costs there."""
        for settings in self._remotes.values():
            if settings.get("annex-uuid") == place:
                marks = {f"annex-{kind.lower()}" for kind in _NO_FOLDERS}
                return 0 if marks & settings.keys() else _ENTRIES
        return _ENTRIES


class _Bringing:
    """Which place a content would come from first."""

    def __init__(self, dataset: Dataset, readers: Sequence[Readable]) -> None:
        self._planner = Planner(
            [
                SourceFacts(reader.place, reader.cost)
                for reader in readers
                if reader.place.id != dataset.here
            ]
        )
        self._labels: dict[PlaceId, str] = {r.place.id: r.place.label for r in readers}
        self._near = [r for r in readers if hasattr(r, "content_path")]

    def source(self, key: Key, places: Iterable[PlaceId]) -> str | None:
        """The name of the place; None when none that can be reached is said to have it."""
        for reader in self._near:
            look: Callable[[Key], bytes | None] = reader.content_path
            if look(key) is not None:
                return reader.place.label
        order = self._planner.attempts(key, sorted(places)).order
        return self._labels[order[0]] if order else None
