"""The part of ``hold archive`` about keys: list, make, import, export, destroy."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..settings import config_home
from .archive_words import bad
from .call import Call

if TYPE_CHECKING:
    from ..api.archive_sealing import EncryptBy
    from ..api.key_place import KeyPlace
    from ..archive.scope_keys import KeyFolder
    from ..core.outcome import Outcome

_SECRET = "AGE-SECRET-KEY-"
_TEXT_MAX = 1 << 16
_TAKEN = {
    "list": ((), 0), "make": (("recipient",), 1), "import": (("recipient",), 2),
    "export": ((), 2), "destroy": (("force",), 1),
}  # fmt: skip
"""Which options each kind of work on keys takes, and how many words."""
_SAY = (
    "say keys list, keys make SCOPE, keys import SCOPE FILE, keys export SCOPE FILE, or "
    "keys destroy SCOPE; . is all that has none of its own"
)


def add_key_options(parser: ArgumentParser) -> None:
    """Declare what is about encryption."""
    parser.add_argument(
        "--encrypt", action="store_true",
        help="plan, pack: encrypt a new archive, all of it with one key",
    )  # fmt: skip
    parser.add_argument(
        "--encrypt-by", metavar="GLOB", action="append",
        help="plan, pack: encrypt it; folders named so, such as 'sub-*', have keys of their own, "
        "and there is no history",
    )  # fmt: skip
    parser.add_argument(
        "--keys", metavar="FOLDER",
        help="where keys are (~/.config/holdfast/archive-keys/ID); restore takes a file, too",
    )  # fmt: skip
    parser.add_argument(
        "--recipient", metavar="AGE1...", action="append",
        help="keys make, import: who can open what is packed, too; or a file with such lines",
    )  # fmt: skip
    parser.add_argument("--force", metavar="REASON", help="keys destroy: why it has to go")


def key_place(options: Namespace) -> KeyPlace:
    """Where keys are."""
    from ..api.key_place import KeyPlace

    path = os.path.abspath(os.fsencode(options.keys)) if options.keys else None
    return KeyPlace(path, config_home(os.environ))


def encrypt_by(options: Namespace) -> EncryptBy | None:
    """How a new archive is to be encrypted; None when nothing was said."""
    if options.encrypt and options.encrypt_by:
        raise bad("--encrypt is one key for all, --encrypt-by several: give one of them")
    if not options.encrypt and not options.encrypt_by:
        return None
    from ..api.archive_sealing import EncryptBy  # late: most archives are in the clear

    return EncryptBy(tuple(options.encrypt_by or ()))


def run_keys(call: Call) -> int:
    """Carry out ``keys``."""
    from ..api.archive_keys import (
        dataset_id,
        folder_keys,
        iter_archive_keys,
        refuse_in_repository,
    )

    options = call.options
    work, *words = options.pieces or ["list"]
    taken, count = _TAKEN.get(work, ((), -1))
    if len(words) != count:
        raise bad(_SAY)
    for name, written in (("force", "--force"), ("recipient", "--recipient")):
        if getattr(options, name) and name not in taken:
            raise bad(f"keys {work} takes no {written}")
    is_new = work in ("make", "import")
    if options.state:
        state = os.path.realpath(os.fsencode(options.state))
        folder = folder_keys(key_place(options), state, begin=is_new)
    else:
        folder = key_place(options).open(dataset_id(call.dataset))
        if is_new:
            refuse_in_repository(call.dataset, folder.path)
    if work == "list":
        return call.finish(iter_archive_keys(folder))
    return call.finish(_changed(call, folder, work, words))


def _changed(call: Call, folder: KeyFolder, work: str, words: Sequence[str]) -> Iterator[Outcome]:
    from ..api import archive_keys as api

    others, scope = call.options.recipient or (), words[0]
    if work == "make":
        return api.iter_archive_keys_make(folder, scope, others)
    if work == "destroy":
        if call.reason is None:
            raise bad("keys destroy is for good: say why, with --force REASON")
        return api.iter_archive_keys_destroy(folder, scope, call.reason)
    path = os.fsencode(words[1])
    if work == "export":
        path = os.path.abspath(path)
        if call.options.state:
            state = os.fsencode(call.options.state)
            api.refuse_in_folder(path, state, "it is where it is noted what was packed")
        else:
            api.refuse_in_repository(call.dataset, path)
        return api.iter_archive_keys_export(folder, scope, path)
    text = None
    if path == b"-":
        path = b"standard input"
        text = sys.stdin.buffer.read(_TEXT_MAX).decode("utf-8", "replace")
    return api.iter_archive_keys_import(folder, scope, path, others, text)


def refuse_secrets(options: Namespace) -> None:
    """Refuse a secret key on the command line, where all on this machine see it; without it.

    Raises:
        UsageError: There is one.
    """
    words = [*options.pieces, *(options.recipient or ()), options.keys or ""]
    if any(_SECRET in word.upper() for word in words):
        raise bad("a secret key is no word of a call, others see these: name its file, or give -")
