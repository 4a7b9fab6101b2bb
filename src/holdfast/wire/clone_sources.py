"""What people name when they clone: paths, URLs, DataLad's short names; pure rules to git URLs.

Format: DataLad's `///NAME` and `ria+…#ID`, everything else as git has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..core import faults
from .remote_urls import DATALAD_TOP, datalad_url
from .ria import parse_store

_RIA = re.compile(r"ria\+(?P<store>[a-z+]+://[^#]*)#(?P<id>[^@]+)(?:@(?P<version>.+))?")
_ENDINGS = ("/.git", ".git", ".bundle")


@dataclass(frozen=True, slots=True)
class CloneSource:
    """The URLs to try, in order; what to call the clone; the version to check out, if one is named.

    ``siblings`` is a pattern for the data sets that belong to this one and lie in the same store.
    """

    urls: tuple[str, ...]
    name: str
    version: str | None = None
    siblings: str | None = None


def parse_clone_source(source: str, *, datalad_top: str = DATALAD_TOP) -> CloneSource:
    """Read what somebody wants a clone of.

    Raises:
        UsageError: It names a store, but no data set in it.
    """
    listed = datalad_url(source, datalad_top)
    if listed is not None:
        name = name_of(source) or "datasets.datalad.org"
        return CloneSource(_with_git_dir(listed), name)
    if source.startswith("ria+"):
        return _in_store(source)
    if source.startswith(("http://", "https://")):
        return CloneSource(_with_git_dir(source), name_of(source))
    return CloneSource((source,), name_of(source))


def name_of(source: str) -> str:
    """What to call a clone: the last part of its source, without the endings that say it is git."""
    rest = source.partition("?")[0] if "://" in source else source
    rest = rest.rstrip("/")
    for ending in _ENDINGS:
        rest = rest.removesuffix(ending).rstrip("/")
    return re.split(r"[/:]", rest)[-1]


def _with_git_dir(url: str) -> tuple[str, ...]:
    """A repository with a work tree, served as files, is known to a server by its git directory."""
    if url.rstrip("/").endswith(".git"):
        return (url,)
    return url, f"{url.rstrip('/')}/.git"


def _in_store(source: str) -> CloneSource:
    found = _RIA.fullmatch(source)
    if found is None:
        what = f"{source} names no data set: say ria+URL#ID or ria+URL#~NAME"
        raise faults.BAD_USAGE(what=what, command="clone")
    store, identity = parse_store(f"ria+{found['store']}"), found["id"]
    alias = identity.removeprefix("~")
    url = store.alias(alias) if alias != identity else store.dataset(identity)
    return CloneSource((url,), alias, found["version"], f"{store.url}#{{id}}")
