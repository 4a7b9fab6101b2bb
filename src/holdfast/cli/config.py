"""Show or set the rules of the data set.

A NAME alone is shown, NAME=VALUE is set. Settings are those of git and git-annex, such as
annex.numcopies; with --shared they go to all clones, else they are of this clone alone. What git
reads only from a clone's own settings, such as user.name, cannot be shared.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core.outcome import Outcome
from .call import Call
from .text import printable

EXAMPLES = (
    ("hold config", "all that is set here"),
    ("hold config annex.numcopies", "one of them"),
    ("hold config --shared annex.numcopies=2", "for all clones"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("names", nargs="*", metavar="NAME[=VALUE]", help="what to show or to set")
    parser.add_argument("--shared", action="store_true", help="for all clones, not only this one")


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.config import iter_config

    return call.finish(
        iter_config(call.dataset, call.options.names, shared=call.options.shared), line
    )


def line(outcome: Outcome) -> str:
    """``annex.numcopies=2``."""
    name = outcome.facts.get("name", outcome.path)
    return printable(f"{name}={outcome.facts.get('value', outcome.note)}")
