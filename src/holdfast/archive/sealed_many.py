"""Small contents of an encrypted snapshot, read, checked and sealed many at a time.

Each is whole in memory, and is what was planned, before anything is encrypted under its key.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, compress
from typing import NamedTuple

from ..core.key import Key
from ..kernel.many import md5_many, read_files
from ..wire.archive_rows import RowKind
from ..wire.piece import Kernel
from .contents import FILES, SourceFault, Sources, check_leaf, not_right, wants_md5
from .entries import OF_SEAL
from .plan_records import FileRecord, RunRecord
from .sealed_contents import SealedFrom, SealedSources


class _Plain(NamedTuple):
    """What is in age files: records as of a plan in the clear, and keys by which it is checked."""

    records: list[FileRecord]
    scopes: list[int]
    checks: list[bytes | None]


def seal_many(
    sources: Sources, kernel: Kernel, records: Sequence[FileRecord], places: Sequence[int],
    buffer: memoryview,
) -> None:  # fmt: skip
    """Put age files, each of one leaf, to their places in a buffer.

    Raises:
        SourceFault: What should be in one of them is gone, or is another one.
        AccessError: The key of a scope is not at hand.
    """
    assert isinstance(sources, SealedSources), "an encrypted plan has other sources"
    plain = _plain_of(sources, records)
    sizes = array("Q", [record.size for record in plain.records])
    starts = array("Q", accumulate(sizes[:-1], initial=0))
    view = memoryview(bytearray(max(1, sum(sizes))))
    odd = _fill(sources.plain, kernel, plain, view, starts, sizes)
    names = [bytes.fromhex(record.key.decode()) for record in records if record.key is not None]
    heads = sources.seal.heads(list(zip(plain.scopes, names, strict=True)))
    rows = zip(records, places, starts, sizes, heads, strict=True)
    for number, (record, place, start, size, head) in enumerate(rows):
        if number in odd:
            _seal_alone(sources, record, buffer[place : place + record.size])
            continue
        sealed = b"".join((head.start, *head.payload.seal_whole(view[start : start + size])))
        assert len(sealed) == record.size, "an age file of another size"
        buffer[place : place + len(sealed)] = sealed


def _plain_of(sources: SealedSources, records: Sequence[FileRecord]) -> _Plain:
    skip, plain_size = len(OF_SEAL), sources.seal.plain_size
    texts = ",".join([record.source[skip:] for record in records])
    found = _Plain([], [], [])
    for record, about in zip(records, json.loads(f"[{texts}]"), strict=True):
        scope, text, oid, digest, name = SealedFrom._make(about)
        size, key = plain_size(scope, record.size), os.fsencode(text) or None
        kind, path = RowKind.GIT if key is None else RowKind.ANNEXED, FILES + os.fsencode(name)
        plain = FileRecord(
            record.number, path, kind, record.mode, size, key, oid, None, 0, 0, 0, size
        )
        found.records.append(plain)
        found.scopes.append(scope)
        by_digest = Key.make(b"SHA256", digest.encode(), size=size) if digest else None
        found.checks.append(key if by_digest is None else bytes(by_digest))
    return found


def _fill(
    sources: Sources, kernel: Kernel, plain: _Plain, held: memoryview, starts: array[int],
    sizes: array[int],
) -> set[int]:  # fmt: skip
    """Read all that can be read at once; gives the numbers of those that have to be looked at.

    Raises:
        SourceFault: Something is not what its key says.
    """
    paths, odd = _paths_of(sources, plain.records), set[int]()
    files = [number for number, path in enumerate(paths) if path]
    if len(files) < len(paths):
        odd |= _fill_blobs(sources, plain.records, held, starts)
    to, counts = (
        array("Q", map(starts.__getitem__, files)),
        array("Q", map(sizes.__getitem__, files)),
    )
    wrong = read_files(kernel, [paths[number] for number in files], held, to, counts)
    odd.update(compress(files, wrong))
    _, digests = kernel.roots_beside_each(b"", held, to, counts)
    checks = [plain.checks[number] for number in files]
    md5 = b""
    if any(by_md5 := list(map(wants_md5, checks))):
        some = array("Q", compress(to, by_md5)), array("Q", compress(counts, by_md5))
        md5 = md5_many(kernel, held, *some)
    for at in not_right(checks, digests, md5):
        number = files[at]
        if number not in odd:
            record = plain.records[number]._replace(key=plain.checks[number])
            view = held[to[at] : to[at] + counts[at]]
            if not _is_leaf(record, view):
                odd.add(number)
    return odd


def _is_leaf(record: FileRecord, view: memoryview) -> bool:
    try:
        check_leaf(record, view)
    except SourceFault:
        return False
    return True


def _paths_of(sources: Sources, records: Sequence[FileRecord]) -> list[bytes]:
    """Where they are if all is as usual; nothing for what git has."""
    _, paths, kinds, modes, sizes, keys, oids, *_ = zip(*records, strict=True)
    names = [path[len(FILES) :] for path in paths]
    return sources.usual_paths(RunRecord(0, FILES, names, kinds, modes, sizes, keys, oids, 0))


def _fill_blobs(
    sources: Sources, records: Sequence[FileRecord], held: memoryview, starts: array[int]
) -> set[int]:
    """Read what git has; gives the numbers of what it has otherwise."""
    wanted = [number for number, record in enumerate(records) if record.kind is RowKind.GIT]
    found: Iterator[bytes | None] = sources.iter_blobs(records[number] for number in wanted)
    odd = set[int]()
    for number, data in zip(wanted, found, strict=True):
        if data is None or len(data) != records[number].size:
            odd.add(number)
        else:
            held[starts[number] : starts[number] + len(data)] = data
    return odd


def _seal_alone(sources: SealedSources, record: FileRecord, view: memoryview) -> None:
    """Look closer at one that is not as it usually is: it may be elsewhere, or another one."""
    content = sources.open_content(record)
    try:
        content.read(view, 0)
        content.finish()
    finally:
        content.close()
