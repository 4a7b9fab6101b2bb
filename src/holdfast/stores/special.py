"""Special remotes: places that are no git repository, kept as git-annex configures and names them.

Each kind is one module with `open_store` and, where we can set one up, `plan_setup`. What a kind
stores are keys: those of content, or of a chunk of it, or the name that encryption gives to either
(`stores/chunked.py`, `stores/encrypted.py` wrap any kind).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from typing import Protocol, cast

from ..core import faults
from ..core.abilities import Readable, TreeStore
from ..core.key import Key
from ..core.place import Place
from ..core.rates import Direction, RateOf, no_limit


class Mover(Enum):
    """Who moves the bytes of a place: what limits how fast they go."""

    WE = "we"
    TOLD = "a program that is told a rate"
    ALONE = "a program that takes none"


LogOf = Callable[[Key], bytes]
"""Which file of the ledger is meant, for a key: one of `wire.branch_paths`' functions."""

Edit = Callable[[bytes], bytes]

PathsOf = Callable[[Key], Sequence[bytes]]
"""For a place that holds a tree of files: which of them hold a key's content."""

Credentials = tuple[str, str]
"""User and password, or access key and secret."""

KINDS = {
    "S3": "s3",
    "directory": "directory",
    "external": "external",
    "httpalso": "http_also",
    "packed": "packed",
    "pieces": "archive_pieces",
    "ora": "ora",
    "rclone": "rclone",
    "rsync": "rsync",
    "webdav": "webdav",
}
"""The module of each kind, by the name git-annex has for it."""


TREES = {
    "S3": "s3_tree",
    "directory": "directory_tree",
    "external": "external",
    "rclone": "rclone_tree",
    "rsync": "rsync_tree",
    "webdav": "webdav_tree",
}
"""The modules with an `open_tree`: of kinds that a tree of files can be exported to."""

IN_PROCESS = {"ora": "ora", "rclone": "rclone", "rclone-builtin": "rclone"}
"""Programs whose places we open without them, and by which kind."""


def kind_of(config: Mapping[str, str]) -> str:
    """The kind that opens a special remote, as `kind_named` has it."""
    kind = config.get("type", "unknown")
    return IN_PROCESS.get(config.get("externaltype", ""), kind) if kind == "external" else kind


def mover_of(config: Mapping[str, str], local: Mapping[str, str], direction: Direction) -> Mover:
    """Who moves the bytes of a special remote one way."""
    from .holdfast_kind import NAME, STORE  # late: it imports us

    kind = kind_of(config)
    if kind == "external" and config.get("externaltype") == NAME:
        kind = config.get(STORE, "")
    if kind == "rsync" or (kind == "rclone" and direction is Direction.UP):
        return Mover.TOLD
    read_only = "true" in (local.get("annex-readonly"), config.get("readonly"))
    return Mover.ALONE if kind == "external" and not read_only else Mover.WE


def kind_described(config: Mapping[str, str]) -> str:
    """The kind that knows the words a special remote is described with.

    Programs for rclone have words of their own.
    """
    kind = kind_of(config)
    return "external" if kind == "rclone" and config.get("type") == "external" else kind


class KeyNotes(Protocol):
    """What the ledger keeps of single keys for a place: how it was cut in chunks, say."""

    def read(self, log: LogOf, keys: Sequence[Key]) -> dict[Key, bytes]:
        """The logs of these keys that exist, with what was edited by us and not written yet."""

    def edit(self, log: LogOf, key: Key, edit: Edit) -> None:
        """Change one; all changes are written to the ledger together, later."""


@dataclass(frozen=True)
class SpecialRemote:
    """What a store has to know of the special remote it opens.

    ``config`` is what all clones share (remote.log), ``local`` the settings of this clone
    (``remote.NAME.*`` without that prefix, names in lower case), ``annex_dir`` where this clone
    keeps its annex. ``credentials`` looks them up when they are first needed: environment, keyring
    or the clone's own file; None when there are none. ``allowed_addresses`` is the setting
    annex.security.allowed-ip-addresses, for what asks web servers. ``paths_of`` is given for
    a place that holds a tree of files (``exporttree=yes``) in place of keys. ``wanted`` is the
    preferred content of the place; ``on_config`` and ``on_wanted`` are told what a program of the
    place sets in the shared configuration, or wants it to hold, while it is prepared. ``settings``
    tells what git's configuration says here, where a kind has to know more than is its own.
    ``rate`` is how many bytes a second its program may move, where that takes a limit (`Mover`).
    ``open_pieces`` reads the pieces of an archive, which is known above this package.
    """

    place: Place
    config: Mapping[str, str]
    local: Mapping[str, str]
    annex_dir: bytes
    notes: KeyNotes
    credentials: Callable[[], Credentials | None] = lambda: None
    environment: Mapping[str, str] = field(default_factory=dict)
    allowed_addresses: str = ""
    paths_of: PathsOf | None = None
    wanted: str = ""
    on_config: Callable[[str, str], None] = lambda _name, _value: None
    on_wanted: Callable[[str], None] = lambda _expression: None
    settings: Callable[[str], str | None] = lambda _name: None
    rate: RateOf = no_limit
    open_pieces: Callable[[SpecialRemote], Readable] | None = None

    def cost(self, usual: float) -> float:
        """What a person set, else what is usual for the kind."""
        try:
            return float(self.local["annex-cost"])
        except (KeyError, ValueError):
            return usual


@dataclass(frozen=True)
class Setup:
    """What to write down for a new special remote: for all clones, and for this one alone."""

    config: Mapping[str, str]
    local: Mapping[str, str]


class Kind(Protocol):
    """What the module of a kind offers."""

    def open_store(self, remote: SpecialRemote) -> Readable:
        """The place, ready for its first question; nothing is connected or started before that.

        A kind that can be written to gives a `Store`.

        Raises:
            PlaceUnavailableError: It is not to be reached from here, or not in this way.
        """

    def plan_setup(self, given: Mapping[str, str]) -> Setup:
        """Check the words that describe a new one (``bucket=…``, as git-annex's initremote has).

        Raises:
            UsageError: One is missing, or is not known.
        """

    def prepare(self, remote: SpecialRemote) -> None:
        """Make sure that content can be kept there: make the folder or bucket, note whose it is.

        Raises:
            ConflictError: It belongs to another place.
        """


def kind_named(name: str, place: str) -> Kind:
    """The module of a kind.

    Raises:
        PlaceUnavailableError: We have none for it.
    """
    if name not in KINDS:
        raise faults.NO_WAY(place=place, kind=name)
    return cast(Kind, import_module(f".{KINDS[name]}", __package__))


def open_tree(remote: SpecialRemote) -> TreeStore:
    """A place that holds a tree of files, to be changed; nothing is connected yet.

    Raises:
        PolicyError: It holds none, or not one that we can write.
        PlaceUnavailableError: It is not to be reached from here.
    """
    if remote.config.get("exporttree") != "yes":
        detail = "it was not set up with exporttree=yes"
        raise faults.HOLDS_NO_TREE(place=remote.place.label, detail=detail)
    return tree_of_kind(remote)


def tree_of_kind(remote: SpecialRemote) -> TreeStore:
    """Files of any names at a place, whatever else it holds; nothing is connected yet.

    Raises:
        PolicyError: Its kind keeps none that we can write.
        PlaceUnavailableError: It is not to be reached from here.
    """
    kind, label = kind_of(remote.config), remote.place.label
    if kind not in TREES:
        known = ", ".join(sorted(TREES))
        raise faults.HOLDS_NO_TREE(place=label, detail=f"only these kinds can: {known}")
    module = import_module(f".{TREES[kind]}", __package__)
    return cast(TreeStore, module.open_tree(remote))
