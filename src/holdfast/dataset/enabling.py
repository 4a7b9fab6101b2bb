"""Special remotes that a data set asks every clone to know (autoenable), set up as git-annex does.

They come from somebody else, so they are marked ``annex-verified=automatic``: content may be read
from them, nothing is sent, until a person approves of them (docs/formats/annex.md).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..core.place import PlaceId
from ..wire import archive_uris, logs
from .config import append_settings
from .ledger import Ledger
from .repository import Repository

_MARKERS = {
    "S3": "annex-s3",
    "glacier": "annex-glacier",
    "httpalso": "annex-httpalso",
    "rclone": "annex-rclone",
    "web": "annex-web",
    "webdav": "annex-webdav",
}
"""Kinds that need nothing of this machine, and the setting that marks them."""

IN_PROCESS = frozenset(("ora",))
"""Programs of other remotes that we need not have: what they do is done by us."""

_LEGAL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Enabling(NamedTuple):
    """What becomes of a special remote: ``settings`` are written; without any, ``why`` says why."""

    name: str
    settings: tuple[tuple[str, str], ...]
    why: str = ""


def enable_special_remotes(repository: Repository) -> list[Enabling]:
    """Set up the special remotes that want it and are not known here, in one write."""
    ledger = Ledger(repository)
    remotes = logs.parse_remotes(ledger.policy_file(b"remote.log"))
    found = list(plan_enabling(remotes, repository.config.sections("remote"), ledger.dead))
    sections = [(f"remote.{one.name}", one.settings) for one in found if one.settings]
    if sections:
        append_settings(os.path.join(repository.common_dir, b"config"), sections)
        repository.forget_config()
    return found


def plan_enabling(
    remotes: Mapping[PlaceId, Mapping[str, str]],
    known: Mapping[str, Mapping[str, str]],
    dead: frozenset[PlaceId],
) -> Iterator[Enabling]:
    """Which special remotes to set up, by name; those that are set up or dead are left out."""
    here = {value for one in known.values() for key, value in one.items() if key.endswith("-uuid")}
    wanted = {
        config.get("name") or config.get("sameas-name") or "": (place, config)
        for place, config in remotes.items()
        if config.get("autoenable") == "true" and place not in dead and place not in here
    }
    for name, (place, config) in sorted(wanted.items()):
        # The name is somebody else's word, and becomes part of our configuration.
        if _LEGAL_NAME.fullmatch(name) and ".." not in name and name not in known:
            yield _enabling(name, place, config)


def _enabling(name: str, place: PlaceId, config: Mapping[str, str]) -> Enabling:
    kind = config.get("type", "")
    verified = ("annex-verified", "automatic")
    if kind == "git" and config.get("location"):
        fetch = f"+refs/heads/*:refs/remotes/{name}/*"
        return Enabling(name, (("url", config["location"]), ("fetch", fetch), verified))
    marker = _marker(kind, config)
    if isinstance(marker, str):
        return Enabling(name, (), marker)
    shared = config.get("sameas-uuid")
    settings = [marker, ("annex-uuid", shared or place), verified]
    if shared:
        settings.append(("annex-config-uuid", place))
    return Enabling(name, tuple(settings))


def _marker(kind: str, config: Mapping[str, str]) -> tuple[str, str] | str:
    """The setting that marks a kind of special remote; or why it cannot be used here."""
    if kind in _MARKERS:
        return _MARKERS[kind], "true"
    if kind == "rsync" and config.get("rsyncurl"):
        return "annex-rsyncurl", config["rsyncurl"]
    if kind != "external":
        return f"a {kind} remote needs settings of this machine"
    program = config.get("externaltype", "")
    if program in {*IN_PROCESS, archive_uris.PROGRAM}:
        # We open it ourselves, without the program.
        return "annex-externaltype", program
    if not program or "/" in program or shutil.which(f"git-annex-remote-{program}") is None:
        return f"it needs the program git-annex-remote-{program}"
    return "annex-externaltype", program
