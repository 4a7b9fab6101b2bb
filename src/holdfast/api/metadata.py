"""What people say of content: fields and tags, shown and set."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from ..core import faults
from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..dataset.key_facts import KeyFacts
from ..dataset.ledger_write import record_sorted
from ..dataset.said import SaidOf
from ..wire.metadata import Change, is_field
from .datasets import Dataset
from .reading import Wanted, iter_wanted_files, readable_ledger

_BLOCK = 8192
_COMPUTED = "lastchanged"

Fields = Mapping[str, Sequence[bytes]]


class Verb(StrEnum):
    """What is done to a field."""

    SET = "set"
    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Wish:
    """One thing to do: make a field's only value ``value``, add it, or take it (None: all) away."""

    verb: Verb
    field: str
    value: bytes | None

    @classmethod
    def of(cls, verb: Verb, word: str) -> Wish:
        """From ``field=value``; of what is removed ``field`` alone means all its values.

        Raises:
            UsageError: There is no such field.
        """
        name, equals, value = word.partition("=")
        if not is_field(name):
            raise faults.BAD_FIELD(field=name or word, detail="it is no name of a field")
        if name.lower().endswith(_COMPUTED):
            raise faults.BAD_FIELD(field=name, detail="when things changed is worked out, not set")
        if not equals and verb is not Verb.REMOVE:
            raise faults.BAD_FIELD(field=name, detail="it was given no value")
        return cls(verb, name, os.fsencode(value) if equals else None)


def iter_metadata(
    dataset: Dataset, paths: Sequence[bytes] = (), *, wishes: Sequence[Wish] = ()
) -> Iterator[Outcome]:
    """The metadata of files below some paths, or all; after what ``wishes`` change, if any.

    Of all files, those of which nothing is said are left out.

    The fact ``fields`` has each field's values. What is said is said of the content, so of every
    file that has it.
    """
    wanted = Wanted(dataset, "metadata", paths)
    yield from wanted.iter_failures()
    if wanted.nothing:
        return
    if wishes:
        dataset.repository.check_writable()
    ledger = readable_ledger(dataset)
    said = SaidOf(ledger, most=not wanted.paths)
    files = ((file, file.key) for file in iter_wanted_files(dataset, wanted) if file.key)
    while block := list(islice(files, _BLOCK)):
        found = said.of([key for _, key in block])
        changed = _change(dataset, found, [key for _, key in block], wishes) if wishes else {}
        for file, key in block:
            fields = changed.get(key, found.get(key, {}))
            if not (fields or wishes or paths):
                continue
            status = Status.NOT_NEEDED if wishes and key not in changed else Status.OK
            facts = {"fields": {name: _texts(values) for name, values in fields.items()}}
            yield Outcome("metadata", status, os.fsdecode(file.path), key, facts=facts)
    if wishes:
        dataset.forget()


def _change(
    dataset: Dataset, found: Mapping[Key, Fields], keys: Sequence[Key], wishes: Sequence[Wish]
) -> dict[Key, Fields]:
    """Tell the ledger; gives what is then said of the keys that changed."""
    changed: dict[Key, Fields] = {}
    with KeyFacts(dataset.repository.common_dir) as facts:
        for key in dict.fromkeys(keys):
            changes, after = plan_changes(found.get(key, {}), wishes)
            if changes:
                facts.change_metadata(key, changes)
                changed[key] = after
        if facts:
            record_sorted(dataset.repository, facts.iter_edits())
    return changed


def plan_changes(before: Fields, wishes: Sequence[Wish]) -> tuple[list[Change], Fields]:
    """What has to be written, and what is then said. Pure; fields are compared without case."""
    names = {name.lower(): name for name in before}
    old = {name.lower(): frozenset(values) for name, values in before.items()}
    new = {name: set(values) for name, values in old.items()}
    for wish in wishes:
        folded = wish.field.lower()
        names.setdefault(folded, wish.field)
        values = new.setdefault(folded, set())
        if wish.verb is Verb.SET or (wish.verb is Verb.REMOVE and wish.value is None):
            values.clear()
        if wish.value is not None:
            (values.discard if wish.verb is Verb.REMOVE else values.add)(wish.value)
    changes = [
        Change(names[folded], value, added=value in values)
        for folded, values in new.items()
        for value in sorted(values ^ old.get(folded, frozenset()))
    ]
    after = {names[folded]: sorted(values) for folded, values in sorted(new.items()) if values}
    return changes, after


def _texts(values: Sequence[bytes]) -> list[str]:
    return [os.fsdecode(value) for value in values]


def metadata(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """Show or set metadata; see `iter_metadata`."""
    return complete(iter_metadata(dataset, paths, **options))  # type: ignore[arg-type]
