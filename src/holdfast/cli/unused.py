"""List content here that no branch or tag uses.

`hold drop --unused` removes it, once enough other copies are seen.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core.outcome import Outcome
from .call import Call
from .text import quote, size

EXAMPLES = (
    ("hold unused", "key and size, one a line"),
    ("hold unused --json", "for programs"),
)


_KINDS = {"bad": "  (damaged, put aside by fsck)", "tmp": "  (fetched in part)"}


def add_options(parser: ArgumentParser) -> None:
    """Nothing of its own."""


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.unused import iter_unused

    return call.finish(iter_unused(call.dataset), line, empty="Nothing is unused.")


def line(outcome: Outcome) -> str:
    """``SHA256E-s12--….nii.gz  12 MB``."""
    name = quote(outcome.key.text) if outcome.key is not None else quote(outcome.path)
    kind = _KINDS.get(str(outcome.facts.get("kind", "")), "")
    return f"{name}{kind}" if outcome.size is None else f"{name}  {size(outcome.size)}{kind}"
