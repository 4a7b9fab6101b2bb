"""A plan made anew after a file was not what was planned: what is before it stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .entries import Entry, identity_of
from .known_index import KnownIndex
from .plan_file import Plan, write_plan
from .plan_records import FileRecord, MissingRecord, OpenedRecord
from .planning import plan_pieces
from .repeats import iter_steps


def replan(
    plan: Plan, number: int, instead: Entry | None, known: KnownIndex, scratch: bytes,
    amended: Callable[[Iterator[Entry]], Iterator[Entry]] = lambda entries: entries,
) -> Plan:  # fmt: skip
    """The plan with another entry, or none, for the file of that number; then ``amended``."""
    steps = iter_steps(amended(_iter_entries(plan, number, instead)), known, scratch)
    write_plan(plan.path, plan.head, plan_pieces(plan.head, steps))
    return Plan(plan.path)


def _iter_entries(plan: Plan, number: int, instead: Entry | None) -> Iterator[Entry]:
    """The entries of a plan, but for that one."""
    waiting: Entry | None = None
    for record in plan:
        if isinstance(record, MissingRecord):
            if waiting is not None:
                waiting = waiting._replace(missing=record.row)
            continue
        if isinstance(record, FileRecord) and record.start:
            continue
        if isinstance(record, FileRecord | OpenedRecord) and waiting is not None:
            yield waiting
            waiting = None
        if isinstance(record, OpenedRecord):
            yield Entry(record.path, None, 0, 0)
        elif isinstance(record, FileRecord):
            waiting = instead if record.number == number else _entry(record)
    if waiting is not None:
        yield waiting


def _entry(record: FileRecord) -> Entry:
    path, kind, key, source = record.path, record.kind, record.key, record.source
    identity = identity_of(path, kind, key, source)
    return Entry(path, kind, record.mode, record.size, key, source, identity)
