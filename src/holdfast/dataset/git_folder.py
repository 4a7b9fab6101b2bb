"""The `.git` of submodules and linked work trees: a link, so that links of annexed files lead."""

from __future__ import annotations

import os

from .repository import Repository


def link_git_folder(repository: Repository) -> None:
    """Put a link in the place of a `.git` that is a file, as git-annex does; git follows both.

    Annexed files are links to `.git/annex/objects/...`, which lead nowhere through a file. Does
    nothing where `.git` is a folder or a link, or where links are not used.
    """
    path = os.path.join(repository.top, b".git")
    if repository.bare or os.path.islink(path) or not os.path.isfile(path):
        return
    if repository.config.get("core.symlinks") == "false":
        return
    git_dir = os.path.realpath(repository.git_dir)
    annex = os.path.join(git_dir, b"annex")
    common = os.path.realpath(repository.common_dir)
    if common == git_dir:
        # A submodule's way back to its folder, relative to where .git no longer seems to be.
        repository.git.ask("config", "--local", "--unset-all", "core.worktree")
    elif not os.path.lexists(annex):
        os.symlink(os.path.relpath(os.path.join(common, b"annex"), git_dir), annex)
    temporary = path + b".hold"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(os.path.relpath(git_dir, os.path.realpath(repository.top)), temporary)
    os.rename(temporary, path)
