"""The terms of git-annex's expressions: what each asks of a file, and how it answers. Pure.

The grammar that joins them is in `expressions`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from .balance import pick_by_fill, pick_by_hash
from .balanced import read_balanced
from .facts import NO, OPPOSITE, UNKNOWN, YES, Facts, Verdict
from .globs import Matches, compile_glob
from .numbers import read_number
from .place import Place, Trust
from .secure_hashes import is_secure_to_git_annex
from .sizes import parse_size

Test = Callable[[Facts], Verdict]
"""What a term became: it answers for any file."""


def unknown(facts: Facts) -> Verdict:
    """Answer for a term that cannot be decided here."""
    return UNKNOWN


def _verdict(value: bool | None, /) -> Verdict:  # noqa: FBT001
    if value is None:
        return UNKNOWN
    return YES if value else NO


def _always(verdict: Verdict, value: str) -> Test:
    return lambda facts: verdict


def _path_glob(found: Verdict, value: str) -> Test:
    matches = _glob(value)
    missed = OPPOSITE[found]

    def test(facts: Facts) -> Verdict:
        path = facts.path()
        if path is None:
            return UNKNOWN
        return found if matches(path) else missed

    return test


def _larger(value: str) -> Test:
    limit = _size(value)

    def test(facts: Facts) -> Verdict:
        size = facts.size()
        return UNKNOWN if size is None else _verdict(size > limit)

    return test


def _smaller(value: str) -> Test:
    limit = _size(value)

    def test(facts: Facts) -> Verdict:
        size = facts.size()
        return UNKNOWN if size is None else _verdict(size < limit)

    return test


def _mime(ask: Callable[[Facts], str | None], value: str) -> Test:
    matches = _glob(value)

    def test(facts: Facts) -> Verdict:
        kind = ask(facts)
        return UNKNOWN if kind is None else _verdict(matches(kind.encode()))

    return test


def _copies(value: str) -> Test:
    """``N``, ``trusted:N``, ``semitrusted+:N`` or ``group:N``."""
    who, colon, number = value.partition(":")
    least = _number(number if colon else value, "copies")
    levels = _LEVELS.get(who) if colon else frozenset(Trust)

    def test(facts: Facts) -> Verdict:
        holders = _living(facts)
        if holders is None:
            return UNKNOWN
        if levels is not None:
            return _verdict(sum(place.trust in levels for place in holders) >= least)
        members = facts.members(who)
        if members is None:
            return UNKNOWN
        return _verdict(sum(place.id in members for place in holders) >= least)

    return test


_LEVELS = {
    "trusted": frozenset((Trust.TRUSTED,)),
    "semitrusted": frozenset((Trust.SEMITRUSTED,)),
    "untrusted": frozenset((Trust.UNTRUSTED,)),
    "dead": frozenset((Trust.DEAD,)),
    "trusted+": frozenset((Trust.TRUSTED,)),
    "semitrusted+": frozenset((Trust.TRUSTED, Trust.SEMITRUSTED)),
    "untrusted+": frozenset((Trust.TRUSTED, Trust.SEMITRUSTED, Trust.UNTRUSTED)),
    "dead+": frozenset(Trust),
}


def _lacking(ask: Callable[[Facts], int | None], value: str) -> Test:
    least = _number(value, "lacking copies")

    def test(facts: Facts) -> Verdict:
        wanted, holders = ask(facts), _living(facts)
        if wanted is None or holders is None:
            return UNKNOWN
        firm = sum(place.trust is not Trust.UNTRUSTED for place in holders)
        return _verdict(wanted - firm >= least)

    return test


def _living(facts: Facts) -> list[Place] | None:
    holders = facts.holders()
    if holders is None:
        return None
    return [place for place in holders if place.trust is not Trust.DEAD]


def _in_backend(value: str) -> Test:
    name = value.encode("utf-8", "surrogateescape")

    def test(facts: Facts) -> Verdict:
        key = facts.key()
        return UNKNOWN if key is None else _verdict(key.backend == name)

    return test


def _secure_hash(value: str) -> Test:
    def test(facts: Facts) -> Verdict:
        key = facts.key()
        if key is None or (key.backend.startswith(b"X") and key.backend not in _XXH):
            return UNKNOWN
        return _verdict(is_secure_to_git_annex(key.backend))

    return test


_XXH = (b"XXH3", b"XXH3E")


def _in_all_group(group: str) -> Test:
    def test(facts: Facts) -> Verdict:
        members, holders = facts.members(group), _living(facts)
        if members is None or holders is None:
            return UNKNOWN
        return _verdict({place.id for place in holders}.issuperset(members))

    return test


def _only_in_group(group: str) -> Test:
    def test(facts: Facts) -> Verdict:
        members, holders = facts.members(group), _living(facts)
        if members is None or holders is None:
            return UNKNOWN
        return _verdict(bool(holders) and all(place.id in members for place in holders))

    return test


def _metadata(value: str) -> Test:
    """``field=glob``, or ``field<value`` and the like: as numbers when both are, else as text."""
    found = _COMPARISON.match(value)
    assert found is not None
    field, relation, wanted = found.groups()
    if not _FIELD.fullmatch(field):
        raise ValueError(f"{field!r} is no name of a metadata field")
    fits = _compare(relation, wanted) if relation in _RELATIONS else _glob(wanted, fold=True)

    def test(facts: Facts) -> Verdict:
        values = facts.metadata(field.lower())
        return UNKNOWN if values is None else _verdict(any(map(fits, values)))

    return test


_COMPARISON = re.compile(r"([^=<>]*)(<=|>=|<|>|=|)(.*)", re.DOTALL)
_FIELD = re.compile(r"\w[\w.-]*")
_FLOAT = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|Infinity)")
_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def _compare(relation: str, wanted: str) -> Matches:
    holds = _RELATIONS[relation]
    number = _float(wanted)

    def fits(raw: bytes) -> bool:
        text = raw.decode("utf-8", "surrogateescape")
        own = _float(text)
        if own is None or number is None:
            return holds(text, wanted)
        return holds(own, number)

    return fits


def _float(text: str) -> float | None:
    text = text.strip()
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(int(text, 16)) if re.fullmatch("0[xX][0-9a-fA-F]+", text) else None


def _url(value: str) -> Test:
    matches = _glob(value)

    def test(facts: Facts) -> Verdict:
        urls = facts.urls()
        return UNKNOWN if urls is None else _verdict(any(map(matches, urls)))

    return test


def _in_preferred_dir(value: str) -> Test:
    def test(facts: Facts) -> Verdict:
        path, name = facts.path(), facts.preferred_dir()
        if path is None or name is None:
            return UNKNOWN
        return _verdict(name in path.split(b"/")[:-1])

    return test


def present(facts: Facts) -> Verdict:
    """Whether the place that asks has the content."""
    return _verdict(facts.present())


def _present(value: str) -> Test:
    return present


def _unused(value: str) -> Test:
    return lambda facts: _verdict(facts.unused())


# Reading the value of a term.


def _glob(value: str, *, fold: bool = False) -> Matches:
    return compile_glob(value.encode("utf-8", "surrogateescape"), ignore_case=fold)


def _size(value: str) -> int:
    size = parse_size(value)
    if size is None:
        raise ValueError(f"{value!r} is no size")
    return size


def _number(value: str, what: str) -> int:
    number = read_number(value)
    if number is None:
        raise ValueError(f"{value!r} is no number of {what}")
    return number


PLAIN: dict[str, Callable[[str], Test]] = {
    "anything": partial(_always, YES),
    "nothing": partial(_always, NO),
    "securehash": _secure_hash,
    "present": _present,
    "inpreferreddir": _in_preferred_dir,
    "unused": _unused,
}
"""Terms that stand alone."""

VALUED: dict[str, Callable[[str], Test]] = {
    "include": partial(_path_glob, YES),
    "exclude": partial(_path_glob, NO),
    "largerthan": _larger,
    "smallerthan": _smaller,
    "mimetype": partial(_mime, lambda facts: facts.mime_type()),
    "mimeencoding": partial(_mime, lambda facts: facts.mime_encoding()),
    "copies": _copies,
    "lackingcopies": partial(_lacking, lambda facts: facts.numcopies()),
    "approxlackingcopies": partial(_lacking, lambda facts: facts.numcopies_of_all()),
    "inbackend": _in_backend,
    "inallgroup": _in_all_group,
    "onlyingroup": _only_in_group,
    "metadata": _metadata,
    "url": _url,
    "balanced": partial(read_balanced, pick_by_hash, settled=True),
    "fullybalanced": partial(read_balanced, pick_by_hash, settled=False),
    "sizebalanced": partial(read_balanced, pick_by_fill, settled=True),
    "fullysizebalanced": partial(read_balanced, pick_by_fill, settled=False),
}
"""Terms that have a value after a ``=``; without one, the value is empty."""
