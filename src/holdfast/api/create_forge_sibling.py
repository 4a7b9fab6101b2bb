"""A sibling on GitHub, GitLab, Gitea, GOGS or GIN: git's half of a data set, by their REST APIs."""

from __future__ import annotations

import os
import re

from ..core import faults
from ..core.errors import RemoteProtocolError
from ..core.outcome import Outcome
from ..dataset.remote_config import set_remotes
from ..stores.forge_client import ForgeClient
from ..wire.forges import FORGES, Forge, Project, split_project
from .create_sibling import Existing, SiblingOptions, Wanted, left_alone, made, wanted_sibling
from .datasets import Dataset
from .tokens import find_token

ACCESS = ("https", "ssh", "https-ssh")


def create_forge_sibling(
    dataset: Dataset, kind: str, project: str | None, options: SiblingOptions
) -> Outcome:
    """Make a repository there, private if so wanted, and know it here.

    Raises:
        AccessError: There is no token, or the site refuses.
        ConflictError: There is a repository of that name, or a sibling here.
        PlaceUnavailableError: The site cannot be reached.
    """
    if options.access not in ACCESS:
        what = f"--access is one of {', '.join(ACCESS)}"
        raise faults.BAD_USAGE(what=what, command="create-sibling")
    forge = FORGES[kind]
    owner, name = split_project(project or _usual_project(dataset))
    base = forge.base(options.site)
    token = find_token(options.site or forge.site, forge.variables)
    client = ForgeClient(base, forge.headers(token))
    try:
        found = _find(client, forge, owner, name)
        url = _urls(found, options.access)[0] if found is not None else ""
        wanted = wanted_sibling(dataset, url, options, kind)
        if wanted is None:
            return left_alone(options.name or kind, "it is known here already")
        if found is not None and not wanted.is_known:
            if options.existing == Existing.ERROR:
                detail = "there is a repository of that name on the site"
                raise faults.NOT_OURS(target=found.page, detail=detail)
            if options.existing == Existing.SKIP:
                return left_alone(wanted.name, f"{found.page} is there already")
        there = found or _make(client, forge, owner, name, options)
    except RemoteProtocolError as error:
        if error.code:
            raise
        raise faults.BAD_ANSWER(place=client.host, detail=str(error)) from error
    return _configure(dataset, wanted, forge, there)


def _usual_project(dataset: Dataset) -> str:
    name = os.path.basename(os.path.realpath(os.fsdecode(dataset.top)))
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "dataset"


def _find(client: ForgeClient, forge: Forge, owner: str | None, name: str) -> Project | None:
    answer = client.find(forge.ask_project(owner or _user(client, forge), name))
    return None if answer is None else forge.project(answer)


def _user(client: ForgeClient, forge: Forge) -> str:
    return forge.user(client.get(forge.ask_user()))


def _make(
    client: ForgeClient, forge: Forge, owner: str | None, name: str, options: SiblingOptions
) -> Project:
    if owner is not None and owner == _user(client, forge):
        owner = None
    ask_owner = forge.ask_owner(owner) if owner is not None else None
    request = forge.make(
        owner, name, private=options.private, description=options.description or "",
        owner_answer=client.get(ask_owner) if ask_owner is not None else None,
    )  # fmt: skip
    return forge.project(client.get(request))


def _urls(project: Project, access: str) -> tuple[str, str | None]:
    """What to read from, and what to push to where that is another."""
    if access == "ssh":
        return project.ssh_url, None
    return project.https_url, project.ssh_url if access == "https-ssh" else None


def _configure(dataset: Dataset, wanted: Wanted, forge: Forge, project: Project) -> Outcome:
    url, push_url = _urls(project, wanted.options.access)
    wanted = Wanted(dataset, wanted.name, url, wanted.options)
    more = [("pushurl", push_url)] if push_url else []
    if not forge.keeps_content:
        more.append(("annex-ignore", "true"))
    set_remotes(dataset.repository, [(wanted.name, wanted.git_settings(*more))])
    note = "" if forge.keeps_content else "for git alone: content goes to another sibling"
    return made(wanted, note, page=project.page, private=wanted.options.private)
