"""The verbs of git-annex that hold has: what each takes, and where its work is.

A call with anything in it that is not ours is handed on whole, before anything is done.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from ..core import faults
from ..core.errors import HoldError
from .annex_real import Elsewhere, note
from .annex_show import Show
from .annex_words import Takes, Words, find_verb, read
from .streams import abandon_output

if TYPE_CHECKING:
    from ..api.datasets import Dataset

FORCE = frozenset(("--force",))
FAST = frozenset(("--fast",))
_COPYING = Takes(FAST | FORCE, frozenset(("--from", "--to")), matching=True)

VERBS: dict[str, tuple[str, Takes]] = {
    "add": (
        "annex_add",
        Takes(
            FORCE | {"--force-large", "--force-small", "--update", "--include-dotfiles"},
            frozenset(("--backend",)),
        ),
    ),
    "copy": ("annex_copy", _COPYING),
    "drop": (
        "annex_content",
        Takes(FAST | FORCE | {"--all"}, frozenset(("--from", "--numcopies")), matching=True),
    ),
    "dropunused": ("annex_unused", Takes(FORCE, frozenset(("--numcopies",)))),
    "edit": ("annex_lock", Takes(matching=True)),
    "find": ("annex_find", Takes(frozenset(("--print0",)), matching=True)),
    "fsck": ("annex_content", Takes(FAST | {"--all"}, matching=True)),
    "get": ("annex_content", Takes(FAST | {"--all"}, frozenset(("--from",)), matching=True)),
    "init": ("annex_init", Takes(FORCE, frozenset(("--version",)))),
    "lock": ("annex_lock", Takes(FORCE, matching=True)),
    "move": ("annex_copy", _COPYING),
    "unlock": ("annex_lock", Takes(matching=True)),
    "unused": ("annex_unused", Takes(FAST)),
    "whereis": ("annex_find", Takes(frozenset(("--all",)), matching=True)),
}  # fmt: skip

_NOT_OURS = frozenset(
    fault.code
    for fault in (
        faults.OLD_VERSION, faults.TUNED, faults.PIDLOCK, faults.CUSTOM_HOOKS, faults.TRANSITION,
        faults.NO_WAY, faults.PLACE_UNVERIFIED, faults.NO_SUCH_PLACE, faults.NO_BACKEND,
        faults.BAD_RULE, faults.UNMERGED,
    )
)  # fmt: skip
"""Refusals that the real git-annex has an answer to."""


@dataclass
class Front:
    """One call of a verb: its words, its data set, and where answers go."""

    words: Words

    @cached_property
    def dataset(self) -> Dataset:
        """The data set around the current folder, looked at as far as it takes to refuse it."""
        from ..api.datasets import Dataset, open_dataset
        from ..dataset.repository import Repository

        repository = Repository(os.getcwdb(), self.words.settings)
        if repository.uuid is None:
            from .annex_init import refuse_odd

            refuse_odd(repository)
            dataset = open_dataset(".", self.words.settings)
        else:
            dataset = Dataset(repository)
        dataset.repository.check_writable()
        dataset.repository.check_plain_content()
        # Opening the ledger finds out whether its layout and history are ones we know.
        _ = dataset.ledger
        return dataset

    @cached_property
    def paths(self) -> list[bytes]:
        """The files named, relative to the top; the current folder when none is."""
        return self.dataset.relative(self.words.names or ["."])

    @cached_property
    def show(self) -> Show:
        """Where answers go."""
        return Show(self.words, self.dataset.top, self.paths)

    @property
    def jobs(self) -> int | None:
        """How many things may be done at a time."""
        text = self.words.values.get("--jobs", "")
        if text and not text.isdecimal():
            return None
        return int(text) if text else None

    def close(self) -> None:
        """Let go of the data set, if it was opened."""
        if "dataset" in self.__dict__:
            self.dataset.close()


def carry_out(words: Sequence[str]) -> int | None:
    """Carry out a call; None when it is not one of ours, and nothing was done."""
    position = find_verb(words)
    if position is None or words[position] not in VERBS:
        return None
    module, takes = VERBS[words[position]]
    call = read(words, takes)
    if call is None:
        return None
    front = Front(call)
    work: Callable[[Front], int] = import_module(f".{module}", __package__).run
    try:
        code = work(front)
        sys.stdout.flush()
    except Elsewhere:
        return None
    except BrokenPipeError:
        # Nobody reads on: that is how `hold annex find | head` ends.
        abandon_output()
        code = 1
    except HoldError as error:
        if error.code in _NOT_OURS:
            return None
        code = _tell(error)
    finally:
        front.close()
    note("ours", words)
    return code


def _tell(error: HoldError) -> int:
    sys.stdout.flush()
    what = "First run: git-annex init" if error.code == faults.NO_ANNEX.code else error.what
    sys.stderr.write(f"git-annex: {what}\n")
    if error.code != faults.NO_ANNEX.code:
        sys.stderr.write("".join(f"  {line}\n" for line in (error.why, error.hint) if line))
    return 1
