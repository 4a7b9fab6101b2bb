"""The part of ``hold archive`` about keys of encrypted archives: list, make, destroy."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ..settings import config_home
from .archive_words import bad
from .call import Call

if TYPE_CHECKING:
    from ..api.archive_keys import KeyPlace
    from ..api.archive_sealing import EncryptBy


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
        help="keys make: who can open what is packed, too",
    )  # fmt: skip
    parser.add_argument("--force", metavar="REASON", help="keys destroy: why it has to go")


def key_place(options: Namespace) -> KeyPlace:
    """Where keys are."""
    from ..api.archive_keys import KeyPlace

    path = os.path.abspath(os.fsencode(options.keys)) if options.keys else None
    return KeyPlace(path, config_home(os.environ))


def encrypt_by(options: Namespace) -> EncryptBy | None:
    """How a new archive is to be encrypted; None when nothing was said."""
    from ..api.archive_sealing import EncryptBy

    if options.encrypt and options.encrypt_by:
        raise bad("--encrypt is one key for all, --encrypt-by several: give one of them")
    if not options.encrypt and not options.encrypt_by:
        return None
    return EncryptBy(tuple(options.encrypt_by or ()))


def run_keys(call: Call) -> int:
    """Carry out ``keys``."""
    from ..api.archive_keys import (
        dataset_id,
        iter_archive_keys,
        iter_archive_keys_destroy,
        iter_archive_keys_make,
    )

    options = call.options
    work, *scopes = options.pieces or ["list"]
    folder = key_place(options).open(dataset_id(call.dataset))
    if work == "list" and not scopes:
        if options.force or options.recipient:
            raise bad("keys list takes no --force and no --recipient")
        return call.finish(iter_archive_keys(folder))
    if len(scopes) != 1 or work not in ("make", "destroy"):
        raise bad("say keys list, keys make SCOPE, or keys destroy SCOPE; . is the data set")
    if work == "make":
        if options.force:
            raise bad("keys make takes no --force")
        return call.finish(iter_archive_keys_make(folder, scopes[0], options.recipient or ()))
    if options.recipient:
        raise bad("keys destroy takes no --recipient")
    if call.reason is None:
        raise bad("keys destroy is for good: say why, with --force REASON")
    return call.finish(iter_archive_keys_destroy(folder, scopes[0], call.reason))
