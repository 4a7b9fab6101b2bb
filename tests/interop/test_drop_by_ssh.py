"""Dropping what is left at a place reached by ssh: it has to promise to keep its copy meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        shutil.which("git-annex-shell") is None, reason="git-annex is not installed"
    ),
]

SSH = """#!/bin/sh
# As ssh would, on this machine: the last word is the command.
for word; do last=$word; done
case $last in sftp) exit 1;; esac
exec sh -c "$last"
"""

HOLD_IT = """
import sys
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId
from holdfast.dataset.objects import Objects

objects = Objects(sys.argv[1].encode(), Place(PlaceId("there"), "there"), bare=False)
held = objects.hold(Key(sys.argv[2].encode()))
print("held", flush=True)
sys.stdin.readline()
objects.release(held)
"""


@pytest.fixture
def pair(tools: Tools, bench: Path) -> tuple[Path, Path]:
    """A data set, and a clone that reaches it by ssh and has all content."""
    there, here = bench / "there", bench / "here"
    ssh = bench / "ssh"
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    tools.create("hold", there)
    tools.write(there, {f"f{n}.dat": b"%d" % n * 4000 for n in range(3)})
    tools.hold(there, "save")
    tools.git(bench, "clone", "-q", f"ssh://host{there}", str(here), GIT_SSH=str(ssh))
    tools.git(here, "config", "core.sshCommand", str(ssh))
    tools.hold(here, "get", ".")
    return there, here


@contextmanager
def about_to_be_removed(there: Path, key: str) -> Iterator[None]:
    """Content is locked by somebody who is about to remove it."""
    words = [sys.executable, "-c", HOLD_IT, str(there / ".git/annex"), key]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    try:
        yield
    finally:
        process.communicate(b"go\n", timeout=30)


def test_what_is_about_to_be_removed_there_stays_here(
    tools: Tools, pair: tuple[Path, Path]
) -> None:
    there, here = pair
    key = tools.keys(here)[b"f1.dat"].decode()
    with about_to_be_removed(there, key):
        told = {r["path"]: r for r in tools.hold(here, "drop", "--json", ".", exits=4).records()}
        assert {path: r["status"] for path, r in told.items() if path} == {
            "f0.dat": "ok", "f1.dat": "impossible", "f2.dat": "ok",
        }  # fmt: skip
        assert "may be removing it" in str(told["f1.dat"]["error"])
    assert (here / "f1.dat").read_bytes() == b"1" * 4000
    tools.settled(here)
    tools.hold(here, "drop", ".")
    assert not (here / "f1.dat").exists()
    tools.settled(here)
    assert not list((there / ".git/annex/objects").rglob("*.rtm"))


def test_a_data_set_whose_content_is_about_to_be_removed_there_is_not_deleted(
    tools: Tools, pair: tuple[Path, Path]
) -> None:
    there, here = pair
    with about_to_be_removed(there, tools.keys(here)[b"f1.dat"].decode()):
        tools.hold(here.parent, "remove", "here", exits=4)
    assert (here / "f1.dat").read_bytes() == b"1" * 4000
    tools.hold(here.parent, "remove", "here")
    assert not here.exists()


def test_a_copy_that_can_be_seen_is_enough_without_the_promise(
    tools: Tools, pair: tuple[Path, Path]
) -> None:
    there, here = pair
    tools.git(here, "clone", "-q", str(here), str(here.parent / "near"))
    near = here.parent / "near"
    tools.hold(near, "get", ".")
    tools.git(here, "remote", "add", "near", str(near))
    with about_to_be_removed(there, tools.keys(here)[b"f1.dat"].decode()):
        tools.hold(here, "drop", ".")
    assert not (here / "f1.dat").exists()
