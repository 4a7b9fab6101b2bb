"""RIA stores, DataLad's way to keep many data sets in one folder: addresses and layouts, pure.

Format: DataLad's documentation of create-sibling-ria, checked against the program; what we use of
it is in docs/formats/ria.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ..core import faults
from ..core.key import Key, object_path, object_path_lower

STORE_VERSION = "1"
"""The layout of a store that we make, and the only one we know."""
OBJECTS_VERSION = "2"
"""The layout of objects in a data set's folder that we make."""
VERSION_FILE = "ria-layout-version"
ARCHIVE = "archives/archive.7z"
UUID_SETTING = "datalad.ora-remote.uuid"
"""Where the git configuration of a data set in a store names its storage."""

_LAYOUTS = {"1": object_path_lower, "2": object_path}
_STORE = re.compile(r"ria\+(file|ssh|https?)(://[^#]*)")
_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_IDENTITY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{3,}")


@dataclass(frozen=True, slots=True)
class RiaStore:
    """A store: how it is reached (``file``, ``ssh``, ``http``, ``https``), and its plain URL."""

    scheme: str
    base: str

    @property
    def url(self) -> str:
        """The store as DataLad names it."""
        return f"ria+{self.base}"

    @property
    def folder(self) -> str:
        """The path of a store on this machine's file systems, or on its host's."""
        return unquote(urlsplit(self.base).path)

    def dataset(self, identity: str) -> str:
        """What git calls the repository of a data set in it."""
        return self._git_url(dataset_path(identity))

    def alias(self, name: str) -> str:
        """What git calls the repository that has another name in it."""
        return self._git_url(f"alias/{name}")

    def _git_url(self, path: str) -> str:
        return f"{self.folder if self.scheme == 'file' else self.base}/{path}"


@dataclass(frozen=True, slots=True)
class Layout:
    """A version file: which layout, and flags after it (``l``: errors are logged in the store)."""

    version: str
    flags: str = ""


def parse_store(url: str) -> RiaStore:
    """Read ``ria+SCHEME://…``, the address of a store, without a data set in it.

    Raises:
        PolicyError: It is none.
    """
    found = _STORE.fullmatch(url.partition("#")[0])
    if found is None:
        detail = "a store is named ria+file:///PATH, ria+ssh://HOST/PATH or ria+https://HOST/PATH"
        raise faults.BAD_URL(url=url, detail=detail)
    scheme, rest = found[1], found[2].rstrip("/")
    if scheme == "ssh":
        # DataLad's own examples have a colon without a port.
        rest = re.sub(r"^(://[^/]*):(?=/|$)", r"\1", rest)
    store = RiaStore(scheme, scheme + rest)
    parts = urlsplit(store.base)
    if (scheme == "file" and parts.netloc not in ("", "localhost")) or not (
        store.folder.startswith("/") or scheme in ("http", "https")
    ):
        raise faults.BAD_URL(url=url, detail="its path is not absolute")
    return store


def dataset_path(identity: str) -> str:
    """Where a store of version 1 keeps a data set.

    Raises:
        PolicyError: This is no identity, and might lead elsewhere.
    """
    if not _IDENTITY.fullmatch(identity) or ".." in identity:
        raise faults.BAD_URL(url=identity, detail="this is not the identity of a data set")
    return f"{identity[:3]}/{identity[3:]}"


def check_alias(name: str) -> str:
    """An alias that can be a file's name.

    Raises:
        UsageError: It cannot.
    """
    if not _ALIAS.fullmatch(name):
        what = f"an alias has letters, digits and ._- only; {name!r} is none"
        raise faults.BAD_USAGE(what=what, command="create-sibling")
    return name


def parse_layout(text: bytes) -> Layout:
    """Read a version file: ``2``, or ``1|l`` with flags."""
    version, _, flags = text.decode("utf-8", "replace").strip().partition("|")
    return Layout(version.strip(), flags.strip())


def is_known(store: Layout, objects: Layout) -> bool:
    """Whether we may write to a data set in a store with these layouts."""
    return store.version == STORE_VERSION and objects.version in _LAYOUTS


def object_paths(objects: Layout, key: Key) -> list[bytes]:
    """Where content may be below ``annex/objects``; of an unknown layout, each known one."""
    known = _LAYOUTS.get(objects.version)
    layouts = [known] if known is not None else list(_LAYOUTS.values())[::-1]
    return [layout(key) for layout in layouts]
