"""What is said of a place for all clones: trust, groups, its wishes and duties, its room, name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..core import faults
from ..core.clock import Moment
from ..core.expressions import parse
from ..core.place import PlaceId, Trust
from ..core.sizes import parse_size
from ..wire import branch_paths, logs
from .ledger_write import Edit, now, record
from .repository import Repository

TRUST_WORDS = {
    "trusted": Trust.TRUSTED,
    "semitrusted": Trust.SEMITRUSTED,
    "untrusted": Trust.UNTRUSTED,
    "dead": Trust.DEAD,
}


@dataclass(frozen=True)
class PlaceRules:
    """What to say of a place; None leaves what is said, an empty text takes it away."""

    trust: Trust | None = None
    wanted: str | None = None
    required: str | None = None
    description: str | None = None
    max_size: str | None = None
    join: frozenset[str] = frozenset()
    leave: frozenset[str] = frozenset()

    def check(self) -> None:
        """Refuse what git-annex would not be able to read.

        Raises:
            UsageError: An expression cannot be read, or has a term that is not known; a group's
                name is no single word; a size is none.
        """
        for text in (self.wanted, self.required):
            strange = parse(text, where="the command").strange if text else ()
            if strange:
                detail = f"there is no term {strange[0]}"
                raise faults.BAD_RULE(rule=text, detail=detail, where="the command")
        limit = parse_size(self.max_size) if self.max_size else 0
        if limit is None or limit < 0:
            what = f"{self.max_size!r} is no size such as 1.5TB"
            raise faults.BAD_USAGE(what=what, command="siblings")
        for group in self.join | self.leave:
            if len(group.split()) != 1:
                what = f"a group is called {group!r}"
                raise faults.BAD_USAGE(what=what, command="siblings")


def set_place_rules(repository: Repository, place: PlaceId, rules: PlaceRules) -> None:
    """Write down what is said of a place, all in one commit.

    Raises:
        UsageError: See `PlaceRules.check`; then nothing is written.
    """
    rules.check()
    record(repository, list(_edits(place, rules, now())))


def _edits(place: PlaceId, rules: PlaceRules, moment: Moment) -> Iterator[tuple[bytes, Edit]]:
    texts = (
        (branch_paths.TRUST_LOG, None if rules.trust is None else rules.trust.value),
        (branch_paths.PREFERRED_LOG, rules.wanted),
        (branch_paths.REQUIRED_LOG, rules.required),
        (branch_paths.UUID_LOG, rules.description),
    )
    for log, text in texts:
        if text is not None:
            yield log, _setting(place, text, moment)
    if rules.max_size is not None:
        yield branch_paths.MAXSIZE_LOG, _limiting(place, parse_size(rules.max_size), moment)
    if rules.join or rules.leave:
        yield branch_paths.GROUP_LOG, _grouping(place, rules, moment)


def _setting(place: PlaceId, text: str, moment: Moment) -> Callable[[bytes], bytes]:
    value = text.encode("utf-8", "surrogateescape")
    return lambda old: logs.set_uuid_log(old, place, value, moment)


def _limiting(place: PlaceId, size: int | None, moment: Moment) -> Callable[[bytes], bytes]:
    return lambda old: logs.set_size(old, place, size, moment)


def _grouping(place: PlaceId, rules: PlaceRules, moment: Moment) -> Callable[[bytes], bytes]:
    def edit(old: bytes) -> bytes:
        groups = (logs.parse_groups(old).get(place, frozenset()) | rules.join) - rules.leave
        value = " ".join(sorted(groups)).encode("utf-8", "surrogateescape")
        return logs.set_uuid_log(old, place, value, moment)

    return edit
