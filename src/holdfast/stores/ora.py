"""`external`, ``externaltype=ora``: DataLad's storage in a RIA store, opened in this process.

Folders here, ``ria+ssh`` by SFTP, ``ria+http`` and ``ria+https`` for reading. A store whose
``url`` is good for reading only may have a ``push-url`` too; a clone may say other addresses for
itself (``remote.NAME.ora-url``, ``ora-push-url``), as DataLad does where a store has moved.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..core import faults
from ..core.abilities import Readable
from ..wire import ria
from .ora_folder import LocalOraStore, OraFolder
from .ora_store import BulkOraStore, OraFiles, OraStore, TwoWayStore
from .special import Setup, SpecialRemote

COSTS = {"file": 100.0, "ssh": 175.0, "http": 200.0, "https": 200.0}
WORDS = ("url", "push-url", "archive-id")


def open_store(remote: SpecialRemote) -> Readable:
    """The data set's storage.

    Raises:
        PlaceUnavailableError: Its configuration names none.
    """
    url, push_url = addresses(remote)
    store = ria.parse_store(url)
    files = _open_files(remote, store)
    if push_url and push_url != url:
        return TwoWayStore(files, _open_files(remote, ria.parse_store(push_url)))
    if isinstance(files, OraFolder):
        # Content of an archive is in no file of its own that could be opened.
        return OraStore(files) if files.has_archive() else LocalOraStore(files)
    return BulkOraStore(files) if store.scheme == "ssh" else OraStore(files)


def addresses(remote: SpecialRemote) -> tuple[str, str]:
    """Where it is read and where it is written to (empty: there too)."""
    local, config = remote.local, remote.config
    url = local.get("ora-url") or config.get("url")
    if not url or not config.get("archive-id"):
        raise faults.NO_WAY(place=remote.place.label, kind="ora without url or archive-id")
    if "ora-url" in local:
        return url, local.get("ora-push-url", "")
    return url, local.get("ora-push-url") or config.get("push-url", "")


def _open_files(remote: SpecialRemote, store: ria.RiaStore) -> OraFiles:
    identity, cost = remote.config["archive-id"], remote.cost(COSTS[store.scheme])
    here = remote.settings("annex.uuid") or "hold"
    name = remote.place.name
    force = remote.settings(f"annex.ora-remote.{name}.force-write") in ("true", "1", "yes", "on")
    if store.scheme == "file":
        folder = os.fsencode(store.folder)
        return OraFolder(remote.place, folder, identity, here, cost, force=force)
    if store.scheme == "ssh":
        from .ora_sftp import OraSftp
        from .ssh_command import parse_ssh_address, sftp_argv

        address = parse_ssh_address(store.base)
        argv = sftp_argv(
            address, options=remote.local.get("annex-ssh-options", "").split(),
            shell_command=ssh_command(remote),
        )  # fmt: skip
        return OraSftp(
            remote.place,
            argv,
            address.path,
            identity,
            here=here,
            cost=cost,
            force=force,
            runs=remote.annex_dir + b"/hold-runs",
        )
    from .ora_http import OraHttp

    return OraHttp(
        remote.place, store.base, identity, cost=cost, allowed_addresses=remote.allowed_addresses
    )


def ssh_command(remote: SpecialRemote) -> str | None:
    """What is called in place of ssh, where git would call something else too."""
    return remote.environment.get("GIT_SSH_COMMAND") or remote.settings("core.sshcommand")


def plan_setup(given: Mapping[str, str]) -> Setup:
    """Check the words that describe a new one; ``url`` and ``archive-id`` have to be said.

    Raises:
        UsageError: One is missing.
        PolicyError: An address is none of a store.
    """
    for word in ("url", "archive-id"):
        if not given.get(word):
            what = f"a storage in a RIA store needs {word}="
            raise faults.BAD_USAGE(what=what, command="create-sibling")
    for word in ("url", "push-url"):
        if given.get(word):
            ria.parse_store(given[word])
    ria.dataset_path(given["archive-id"])
    kind = {"type": "external", "externaltype": "ora", "encryption": "none"}
    return Setup({**kind, **given}, {"annex-externaltype": "ora"})


def prepare(remote: SpecialRemote) -> None:
    """Look whether the data set is in the store; what makes it there is api/create_sibling.

    Raises:
        PlaceUnavailableError: It is not.
    """
    url, push_url = addresses(remote)
    files = _open_files(remote, ria.parse_store(push_url or url))
    try:
        with files.open_archive():
            pass
    finally:
        files.close()
