"""Tell about hold, or about one command."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator

from ..core.outcome import Outcome, Status
from .call import PAGE_WIDTH_MAX, Call
from .errors import unknown_command
from .main import HELP
from .pages import load, page
from .table import COMMANDS, ELSEWHERE, listing, module_of

EXAMPLES = (
    ("hold help", "all commands"),
    ("hold help get", "one command, with examples"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("name", nargs="?", metavar="COMMAND", help="the command to tell about")


def run(call: Call) -> int:
    """Carry it out."""
    return call.finish(pages_for(call.options.name, call.settings.width), _text)


def pages_for(name: str | None, width: int) -> Iterator[Outcome]:
    """The page of a command, or of all.

    Raises:
        UsageError: There is no such command.
    """
    if name is None:
        text = HELP.format(listing=listing()).rstrip()
        facts = {"text": text, "commands": [name for name, _, _, _ in COMMANDS]}
    else:
        module = module_of(name)
        if module is None:
            raise unknown_command(name, [name for name, _, _, _ in COMMANDS], dict(ELSEWHERE))
        text = page(name, load(module), min(width, PAGE_WIDTH_MAX)).rstrip()
        facts = {"command": name, "text": text}
    yield Outcome("help", Status.OK, facts=facts)


def _text(outcome: Outcome) -> str:
    return str(outcome.facts["text"])
