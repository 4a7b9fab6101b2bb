"""The rule of a place about content that must stay there."""

from __future__ import annotations

from ..core import faults
from ..core.errors import HoldError
from ..core.expressions import NO, UNKNOWN, evaluate, parse
from ..core.key import Key
from ..core.place import PlaceId
from ..dataset.content_facts import Content, ContentFacts
from ..dataset.wanting import Wanting
from .datasets import Dataset


class Required:
    """What a place must keep, by the ledger's required-content expression for it."""

    def __init__(self, dataset: Dataset, place: PlaceId) -> None:
        self._dataset = dataset
        self._place = place
        wanting = Wanting(dataset.repository, dataset.ledger)
        self._grounds = wanting.grounds
        self._text = wanting.required.get(place, "")

    @property
    def is_set(self) -> bool:
        """Whether there is a rule."""
        return bool(self._text)

    def refusal(self, key: Key, path: bytes) -> HoldError | None:
        """Why a key may not leave, or None. What cannot be decided is taken for required."""
        if not self._text:
            return None
        # It is there still, whatever the ledger says; only copies are counted as if it had left.
        places = {*self._dataset.ledger.locations([key])[key], self._place}
        facts = ContentFacts(
            self._grounds, Content(key, path, places), self._place, leaving=self._place
        )
        try:
            answer = evaluate(parse(self._text), facts)
        except HoldError:
            answer = UNKNOWN
        if answer is NO:
            return None
        return faults.REQUIRED_HERE(key=key.text, rule=self._text)
