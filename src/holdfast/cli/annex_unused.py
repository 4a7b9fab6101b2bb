"""`hold annex unused` and `dropunused`: content that no branch or tag uses, by number."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from ..core.key import Key
from ..core.outcome import Outcome
from .annex_content import check_places, numcopies
from .annex_real import Elsewhere
from .annex_verbs import Front

_KINDS = (("unused", "unused-list"), ("bad", "bad-list"), ("tmp", "tmp-list"))
_HEADS = {
    "unused": "Some annexed data is no longer used by any files:",
    "bad": "Some corrupted files have been preserved by fsck, just in case.",
    "tmp": "Some partially transferred data exists in temporary files:",
}


def run(front: Front) -> int:
    """List what is unused, or drop what is named by number."""
    if front.words.verb == "dropunused":
        return _dropunused(front)
    if front.words.names:
        raise Elsewhere
    from ..api.unused import iter_unused

    found = list(iter_unused(front.dataset))
    lists = {title: _numbered(found, kind) for kind, title in _KINDS}
    if front.words.json:
        front.show.item("", good=True, note="checking for unused data...", facts=lists)
    elif not front.words.has("--quiet"):
        front.show.text("unused . (checking for unused data...) ")
        front.show.text(_listing(found) + "ok\n")
    return front.show.close()


def _numbered(found: list[Outcome], kind: str) -> dict[str, str]:
    return {
        str(one.facts["number"]): one.key.text
        for one in found
        if one.facts["kind"] == kind and one.key is not None
    }


def _listing(found: list[Outcome]) -> str:
    lines: list[str] = []
    for kind, _ in _KINDS:
        rows = _numbered(found, kind)
        if rows:
            lines += [f"  {_HEADS[kind]}", "    NUMBER  KEY"]
            lines += [f"    {number:<7} {key}" for number, key in rows.items()]
    if lines:
        lines += ["  To remove unwanted data: git-annex dropunused NUMBER", "  "]
    return "".join(f"\n{line}" for line in lines) + ("\n" if lines else "")


def _dropunused(front: Front) -> int:
    check_places(front)
    known = dict(_iter_numbered(front.dataset.repository.annex_dir, b"unused"))
    others = [
        number
        for name in (b"badunused", b"tmpunused")
        for number, _ in _iter_numbered(front.dataset.repository.annex_dir, name)
    ]
    numbers = list(_iter_numbers(front.words.names, [*known, *others]))
    if any(number in others for number in numbers):
        # Damaged and partial files are not content; the real git-annex removes them.
        raise Elsewhere
    for number in numbers:
        if number not in known:
            front.show.complain(f"{number} not valid (run git annex unused for list)")
            front.show.failed += 1
            return front.show.close()
    for number in numbers:
        _drop_key(front, number, known[number])
    return front.show.close()


def _drop_key(front: Front, number: int, key: Key) -> None:
    from ..api.drop import iter_drop_keys

    reason = "git annex dropunused --force" if front.words.has("--force") else None
    for outcome in iter_drop_keys(
        front.dataset, [key], force_reason=reason, numcopies=numcopies(front)
    ):
        front.show.item("", key=key, good=outcome.good, error=outcome.error, number=number)


def _iter_numbered(annex_dir: bytes, name: bytes) -> Iterator[tuple[int, Key]]:
    try:
        with open(os.path.join(annex_dir, name), "rb") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        number, _, rest = line.partition(b" ")
        if number.isdigit():
            yield int(number), Key.parse(rest.rpartition(b" ")[0] or rest)


def _iter_numbers(names: list[str], known: list[int]) -> Iterator[int]:
    for name in names:
        if name == "all":
            yield from known
            continue
        found = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", name)
        if found is None:
            raise Elsewhere
        yield from range(int(found[1]), int(found[2] or found[1]) + 1)
