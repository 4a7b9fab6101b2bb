"""Git bundles for the snapshots of a data set: history in a form that git alone can read.

A bundle has the new commits of a version, of the git-annex branch, of all tags, and of other
branches where that is wished; and the names of all of them, new or not. It is whole when there is
none before, after `CHAIN_MAX`, or when those since the last whole one have grown too large. The
same commits give the same bytes, as one thread makes it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, NamedTuple

from ..core import faults
from ..core.errors import ProtocolError
from ..core.system_errors import as_fault
from ..wire.bundle_header import BundleHeader, Ref, encode_header, other_refs, read_header
from ..wire.gitobjects import SHA256

if TYPE_CHECKING:
    from ..dataset.repository import Repository

CHAIN_MAX = 20
"""So many snapshots share one whole bundle."""
CHAIN_PART_MAX = 0.25
"""Bundles after a whole one are no larger together than this part of it."""
TIPS_MAX = 64
"""So many commits beside a version and the git-annex branch may be said to be there already."""

_CHUNK = 1 << 20


class Bundle(NamedTuple):
    """A bundle of an archive: the commits it needs and has, and its size. ``name`` is its file."""

    name: str
    needs: tuple[str, ...]
    version: str
    annex: str
    size: int


def chain_of(bundles: Sequence[Bundle]) -> list[Bundle]:
    """The last bundle and those it needs: from the last whole one on."""
    whole = [place for place, bundle in enumerate(bundles) if not bundle.needs]
    return list(bundles[whole[-1] :]) if whole else []


def needs_of_next(
    repository: Repository, bundles: Sequence[Bundle], refs: Sequence[Ref]
) -> tuple[str, ...]:
    """The commits that the next bundle may need; none when it has to be whole.

    ``refs`` are those of the last one.
    """
    chain = chain_of(bundles)
    if not chain or len(chain) >= CHAIN_MAX:
        return ()
    later = sum(bundle.size for bundle in chain[1:])
    if later > CHAIN_PART_MAX * chain[0].size:
        return ()
    last = chain[-1]
    needs = list(dict.fromkeys(commit for commit in (last.version, last.annex) if commit))
    names = [commit.encode() for commit in needs]
    found = repository.git.objects.iter_sizes(names)
    if len(list(found)) != len(names):
        return ()
    return (*needs, *_tips_beside(repository, {ref.oid for ref in refs} - {*needs}, needs))


def _tips_beside(
    repository: Repository, oids: Collection[str], needs: Sequence[str]
) -> Iterator[str]:
    """The commits among these that the others do not lead to; few, or none at all.

    What is left out is in the next bundle once more.
    """
    words = [*sorted(oids), *(f"^{need}" for need in needs), ""]
    arguments = ("rev-list", "--parents", "--stdin")
    code, output, _ = repository.git.ask(*arguments, data="\n".join(words).encode())
    if code:
        return  # one of them is gone
    above = set[str]()
    commits = []
    for line in output.decode().splitlines():
        commit, *parents = line.split()
        commits.append(commit)
        above.update(parents)
    tips = [commit for commit in commits if commit not in above]
    if len(tips) <= TIPS_MAX:
        yield from tips


def refs_of(
    repository: Repository, version: str, branch: str, annex: str, *, branches: bool
) -> list[Ref]:
    """What a bundle of a version has names for, in order."""
    refs = [Ref(version, "HEAD")]
    if branch:
        refs.append(Ref(version, f"refs/heads/{branch}"))
    if annex:
        refs.append(Ref(annex, "refs/heads/git-annex"))
    where = ("refs/tags", *(["refs/heads"] if branches else []))
    listed = repository.git.run("for-each-ref", "--format=%(objectname) %(refname)", *where)
    lines = listed.decode("utf-8", "surrogateescape").splitlines()
    found = [Ref(*line.split(" ", 1)) for line in lines]
    return refs + other_refs(found, branch)


def read_refs(path: bytes) -> list[Ref]:
    """What a bundle in a file has names for; nothing when it is not there, or none."""
    try:
        with open(path, "rb") as file:
            return read_header(file).refs
    except (OSError, ProtocolError):
        return []


def make_bundle(
    repository: Repository,
    path: bytes,
    refs: Sequence[Ref],
    needs: Sequence[str],
) -> int:
    """Write a bundle of these objects under these names; gives its size. It is whole or not there.

    Raises:
        ConflictError: This is a shallow clone.
        HoldError: git failed, or it could not be written.
    """
    _refuse_shallow(repository)
    temporary = path + b".part"
    try:
        with open(temporary, "wb") as file:
            sha256 = repository.object_format is SHA256
            file.write(encode_header(BundleHeader([*needs], [*refs]), sha256=sha256))
            _write_pack(repository, file, list(dict.fromkeys(ref.oid for ref in refs)), needs)
            file.flush()
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        os.rename(temporary, path)
    except OSError as error:
        raise as_fault(error, os.fsdecode(path)) from error
    return size


def _refuse_shallow(repository: Repository) -> None:
    """Refuse history that is cut: nobody could make a repository of it."""
    with suppress(FileNotFoundError):
        if os.stat(os.path.join(repository.common_dir, b"shallow")).st_size:
            raise faults.ARCHIVE_SHALLOW(path=os.fsdecode(repository.top))


def _write_pack(
    repository: Repository, file: IO[bytes], oids: Sequence[str], needs: Sequence[str]
) -> None:
    from ..dataset.git import BOUNDED, git_failed

    arguments = (
        *BOUNDED, "-c", "pack.threads=1", "pack-objects", "--quiet", "--revs", "--thin", "--stdout",
        "--delta-base-offset",
    )  # fmt: skip
    process = repository.git.start(*arguments, reads=True)
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    try:
        with suppress(BrokenPipeError):  # git says why it ended
            # It reads all of them before it writes anything.
            process.stdin.write("\n".join([*oids, *(f"^{need}" for need in needs), ""]).encode())
            process.stdin.close()
        while chunk := process.stdout.read(_CHUNK):
            file.write(chunk)
        errors = process.stderr.read()
        if process.wait():
            raise git_failed(arguments, errors)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()
