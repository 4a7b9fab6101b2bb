"""Move content between here and another place, or between two others.

It is removed where it was only once it is seen where it went; there are never fewer copies than
before.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call
from .copy import add_places, carry

EXAMPLES = (
    ("hold move --to tape sub-07", "make room here"),
    ("hold move --from scanner", "empty another place"),
    ("hold move --to tape --dry-run", "how much it would be"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    add_places(parser)


def run(call: Call) -> int:
    """Carry it out."""
    return carry(call, "move")
