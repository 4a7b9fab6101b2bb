"""A version as a BagIt bag: its files, their hashes, and what it is a version of."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator

from ..core.backends import backend_of, key_digest
from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress, Silence
from ..dataset.versions import commit_of
from ..version import __version__
from ..wire.bagit import (
    DECLARATION,
    PAYLOAD,
    Listed,
    encode_info,
    encode_line,
    manifest_name,
)
from .datasets import Dataset
from .export import Missing
from .exporting import Leaf, is_missing, iter_leaves, new_name, told, told_missing, write_file

_ALGORITHM = "sha256"


def iter_export_bag(
    dataset: Dataset,
    folder: bytes,
    *,
    version: str = "HEAD",
    missing: Missing | str = Missing.FAIL,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Make a bag of a version in a new folder; content is checked as it is read.

    Hashes are those of the keys where these are SHA-256, else worked out on the way. Symlinks,
    which a bag cannot hold, are told and left out.

    Raises:
        NotFoundError: There is no such version.
        ConflictError: The folder is there already.
        IntegrityError: Content here is damaged; no bag was made.
    """
    absent, leave_out = 0, Missing(missing) is Missing.LEAVE_OUT
    for leaf in iter_leaves(dataset, version):
        if is_missing(leaf):
            absent += 1
            yield told_missing(leaf, "export-bag", left_out=leave_out)
        elif leaf.target is not None:
            yield _left_out(leaf)
    if absent and not leave_out:
        return
    listener = progress or Silence()
    listener.start(None, None)
    try:
        with new_name(folder) as temporary:
            _write_bag(dataset, temporary, version, listener)
    finally:
        listener.stop()
    for leaf in iter_leaves(dataset, version):
        if _is_in(leaf):
            yield told(leaf, "export-bag")


def _is_in(leaf: Leaf) -> bool:
    return not is_missing(leaf) and leaf.target is None


def _left_out(leaf: Leaf) -> Outcome:
    name = os.fsdecode(leaf.path)
    return Outcome("export-bag", Status.NOT_NEEDED, name, note="a bag holds no symlinks")


def _write_bag(dataset: Dataset, bag: bytes, version: str, progress: Progress) -> None:
    os.makedirs(os.path.join(bag, PAYLOAD))
    count = size = 0
    tags: dict[str, str] = {}
    name, hashed = manifest_name(_ALGORITHM), hashlib.sha256()
    with open(os.path.join(bag, name.encode()), "wb") as manifest:
        for leaf in filter(_is_in, iter_leaves(dataset, version)):
            line = encode_line(Listed(_write_payload(bag, leaf), PAYLOAD + leaf.path))
            manifest.write(line)
            hashed.update(line)
            count, size = count + 1, size + leaf.size
            progress.advance(1, leaf.size)
    tags[name] = hashed.hexdigest()
    info = encode_info(_info(dataset, version, count, size))
    for tag, content in (("bagit.txt", DECLARATION), ("bag-info.txt", info)):
        tags[tag] = _write_tag(bag, tag, content)
    lines = [encode_line(Listed(tags[tag], tag.encode())) for tag in sorted(tags)]
    _write_tag(bag, manifest_name(_ALGORITHM, of_tags=True), b"".join(lines))


def _write_payload(bag: bytes, leaf: Leaf) -> str:
    """Copy one file; gives its hash, which is that of its key where that is the same one."""
    path = os.path.join(bag, PAYLOAD, leaf.path)
    if leaf.key is not None and backend_of(leaf.key) == b"SHA256":
        write_file(path, leaf)
        return key_digest(leaf.key)
    hashed = hashlib.sha256()
    write_file(path, leaf, hashed.update)
    return hashed.hexdigest()


def _write_tag(bag: bytes, name: str, content: bytes) -> str:
    with open(os.path.join(bag, name.encode()), "wb") as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def _info(dataset: Dataset, version: str, count: int, size: int) -> list[tuple[str, str]]:
    git = dataset.repository.git
    commit = commit_of(dataset.repository, version)
    code, found, _ = git.ask("config", "--blob", f"{commit}:.datalad/config", "datalad.dataset.id")
    identity = [("External-Identifier", found.decode("utf-8", "replace").strip())]
    return [
        ("Bagging-Date", time.strftime("%Y-%m-%d", time.gmtime())),
        ("Bag-Software-Agent", f"holdfast {__version__}"),
        *(identity if not code else []),
        ("Internal-Sender-Identifier", commit),
        ("Payload-Oxum", f"{size}.{count}"),
    ]


def export_bag(dataset: Dataset, folder: bytes, **options: object) -> Report:
    """Make a bag; see `iter_export_bag`.

    Raises:
        IncompleteError: Some content is not here.
    """
    return complete(iter_export_bag(dataset, folder, **options))  # type: ignore[arg-type]
