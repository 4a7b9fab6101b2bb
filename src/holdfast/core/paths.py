"""Where paths lead to."""

from __future__ import annotations

import os


def is_within(path: bytes, folder: bytes) -> bool:
    """Whether a path leads to a folder or into it, links followed; neither need be there."""
    top = os.path.realpath(folder).rstrip(b"/") + b"/"
    return (os.path.realpath(path) + b"/").startswith(top)
