"""Run a command in each installed data set inside this one.

A single COMMAND word is a line for the shell, several words are run as they are; -- keeps options
of the command from being read as ours. In them {path} stands for the data set's path from here,
{dataset} for its folder, {top} for the folder of the outer one, {id} for its identity, {name} for
its folder's name; other braces are left alone. One that fails does not stop the others.
"""

from __future__ import annotations

from argparse import ArgumentParser

from .call import Call
from .recursion import add_recursion, levels_of

EXAMPLES = (
    ("hold foreach -r -- git status --short", "in each, at any depth"),
    ("hold foreach 'du -sh . && echo {path}'", "a line for the shell"),
    ("hold foreach --bottom-up --itself -r -- git gc", "innermost first, and in this one too"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="the command and its words")
    parser.add_argument("--bottom-up", action="store_true", help="those inside before the outer")
    parser.add_argument("--itself", action="store_true", help="in this data set as well")
    add_recursion(parser)


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.foreach import iter_foreach

    options = call.options
    levels = levels_of(options)
    found = iter_foreach(
        call.dataset,
        options.command,
        levels=1 if levels == 0 else levels,
        bottom_up=options.bottom_up,
        itself=options.itself,
        apart=options.json,
    )
    return call.finish(found)
