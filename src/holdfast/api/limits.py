"""How fast content may move to and from each place, as git-annex's settings and this call say.

A limit of a place is shared by all that move content there in one process; that of a call
(`hold.limit-rate`, which ``--limit-rate`` sets) by all its places. What a program of its own moves
cannot be made to wait: it is told the rate where it takes one, and else we say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..core.place import Place, PlaceId
from ..core.rates import Direction, Rate, RateOf, configured_rate, parse_rate
from ..settings import LIMIT_RATE
from ..stores.special import Mover, mover_of
from ..transfer.throttle import Meter, Throttle

if TYPE_CHECKING:
    from .datasets import Dataset

NOT_HELD = "its limit is not held: a program of its own moves its content"


class Limits:
    """The limits of one data set's transfers, and the meters that keep them."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._meters: dict[tuple[str, Direction | None, Rate], Meter] = {}
        self._warned: set[str] = set()

    def throttle(self, place: Place, direction: Direction) -> Throttle | None:
        """What our own code heeds for one transfer; None where it need not wait for anybody."""
        return self._throttle(place.name, direction)

    def throttle_of_web(self) -> Throttle | None:
        """The same for what comes from URLs."""
        return self._throttle("web", Direction.DOWN)

    def rate(self, name: str, direction: Direction) -> Rate | None:
        """Bytes a second that a remote may have; None without a limit."""
        config = self._dataset.repository.config
        found = configured_rate(direction, self._settings(name), config.get)
        rates = [rate for rate in (found, self._of_call) if rate is not None]
        return min(rates, default=None)

    def is_held(self, name: str, direction: Direction) -> bool:
        """Whether a limit of this remote, if there is one, is heeded by whoever moves content."""
        return self._mover(name, direction) is not Mover.ALONE

    def warning(self, place: Place, direction: Direction) -> Mapping[str, str]:
        """A fact for the first outcome that a limit did not hold for; empty for all others."""
        name = place.name
        if name in self._warned or self.rate(name, direction) is None:
            return {}
        if self.is_held(name, direction):
            return {}
        self._warned.add(name)
        return {"warning": NOT_HELD}

    def _throttle(self, name: str, direction: Direction) -> Throttle | None:
        config = self._dataset.repository.config
        found = configured_rate(direction, self._settings(name), config.get)
        meters = [
            self._meter(of, way, rate)
            for of, way, rate in ((name, direction, found), ("", None, self._of_call))
            if rate is not None
        ]
        if not meters or self._mover(name, direction) is not Mover.WE:
            return None
        return Throttle(meters)

    @property
    def _of_call(self) -> Rate | None:
        given = self._dataset.repository.config.get(LIMIT_RATE)
        rate = parse_rate(given) if given else None
        return None if rate == float("inf") else rate

    def _settings(self, name: str) -> Mapping[str, str]:
        return self._dataset.repository.config.sections("remote").get(name, {})

    def _mover(self, name: str, direction: Direction) -> Mover:
        settings = self._settings(name)
        if "annex-uuid" not in settings or "url" in settings:
            return Mover.WE
        from .special import config_of

        place = self._dataset.ledger.place(PlaceId(settings["annex-uuid"]))
        return mover_of(config_of(self._dataset, settings, place), settings, direction)

    def _meter(self, name: str, direction: Direction | None, rate: Rate) -> Meter:
        return self._meters.setdefault((name, direction, rate), Meter(rate))


def rate_teller(dataset: Dataset, place: Place) -> RateOf:
    """For a store whose program takes a rate: what it is."""
    return lambda direction: dataset.limits.rate(place.name, direction)
