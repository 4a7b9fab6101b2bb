"""The time to write down with what the ledger is told of a key."""

from __future__ import annotations

import os
import time

from ..core.clock import SECOND, Moment, parse_moment


def now_moment() -> Moment:
    """Now, in whole seconds, or what the environment says is now, as git-annex takes it."""
    given = parse_moment(os.environ.get("GIT_ANNEX_VECTOR_CLOCK", "").encode())
    return given if given is not None else Moment(int(time.time()) * SECOND)
