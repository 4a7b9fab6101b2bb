"""Git and content in one bucket (``annex::UUID?type=S3&…``): who pushes, and who clones, is any."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import Tools

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        shutil.which("git-remote-annex") is None, reason="git-annex has no git-remote-annex here"
    ),
]
FILES = {"big.dat": os.urandom(300_000), "sub/a b.txt": b"one\n", "empty": b""}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-0f-the-t3st"}
TOOLS = ("hold", "annex", "datalad")


@pytest.fixture
def with_keys(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of S3 in the environment, and leave to ask a server on this machine."""
    settings = tmp_path / "gitconfig"
    home = Path(tools.environment["HOME"])
    allowed = '[annex "security"]\n\tallowed-ip-addresses = all\n'
    settings.write_text((home / ".gitconfig").read_text() + allowed)
    for name, value in {**CREDENTIALS, "GIT_CONFIG_GLOBAL": str(settings)}.items():
        monkeypatch.setitem(tools.environment, name, value)


def words_of(port: int, bucket: str) -> dict[str, str]:
    return {
        "type": "S3", "encryption": "none", "host": "127.0.0.1", "port": str(port),
        "protocol": "http", "requeststyle": "path", "bucket": bucket,
    }  # fmt: skip


def publish(tools: Tools, tool: str, folder: Path, words: dict[str, str]) -> str:
    """A new data set, pushed with its content to a bucket; gives the URL that clones it."""
    tools.create(tool, folder)
    tools.write(folder, FILES)
    tools.save(tool, folder)
    given = [f"{name}={value}" for name, value in words.items()]
    if tool == "hold":
        tools.hold(folder, "create-sibling", "-s", "s3", "special", *given)
        tools.hold(folder, "push", "--to", "s3")
    else:
        tools.annex(folder, "initremote", "s3", "--with-url", *given)
        push(tools, tool, folder, "s3")
    uuid = tools.git(folder, "config", "remote.s3.annex-uuid").text.strip()
    return f"annex::{uuid}?" + "&".join(given)


def push(tools: Tools, tool: str, folder: Path, to: str) -> None:
    if tool == "annex":
        tools.annex(folder, "copy", "-q", "--to", to, ".")
        tools.git(folder, "push", "-q", to, "main", "git-annex")
    else:
        (tools.hold if tool == "hold" else tools.datalad)(folder, "push", "--to", to)


def clone(tools: Tools, tool: str, url: str, folder: Path) -> Path:
    if tool == "annex":
        tools.git(folder.parent, "clone", "-q", url, folder.name)
    else:
        (tools.hold if tool == "hold" else tools.datalad)(folder.parent, "clone", url, folder.name)
    return folder


def check(folder: Path, files: dict[str, bytes]) -> None:
    assert {name: (folder / name).read_bytes() for name in files} == files


@pytest.mark.parametrize("sender", ["hold", "annex"])
def test_what_one_tool_published_is_cloned_by_each_and_goes_back(
    tools: Tools, bench: Path, s3_port: int, with_keys: None, sender: str
) -> None:
    url = publish(tools, sender, bench / "first", words_of(s3_port, f"by-{sender}"))
    for tool in TOOLS:
        mine = clone(tools, tool, url, bench / f"by-{tool}")
        assert not (mine / "big.dat").exists()
        tools.get(tool, mine)
        check(mine, FILES)
        tools.drop(tool, mine, "big.dat")
        assert not (mine / "big.dat").exists()
    # The next version goes the other way.
    back = "hold" if sender == "annex" else "datalad"
    tools.write(bench / f"by-{back}", {"more.dat": b"more\n"})
    tools.save(back, bench / f"by-{back}")
    push(tools, back, bench / f"by-{back}", "origin")
    tools.hold(bench / "first", "update", "--from", "s3")
    tools.hold(bench / "first", "get", "--from", "s3", "more.dat")
    check(bench / "first", {**FILES, "more.dat": b"more\n"})
    seen = tools.annex(bench / "first", "fsck", "--from", "s3").all_text
    assert "failed" not in seen
    for repository in (bench / "first", *(bench / f"by-{tool}" for tool in TOOLS)):
        for path in (p for p in (repository / ".git").rglob("*") if p.is_file()):
            hidden = "annex/creds" in str(path)
            assert hidden or CREDENTIALS["AWS_SECRET_ACCESS_KEY"].encode() not in path.read_bytes()


def test_chunks_are_read_by_clones_of_git_kept_elsewhere(
    tools: Tools, bench: Path, s3_port: int, with_keys: None
) -> None:
    for sender, others in (("hold", ("annex",)), ("annex", ("hold", "datalad"))):
        first = tools.create(sender, bench / f"first-{sender}")
        tools.write(first, FILES)
        tools.save(sender, first)
        words = words_of(s3_port, f"chunks-{sender}")
        given = [*(f"{n}={v}" for n, v in words.items()), "chunk=100KiB", "autoenable=true"]
        if sender == "hold":
            tools.hold(first, "siblings", "add", "s3", *given)
            tools.hold(first, "push", "--to", "s3")
        else:
            tools.annex(first, "initremote", "s3", *given)
            tools.annex(first, "copy", "-q", "--to", "s3", ".")
        for tool in others:
            mine = tools.clone(tool, first, bench / f"{sender}-{tool}")
            tools.git(mine, "config", "remote.origin.annex-ignore", "true")
            tools.get(tool, mine)
            check(mine, FILES)


def test_the_first_push_to_a_place_that_holds_no_git_yet_is_one_like_any_other(
    tools: Tools, bench: Path
) -> None:
    first = tools.create("hold", bench / "first")
    (bench / "there").mkdir()
    given = ["type=directory", "encryption=none", f"directory={bench / 'there'}"]
    tools.annex(first, "initremote", "there", "--with-url", *given)
    tools.write(first, FILES)
    tools.save("hold", first)
    tools.hold(first, "push", "--to", "there")
    told = tools.git(first, "ls-remote", "there").text.split()
    assert told[1::2] == ["refs/heads/git-annex", "refs/heads/main"]


def test_git_is_not_kept_in_chunks_where_git_annex_would_lose_it(
    tools: Tools, bench: Path, s3_port: int, with_keys: None
) -> None:
    words = words_of(s3_port, "in-chunks")
    url = publish(tools, "hold", bench / "first", words)
    given = [f"{name}={value}" for name, value in words.items()]
    refused = tools.hold(
        bench / "first", "create-sibling", "-s", "s4", "special", *given, "chunk=1MiB", exits=4
    )
    assert "H391" in refused.all_text
    assert "s4" not in tools.git(bench / "first", "remote").text
    tools.annex(bench / "first", "enableremote", "s3", "chunk=100KiB")
    tools.write(bench / "first", {"more.dat": os.urandom(250_000)})
    tools.save("hold", bench / "first")
    told = tools.hold(bench / "first", "push", "--to", "s3", "--json", exits=4).records()
    assert [(r["path"], r["status"]) for r in told if r.get("action")] == [
        ("more.dat", "ok"), ("s3", "impossible"),
    ]  # fmt: skip
    assert "H391" in str(told)
    still = clone(tools, "annex", url, bench / "still")
    tools.get("annex", still)
    check(still, FILES)
