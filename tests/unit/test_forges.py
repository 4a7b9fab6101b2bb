"""What sites that host repositories are asked, and how their answers are read."""

from __future__ import annotations

import pytest

from holdfast.core.errors import RemoteProtocolError, UsageError
from holdfast.wire.forges import FORGES, split_project


def test_a_project_may_have_an_owner() -> None:
    assert split_project("study") == (None, "study")
    assert split_project("lab/study.git") == ("lab", "study")
    assert split_project("lab/imaging/study") == ("lab/imaging", "study")
    with pytest.raises(UsageError):
        split_project("lab/..")


def test_the_api_is_where_each_kind_has_it() -> None:
    assert FORGES["github"].base(None) == "https://api.github.com"
    assert FORGES["github"].base("https://git.example.org/") == "https://git.example.org/api/v3"
    assert FORGES["gitlab"].base(None) == "https://gitlab.com/api/v4"
    assert FORGES["gitea"].base("http://127.0.0.1:3000") == "http://127.0.0.1:3000/api/v1"


@pytest.mark.parametrize(
    "site", ["http://example.org", "https://ada:pw@example.org", "ftp://example.org", "example.org"]
)
def test_a_token_is_sent_only_where_nobody_overhears_it(site: str) -> None:
    with pytest.raises(UsageError):
        FORGES["gitea"].base(site)


def test_an_organisation_is_asked_for_by_its_own_path() -> None:
    paths = {
        name: forge.make("lab", "study", private=True, description="").path
        for name, forge in FORGES.items()
    }
    assert paths == {
        "github": "/orgs/lab/repos",
        "gitlab": "/projects",
        "gitea": "/orgs/lab/repos",
        "gogs": "/org/lab/repos",
        "gin": "/org/lab/repos",
    }
    assert FORGES["gitea"].make(None, "x", private=False, description="").path == "/user/repos"


def test_a_group_of_gitlab_is_named_by_its_number() -> None:
    gitlab = FORGES["gitlab"]
    asked = gitlab.ask_owner("lab/imaging")
    assert asked is not None
    assert asked.path == "/namespaces/lab%2Fimaging"
    made = gitlab.make("lab/imaging", "x", private=True, description="d", owner_answer={"id": 7})
    assert made.body == {
        "name": "x", "path": "x", "visibility": "private", "namespace_id": 7, "description": "d",
    }  # fmt: skip


def test_an_answer_that_git_would_take_for_an_option_is_none() -> None:
    answer = {"clone_url": "--upload-pack=x", "ssh_url": "git@h:x", "html_url": "https://h/x"}
    with pytest.raises(RemoteProtocolError):
        FORGES["gitea"].project(answer)
