"""A sibling that is a folder: a clone to be, or a bare repository, here or on another machine."""

from __future__ import annotations

import os

from ..core import faults
from ..core.outcome import Outcome
from ..core.place import PlaceId
from ..dataset.initialise import initialise
from ..dataset.remote_config import set_remotes
from ..dataset.repository import Repository
from ..stores.shell import run_script
from ..stores.ssh_command import SshAddress, parse_ssh_address
from ..wire.clone_sources import name_of
from ..wire.sibling_scripts import look_script, repository_script
from .create_sibling import (
    SiblingOptions,
    Wanted,
    current_branch,
    left_alone,
    made,
    may_use,
    ssh_command,
    wanted_sibling,
)
from .datasets import Dataset
from .sources import is_ssh, local_folder


def create_folder_sibling(dataset: Dataset, target: str, options: SiblingOptions) -> Outcome:
    """Make the folder a repository with an annex, and know it here.

    Raises:
        ConflictError: There is something else, here or there.
        PlaceUnavailableError: It cannot be reached, or made.
    """
    address = parse_ssh_address(target) if is_ssh(target) else None
    if address is None and "://" in target and not target.startswith("file://"):
        raise faults.NO_WAY(place=target, kind=f"{target.partition(':')[0]}, where none is made")
    folder = local_folder(os.getcwdb(), target) if address is None else None
    url = target if address is not None or folder is None else os.fsdecode(folder)
    usual = address.host if address is not None else name_of(url)
    wanted = wanted_sibling(dataset, url, options, usual)
    if wanted is None:
        return left_alone(options.name or usual, "it is known here already")
    path = address.path if address is not None else url
    command = ssh_command(dataset)
    said = run_script(look_script(path), target, address=address, ssh_command=command)
    if "fails" in said:
        raise faults.NOT_OURS(target=target, detail=said["fails"])
    if not may_use(wanted, said.get("found", ""), target):
        return left_alone(wanted.name, "there is a repository already")
    uuid = _make(wanted, target, path, address)
    ignore = ("annex-ignore", "false" if uuid else "true")
    known = [("annex-uuid", uuid)] if uuid else []
    set_remotes(dataset.repository, [(wanted.name, wanted.git_settings(*known, ignore))])
    # What it says of itself is known here from now on.
    dataset.repository.git.ask("fetch", "--quiet", wanted.name, environment=_QUIET)
    note = "" if uuid else "git alone: no git-annex or hold was found there to make an annex"
    return made(wanted, note, uuid=uuid or None, bare=options.bare)


_QUIET = {"GIT_TERMINAL_PROMPT": "0"}


def _make(wanted: Wanted, target: str, path: str, address: SshAddress | None) -> str:
    """Make the repository; gives its UUID, empty when it has no annex."""
    options = wanted.options
    described = options.description or (f"{address.host}:{path}" if address else None)
    script = repository_script(
        path, bare=options.bare, branch=current_branch(wanted.dataset), sharing=options.sharing,
        description=described if address is not None else None, hook=options.update_hook,
    )  # fmt: skip
    command = ssh_command(wanted.dataset)
    said = run_script(script, target, address=address, ssh_command=command)
    if "fails" in said:
        raise faults.SIBLING_FAILED(target=target, detail=said["fails"])
    if address is not None:
        return said.get("uuid", "")
    uuid = _initialise(path, options.description)
    # Once more, for the folders that the annex has now.
    if options.sharing.mode or options.sharing.group:
        run_script(script, target)
    return uuid


def _initialise(path: str, description: str | None) -> PlaceId:
    repository = Repository(os.fsencode(path))
    try:
        return initialise(repository, description or repository.description)
    finally:
        repository.close()
