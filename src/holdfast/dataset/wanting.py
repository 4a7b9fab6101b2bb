"""What each place wants to have: preferred and required content, by the ledger's expressions.

What cannot be decided (a term of a newer git-annex) is taken for ``present``, as git-annex does
with expressions it cannot read: nothing is brought for its sake, and nothing is let go. A place
with an unstable expression wants nothing, as git-annex has it. Whether required content may be
dropped is decided in `api/drop.py`, which takes all that is undecided for required.
"""

from __future__ import annotations

from functools import cached_property

from ..core.errors import UsageError
from ..core.expressions import UNKNOWN, YES, Expression, evaluate, is_unstable, parse
from ..core.place import PlaceId
from ..wire import branch_paths, logs
from .content_facts import Content, ContentFacts, Grounds
from .ledger import Ledger
from .repository import Repository


class Wanting:
    """The wishes of all places of a data set."""

    def __init__(self, repository: Repository, ledger: Ledger) -> None:
        self._ledger = ledger
        self.grounds = Grounds(repository, ledger)

    def rules(self, place: PlaceId) -> list[str]:
        """The expressions of a place: what it prefers, then what it requires."""
        return [found[place] for found in (self.preferred, self.required) if place in found]

    @cached_property
    def preferred(self) -> dict[PlaceId, str]:
        """The expression for preferred content of each place that has one."""
        return self._read(branch_paths.PREFERRED_LOG)

    @cached_property
    def required(self) -> dict[PlaceId, str]:
        """The expression for required content of each place that has one."""
        return self._read(branch_paths.REQUIRED_LOG)

    def _read(self, log: bytes) -> dict[PlaceId, str]:
        entries = logs.parse_uuid_log(self._ledger.policy_file(log))
        texts = {
            place: entry.value.decode("utf-8", "surrogateescape").strip()
            for place, entry in entries.items()
        }
        return {place: text for place, text in texts.items() if text}

    def wants(self, place: PlaceId, content: Content) -> bool:
        """Whether a place would have content; one without expressions wants nothing by itself."""
        return self._wants(place, content, leaving=None)

    def wants_to_keep(self, place: PlaceId, content: Content) -> bool:
        """Whether a place wants content that is about to leave it, its own copy not counted."""
        return self._wants(place, content, leaving=place)

    def _wants(self, place: PlaceId, content: Content, *, leaving: PlaceId | None) -> bool:
        facts = ContentFacts(self.grounds, content, place, leaving)
        rules = [_read(text) for text in self.rules(place)]
        present = place in content.places
        if None in rules:
            return present
        known = [rule for rule in rules if rule is not None]
        if any(is_unstable(rule, facts) for rule in known):
            return False
        verdicts = [evaluate(rule, facts) for rule in known]
        return YES in verdicts or (UNKNOWN in verdicts and present)


def _read(text: str) -> Expression | None:
    """An expression; None when there is anything in it that cannot be read."""
    try:
        expression = parse(text)
    except UsageError:
        return None
    return None if expression.strange else expression
