"""Which words each kind of work of ``hold archive`` takes; all others are refused."""

from __future__ import annotations

from argparse import Namespace

from ..core import faults

_WRITTEN = {
    "pieces": "PIECES", "at": "--at", "piece_size": "--piece-size", "write": "--write",
    "plain": "--folder", "state": "--state", "branches": "--branches", "known": "--known",
    "only": "--only", "to": "--to", "from_": "--from", "list": "--list",
    "lost_found": "--lost-found", "sample": "--sample",
    "whole": "--whole", "seed": "--seed", "repair": "--repair", "look_in": "--look-in",
    "accept_unhashed": "--accept-unhashed", "dry_run": "--dry-run", "html": "--html",
    "rate": "--rate", "jobs": "-J", "recursive": "-r", "recursion_limit": "-R",
    "parity": "--parity", "verify": "--verify", "encrypt": "--encrypt",
    "encrypt_by": "--encrypt-by", "keys": "--keys", "recipient": "--recipient",
    "force": "--force", "address": "--address", "once": "--once", "logins": "--logins",
    "private": "--private", "url": "--url",
}  # fmt: skip
"""Names of options and of words, and how people write them."""

_PLANNING = frozenset(
    ("at", "piece_size", "plain", "state", "branches", "encrypt", "encrypt_by", "keys")
)
_TAKEN: dict[str, frozenset[str]] = {
    "check": frozenset((
        "pieces", "at", "repair", "look_in", "accept_unhashed", "dry_run", "html", "rate", "jobs",
        "recursive", "recursion_limit",
    )),
    "plan": _PLANNING,
    "pack": _PLANNING | {"write", "known", "to", "parity", "verify"},
    "restore": frozenset(("pieces", "at", "only", "to", "from_", "list", "lost_found", "keys")),
    "drill": frozenset(("pieces", "from_", "sample", "whole", "seed", "keys")),
    "parity": frozenset(("pieces", "from_", "write", "parity")),
    "rebuild": frozenset(("pieces", "from_", "write")),
    "place": frozenset(("pieces",)),
    "keys": frozenset(("pieces", "state", "keys", "recipient", "force")),
    "serve": frozenset(
        ("plain", "state", "keys", "address", "once", "logins", "private", "url")
    ),
}  # fmt: skip

WORKS = ", ".join(list(_TAKEN)[:-1]) + " or " + list(_TAKEN)[-1]
"""All kinds of work, as a sentence has them."""


def refuse_foreign(options: Namespace) -> None:
    """Refuse what the work that was named does nothing with, and words with nothing in them.

    An empty word is mostly a variable that was not set, and never what was left out.

    Raises:
        UsageError: Something of the kind was given, or there is no such work.
    """
    taken = _TAKEN.get(options.work)
    if taken is None:
        raise bad(f"{options.work} is not {WORKS}")
    for name, written in _WRITTEN.items():
        given = getattr(options, name, None)
        # A number that was given may be 0, which equals False.
        if name not in taken and given is not None and given is not False and given != []:
            raise bad(f"{options.work} takes no {written}")
        if given == "" or (isinstance(given, list) and "" in given):
            raise bad(f"an empty {written}: an empty word names nothing")


def bad(what: str) -> Exception:
    """That it was said wrongly."""
    return faults.BAD_USAGE(what=what, command="archive")
