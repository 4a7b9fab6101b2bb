"""What is known of content, for git-annex's expressions: who has it, groups, metadata, URLs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import NamedTuple

from ..core.balance import Member
from ..core.expressions import STANDARD
from ..core.facts import Facts
from ..core.key import Key
from ..core.place import Place, PlaceId
from ..wire import branch_paths, logs, metadata
from .ledger import Ledger
from .repository import Repository
from .rules import Rules

_NO_RULE = "present"
"""What git-annex takes ``standard`` and ``groupwanted`` for where no one group decides."""


class Content(NamedTuple):
    """A key, the file that is meant (None for the key alone), the places said to have it."""

    key: Key
    path: bytes | None
    places: Collection[PlaceId]


def seen_here(places: Collection[PlaceId], here: PlaceId, *, present: bool) -> Collection[PlaceId]:
    """The places said to have content, with what was seen of it here."""
    if (here in places) is present:
        return places
    return {*places, here} if present else set(places) - {here}


class Grounds:
    """What expressions ask of a data set as a whole; each part is read when first asked for."""

    def __init__(self, repository: Repository, ledger: Ledger) -> None:
        self.ledger = ledger
        self._repository = repository
        self._places: dict[PlaceId, Place] = {}
        self._members: dict[str, list[PlaceId]] = {}
        self._coming: dict[PlaceId, int] = {}

    @cached_property
    def _rules(self) -> Rules:
        return Rules(self._repository)

    @cached_property
    def groups(self) -> Mapping[PlaceId, frozenset[str]]:
        """The groups each place is in."""
        return logs.parse_groups(self.ledger.policy_file(branch_paths.GROUP_LOG))

    def members(self, group: str) -> list[PlaceId]:
        """The places in a group."""
        found = self._members.get(group)
        if found is None:
            found = [place for place, groups in self.groups.items() if group in groups]
            self._members[group] = found
        return found

    @cached_property
    def limits(self) -> Mapping[PlaceId, int]:
        """How many bytes each place may hold, of those that have a limit."""
        return logs.parse_sizes(self.ledger.policy_file(branch_paths.MAXSIZE_LOG))

    def rooms(self, group: str, content: Content) -> list[Member]:
        """The places in a group, and what is known of their room where a limit makes it matter."""
        members, limits = self.members(group), self.limits
        if not any(place in limits for place in members):
            return [Member(place) for place in members]
        holders = content.places
        if any(place in self.ledger.dead and place in limits for place in members):
            holders = {*holders, *self.ledger.holders(content.key)}
        return [
            Member(place, place in holders, self._used(place), limits.get(place))
            for place in members
        ]

    def _used(self, place: PlaceId) -> int | None:
        """How many bytes a place holds or is about to; None where nothing was ever heard of it."""
        coming = self._coming.get(place, 0)
        if place in self.ledger.used or place in self.ledger.descriptions:
            return self.ledger.used.get(place, 0) + coming
        return coming or None

    def expect(self, place: PlaceId, key: Key) -> None:
        """Count content that is about to come to a place, for what is asked after."""
        self._coming[place] = self._coming.get(place, 0) + (key.size or 0)

    def place(self, uuid: PlaceId) -> Place:
        """A place with its trust; made once."""
        found = self._places.get(uuid)
        if found is None:
            found = self._places[uuid] = self.ledger.place(uuid)
        return found

    @cached_property
    def numcopies(self) -> int:
        """How many copies there should be of a file whose attributes say nothing."""
        return self.ledger.copy_rules().numcopies

    def numcopies_of(self, path: bytes) -> int:
        """How many copies there should be of a file."""
        number = self._rules.copies(path)[0]
        return self.numcopies if number is None else number

    def standard(self, place: PlaceId) -> str:
        """The expression of the one standard group a place is in."""
        found = [STANDARD[name] for name in self.groups.get(place, ()) if name in STANDARD]
        return found[0] if len(found) == 1 else _NO_RULE

    def group_wanted(self, place: PlaceId) -> str:
        """The expression of the one group of a place that has one."""
        groups = self.groups.get(place, frozenset())
        found = [text for name, text in self._group_rules.items() if name in groups]
        return found[0] if len(found) == 1 else _NO_RULE

    @cached_property
    def _group_rules(self) -> dict[str, str]:
        entries = logs.parse_map_log(self.ledger.policy_file(branch_paths.GROUP_PREFERRED_LOG))
        texts = {_text(name): _text(entry.value) for name, entry in entries.items()}
        return {name: text for name, text in texts.items() if text.strip()}

    def preferred_dir(self, place: PlaceId) -> bytes:
        """The name of the directory that ``inpreferreddir`` means for a place."""
        config = self._remotes.get(place, {})
        return config.get("preferreddir", "public").encode("utf-8", "surrogateescape")

    @cached_property
    def _remotes(self) -> Mapping[PlaceId, Mapping[str, str]]:
        return logs.parse_remotes(self.ledger.policy_file(b"remote.log"))


class ContentFacts(Facts):
    """What is known of content; ``place`` is whose expression is asked.

    ``leaving``: a place whose copy is about to go, and does not count.
    """

    def __init__(
        self,
        grounds: Grounds,
        content: Content,
        place: PlaceId | None = None,
        leaving: PlaceId | None = None,
    ) -> None:
        self._grounds = grounds
        self.content = content
        self._place = place
        self._leaving = leaving

    def path(self) -> bytes | None:
        """The file, from the top."""
        return self.content.path

    def size(self) -> int | None:
        """Bytes of content."""
        return self.content.key.size

    def key(self) -> Key:
        """The key."""
        return self.content.key

    def holders(self) -> list[Place]:
        """The places said to have it, but one that it is about to leave."""
        return [self._grounds.place(p) for p in self.content.places if p != self._leaving]

    def members(self, group: str) -> list[PlaceId]:
        """The places in a group."""
        return self._grounds.members(group)

    def place(self) -> PlaceId | None:
        """Whose expression is asked."""
        return self._place

    def group(self, name: str) -> list[Member]:
        """The places in a group, and what is known of their room."""
        return self._grounds.rooms(name, self.content)

    def numcopies(self) -> int:
        """How many copies there should be, the file's attributes heard."""
        path = self.content.path
        return self._grounds.numcopies if path is None else self._grounds.numcopies_of(path)

    def numcopies_of_all(self) -> int:
        """How many copies there should be, attributes not heard."""
        return self._grounds.numcopies

    def metadata(self, field: str) -> Collection[bytes]:
        """The values of a metadata field."""
        log = self._grounds.ledger.read(branch_paths.metadata_log(self.content.key))
        fields = metadata.parse_metadata(log)
        return next((values for name, values in fields.items() if name.lower() == field), ())

    def urls(self) -> Collection[bytes]:
        """Where the web has it."""
        return self._grounds.ledger.urls([self.content.key]).get(self.content.key, ())

    def present(self) -> bool | None:
        """Whether the place has it."""
        return None if self._place is None else self._place in self.content.places

    def unused(self) -> bool | None:
        """Whether no branch or tag uses it: of a file one does."""
        return None if self.content.path is None else False

    def preferred_dir(self) -> bytes | None:
        """The name of the directory ``inpreferreddir`` means."""
        return None if self._place is None else self._grounds.preferred_dir(self._place)

    def standard(self) -> str | None:
        """The expression of the standard group."""
        return None if self._place is None else self._grounds.standard(self._place)

    def group_wanted(self) -> str | None:
        """The expression that is set for a group of the place."""
        return None if self._place is None else self._grounds.group_wanted(self._place)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
