"""Who runs this, for notes that people read later."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """The name of the user, or the number where this machine has none for it, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
