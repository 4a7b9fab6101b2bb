"""Making a clone: git brings names and versions, then the annex learns where it came from.

A clone is built beside its final folder and gets its name when it is whole, so nobody meets half
of one; what a killed process left is thrown away by the next one that wants the same folder.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from ..core import faults
from ..core.errors import HoldError
from ..core.place import PlaceId
from ..wire.gitobjects import Oid
from . import locks
from .git import BOUNDED, NO_FILTER, Git, git_failed, hex_oid
from .submodules import read_head

if TYPE_CHECKING:
    from .enabling import Enabling

SCRATCH = b".hold-cloning-"
"""How the name of an unfinished clone begins."""

LOCK = b".lck"
WORKSHOP = b"hold-cloning"
"""The folder in a data set's git folder where clones that go into it are built."""
_NAME_MAX = 200

ORIGIN = "origin"
_SCRATCH_NAME = re.escape(SCRATCH) + rb"(?s:(.*))-[0-9a-f]{8}"
_NOISE = (
    rb"^(Cloning into |remote: (Enumerating|Counting|Compressing|Total)|done\.$|$|"
    rb"Please make sure you have the correct access rights$|and the repository exists\.$)"
)
"""What says nothing of a failure; git's advice would push out the line of ssh that says why."""
_NOBODY_THERE = (
    r"Could not resolve|Failed to connect|Couldn't connect|timed out|Connection refused|"
    r"No route to host|Network is unreachable"
)
"""What git says of a server that does not answer: another URL of it will not either."""
_STEP = rb"[A-Za-z][a-z ]+: +\d+%.*"


class _Wanted(NamedTuple):
    """What to check out: a branch or tag, a commit, or what the source has checked out."""

    version: str | None
    commit: Oid | None


class Cloned(NamedTuple):
    """A new clone: where from, the place it is (None for plain git), its special remotes."""

    url: str
    uuid: PlaceId | None
    special: Sequence[Enabling]


def clone(
    urls: Sequence[str],
    target: bytes,
    *,
    version: str | None = None,
    description: str | None = None,
    siblings: str | None = None,
    storage_of: Callable[[str], PlaceId | None] = lambda _: None,
    commit: Oid | None = None,
    workshop: bytes | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Cloned:
    """Clone the first of these URLs that answers; ``told`` hears how far git is.

    ``siblings`` and ``storage_of`` are as `adopting.adopt` has them. With ``commit`` that version
    is checked out, and a source that lacks it has not answered. ``workshop`` is the folder to build
    it in, beside the target without one.

    Raises:
        ConflictError: The folder is there already, and not empty.
        HoldError: git could not; nothing of it stays.
    """
    check_target(target)
    with building(target, workshop) as folder:
        url = _clone_first(urls, folder, _Wanted(version, commit), told)
        from .adopting import adopt

        name = description or os.fsdecode(os.path.basename(target)) or "clone"
        adopted = adopt(folder, ORIGIN, name, siblings, storage_of)
    return Cloned(url, adopted.uuid, adopted.special)


def check_target(target: bytes) -> None:
    """Refuse a folder that is not ours to fill; what a killed run left beside it goes.

    Raises:
        ConflictError: There is something.
    """
    name = os.fsdecode(target)
    if not os.path.lexists(target):
        return
    if not os.path.isdir(target):
        raise faults.ALREADY_THERE(path=name, what="a file", next="choose another folder")
    if not os.listdir(target):
        return
    forget_building(target)
    what, step = "a folder with files in it", "choose another folder, or move it away"
    if os.path.exists(os.path.join(target, b".git", b"annex")):
        what, step = "a data set", f"hold -C {name} status    (shows what is in it)"
    elif os.path.lexists(os.path.join(target, b".git")):
        what = "a git repository"
        step = f"choose another folder; if {name} is what a killed clone left, remove it"
    raise faults.ALREADY_THERE(path=name, what=what, next=step)


@contextmanager
def building(target: bytes, workshop: bytes | None) -> Iterator[bytes]:
    """A folder that becomes the target when the block ends well, and vanishes when it does not."""
    if os.path.isdir(target) and workshop is None:
        # Somebody made it, with its permissions, or is in it: it is filled, not replaced.
        try:
            yield target
        except BaseException:
            _empty(target)
            raise
        return
    parent, name = os.path.split(target)
    made = _make_folders(parent)
    if workshop is not None:
        os.makedirs(workshop, exist_ok=True)
        parent, name = workshop, quote(target, safe="").encode()[-_NAME_MAX:]
    start = SCRATCH + name[:_NAME_MAX]
    lock = os.path.join(parent, start + LOCK)
    # A new name each time: the git of a killed process may still be writing to the old one.
    scratch = os.path.join(parent, start + b"-" + os.urandom(4).hex().encode())
    try:
        with locks.exclusive(lock, wait_s=0):
            try:
                _remove_abandoned(parent, start)
                yield scratch
                os.rename(scratch, target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
                os.unlink(lock)
    except BaseException:
        for folder in made:
            with suppress(OSError):
                os.rmdir(folder)
        raise


def forget_building(target: bytes) -> None:
    """Remove what a run leaves beside a target that was killed once that was made."""
    parent, name = os.path.split(target)
    lock = os.path.join(parent, SCRATCH + name[:_NAME_MAX] + LOCK)
    if os.path.lexists(lock):
        with suppress(OSError, HoldError), locks.exclusive(lock, wait_s=0):
            os.unlink(lock)


def _remove_abandoned(parent: bytes, start: bytes) -> None:
    for name in os.listdir(parent):
        if name.startswith(start) and scratch_target(name) == start.removeprefix(SCRATCH):
            shutil.rmtree(os.path.join(parent, name), ignore_errors=True)


def scratch_target(name: bytes) -> bytes | None:
    """The folder that an unfinished clone of this name was to become; None when it is none."""
    found = re.fullmatch(_SCRATCH_NAME, name)
    return found[1] if found else None


def _make_folders(folder: bytes) -> list[bytes]:
    """Make a folder and those above it; gives the new ones, innermost first."""
    made = []
    while not os.path.isdir(folder):
        made.append(folder)
        folder = os.path.dirname(folder)
    for one in reversed(made):
        os.mkdir(one)
    return made


def _empty(folder: bytes) -> None:
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)


def _clone_first(
    urls: Sequence[str], folder: bytes, wanted: _Wanted, told: Callable[[str], None]
) -> str:
    errors: list[HoldError] = []
    for url in urls:
        try:
            _git_clone(url, folder, wanted, told)
            if wanted.commit is not None:
                _check_out(Git(folder), hex_oid(wanted.commit))
        except HoldError as error:
            errors.append(error)
            if os.path.isdir(folder):
                _empty(folder)
            if re.search(_NOBODY_THERE, error.why):
                break
            continue
        return url
    first = errors[0]
    first.safe = faults.NOTHING_CHANGED
    first.why = "; ".join(dict.fromkeys(error.why for error in errors))
    raise first


def _git_clone(url: str, folder: bytes, wanted: _Wanted, told: Callable[[str], None]) -> None:
    choice = ("--branch", wanted.version) if wanted.version else ()
    if wanted.commit is not None:
        choice = (*choice, "--no-checkout")
    git = Git(os.getcwdb())
    process = git.start(
        *NO_FILTER, "clone", "--progress", "--origin", ORIGIN, *choice, "--", url, folder
    )
    assert process.stderr is not None
    _load_what_follows()
    said: list[bytes] = []
    try:
        rest = b""
        while block := os.read(process.stderr.fileno(), 1 << 16):
            *lines, rest = re.split(rb"[\r\n]", rest + block)
            for line in lines:
                _hear(line, said, told)
        _hear(rest, said, told)
        if process.wait():
            raise git_failed(("clone",), b"\n".join(said))
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        process.stderr.close()
        assert process.stdout is not None
        process.stdout.close()


def _check_out(git: Git, name: bytes) -> None:
    """Check out one version: on the branch that leads to it, moved back to it; else on none.

    Raises:
        HoldError: The source does not have it.
    """
    if read_head(git.folder + b"/.git") == name:
        git.run(*NO_FILTER, *BOUNDED, "reset", "--hard", "--quiet")
        return
    there = ("cat-file", "-e", name + b"^{commit}")
    if git.ask(*there)[0]:
        # What no branch leads to comes only to who asks for it by name.
        git.ask(*NO_FILTER, "fetch", "--quiet", ORIGIN, name)
        if git.ask(*there)[0]:
            raise faults.NO_SUCH_VERSION(version=name.decode())
    on_branch = git.ask("merge-base", "--is-ancestor", name, "HEAD")[0] == 0
    how = ("reset", "--hard") if on_branch else ("checkout", "--force", "--detach")
    git.run(*NO_FILTER, *BOUNDED, *how, "--quiet", name)


def _load_what_follows() -> None:
    """Load the code that comes after git, while git works."""
    from . import adopting  # noqa: F401


def _hear(line: bytes, said: list[bytes], told: Callable[[str], None]) -> None:
    """Pass on how far git is, and keep what it may say about a failure."""
    line = line.strip()
    step = re.search(_STEP, line)
    if step is not None:
        told(step[0].decode("utf-8", "replace").lower())
    elif not re.match(_NOISE, line):
        said.append(line)
