"""Making a data set: a git repository, an annex, an identity, and the first version."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress

from ..core import faults
from ..core.place import new_uuid
from .git import Git
from .initialise import initialise
from .profiles import DEFAULT_PROFILE, PROFILES, Profile, gitattributes
from .repository import Repository

MESSAGE = "[DATALAD] new dataset"
"""The message DataLad gives the first version; its tools look for it."""


def create(
    folder: bytes,
    *,
    profile: str,
    backend: str | None,
    description: str | None,
    annex: bool,
    force: bool,
    settings: Mapping[str, str],
) -> Repository:
    """Make a data set of a folder, new or full; files in it stay as they are, unsaved.

    A bare repository has no files: it gets an annex and an identity, and nothing else.

    Raises:
        UsageError: There is no such profile or backend, or a bare repository cannot have it;
            or the folder is inside of one of git's own.
        ConflictError: The folder is full, or a repository already, and ``force`` is not given.
    """
    if profile not in PROFILES:
        known = ", ".join(PROFILES)
        raise faults.BAD_USAGE(what=f"no profile {profile}; known are {known}", command="create")
    _check_backend(backend)
    if description and "\n" in description:
        raise faults.BAD_USAGE(what="--description is more than one line", command="create")
    _check_above(folder)
    git_folder = _git_folder_around(folder)
    if git_folder is not None:
        bare = _bare_repository(folder, git_folder, settings)
        if not annex or backend is not None or profile != DEFAULT_PROFILE:
            raise _no_files_in(bare)
        return _make_bare(bare, description, force=force)
    _check_folder(folder, force=force)
    files = _first_files(PROFILES[profile], backend, annex=annex)
    with _undone_on_failure(folder, files):
        os.makedirs(folder, exist_ok=True)
        if not os.path.lexists(os.path.join(folder, b".git")):
            Git(folder).run("init", "--quiet")
        repository = Repository(folder, settings)
        repository.check_writable()
        written = [name for name, text in files.items() if _write(repository, name, text)]
        if annex:
            initialise(repository, description or repository.description)
        if written:
            _commit(repository, written)
    return repository


def _check_above(folder: bytes) -> None:
    """Refuse to make a folder below a file."""
    above = folder
    while not os.path.lexists(above) and os.path.dirname(above) != above:
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise faults.ALREADY_THERE(
            path=os.fsdecode(above), what="a file", next="choose another name"
        )


def _git_folder_around(folder: bytes) -> bytes | None:
    """The folder in which git keeps a repository, if this is one or is inside of one."""
    here = os.path.realpath(folder)
    while True:
        if os.path.lexists(os.path.join(here, b".git")):
            return None
        parts = (os.path.join(here, name) for name in (b"objects", b"refs"))
        if os.path.lexists(os.path.join(here, b"HEAD")) and all(map(os.path.isdir, parts)):
            return here
        if os.path.dirname(here) == here:
            return None
        here = os.path.dirname(here)


def _bare_repository(folder: bytes, git_folder: bytes, settings: Mapping[str, str]) -> Repository:
    repository = Repository(git_folder, settings)
    if os.path.realpath(folder) != git_folder:
        raise faults.GIT_FOLDER(
            path=os.fsdecode(folder),
            folder=os.fsdecode(git_folder),
            next="choose a folder outside of it",
        )
    return repository


def _no_files_in(repository: Repository) -> Exception:
    error = faults.BAD_USAGE(
        what="a bare repository has no files that --profile, --backend or --no-annex could be for",
        command="create",
    )
    error.hint = f"hold create --force {os.fsdecode(repository.top)}"
    return error


def _make_bare(repository: Repository, description: str | None, *, force: bool) -> Repository:
    name = os.fsdecode(repository.top)
    if not force:
        what, tip = "a bare git repository", f"hold create --force {name}    (its history stays)"
        if repository.uuid is not None:
            what, tip = "a data set", f"hold -C {name} info    (tells of it)"
        raise faults.ALREADY_THERE(path=name, what=what, next=tip)
    initialise(repository, description or repository.description)
    return repository


@contextmanager
def _undone_on_failure(folder: bytes, names: Collection[str]) -> Iterator[None]:
    """If making a data set of a folder fails, the folder is as it was; a repository just stays."""
    if os.path.lexists(os.path.join(folder, b".git")):
        yield
        return
    paths = [os.path.join(folder, os.fsencode(name)) for name in names]
    folders = [os.path.dirname(path) for path in paths] + [folder]
    new_folders = [one for one in dict.fromkeys(folders) if not os.path.lexists(one)]
    before = {path: _content(path) for path in paths}
    try:
        yield
    except BaseException:
        from shutil import rmtree

        # Its room is given back first: on a full disk the files need it.
        rmtree(os.path.join(folder, b".git"), ignore_errors=True)
        for path, content in before.items():
            _put_back(path, content)
        for one in sorted(new_folders, key=len, reverse=True):
            with suppress(OSError):
                os.rmdir(one)
        raise


def _content(path: bytes) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _put_back(path: bytes, content: bytes | None) -> None:
    if content == _content(path):
        return
    if content is None:
        os.unlink(path)
        return
    with open(path, "wb") as file:
        file.write(content)


def _check_backend(backend: str | None) -> None:
    if backend is not None and backend != "WORM":
        from ..core.backends import hasher

        hasher(backend.encode())


def _check_folder(folder: bytes, *, force: bool) -> None:
    name = os.fsdecode(folder)
    if force or not os.path.isdir(folder):
        return
    if os.path.exists(os.path.join(folder, b".datalad", b"config")):
        raise faults.ALREADY_THERE(
            path=name, what="a data set", next=f"hold -C {name} status    (shows what is in it)"
        )
    if os.path.lexists(os.path.join(folder, b".git")):
        raise faults.ALREADY_THERE(
            path=name,
            what="a git repository",
            next=f"hold create --force {name}    (its history and files stay)",
        )


def _first_files(profile: Profile, backend: str | None, *, annex: bool) -> dict[str, str]:
    identity = f'[datalad "dataset"]\n\tid = {new_uuid()}\n'
    if not annex:
        return {".datalad/config": identity, ".noannex": ""}
    return {
        ".datalad/config": identity,
        ".datalad/.gitattributes": "config annex.largefiles=nothing\n",
        ".gitattributes": gitattributes(profile, backend),
        **profile.files,
    }


def _write(repository: Repository, name: str, text: str) -> bool:
    """Write one of the first files, or keep what is there; False when it is left as it was.

    Of .gitattributes what is there stays, and our lines go before it: the last line wins.
    """
    path = os.path.join(repository.top, os.fsencode(name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    earlier = ""
    if os.path.lexists(path):
        # What a killed call wrote is to be in the first version too.
        ours = name == ".datalad/config" or _content(path) == text.encode()
        if ours or name != ".gitattributes":
            return ours and _is_new_to_git(repository, name)
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            earlier = file.read()
        if "annex.backend" in earlier:
            return False
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text + earlier)
    return True


def _is_new_to_git(repository: Repository, name: str) -> bool:
    return not repository.git.run("ls-files", "--", name)


def _commit(repository: Repository, names: list[str]) -> None:
    from .git import NO_FILTER

    repository.git.run(*NO_FILTER, "add", "--force", "--", *names)
    repository.git.run(
        *NO_FILTER, "commit", "--quiet", "--no-verify", "-m", MESSAGE, "--only", "--", *names
    )
