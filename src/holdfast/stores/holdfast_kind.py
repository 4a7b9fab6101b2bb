"""Places of ours for everybody: `git-annex-remote-holdfast` reaches them for plain git-annex.

To git-annex such a place is ``type=external externaltype=holdfast store=KIND``, with the words of
that kind beside. Its program opens the store of that kind, and so do we, without the program.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from ..core import faults
from ..core.abilities import Readable, TreeStore
from .archive_pieces import KIND as PIECES
from .external_answers import embedded_credentials, read_credentials, write_credentials
from .special import KINDS, TREES, Credentials, Kind, Setup, SpecialRemote, kind_named, open_tree
from .words import COMMON

NAME = "holdfast"
STORE = "store"
EXPORTS = "exporttree"
"""Whether the place holds a tree of files."""

CREDENTIALS = "holdfastcreds"
"""The setting under which git-annex keeps user and password for us."""

WORDS = {
    "directory": {
        "directory": "the folder that content is kept in",
    },
    "packed": {
        "directory": "the folder that packs are kept in",
        "packsize": "how large one pack may become",
    },
    "pieces": {
        "directory": "the folder that pieces of this data set are in",
        "url": "the newest piece on a web server, or a page that names all",
        "bucket": "the bucket they are in",
        "host": "the server's name",
        "port": "its port",
        "protocol": "https or http",
        "region": "the region",
        "datacenter": "the region, as older remotes say it",
        "requeststyle": "path, where a bucket has no host name of its own",
        "signature": "v4 or anonymous",
        "fileprefix": "what the names of all pieces begin with",
        "dataset": "the data set, where pieces of several are there",
    },
    "S3": {
        "bucket": "the bucket",
        "host": "the server's name",
        "port": "its port",
        "protocol": "https or http",
        "region": "the region",
        "datacenter": "the region, as older remotes say it",
        "requeststyle": "path, where a bucket has no host name of its own",
        "signature": "v4, v2 or anonymous",
        "storageclass": "the storage class of new objects",
        "partsize": "how large one part of an upload is",
        "publicurl": "where anybody can read the bucket",
        "public": "yes, where anybody may read it",
        "fileprefix": "what the name of each object begins with",
    },
    "webdav": {
        "url": "the folder on the server",
    },
    "httpalso": {
        "url": "the folder on the server",
    },
    "rsync": {
        "rsyncurl": "where rsync finds it",
        "shellescape": "no, for servers that do not want it",
    },
    "rclone": {
        "rcloneremotename": "the remote's name in rclone's configuration",
        "rcloneprefix": "the folder there",
        "rclonelayout": "lower, directory, nodir, mixed or frankencase",
    },
}
"""The words that each kind asks for, and what they are. git-annex lets no others through."""

ALL_WORDS = frozenset(word for words in WORDS.values() for word in words) | {STORE}

VARIABLES = {
    "S3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "webdav": ("WEBDAV_USERNAME", "WEBDAV_PASSWORD"),
}
"""Where the environment has user and password for kinds that want some."""

USUAL_WORDS = COMMON | {"externaltype", "readonly", CREDENTIALS}
"""Words of every special remote, or of every external one: they are git-annex's."""

LOCAL_KINDS = frozenset(("directory", "packed"))
"""Kinds whose places are on this machine."""


def is_local(config: Mapping[str, str]) -> bool:
    """Whether a place is on this machine."""
    return config.get(STORE) in LOCAL_KINDS or bool(config.get("directory"))


def inner_kinds() -> list[str]:
    """The kinds that may be inside."""
    return sorted(kind for kind in WORDS if kind in KINDS)


def words_of(kind: str) -> list[str]:
    """The words that a kind asks for."""
    return list(WORDS.get(kind, ()))


def describe_words() -> dict[str, str]:
    """All words, each with what it is, for people."""
    found = {STORE: f"the kind of the place: {', '.join(inner_kinds())}"}
    for kind in inner_kinds():
        for word, what in WORDS[kind].items():
            found[word] = f"{found[word]}; {kind}: {what}" if word in found else f"{kind}: {what}"
    return found


def plan_inner(given: Mapping[str, str], place: str = NAME) -> tuple[Kind, Setup]:
    """The kind inside, and what it makes of the words for it.

    Raises:
        UsageError: A word is missing, or is not known.
    """
    name = given.get(STORE, "")
    if name not in inner_kinds():
        kinds = ", ".join(inner_kinds())
        raise faults.INNER_WORDS(detail=f"there is no store={name}", kinds=kinds)
    try:
        kind = kind_named(name, place)
    except ImportError:
        raise faults.NO_WAY(place=place, kind=f"holdfast with store={name}") from None
    words = {word: value for word, value in given.items() if word in WORDS[name]}
    if name == "S3" and not words.get("bucket"):
        # git-annex makes one up of the place's UUID, which is not known here.
        raise faults.INNER_WORDS(detail="bucket= is missing", kinds=", ".join(inner_kinds()))
    if not os.path.isabs(words.get("directory", "/")):
        # The program runs elsewhere than the one who says it.
        detail = "directory= has to be a full path"
        raise faults.INNER_WORDS(detail=detail, kinds=", ".join(inner_kinds()))
    return kind, kind.plan_setup(words)


def plan_config(given: Mapping[str, str]) -> dict[str, str]:
    """What all clones share of such a place: the words given, and those that the kind adds.

    Raises:
        UsageError: A word is missing, or is not known.
    """
    for word in given:
        if word not in ALL_WORDS and word not in USUAL_WORDS:
            kinds = ", ".join(inner_kinds())
            raise faults.INNER_WORDS(detail=f"{word}= is not known", kinds=kinds)
    _, setup = plan_inner(given)
    if given.get(EXPORTS) == "yes" and given[STORE] not in TREES:
        kinds = ", ".join(kind for kind in inner_kinds() if kind in TREES)
        raise faults.INNER_WORDS(detail=f"store={given[STORE]} holds no tree", kinds=kinds)
    added = {word: value for word, value in setup.config.items() if word not in USUAL_WORDS}
    return {**added, **given}


def inside(remote: SpecialRemote) -> tuple[Kind, SpecialRemote]:
    """The special remote inside: as if it were one by itself.

    Settings of this clone go first, so that its folder may be another here. Chunks and encryption
    are around it, not in it.

    Raises:
        UsageError: A word is missing, or is not known.
    """
    kind, setup = plan_inner(remote.config, remote.place.label)
    local = {**setup.local, **remote.local}
    config = {"type": remote.config[STORE], "encryption": "none", **setup.config}
    if EXPORTS in remote.config:
        config[EXPORTS] = remote.config[EXPORTS]
    return kind, replace(
        remote, config=config, local=local, credentials=partial(_credentials, remote)
    )


def _credentials(remote: SpecialRemote) -> Credentials | None:
    """Those of the environment, those of the place, or those that git-annex keeps for us."""
    return (
        from_environment(login_kind(remote.config), remote.environment)
        or remote.credentials()
        or read_credentials(_credentials_file(remote))
        or embedded_credentials(remote.config, CREDENTIALS)
    )


def _credentials_file(remote: SpecialRemote) -> bytes:
    return os.path.join(remote.annex_dir, b"creds", f"{remote.place.id}-{CREDENTIALS}".encode())


def login_kind(config: Mapping[str, str]) -> str:
    """The kind whose user and password a place wants: for pieces in a bucket those of a bucket."""
    kind = config.get(STORE, "")
    return "S3" if kind == PIECES and config.get("bucket") else kind


def from_environment(kind: str, environment: Mapping[str, str]) -> Credentials | None:
    """User and password for a kind, where the environment holds both."""
    names = VARIABLES.get(kind)
    if names is None:
        return None
    user, password = (environment.get(name, "") for name in names)
    return (user, password) if user and password else None


def keep_credentials(remote: SpecialRemote) -> None:
    """Keep what the environment holds in this clone, where git-annex keeps it for our program."""
    found = from_environment(login_kind(remote.config), remote.environment)
    if found is not None:
        write_credentials(_credentials_file(remote), found)


def open_inner(remote: SpecialRemote) -> Readable:
    """The store inside.

    Raises:
        UsageError: A word is missing, or is not known.
        PlaceUnavailableError: It is not to be reached from here.
    """
    kind, within = inside(remote)
    return kind.open_store(within)


def open_inner_tree(remote: SpecialRemote) -> TreeStore:
    """The tree of files inside.

    Raises:
        UsageError: A word is missing, or is not known.
        PolicyError: It holds none, or not one that we can write.
        PlaceUnavailableError: It is not to be reached from here.
    """
    return open_tree(inside(remote)[1])


def prepare_inner(remote: SpecialRemote) -> None:
    """Make sure that content can be kept there.

    Raises:
        ConflictError: It belongs to another place.
    """
    kind, within = inside(remote)
    kind.prepare(within)
