"""The keys of a version are those git has, whatever the links in the folder say by now."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.dataset.annexed import iter_in_folder, iter_tracked
from holdfast.dataset.repository import Repository

if TYPE_CHECKING:
    from conftest import Tools

pytestmark = pytest.mark.interop
NAMES = ["changed", "gone", "kept", "replaced", "sub/kept", "unlocked"]


@pytest.fixture
def folder(tools: Tools, bench: Path) -> Path:
    """Links of a version: kept, gone, made to say something else, and in place of them a file."""
    made = tools.create("annex", bench / "set")
    tools.write(made, {name: name.encode() * 3 for name in NAMES})
    tools.save("annex", made)
    tools.annex(made, "unlock", "-q", "unlocked")
    tools.git(made, "commit", "-q", "-m", "unlocked")
    return made


def keys_of_git(tools: Tools, folder: Path) -> dict[bytes, bytes]:
    links = {name: tools.git(folder, "cat-file", "blob", f"HEAD:{name}").text for name in NAMES}
    return {
        os.fsencode(name): os.path.basename(link.strip()).encode() for name, link in links.items()
    }


def test_links_that_were_changed_in_the_folder_do_not_change_the_keys_of_a_version(
    tools: Tools, folder: Path
) -> None:
    keys = keys_of_git(tools, folder)
    (folder / "gone").unlink()
    (folder / "replaced").unlink()
    (folder / "replaced").write_text("by a file")
    other = os.readlink(folder / "kept")
    (folder / "changed").unlink()
    (folder / "changed").symlink_to(other)
    with closing(Repository(os.fsencode(folder))) as repository:
        for version in ("HEAD", None):
            found = {file.path: file.key for file in iter_tracked(repository, (), version)}
            assert {path: key for path, key in found.items() if key is not None} == keys
        there = {file.path: file.key for file in iter_in_folder(repository)}
    assert there == {path: key for path, key in keys.items() if path != b"gone"}


def test_a_folder_of_another_version_tells_nothing_of_this_one(tools: Tools, folder: Path) -> None:
    keys = keys_of_git(tools, folder)
    before = tools.git(folder, "rev-parse", "HEAD").text.strip()
    for name in NAMES:
        (folder / name).unlink()
        (folder / name).write_text(f"newer {name}")
    tools.annex(folder, "add", "-q", ".")
    tools.git(folder, "commit", "-q", "-m", "newer")
    with closing(Repository(os.fsencode(folder))) as repository:
        found = {file.path: file.key for file in iter_tracked(repository, (), before)}
    assert {path: key for path, key in found.items() if key is not None} == keys
