"""The pieces of a data set as one of its places: set up, and told to the ledger in one go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

from ..archive.piece_proof import check_there
from ..archive.pieces_store import PiecesStore
from ..archive.place_index import PlaceIndex
from ..core import faults
from ..core.errors import ConflictError, HoldError
from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..core.place import Place, PlaceId
from ..dataset.key_notes import KeyNotes
from ..dataset.ledger_write import set_location_logs
from ..dataset.remotes import remotes_of
from ..dataset.sorted_spill import SortedSpill
from ..dataset.submodules import dataset_id
from ..stores import holdfast_kind
from ..stores.archive_pieces import KIND
from ..wire.branch_paths import location_log
from .archive_found import iter_wrong
from .datasets import Dataset
from .special import config_of, special_remote
from .special_setup import approve_special, enable_special, set_up_special

PLACE = "place"
OUTER = {"type": "external", "externaltype": holdfast_kind.NAME, holdfast_kind.STORE: KIND}
"""What such a place is to git-annex."""


def iter_archive_place(
    dataset: Dataset, name: str, words: Mapping[str, str] | None = None
) -> Iterator[Outcome]:
    """Make pieces a place of the data set, and tell the ledger all that is in them.

    ``words`` say where they are (``directory=``, ``url=``, ``bucket=`` and its words). A place that
    is there already is looked at again: what was packed since is told, and so is what is gone. It
    may be elsewhere now, as ``words`` say. All rows of all pieces are read; the ledger gets one
    commit. What is wrong with pieces is told, and the rest is recorded all the same.

    Raises:
        NotFoundError: There is no piece.
        ConflictError: The pieces are of another data set; or ``name`` is another kind of place.
        UsageError: The words make no sense.
    """
    dataset.repository.check_writable()
    given = dict(words or {})
    is_known = name in remotes_of(dataset.repository)
    if is_known:
        _check_kind(dataset, name)
        if given:
            _move(dataset, name, given)
    elif not given:
        what = "say where the pieces are: a folder, a URL, or bucket=NAME and its words"
        raise faults.BAD_USAGE(what=what, command="archive")
    with SortedSpill(dataset.repository.annex_dir) as keys:
        store = _opened(dataset, name, keys) if is_known else _new(dataset, name, given, keys)
        try:
            index = store.index
            counts = _record(dataset, store, keys, look_back=is_known)
            yield from iter_wrong(PLACE, [*index.faults, *index.missing])
            facts = {
                "uuid": store.place.id, "recorded": counts.new, "known": counts.known,
                "gone": counts.gone, "pieces": index.piece_count,
            }  # fmt: skip
        finally:
            store.close()
    status = Status.OK if counts.new or counts.gone else Status.NOT_NEEDED
    yield Outcome(PLACE, status, name, note=_told(counts, index.piece_count), facts=facts)


def archive_place(dataset: Dataset, name: str, words: Mapping[str, str] | None = None) -> Report:
    """Make pieces a place of the data set; see `iter_archive_place`.

    Raises:
        IncompleteError: Something is wrong with some piece.
    """
    return complete(iter_archive_place(dataset, name, words))


# the place


def _new(dataset: Dataset, name: str, given: Mapping[str, str], keys: SortedSpill) -> PiecesStore:
    """Look at the pieces first, then set the place up."""
    place = Place(PlaceId(str(uuid4())), name)
    store = _of_this(dataset, place, given, keys)
    try:
        fixed = {**given, "dataset": store.dataset, "uuid": place.id, "encryption": "none"}
        set_up_special(dataset, name, {**fixed, "type": KIND})
        dataset.forget()
    except BaseException:
        store.close()
        raise
    return store


def _of_this(
    dataset: Dataset, place: Place, given: Mapping[str, str], keys: SortedSpill
) -> PiecesStore:
    """The pieces there that are of this data set: it goes by DataLad's id, or by a UUID."""
    identity = dataset_id(dataset.top)
    if identity is not None and "dataset" not in given:
        store = _store(dataset, place, {**OUTER, **given, "dataset": identity}, {}, keys)
        try:
            assert store.dataset == identity
            if not store.index.piece_count:
                raise store.index.faults[0]  # nothing tells that they are of this data set
        except ConflictError:
            store.close()
        else:
            return store
    store = _store(dataset, place, {**OUTER, **given}, {}, keys)
    try:
        ours = {identity, dataset.here, *dataset.ledger.descriptions, given.get("dataset")}
        if store.dataset not in ours:
            detail = f"it is of {store.dataset}, and this is {identity or dataset.here}"
            raise faults.PIECE_FOREIGN(piece=store.where, detail=detail)
    except BaseException:
        store.close()
        raise
    return store


def _check_kind(dataset: Dataset, name: str) -> None:
    settings = remotes_of(dataset.repository)[name]
    config = config_of(dataset, settings, Place(PlaceId(settings.get("annex-uuid", "")), name))
    if any(config.get(word) != value for word, value in OUTER.items()):
        detail = "there is another place of this name, which is not made of pieces"
        raise faults.BAD_SETUP(name=name, detail=detail, next="choose another name")
    verified = settings.get("annex-verified", "verified")
    if verified != "verified":
        raise faults.PLACE_UNVERIFIED(place=name, state=verified)


def _move(dataset: Dataset, name: str, given: Mapping[str, str]) -> None:
    """Let a place be elsewhere, by the word of who runs this."""
    set_up = enable_special(dataset, name, given)
    dataset.forget()
    if not set_up.approved:
        approve_special(dataset, name, set_up.config)
        dataset.forget()


def _opened(dataset: Dataset, name: str, keys: SortedSpill) -> PiecesStore:
    settings = remotes_of(dataset.repository)[name]
    place = Place(PlaceId(settings["annex-uuid"]), name)
    return _store(dataset, place, config_of(dataset, settings, place), settings, keys)


def _store(
    dataset: Dataset,
    place: Place,
    config: Mapping[str, str],
    settings: Mapping[str, str],
    keys: SortedSpill,
) -> PiecesStore:
    notes = KeyNotes(dataset.repository, dataset.ledger)
    remote = special_remote(dataset, place, config, settings, notes)
    return PiecesStore(holdfast_kind.inside(remote)[1], keys.add)


# what the ledger is told


@dataclass(frozen=True)
class _Counts:
    new: int
    known: int
    gone: int


def _record(dataset: Dataset, store: PiecesStore, keys: SortedSpill, *, look_back: bool) -> _Counts:
    """Write down what is new in the pieces; and what is gone, where all pieces could be read."""
    repository, place, index = dataset.repository, store.place.id, store.index
    folder = repository.annex_dir
    with SortedSpill(folder) as known, SortedSpill(folder) as new, SortedSpill(folder) as gone:
        counts = [0, 0, 0]
        for key, places in dataset.ledger.iter_locations() if look_back or index.is_damaged else ():
            if place not in places:
                # What damaged rows told is found by what the data set knows of its keys.
                if _is_salvaged(index, key):
                    keys.add(key)
                continue
            if index.find(key) is not None:
                known.add(key)
                counts[1] += 1
            elif not index.faults:
                gone.add(location_log(key))
                counts[2] += 1
        for added in _difference(keys, known):
            new.add(location_log(Key(added)))
            counts[0] += 1
        for paths, present in ((new, True), (gone, False)):
            if paths:
                set_location_logs(repository, paths, place, present=present)
    dataset.forget()
    return _Counts(*counts)


def _is_salvaged(index: PlaceIndex, key: Key) -> bool:
    """Whether damaged pieces alone have the content of a key, and it is there."""
    try:
        file = index.salvaged(key)
        if file is not None:
            check_there(file)
    except HoldError:
        return False
    return file is not None


def _difference(some: Iterable[bytes], others: Iterable[bytes]) -> Iterator[bytes]:
    """What is in one sorted row and not in the other."""
    rest = iter(others)
    other = next(rest, None)
    for one in some:
        while other is not None and other < one:
            other = next(rest, None)
        if one != other:
            yield one


def _told(counts: _Counts, pieces: int) -> str:
    count = f"{pieces} piece" + ("s" if pieces != 1 else "")
    gone = f", {counts.gone} are gone" if counts.gone else ""
    return f"{counts.new} keys recorded, {counts.known} were known{gone}; {count}"
