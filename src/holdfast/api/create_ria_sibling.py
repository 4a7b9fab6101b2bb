"""A sibling in a RIA store: a bare repository for git, a storage beside it for content."""

from __future__ import annotations

import os

from ..core import faults
from ..core.outcome import Outcome
from ..core.place import PlaceId, new_uuid
from ..dataset.remote_config import record_special, set_remotes
from ..dataset.submodules import dataset_id
from ..stores.ora import plan_setup
from ..stores.shell import run_script
from ..stores.ssh_command import SshAddress, parse_ssh_address
from ..wire import logs
from ..wire.ria import RiaStore, check_alias, dataset_path, parse_store
from ..wire.sibling_scripts import look_script, ria_script
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


def create_ria_sibling(dataset: Dataset, target: str, options: SiblingOptions) -> Outcome:
    """Make the data set's folder in the store, with both halves; know both here.

    Raises:
        NotFoundError: There is no store, and none shall be made.
        ConflictError: There is something else, here or there.
        PlaceUnavailableError: It cannot be reached, or made.
    """
    identity = dataset_id(dataset.top)
    if identity is None:
        raise faults.NO_IDENTITY_OF_DATASET(path=os.fsdecode(dataset.top))
    if options.alias is not None:
        check_alias(options.alias)
    store = parse_store(options.push_url or target)
    if store.scheme in ("http", "https"):
        what = f"{target} can only be read: say --push-url ria+ssh://… or ria+file://… too"
        raise faults.BAD_USAGE(what=what, command="create-sibling")
    usual = _usual_name(store)
    wanted = wanted_sibling(dataset, store.dataset(identity), options, usual)
    if wanted is None:
        return left_alone(options.name or usual, "it is known here already")
    config = _config(wanted, identity, target)
    known = _known_storage(dataset, config)
    _check_storage_name(dataset, config["name"], known)
    place, is_there = _place_in_store(wanted, store, identity, known or new_uuid())
    if not is_there:
        return left_alone(wanted.name, "the data set is in the store already")
    storage = config["name"]
    record_special(dataset.repository, place, config, storage)
    marker = [
        ("annex-externaltype", "ora"), ("annex-uuid", place),
        ("annex-verified", "verified"), ("skipFetchAll", "true"),
    ]  # fmt: skip
    depends = ("datalad-publish-depends", storage)
    git = wanted.git_settings(("annex-ignore", "true"), depends)
    set_remotes(dataset.repository, [(storage, marker), (wanted.name, git)])
    dataset.repository.git.ask(
        "fetch", "--quiet", wanted.name, environment={"GIT_TERMINAL_PROMPT": "0"}
    )
    clone_url = f"{target.partition('#')[0]}#{identity}"
    return made(wanted, f"content in {storage}", uuid=place, storage=storage, clone_url=clone_url)


def _usual_name(store: RiaStore) -> str:
    if store.scheme == "ssh":
        return parse_ssh_address(store.base).host
    return os.path.basename(store.folder) or "ria"


def _config(wanted: Wanted, identity: str, target: str) -> dict[str, str]:
    """What all clones are told of the storage."""
    options = wanted.options
    storage = options.storage_name or f"{wanted.name}-storage"
    if storage == wanted.name:
        what = "the storage needs a name of its own"
        raise faults.BAD_USAGE(what=what, command="create-sibling")
    given = {
        "name": storage, "url": target.partition("#")[0].rstrip("/"), "archive-id": identity,
        "autoenable": "true",
    }  # fmt: skip
    if options.push_url:
        given["push-url"] = options.push_url.rstrip("/")
    return dict(plan_setup(given).config)


def _place_in_store(
    wanted: Wanted, store: RiaStore, identity: str, place: PlaceId
) -> tuple[PlaceId, bool]:
    """Make the folder in the store; gives which storage it is, and whether it is to be used."""
    address = parse_ssh_address(store.base) if store.scheme == "ssh" else None
    folder = address.path if address is not None else store.folder
    shown, command = f"{store.url}#{identity}", ssh_command(wanted.dataset)
    look = look_script(f"{folder}/{dataset_path(identity)}")
    said = run_script(look, shown, address=address, ssh_command=command)
    if not may_use(wanted, _without_leftovers(said.get("found", "")), shown):
        return PlaceId(""), False
    return _run(wanted, store, folder, identity, place, address), True


def _without_leftovers(found: str) -> str:
    """A folder of a data set that has no repository yet is one whose making was broken off."""
    return "" if found == "files" else found


def _run(
    wanted: Wanted,
    store: RiaStore,
    folder: str,
    identity: str,
    place: PlaceId,
    address: SshAddress | None,
) -> PlaceId:
    options = wanted.options
    script = ria_script(
        folder, identity, storage=place, new_store=options.new_store, alias=options.alias,
        branch=current_branch(wanted.dataset), sharing=options.sharing, hook=options.update_hook,
    )  # fmt: skip
    said = run_script(script, store.url, address=address, ssh_command=ssh_command(wanted.dataset))
    if said.get("fails") == "no-store":
        detail = "the folder has no ria-layout-version"
        raise faults.NO_STORE(url=store.url, detail=detail)
    if "fails" in said:
        raise faults.NOT_OURS(target=store.url, detail=said["fails"])
    # A folder that is there already belongs to the storage it names.
    return PlaceId(said.get("uuid") or place)


def _check_storage_name(dataset: Dataset, name: str, ours: PlaceId | None) -> None:
    """Refuse a name that another remote has, here or in what all clones know.

    Raises:
        ConflictError: One has it.
    """
    here = dataset.repository.config.sections("remote").get(name)
    if here is not None and here.get("annex-uuid") != ours:
        raise faults.SIBLING_THERE(name=name, detail="its name was meant for the storage")
    remotes = logs.parse_remotes(dataset.ledger.policy_file(b"remote.log"))
    for place, config in remotes.items():
        if config.get("name") == name and place not in (ours, *dataset.ledger.dead):
            raise faults.SIBLING_THERE(name=name, detail=f"it is the special remote {place}")


def _known_storage(dataset: Dataset, config: dict[str, str]) -> PlaceId | None:
    """The storage that the data set knows in this store already."""
    remotes = logs.parse_remotes(dataset.ledger.policy_file(b"remote.log"))
    same = ("externaltype", "archive-id", "url")
    for place, known in remotes.items():
        if all(known.get(word) == config[word] for word in same):
            return place
    return None
