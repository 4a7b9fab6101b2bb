"""Sites that host git repositories: what to ask their REST APIs, and how to read the answers. Pure.

Formats: the API documentation of GitHub (v3), GitLab (v4), Gitea (v1) and GOGS (v1, GIN too).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from ..core import faults
from ..core.errors import RemoteProtocolError


class Request(NamedTuple):
    """One question: the path below the API's base, and a JSON object to send with it."""

    method: str
    path: str
    body: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """A repository on a site, as the site tells of it."""

    https_url: str
    ssh_url: str
    page: str


@dataclass(frozen=True, slots=True)
class Forge:
    """A kind of site: where its public one is, how its API is reached, where tokens are found."""

    name: str
    site: str
    api: str
    variables: tuple[str, ...]
    keeps_content: bool = False

    def base(self, site: str | None) -> str:
        """Where the API of a site is.

        Raises:
            UsageError: This is no address, or one where a token could be overheard.
        """
        url = (site or self.site).rstrip("/")
        parts = urlsplit(url)
        is_here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.username or not parts.hostname or not (parts.scheme == "https" or is_here):
            what = f"--site is the address of a site, https://HOST; {url!r} is none we may use"
            raise faults.BAD_USAGE(what=what, command="create-sibling")
        if self.name == "github":
            public = parts.hostname in ("github.com", "api.github.com")
            return self.api if public else f"{url}/api/v3"
        return f"{url}{self.api}"

    def headers(self, token: str) -> dict[str, str]:
        """How we say who we are."""
        if self.name == "gitlab":
            return {"PRIVATE-TOKEN": token}
        return {"Authorization": f"token {token}"}

    def ask_user(self) -> Request:
        """Who does the token belong to?"""
        return Request("GET", "/user")

    def user(self, answer: Mapping[str, object]) -> str:
        """Who it belongs to."""
        return _text(answer, "username" if self.name == "gitlab" else "login")

    def ask_project(self, owner: str, name: str) -> Request:
        """Is there such a repository?"""
        if self.name == "gitlab":
            return Request("GET", f"/projects/{quote(f'{owner}/{name}', safe='')}")
        return Request("GET", f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}")

    def ask_owner(self, owner: str) -> Request | None:
        """What is the number of a group? None where its name is enough."""
        if self.name != "gitlab":
            return None
        return Request("GET", f"/namespaces/{quote(owner, safe='')}")

    def make(
        self,
        owner: str | None,
        name: str,
        *,
        private: bool,
        description: str,
        owner_answer: Mapping[str, object] | None = None,
    ) -> Request:
        """Make a repository, of an organisation or (without ``owner``) of the user."""
        if self.name == "gitlab":
            visibility = "private" if private else "public"
            body = {"name": name, "path": name, "visibility": visibility}
            number = {} if owner_answer is None else {"namespace_id": owner_answer.get("id")}
            return Request("POST", "/projects", {**body, **number, "description": description})
        orgs = "org" if self.name in ("gogs", "gin") else "orgs"
        path = "/user/repos" if owner is None else f"/{orgs}/{quote(owner, safe='')}/repos"
        body = {"name": name, "description": description}
        return Request("POST", path, {**body, "private": private, "auto_init": False})

    def project(self, answer: Mapping[str, object]) -> Project:
        """The repository an answer tells of.

        Raises:
            RemoteProtocolError: It tells of none.
        """
        if self.name == "gitlab":
            names = ("http_url_to_repo", "ssh_url_to_repo", "web_url")
        else:
            names = ("clone_url", "ssh_url", "html_url")
        https_url, ssh_url, page = (_text(answer, name) for name in names)
        return Project(https_url, ssh_url, page)


FORGES = {
    forge.name: forge
    for forge in (
        Forge(
            "github", "https://github.com", "https://api.github.com", ("GITHUB_TOKEN", "GH_TOKEN")
        ),
        Forge("gitlab", "https://gitlab.com", "/api/v4", ("GITLAB_TOKEN",)),
        Forge("gitea", "https://gitea.com", "/api/v1", ("GITEA_TOKEN",)),
        Forge("gogs", "https://try.gogs.io", "/api/v1", ("GOGS_TOKEN",)),
        Forge("gin", "https://gin.g-node.org", "/api/v1", ("GIN_TOKEN",), keeps_content=True),
    )
}


def split_project(project: str) -> tuple[str | None, str]:
    """``[OWNER/]NAME``; of a GitLab group the owner may have slashes.

    Raises:
        UsageError: There is no name.
    """
    owner, _, name = project.strip("/").rpartition("/")
    if not name or name in (".", ".."):
        what = f"{project!r} is no repository: say [OWNER/]NAME"
        raise faults.BAD_USAGE(what=what, command="create-sibling")
    return owner or None, name.removesuffix(".git")


def message_of(answer: object) -> str:
    """What an answer says to people; short."""
    if isinstance(answer, dict):
        for name in ("message", "error", "error_description"):
            if answer.get(name):
                return f"{answer[name]}"[:300]
    return ""


def _text(answer: Mapping[str, object], name: str) -> str:
    found = answer.get(name)
    if not isinstance(found, str) or not found or found.startswith("-") or "\n" in found:
        raise RemoteProtocolError(f"an answer without {name}")
    return found
