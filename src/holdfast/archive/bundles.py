"""Git bundles for the snapshots of a data set: history in a form that git alone can read.

A bundle has the new commits of a version and of the git-annex branch. It is whole when there is
none before, after `CHAIN_MAX`, or when those since the last whole one have grown too large. The
same commits give the same bytes, as one thread makes it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from ..core.system_errors import as_fault
from ..dataset.git import git_failed
from ..dataset.repository import Repository
from ..wire.gitobjects import SHA256

CHAIN_MAX = 20
"""So many snapshots share one whole bundle."""
CHAIN_PART_MAX = 0.25
"""Bundles after a whole one are no larger together than this part of it."""

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Bundle:
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


def needs_of_next(repository: Repository, bundles: Sequence[Bundle]) -> tuple[str, ...]:
    """The commits that the next bundle may need; none when it has to be whole."""
    chain = chain_of(bundles)
    if not chain or len(chain) >= CHAIN_MAX:
        return ()
    later = sum(bundle.size for bundle in chain[1:])
    if later > CHAIN_PART_MAX * chain[0].size:
        return ()
    last = chain[-1]
    needs = tuple(dict.fromkeys(commit for commit in (last.version, last.annex) if commit))
    names = [commit.encode() for commit in needs]
    found = repository.git.objects.iter_sizes(names)
    return needs if len(list(found)) == len(names) else ()


def make_bundle(
    repository: Repository,
    path: bytes,
    refs: Sequence[tuple[str, str]],
    needs: Sequence[str],
) -> int:
    """Write a bundle of these commits under these names; gives its size. It is whole or not there.

    Raises:
        HoldError: git failed, or it could not be written.
    """
    temporary = path + b".part"
    try:
        with open(temporary, "wb") as file:
            file.write(_header(repository, refs, needs))
            _write_pack(repository, file, [commit for commit, _ in refs], needs)
            file.flush()
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        os.rename(temporary, path)
    except OSError as error:
        raise as_fault(error, os.fsdecode(path)) from error
    return size


def _header(repository: Repository, refs: Sequence[tuple[str, str]], needs: Sequence[str]) -> bytes:
    sha256 = repository.object_format is SHA256
    lines = ["# v3 git bundle", "@object-format=sha256"] if sha256 else ["# v2 git bundle"]
    lines += [f"-{commit} " for commit in needs]
    lines += [f"{commit} {name}" for commit, name in refs]
    return ("\n".join(lines) + "\n\n").encode()


def _write_pack(
    repository: Repository, file: IO[bytes], commits: Sequence[str], needs: Sequence[str]
) -> None:
    arguments = (
        "-c", "pack.threads=1", "pack-objects", "--quiet", "--revs", "--thin", "--stdout",
        "--delta-base-offset",
    )  # fmt: skip
    process = repository.git.start(*arguments, reads=True)
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    try:
        # Few names: they fit into the pipe before git reads them.
        process.stdin.write("\n".join([*commits, *(f"^{need}" for need in needs), ""]).encode())
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
