"""Places as people name them: by a remote's name, a description, a UUID, or ``here``."""

from __future__ import annotations

from ..core import faults
from ..core.place import BITTORRENT, WEB, PlaceId, Trust
from .ledger import Ledger
from .repository import Repository

_RESERVED = {WEB: "web", BITTORRENT: "bittorrent"}


class Places:
    """The places of a data set; what is told of one is made once."""

    def __init__(self, repository: Repository, ledger: Ledger) -> None:
        self._here = repository.uuid
        self._ledger = ledger
        self._told: dict[PlaceId, dict[str, object]] = {}

    def tell(self, place: PlaceId) -> dict[str, object]:
        """A place for JSON: uuid, name, description, whether it is this one."""
        found = self._told.get(place)
        if found is None:
            description = self.description(place)
            found = self._told[place] = {
                "uuid": place,
                "name": self._ledger.remote_names.get(place) or description,
                "description": description,
                "here": place == self._here,
            }
        return found

    def description(self, place: PlaceId) -> str:
        """What the ledger calls a place."""
        return self._ledger.descriptions.get(place) or _RESERVED.get(place, "")

    def trust(self, place: PlaceId) -> Trust:
        """How far a place is trusted."""
        return self._ledger.trust.get(place, Trust.SEMITRUSTED)

    def is_untrusted(self, place: PlaceId) -> bool:
        """Whether copies there do not count."""
        return self.trust(place) is Trust.UNTRUSTED

    def all(self) -> list[PlaceId]:
        """Every place that is not dead, by UUID; the reserved ones only when they are named."""
        ledger = self._ledger
        known = {*ledger.descriptions, *ledger.remote_names}
        if self._here is not None:
            known.add(self._here)
        return sorted(known - ledger.dead)

    def find(self, name: str) -> PlaceId | None:
        """The place of this name, None when there is none."""
        ledger = self._ledger
        if name in ("here", ".") and self._here is not None:
            return self._here
        for place, remote in ledger.remote_names.items():
            if remote == name:
                return place
        for place, reserved in _RESERVED.items():
            if reserved == name:
                return place
        described = [p for p, text in ledger.descriptions.items() if text == name]
        if len(described) == 1:
            return described[0]
        uuid = PlaceId(name)
        return uuid if uuid in ledger.descriptions or uuid in _RESERVED else None

    def named(self, name: str) -> PlaceId:
        """The place of this name.

        Raises:
            NotFoundError: There is none, or several are described so.
        """
        place = self.find(name)
        if place is None:
            known = ", ".join(str(self.tell(p)["name"] or p) for p in self.all())
            raise faults.NO_SUCH_PLACE(place=name, known=known or "none")
        return place
