"""How `git-annex-remote-holdfast` talks with its host, whatever it does for it."""

from __future__ import annotations

import os
from typing import Protocol

from ..core.errors import HoldError
from ..core.system_errors import as_fault
from ..wire.external_remote import Message, one_line


class Talk(Protocol):
    """The conversation that a request belongs to."""

    def say(self, message: Message) -> None:
        """Say something to the host."""

    def ask(self, question: Message) -> Message:
        """Ask the host; its answer."""


def reason(error: HoldError | OSError) -> bytes:
    """What went wrong, as the last part of a line."""
    if isinstance(error, OSError):
        error = as_fault(error, os.fsdecode(error.filename or "this machine"))
    return one_line(f"{error.what} ({error.why})" if error.why else error.what)
